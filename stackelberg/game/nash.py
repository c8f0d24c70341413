"""NLHF's game: one policy against itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from stackelberg.game.base import Game
from stackelberg.game.settings import check_left_out, checked_reference, checked_weights

if TYPE_CHECKING:
    from stackelberg.solution import NashSolution  # noqa: F401  # named below


@dataclass(frozen=True, eq=False)
class NashGame(Game["NashSolution"]):
    """NLHF: ``max_π min_π' π P π' − τ KL(π‖π_ref) + τ KL(π'‖π_ref)`` (Munos et al. 2023).

    Args:
        preference: a :class:`PreferenceMatrix`, or an array that makes one.
        tau: KL coefficient ≥ 0, a number or one a context. At τ = 0 the solution is a maximal lottery.
        reference: π_ref, (n,) or (contexts, n); uniform by default. Zeros are allowed where τ > 0.
        context_weights: ρ, (contexts,); uniform by default.
        contexts: features, (contexts, d), beside P of shape (contexts, n, n); P may be a function of them. Or
            prompts, beside a judge.
    """

    tau: Any = 0.1
    reference: Any = None
    context_weights: Any = field(default=None, kw_only=True)

    _carried: ClassVar = ("tau", "reference", "context_weights")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._keep(tau=self._tau(self.tau))
        if self.judged:
            check_left_out(reference=self.reference, context_weights=self.context_weights)
            return
        self._keep(reference=checked_reference(self.reference, self.shape, self.tau, "reference"))
        self._keep(context_weights=checked_weights(self.context_weights, self.shape[0]))
