"""An expectation is a weighted batch: every (x, y, y') with its probability, or some draws with weight 1/n.

One estimator reads either. In a table the batch of all is dense, and is the exact field; draws give an unbiased
estimate of it. What a table knows without drawing, the pull to its own reference, is never sampled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stackelberg.gradient import KL, Baseline, Constant, RewardToGo
from stackelberg.point import Joint
from stackelberg.policy import Tabular
from stackelberg.validation import Array, shown

if TYPE_CHECKING:
    from stackelberg.field import Pull

Tables = tuple[Tabular, ...]


class Behaviour(ABC):
    """Who draws the actions that are learned from."""

    @abstractmethod
    def of(self, policy: Array) -> Array:
        """The distribution to draw from, in rows as the policy's."""


@dataclass(frozen=True)
class OnPolicy(Behaviour):
    """The policies themselves, as they are."""

    def of(self, policy: Array) -> Array:
        """The policy."""
        return policy


@dataclass(frozen=True)
class UniformActions(Behaviour):
    """Learners draw every action alike, and are weighed by the likelihood ratio: rare actions are not forgotten.

    The opponent of a Nash game is drawn from its own policy.
    """

    def of(self, policy: Array) -> Array:
        """1/n."""
        return np.full_like(policy, 1 / policy.shape[-1])


@dataclass(frozen=True, eq=False)
class Cells:
    """A game's outcomes at given policies: what the mover earns in each cell (y, y') and how y' is drawn.

    Args:
        reply: (contexts or 1, n or 1, m) how y' is drawn after y; m = 1 where nobody replies.
        first: (contexts, n, m) what the first mover earns, but for its own KL.
        second: (contexts, n, m) what the Follower earns, but for its own KL; None where nobody learns to reply.
    """

    reply: Array
    first: Array
    second: Array | None = None


class Expectation(ABC):
    """How the field is read: see :class:`Enumerate` and :class:`Sample`."""

    @abstractmethod
    def payoff(self, pull: Pull, tables: Tables, opponents: Tables, generator: np.random.Generator) -> Joint:
        """The payoff part of the natural field, exact or estimated."""


@dataclass(frozen=True)
class Enumerate(Expectation):
    """Every action with its probability: the exact field, and the fast path."""

    def payoff(self, pull: Pull, tables: Tables, opponents: Tables, generator: np.random.Generator) -> Joint:
        """The exact payoff; a constant in a row does not matter to any rule."""
        return pull.at(opponents).natural[0]


