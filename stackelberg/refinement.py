"""Inference-time refinement in the table: the Follower improves an answer, sees the result, improves it again.

``y_1 ~ π, y_{k+1} ~ ω(·|y_k)`` is a Markov chain with the Follower as its transition matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import Array, as_floats, check_distribution


@dataclass(frozen=True, eq=False)
class Refinement:
    """Answers y_1 … y_N along the Follower's chain; a leading context axis where P has contexts.

    Attributes:
        labels: names of the actions.
        distributions: (rounds, n) distribution of y_k.
        reached: (rounds, n) probability that each action is among y_1 … y_k.
        win_rate: (rounds,) p(y_k ≻ y_1); it starts at ½ and need not be monotone.
    """

    labels: tuple[str, ...]
    distributions: Array
    reached: Array
    win_rate: Array

    def coverage(self, favourites: ArrayLike | None = None) -> Array:
        """(rounds,) probability that a user's favourite is among the first k answers.

        Args:
            favourites: (n,) how likely each action is the user's favourite; uniform by default.
        """
        return _covered(self.reached, favourites)


def refine(preference: PreferenceMatrix, first: Array, follower: Array, rounds: int) -> Refinement:
    """Follow the chain for ``rounds`` answers. See :meth:`StackelbergSolution.refine`.

    Example (the 3-cycle: two rounds reach two thirds of the favourites, three reach all):
        >>> import stackelberg as sb
        >>> chain = sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.condorcet([1 / 3] * 3), tau=0)).refine(4)
        >>> chain.coverage().round(2), chain.win_rate.round(2)
        (array([0.33, 0.67, 1.  , 1.  ]), array([0.5 , 0.67, 0.33, 0.5 ]))
    """
    _check_rounds(rounds)
    p, n = preference.stacked, preference.n
    start, step = first.reshape(-1, n), follower.reshape(-1, n, n)
    distributions, win_rate = [start], [np.full(len(start), 0.5)]
    paths = start[:, :, None] * np.eye(n)  # (c, y_1, y_k): joint probability of first and current answer
    for _ in range(rounds - 1):
        paths = paths @ step
        distributions.append(paths.sum(axis=1))
        win_rate.append(np.einsum("cfk,ckf->c", paths, p))
    stacked = (np.stack(distributions, axis=1), _hitting(start, step, rounds), np.stack(win_rate, axis=1))
    single = preference.contexts is None
    return Refinement(preference.labels, *(array[0] if single else array for array in stacked))


def _hitting(start: Array, step: Array, rounds: int) -> Array:
    """Probability that each target is visited within k answers, (contexts, rounds, n): one taboo chain a target."""
    n = start.shape[-1]
    diagonal = np.arange(n)
    alive = np.repeat(start[:, None, :], n, axis=1)  # (c, target, state), mass that has not met the target yet
    reached = np.empty((len(start), rounds, n))
    total = np.zeros_like(start)
    for k in range(rounds):
        alive = alive @ step if k else alive
        total = total + alive[:, diagonal, diagonal]
        alive[:, diagonal, diagonal] = 0
        reached[:, k] = total
    return np.minimum(reached, 1.0)


def independent_coverage(policy: ArrayLike, rounds: int, favourites: ArrayLike | None = None) -> Array:
    """NLHF's baseline: favourites reached by k independent draws, ``1 − (1 − π(y))^k``, (rounds,).

    >>> independent_coverage([1 / 3, 1 / 3, 1 / 3], 3).round(2)
    array([0.33, 0.56, 0.7 ])
    """
    _check_rounds(rounds)
    pi = check_distribution(policy, "policy")
    k = np.arange(1, rounds + 1)[:, None]
    return _covered(1 - (1 - pi[..., None, :]) ** k, favourites)


def distinct_coverage(policy: ArrayLike, rounds: int, favourites: ArrayLike | None = None) -> Array:
    """NLHF's other baseline: favourites reached by k draws *without replacement*, (rounds,).

    Draws without replacement come in the order of independent exponential clocks of rates π, so action y is
    among the first k iff fewer than k others ring before it: a Poisson-binomial tail, integrated over the
    time of y's clock by the trapezoid rule in log time (error below 1e-14). O(rounds·n²).

    >>> distinct_coverage([1 / 3, 1 / 3, 1 / 3], 3).round(2)
    array([0.33, 0.67, 1.  ])
    """
    _check_rounds(rounds)
    pi = check_distribution(policy, "policy")
    rows = [_distinct(row, rounds) for row in pi.reshape(-1, pi.shape[-1])]
    return _covered(np.stack(rows).reshape(*pi.shape[:-1], rounds, -1), favourites)


def _distinct(pi: Array, rounds: int) -> Array:
    """Probability that each action is among the first k draws without replacement, (rounds, n)."""
    step = 0.2
    clock = np.exp(np.arange(np.log(1e-18), np.log(60.0), step))  # y's rate times its ringing time
    density = step * clock * np.exp(-clock)
    reached = np.zeros((rounds, len(pi)))
    for y in np.flatnonzero(pi):
        others = np.delete(pi, y)
        rung = -np.expm1(-clock[:, None] * (others[others > 0] / pi[y]))  # (times, others)
        earlier = np.zeros((rounds, len(clock)))  # P(exactly k others rang before)
        earlier[0] = 1
        for j in range(rung.shape[1]):
            shifted = np.vstack([np.zeros(len(clock)), earlier[:-1]])
            earlier = earlier * (1 - rung[:, j]) + shifted * rung[:, j]
        reached[:, y] = np.cumsum(earlier, axis=0) @ density
    return np.minimum(reached, 1.0)


def _covered(reached: Array, favourites: ArrayLike | None) -> Array:
    n = reached.shape[-1]
    weights = np.full(n, 1 / n) if favourites is None else check_distribution(favourites, "favourites")
    if weights.shape[-1] != n:
        raise ValueError(f"favourites has {weights.shape[-1]} entries but there are {n} actions.")
    return np.asarray((reached * weights[..., None, :]).sum(axis=-1))


def _check_rounds(rounds: int) -> None:
    if isinstance(rounds, bool) or not isinstance(rounds, (int, np.integer)) or rounds < 1:
        raise ValueError(f"rounds must be a positive whole number of answers, not {rounds!r}.")


@dataclass(frozen=True, eq=False)
class Chain:
    """Where endless refinement ends up.

    Attributes:
        classes: the recurrent classes (index arrays): once entered they are never left.
        periods: the period of each class; an absorbing cycle has as many members as its period.
        stationary: (classes, n) stationary distribution of each class.
        absorption: (n, classes) probability of ending in each class from each first answer.
    """

    classes: tuple[NDArray[np.intp], ...]
    periods: tuple[int, ...]
    stationary: Array
    absorption: Array

    def limit(self, first: ArrayLike) -> Array:
        """(n,) long-run share of time at each action when y_1 is drawn from ``first``."""
        return np.asarray(as_floats(first, "first") @ self.absorption @ self.stationary)


def chain(follower: ArrayLike) -> Chain:
    """The recurrent classes, periods and stationary distributions of one Follower (n, n).

    Example (on the 3-cycle the Follower walks round for ever):
        >>> import stackelberg as sb
        >>> walk = chain(sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0)).follower)
        >>> walk.periods, walk.stationary.round(3)
        ((3,), array([[0.333, 0.333, 0.333]]))
    """
    step = check_distribution(follower, "follower")
    if step.ndim != 2 or step.shape[0] != step.shape[1]:
        raise ValueError(f"follower must have shape (n, n), not {step.shape}. Pass one context at a time.")
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    arcs = step > 0
    count, member = connected_components(csr_matrix(arcs), directed=True, connection="strong")
    leaving = {int(member[i]) for i, j in np.argwhere(arcs) if member[i] != member[j]}
    classes = tuple(np.flatnonzero(member == c) for c in range(count) if c not in leaving)
    stationary = np.stack([_stationary(step, group) for group in classes])
    periods = tuple(_period(arcs, group) for group in classes)
    return Chain(classes, periods, stationary, _absorption(step, classes))


def _stationary(step: Array, group: NDArray[np.intp]) -> Array:
    """The stationary distribution of a recurrent class, zero elsewhere."""
    inside = step[np.ix_(group, group)]
    system = np.vstack([inside.T - np.eye(len(group)), np.ones(len(group))])
    target = np.r_[np.zeros(len(group)), 1.0]
    result = np.zeros(len(step))
    result[group] = np.maximum(np.linalg.lstsq(system, target, rcond=None)[0], 0)
    return np.asarray(result / result.sum())


def _period(arcs: NDArray[np.bool_], group: NDArray[np.intp]) -> int:
    """Greatest common divisor of the cycle lengths of a class (breadth-first levels)."""
    level: dict[int, int] = {int(group[0]): 0}
    queue, period = [int(group[0])], 0
    for state in queue:
        for successor in np.flatnonzero(arcs[state]).tolist():
            if successor not in level:
                level[successor] = level[state] + 1
                queue.append(successor)
            else:
                period = gcd(period, level[state] + 1 - level[successor])
    return period


def _absorption(step: Array, classes: tuple[NDArray[np.intp], ...]) -> Array:
    """Probability of ending in each class from each state, (n, classes)."""
    result: Any = np.zeros((len(step), len(classes)))
    for number, group in enumerate(classes):
        result[group, number] = 1
    passing = np.setdiff1d(np.arange(len(step)), np.concatenate(classes))
    if len(passing):
        inside = np.eye(len(passing)) - step[np.ix_(passing, passing)]
        result[passing] = np.linalg.solve(inside, step[passing] @ result)
    return np.asarray(result)
