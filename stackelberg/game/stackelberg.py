"""SLHF's game: a Leader answers, and a Follower who sees the answer improves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import ArrayLike

from stackelberg.game.base import Game
from stackelberg.game.settings import check_left_out, checked_reference, checked_weights, of_rollouts
from stackelberg.gradient import Returns, StackelbergReturns
from stackelberg.validation import Array, check_distribution, check_shape

if TYPE_CHECKING:
    from stackelberg.solution import StackelbergSolution  # noqa: F401  # named below


@dataclass(frozen=True, eq=False)
class StackelbergGame(Game["StackelbergSolution"]):
    """SLHF: the Leader answers, the Follower sees the answer and improves it (arXiv 2512.16626).

    ``max_π min_ω E_{y~π}[ E_{y'~ω(·|y)} p(y≻y') + τ_F KL(ω(·|y)‖ω_ref(·|y)) ] − τ_L KL(π‖π_ref)``,
    averaged over the contexts.

    Args:
        preference: a :class:`PreferenceMatrix`, or an array that makes one.
        tau: both KL coefficients, ≥ 0; a number or one a context.
        tau_leader, tau_follower: τ_L and τ_F where they differ.
        leader_reference: π_ref, (n,) or (contexts, n); uniform by default.
        follower_reference: ω_ref, (n,) for every y alike, (n, n) with a row an observed action y, or
            (contexts, n, n); uniform by default. Zeros are allowed where that player's τ > 0.
        context_weights: ρ, (contexts,); uniform by default.
        contexts: features, (contexts, d), beside P of shape (contexts, n, n); P may be a function of them. Or
            prompts, beside a judge.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0.1)
        >>> sb.solve(game).leader.round(3)
        array([0.333, 0.333, 0.333])
    """

    tau: Any = 0.1
    tau_leader: Any = field(default=None, kw_only=True)
    tau_follower: Any = field(default=None, kw_only=True)
    leader_reference: Any = field(default=None, kw_only=True)
    follower_reference: Any = field(default=None, kw_only=True)
    context_weights: Any = field(default=None, kw_only=True)

    _carried: ClassVar = ("tau_leader", "tau_follower", "leader_reference", "follower_reference", "context_weights")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tau_leader", "tau_follower"):
            own = getattr(self, name)
            self._keep(**{name: self._tau(self.tau) if own is None else self._tau(own, name)})
        leader, follower = self.leader_reference, self.follower_reference
        if self.judged:
            weights = self.context_weights
            check_left_out(leader_reference=leader, follower_reference=follower, context_weights=weights)
            return
        contexts, n = self.shape
        self._keep(
            leader_reference=checked_reference(leader, (contexts, n), self.tau_leader, "leader_reference"),
            follower_reference=checked_reference(follower, (contexts, n, n), self.tau_follower, "follower_reference"),
            context_weights=checked_weights(self.context_weights, contexts),
        )

    def returns(self, contexts: ArrayLike | None = None) -> Returns:
        """Leader ``p + τ_F ℓ_F − τ_L ℓ_L``, Follower ``p + τ_F ℓ_F``, which it lowers.

        Example:
            >>> StackelbergGame([[0.5, 1.0], [0.0, 0.5]], tau_leader=0.1, tau_follower=0.2).returns()
            StackelbergReturns(tau_leader=0.1, tau_follower=0.2, follower_kl=True)
        """
        return StackelbergReturns(of_rollouts(self.tau_leader, contexts), of_rollouts(self.tau_follower, contexts))

    def response(self, values: ArrayLike, name: str = "follower") -> Array:
        """A Follower from the user, (contexts, n, n) with a row an observed action, checked."""
        contexts, n = self.shape
        return check_shape(check_distribution(values, name), (contexts, n, n), name)
