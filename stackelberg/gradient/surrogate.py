"""The estimator: token weights, detached, and a number whose gradient is the gradient of the game."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stackelberg.gradient.arrays import Tensor, where_seen
from stackelberg.gradient.baselines import Baseline, Constant
from stackelberg.gradient.batch import Batch, Completions
from stackelberg.gradient.kl import KL, RewardToGo
from stackelberg.gradient.returns import Returns, Role

HALF = Constant(0.5)
TO_GO = RewardToGo()


@dataclass(frozen=True, eq=False)
class Surrogate:
    """One role's estimate: ``Σ_it token_weights_it log π_it + Σ_it kl_weights_i KL_it``.

    Its *gradient* estimates the gradient of the role's payoff, to be ascended for ``sign = +1`` and descended for
    −1; its value means nothing.

    Args:
        said: the role's completions.
        token_weights: of ∇log π_t, (B, T): payoff to go less baseline, times the row's weight; detached, 0 behind
            the mask.
        kl: the per-position KL that is differentiated itself, (B, T); None where the KL option has none.
        kl_weights: of ∇KL_t, (B, 1), detached.
        sign: +1 for who ascends, −1 for who descends.
    """

    said: Completions
    token_weights: Tensor
    kl: Tensor | None
    kl_weights: Tensor
    sign: int

    @property
    def value(self) -> Any:
        """The number to differentiate."""
        total = (self.token_weights * where_seen(self.said.log_prob, self.said.mask)).sum()
        return total if self.kl is None else total + (self.kl_weights * self.kl).sum()


def surrogates(batch: Batch, returns: Returns, *, baseline: Baseline = HALF, kl: KL = TO_GO) -> tuple[Surrogate, ...]:
    """One surrogate a role, the first mover's first.

    With ``w_i`` the rows' weights, b the baseline and R_it the role's payoff to go, token t of row i weighs
    ``w_i (R_it − b_it)``. No token is divided by a length: that would be another objective.

    Args:
        batch: rollouts, drawn or enumerated.
        returns: the game, :class:`StackelbergReturns` or :class:`PolicyReturns`.
        baseline: :class:`Constant`, :class:`LeaveOneOut` or :class:`NoBaseline`.
        kl: :class:`RewardToGo`, :class:`RaoBlackwell` or :class:`SequenceLevel`.

    Guarantee: unbiased for independent draws, equal to the gradient for an enumeration, for every pair of options
    but LeaveOneOut on an enumeration; ``tests/laws/test_gradient_laws.py``.

    Example:
        >>> import numpy as np
        >>> from stackelberg.gradient import PolicyReturns
        >>> log_prob = np.log([[0.5, 0.5], [0.5, 0.25]])
        >>> said = Completions(log_prob, np.log(np.full((2, 2), 0.5)), np.array([[1, 1], [1, 0]]))
        >>> (policy,) = surrogates(Batch(np.array([1.0, 0.5]), said), PolicyReturns(tau=0.1))
        >>> policy.token_weights
        array([[0.25, 0.25],
               [0.  , 0.  ]])
    """
    return tuple(_surrogate(role, batch, baseline, kl) for role in returns.roles(batch, kl))


def _surrogate(role: Role, batch: Batch, baseline: Baseline, kl: KL) -> Surrogate:
    payoffs, weights = role.to_go(kl), batch.row_weights
    advantages = payoffs - baseline(payoffs, batch.row_groups, weights)
    return Surrogate(
        said=role.said,
        token_weights=where_seen(role.said.in_place(weights * advantages), role.said.mask),
        kl=kl.differentiable(role.said),
        kl_weights=weights * role.coefficient,
        sign=role.sign,
    )


def loss(parts: Sequence[Surrogate], kappa: float = 1.0, leader: float = 1.0) -> Any:
    """``−Leader + κ · Follower``, for something that minimises; one role alone gives ``−value``.

    ``leader`` weighs the Leader, where only the Follower moves.

    With shared parameters, κ weighs two directions in one vector. With separate parameters it is a ratio of
    learning rates under plain gradient steps; under Adam, which divides each by its own size, a weight on the
    loss then changes nothing: give the Follower κ times the learning rate in place of it.
    """
    factors = (leader, kappa)[: len(parts)]
    return -sum(factor * part.sign * part.value for factor, part in zip(factors, parts, strict=True))
