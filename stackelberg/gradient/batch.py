"""Rollouts as padded token arrays: what the estimator reads, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stackelberg.gradient.arrays import Tensor, detached, exponential, first_to_last, taken, where_seen


@dataclass(frozen=True, eq=False)
class Completions:
    """One role's completions, padded to (B, T) on any side; nothing behind the mask is read.

    Args:
        log_prob: log π(y_t | what came before), (B, T): the only array that may carry a gradient, with ``kl``.
        reference_log_prob: the same tokens under the reference, (B, T).
        mask: 1 where a token was chosen by the policy (the end-of-sequence token too), (B, T).
        kl: the exact KL(π‖π_ref) of the next token at every position, (B, T); see :func:`position_kl`.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> import numpy as np
        >>> said = Completions(np.array([[-1.0, -2.0]]), np.array([[-1.5, np.nan]]), np.array([[1, 0]]))
        >>> said.log_ratios
        array([[0.5, 0. ]])
    """

    log_prob: Tensor
    reference_log_prob: Tensor
    mask: Tensor
    kl: Tensor | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.log_prob.shape)
        for name in ("log_prob", "reference_log_prob", "mask", "kl"):
            values = getattr(self, name)
            if values is not None and (tuple(values.shape) != shape or len(shape) != 2):
                raise ValueError(
                    f"{name} has shape {tuple(values.shape)} beside log_prob of shape {shape}. "
                    "Pass one number a token, padded to (B, T)."
                )

    @cached_property
    def order(self) -> Tensor:
        """The columns of each row's tokens in turn, those behind the mask last: (B, T)."""
        return first_to_last(self.mask)

    @cached_property
    def in_turn(self) -> Completions:
        """The same with every row's first token in column 0.

        So a column says how many tokens came before, and not, as under left padding, how many are still to come.
        """
        arrays = (self.log_prob, self.reference_log_prob, self.mask, self.kl)
        return Completions(*(None if values is None else taken(values, self.order) for values in arrays))

    def in_place(self, values: Tensor) -> Tensor:
        """Numbers in the columns of :attr:`in_turn`, (B, T), back in the columns of these completions."""
        return taken(values, self.order.argsort(-1))

    @cached_property
    def log_ratios(self) -> Tensor:
        """The log-ratios log π(y_t)/π_ref(y_t), detached, 0 behind the mask: (B, T)."""
        return where_seen(detached(self.log_prob) - detached(self.reference_log_prob), self.mask)

    @cached_property
    def exact_kl(self) -> Tensor:
        """``kl`` with its gradient, 0 behind the mask: (B, T)."""
        if self.kl is None:
            raise ValueError(
                "RaoBlackwell reads the exact KL of every position, but these completions have none. "
                "Pass kl=position_kl(log_probs, reference_log_probs), or use RewardToGo()."
            )
        return where_seen(self.kl, self.mask)


@dataclass(frozen=True, eq=False)
class Batch:
    """Rollouts with their weights: an expectation.

    Args:
        preference: p(y≻y'|x), (B,); the reward r(y|x) in a reward game. Never carries a gradient.
        leader: the first mover's y.
        follower: y' where a Follower learns; None in a game of one policy.
        groups: an integer a row, the prompt it belongs to, (B,); one prompt by default. Only ``LeaveOneOut``
            reads them: it needs rows of a group to be independent draws.
        weights: (B,); 1/B for draws by default, ρ(x)π(y)ω(y'|y) for an enumeration, and 1/B times the
            likelihood ratio π(y)ω(y'|y)/(what they were drawn with) for draws from elsewhere.

    Raises:
        ValueError: if an array has another number of rows.
    """

    preference: Tensor
    leader: Completions
    follower: Completions | None = None
    groups: Tensor | None = None
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        rows = (len(self.leader.log_prob),)
        other = None if self.follower is None else self.follower.log_prob[:, 0]
        named = {"preference": self.preference, "groups": self.groups, "weights": self.weights, "follower": other}
        for name, values in named.items():
            if values is not None and tuple(values.shape) != rows:
                raise ValueError(
                    f"{name} has shape {tuple(values.shape)} for {rows[0]} rollouts. Pass one number a rollout."
                )

    @cached_property
    def row_weights(self) -> Tensor:
        """The weights, detached, (B, 1)."""
        if self.weights is None:
            like = detached(self.preference)[:, None]
            return (like * 0 + 1) / len(like)
        return detached(self.weights)[:, None]

    @cached_property
    def row_groups(self) -> Tensor:
        """The groups, (B,)."""
        return detached(self.preference) * 0 if self.groups is None else self.groups


def position_kl(log_probs: Tensor, reference_log_probs: Tensor) -> Any:
    """``Σ_v π(v) log π(v)/π_ref(v)`` over the vocabulary, the last axis; it keeps its gradient.

    Args:
        log_probs: normalised log-probabilities of the next token, (..., V).
        reference_log_probs: the same under the reference, finite wherever π(v) > 0.

    Example:
        >>> import numpy as np
        >>> half, skewed = np.log([0.5, 0.5]), np.log([0.2, 0.8])
        >>> float(position_kl(half, skewed).round(4))
        0.2231
    """
    return (exponential(log_probs) * (log_probs - detached(reference_log_probs))).sum(-1)
