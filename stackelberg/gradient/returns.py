"""What each role earns from a rollout, for each game."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from stackelberg.gradient.arrays import Tensor, detached
from stackelberg.gradient.batch import Batch, Completions
from stackelberg.gradient.kl import KL


@dataclass(frozen=True, eq=False)
class Role:
    """One learner in a batch: its payoff is ``payoff + coefficient · (its own KL)``.

    Args:
        said: its completions.
        payoff: what does not come from its own KL, (B,), detached.
        coefficient: of its own KL, (B, 1) or a number: −τ for who ascends, +τ for who descends.
        sign: +1 for who ascends, −1 for who descends.
    """

    said: Completions
    payoff: Tensor
    coefficient: Tensor
    sign: int

    def to_go(self, kl: KL) -> Tensor:
        """What is still to be earned from the t-th token on, (B, T), detached; nothing of its KL after the last."""
        return self.payoff[:, None] + self.coefficient * kl.weights(self.said.in_turn)


class Returns(ABC):
    """A game as the estimator sees it. Every τ is a number, or an array (B,) with one a rollout."""

    @abstractmethod
    def roles(self, batch: Batch, kl: KL) -> tuple[Role, ...]:
        """The learners, the first mover first."""


@dataclass(frozen=True)
class StackelbergReturns(Returns):
    """Leader ``p + τ_F ℓ_F − τ_L ℓ_L``, ascended; Follower ``p + τ_F ℓ_F``, descended.

    Args:
        tau_leader, tau_follower: τ_L and τ_F.
        follower_kl: whether τ_F ℓ_F counts in the Leader's payoff, as in f. False is the variant of the code
            published with the SLHF paper, *a different game*: the Follower's answer ω* stays the same, but the
            Leader settles at ``π ∝ π_ref exp(Σ_{y'} ω*(y'|y) p(y≻y') / τ_L)`` in place of
            ``π_ref exp(V(y)/τ_L)``: it is not told what the Follower's reply costs in KL.
    """

    tau_leader: Tensor
    tau_follower: Tensor
    follower_kl: bool = True

    def roles(self, batch: Batch, kl: KL) -> tuple[Role, ...]:
        """Leader and Follower."""
        if batch.follower is None:
            raise ValueError("A Stackelberg game needs the Follower's completions. Pass Batch(..., follower=...).")
        p = detached(batch.preference)
        paid = p + self.tau_follower * kl.total(batch.follower) if self.follower_kl else p
        leader = Role(batch.leader, paid, -_column(self.tau_leader), +1)
        return leader, Role(batch.follower, p, _column(self.tau_follower), -1)


@dataclass(frozen=True)
class PolicyReturns(Returns):
    """One policy earns ``p − τ ℓ``: p(y≻y') against y' ~ π in a Nash game, the reward r(y) in a reward game."""

    tau: Tensor

    def roles(self, batch: Batch, kl: KL) -> tuple[Role, ...]:
        """The one policy."""
        return (Role(batch.leader, detached(batch.preference), -_column(self.tau), +1),)


def _column(tau: Tensor) -> Tensor:
    return tau[:, None] if getattr(tau, "ndim", 0) else tau
