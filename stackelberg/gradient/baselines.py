"""What is subtracted from a payoff before it multiplies a score: any number that does not look at the action."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from stackelberg.gradient.arrays import Tensor, group_index, group_sums


class Baseline(ABC):
    """A control variate. It lowers the variance and leaves the mean, because ``E ∇log π = 0``.

    That holds only while it is the same whatever action it multiplies. A mean over both roles of a prompt is
    not: the Follower's payoff depends on the Leader's action. So it is called once a role, on that role alone.
    """

    @abstractmethod
    def __call__(self, payoffs: Tensor, groups: Tensor, weights: Tensor) -> Tensor:
        """The baseline of each payoff.

        Args:
            payoffs: of one role, detached, (B, T): what remains to be earned from the t-th token on.
            groups: the prompt of each row, (B,).
            weights: of each row, (B, 1).

        Returns:
            A number, or an array that broadcasts to (B, T).
        """


@dataclass(frozen=True)
class NoBaseline(Baseline):
    """Nothing is subtracted."""

    def __call__(self, payoffs: Tensor, groups: Tensor, weights: Tensor) -> Tensor:
        """0."""
        return 0.0


@dataclass(frozen=True)
class Constant(Baseline):
    """A number: ½ is what p is worth between equals. Right for draws and for enumerations alike.

    Example:
        >>> Constant()
        Constant(value=0.5)
    """

    value: float = 0.5

    def __call__(self, payoffs: Tensor, groups: Tensor, weights: Tensor) -> Tensor:
        """The number."""
        return self.value


@dataclass(frozen=True)
class LeaveOneOut(Baseline):
    """The weighted mean of the *other* rows of the same prompt and role, token number by token number (RLOO).

    ``b_it = Σ_{j≠i} w_j R_jt / Σ_{j≠i} w_j``, with j in the prompt of i; a row that has ended at t counts with what it
    earned, no KL to come. The rows of a prompt must be independent draws. Two rows with the same y and two
    replies are not, for the Leader; nor are the rows of an enumeration, where "the others" tells which row
    was left out. Use :class:`Constant` there.

    Source: Kool, van Hoof and Welling 2019; Ahmadian et al. 2024 (RLOO).

    Raises:
        ValueError: if a prompt has one row only.

    Example:
        >>> import numpy as np
        >>> payoffs, groups = np.array([[1.0], [2.0], [6.0]]), np.zeros(3)
        >>> LeaveOneOut()(payoffs, groups, np.full((3, 1), 1 / 3)).ravel().round(12)
        array([4. , 3.5, 1.5])
    """

    def __call__(self, payoffs: Tensor, groups: Tensor, weights: Tensor) -> Tensor:
        """The mean of the others, (B, T)."""
        index, count = group_index(groups)
        rows = group_sums(weights * 0 + 1, index, count)
        if (rows < 2).any():
            raise ValueError(
                "LeaveOneOut compares the rollouts of one prompt with each other, and a prompt has only one. "
                "Draw two or more a prompt, or use Constant(0.5)."
            )
        others = group_sums(weights, index, count)[index] - weights
        if (others <= 0).any():
            raise ValueError(
                "LeaveOneOut divides by the weight of the other rollouts of a prompt, and somewhere that is not "
                "positive. Leave out rollouts of weight zero, or use Constant(0.5)."
            )
        return (group_sums(weights * payoffs, index, count)[index] - weights * payoffs) / others
