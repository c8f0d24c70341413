"""RLHF as a game of one player: the Bradley–Terry reward that is fitted to the preferences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from stackelberg.game.base import Game
from stackelberg.game.settings import check_left_out, checked_reference, checked_weights
from stackelberg.validation import as_floats, check_shape

if TYPE_CHECKING:
    from stackelberg.solution import RewardSolution  # noqa: F401  # named below


@dataclass(frozen=True, eq=False)
class RewardGame(Game["RewardSolution"]):
    """RLHF: maximise ``E_π r − τ KL(π‖π_ref)`` for the Bradley–Terry reward r fitted under pair sampling μ.

    Over prompts, the preference is a reward itself, a callable ``(prompts, answers) -> rewards``.

    Args:
        preference: a :class:`PreferenceMatrix`, or an array that makes one.
        tau: KL coefficient ≥ 0, a number or one a context.
        sampling: μ ≥ 0, (n, n) or (contexts, n, n); how often each pair is shown to annotators, up to a
            factor. By default every pair alike, but for those that were never compared
            (``preference.never_compared``), whose ½ is no observation. ``preference.comparisons`` weighs pairs
            by how often they were compared. Where P is not Bradley–Terry the answer depends on it.
        reference: π_ref, (n,) or (contexts, n); uniform by default. Zeros are allowed where τ > 0.
        context_weights: ρ, (contexts,); uniform by default.
        contexts: features, (contexts, d), beside P of shape (contexts, n, n); P may be a function of them. Or
            prompts, beside a judge.
    """

    tau: Any = 0.1
    sampling: Any = None
    reference: Any = field(default=None, kw_only=True)
    context_weights: Any = field(default=None, kw_only=True)

    _carried: ClassVar = ("tau", "sampling", "reference", "context_weights")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._keep(tau=self._tau(self.tau))
        if self.judged:
            check_left_out(sampling=self.sampling, reference=self.reference, context_weights=self.context_weights)
            return
        contexts, n = self.shape
        self._keep(reference=checked_reference(self.reference, self.shape, self.tau, "reference"))
        self._keep(context_weights=checked_weights(self.context_weights, contexts))
        given = self.preference.compared if self.sampling is None else as_floats(self.sampling, "sampling")
        if (given < 0).any():
            raise ValueError(f"sampling weights must not be negative; the smallest is {given.min():.6g}.")
        self._keep(sampling=check_shape(given, (contexts, n, n), "sampling"))