@dataclass(frozen=True)
class Sample(Expectation):
    """``n`` draws (y, y') a context and a look at the field, each with weight 1/n.

    The estimate of a natural payoff is ``û(y) = Σ_i 1[y_i = y] (R_i − b_i) / (n μ(y))``, with R_i what was earned, b_i
    the baseline and μ the behaviour: unbiased up to a constant in a row, which no rule feels; times π(y) it is
    the policy gradient of REINFORCE. Diagnostics, gaps and records stay exact.

    Args:
        n: draws a context at each look.
        baseline: :class:`~stackelberg.gradient.Constant` (½), ``LeaveOneOut()`` or ``NoBaseline()``.
        kl: how policies over sequences estimate their own KL; a table's is exact whatever this says.
        behaviour: who draws: :class:`OnPolicy`, or :class:`UniformActions`.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.5, reference=[0.5, 0.3, 0.2])
        >>> rate = sb.InverseTime(4.0, 8)
        >>> learned = sb.solve(game, sb.OnlineIPO(rate), steps=2000, sampling=sb.Sample(100), seed=1)
        >>> bool(learned.gap < 1e-3)
        True
    """

    n: int
    baseline: Baseline = Constant(0.5)  # noqa: RUF009  # frozen
    kl: KL = RewardToGo()  # noqa: RUF009  # frozen
    behaviour: Behaviour = OnPolicy()

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, (int, np.integer)) or self.n < 1:
            raise ValueError(
                f"n is a number of draws, 1 or more, not {shown(self.n)}. Pass Sample(100), or --sampling sample:100."
            )
        for name, kind in (("baseline", Baseline), ("kl", KL), ("behaviour", Behaviour)):
            if not isinstance(getattr(self, name), kind):
                given = shown(getattr(self, name))
                raise TypeError(f"{name} must be a {kind.__name__}, not {given}. Pass an object, with brackets.")

    def payoff(self, pull: Pull, tables: Tables, opponents: Tables, generator: np.random.Generator) -> Joint:
        """The estimate from ``n`` fresh draws a context."""
        cells, policy = pull.cells(tables, opponents), tables[0].probabilities
        learns = cells.second is not None
        drawn_by = self.behaviour.of(policy), self.behaviour.of(cells.reply) if learns else cells.reply
        x, y, reply = draws(*drawn_by, self.n, generator)
        first, second = drawn_by[0][x, y], at(drawn_by[1], x, y, reply)
        likely = at(cells.reply, x, y, reply) / second / self.n  # of the reply, over how it was drawn
        advantage = self._advantage(at(cells.first, x, y, reply), x, likely * policy[x, y] / first)
        leader = _total(policy.shape, (x, y), advantage * likely / first)
        if cells.second is None:
            return Joint((leader,))
        advantage = self._advantage(at(cells.second, x, y, reply), x, likely * policy[x, y] / first, sign=-1)
        follower = _total(cells.first.shape, (x, y, reply), advantage / (first * second * self.n))
        return Joint((leader, follower))

    def _advantage(self, earned: Array, groups: NDArray[np.intp], weights: Array, sign: int = 1) -> Array:
        """``R − b``; a Follower's R is −p, and its baseline that of p, with the sign turned."""
        payoffs = sign * earned[:, None]
        baseline = np.broadcast_to(self.baseline(payoffs, groups, weights[:, None]), payoffs.shape)
        return sign * (payoffs - baseline)[:, 0]


def draws(
    first: Array, reply: Array, n: int, generator: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """``n`` independent (y, y') in each context, y from ``first`` (contexts, n) and y' from the row of ``reply``.

    >>> x, y, answer = draws(np.array([[0.0, 1.0]]), np.array([[[1.0, 0.0]]]), 2, np.random.default_rng(0))
    >>> x, y, answer
    (array([0, 0]), array([1, 1]), array([0, 0]))
    """
    contexts = len(first)
    x = np.repeat(np.arange(contexts), n)
    y = _inverted(np.cumsum(first, axis=-1)[x], generator.random(contexts * n))
    if reply.shape[-1] == 1:
        return x, y, np.zeros_like(x)
    rows = reply[x if len(reply) > 1 else 0, y if reply.shape[1] > 1 else 0]
    rows = np.broadcast_to(rows, (len(x), reply.shape[-1]))
    return x, y, _inverted(np.cumsum(rows, axis=-1), generator.random(len(x)))


def _inverted(cumulative: Array, uniform: Array) -> NDArray[np.intp]:
    """The cell of each row that its number falls into; one of probability 0 never."""
    return np.count_nonzero(cumulative <= uniform[:, None] * cumulative[:, -1:], axis=-1)


def at(cells: Array, x: NDArray[np.intp], y: NDArray[np.intp], reply: NDArray[np.intp]) -> Array:
    """``cells[x, y, reply]``, where axes of length 1 stand for all."""
    index = [each if size > 1 else np.zeros_like(each) for each, size in zip((x, y, reply), cells.shape, strict=True)]
    return np.asarray(cells[tuple(index)])


def _total(shape: tuple[int, ...], index: tuple[NDArray[np.intp], ...], values: Array) -> Array:
    flat = np.ravel_multi_index(index, shape)
    return np.asarray(np.bincount(flat, values, minlength=int(np.prod(shape))), dtype=float).reshape(shape)
