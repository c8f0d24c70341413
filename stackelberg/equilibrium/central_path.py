"""The central path of symmetric zero-sum games, followed in batches, and its exact finish where the end is one point.

Bordered with the sum of the policy, a skew-symmetric game A stays skew-symmetric: with ``z = (x, t)`` and
``S = [[−A, 1], [−1ᵀ, 0]]`` the equilibria are the solutions of ``S z = (s, −1)``, ``x, s ≥ 0``, ``x ∘ s = 0``.
Such a problem is its own dual, ``xᵀs = t`` along the way, and x uniform with t large is strictly feasible for every
game, so there is no first phase.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgetrf, dgetrs

from stackelberg.validation import Array

BATCHED = 64
"""Up to this size NumPy's batched solve beats a loop over games that keeps each factorisation."""

FLOOR = 1e-14
"""Smallest s/x in the Newton matrix: less would drown in the rounding of A, and equilibria that form a face need it."""


@dataclass(frozen=True, eq=False)
class Point:
    """A strictly positive point near the central path ``x ∘ s = (t/n) 1`` of each game.

    Attributes:
        joint: (batch, n + 1) ``z = (x, t)``: a policy x and a bound t on what any action gains against it.
        slack: (batch, n) ``s = t − A x``, how much less than t each action gains.
    """

    joint: Array
    slack: Array

    @property
    def policy(self) -> Array:
        """The policy x, (batch, n)."""
        return self.joint[:, :-1]

    @property
    def gap(self) -> Array:
        """``xᵀs``, (batch,): the exploitability of x, up to rounding."""
        return np.asarray((self.policy * self.slack).sum(axis=-1))

    @property
    def support(self) -> NDArray[np.bool_]:
        """``x > s``, (batch, n): near the end of the path, the actions played in some equilibrium."""
        return np.asarray(self.policy > self.slack)

    @property
    def blur(self) -> Array:
        """``max min(x, s) / max(x, s)``, (batch,): the smaller it is, the surer the support."""
        low, high = np.minimum(self.policy, self.slack), np.maximum(self.policy, self.slack)
        return np.asarray((low / high).max(axis=-1))

    def __getitem__(self, rows: NDArray[np.bool_]) -> Point:
        return Point(self.joint[rows], self.slack[rows])


def bordered(games: Array) -> Array:
    """``S = [[−A, 1], [−1ᵀ, 0]]``, (batch, n + 1, n + 1), of skew-symmetric games (batch, n, n)."""
    system = np.pad(-games, ((0, 0), (0, 1), (0, 1)))
    system[:, :-1, -1] = 1.0
    system[:, -1, :-1] = -1.0
    return system


def start(systems: Array) -> Point:
    """The uniform policy, with t twice as large as strict feasibility asks."""
    batch, n = len(systems), systems.shape[-1] - 1
    payoff = -systems[:, :-1, :-1].sum(axis=-1) / n
    bound = payoff.max(axis=-1) + np.abs(payoff).max(axis=-1) + 1e-3
    joint = np.concatenate([np.full((batch, n), 1 / n), bound[:, None]], axis=-1)
    return Point(joint, bound[:, None] - payoff)


def advance(systems: Array, point: Point) -> Point:
    """One predictor–corrector step (Mehrotra 1992), the same length in x and s since the game is its own dual.

    Args:
        systems: (batch, n + 1, n + 1) from :func:`bordered`.
        point: where each game stands.
    """
    x, s = point.policy, point.slack
    direction = _newton(systems, point)
    ahead, relief = direction(-x * s)
    length = _longest(point, ahead, relief)[:, None]
    predicted = ((x + length * ahead[:, :-1]) * (s + length * relief)).sum(axis=-1)
    target = (predicted / point.gap) ** 3 * point.gap / x.shape[-1]
    ahead, relief = direction(target[:, None] - x * s - ahead[:, :-1] * relief)
    length = np.minimum(1.0, _longest(point, ahead, relief) * (1 - np.clip(point.gap, 1e-6, 1e-2)))[:, None]
    return Point(point.joint + length * ahead, s + length * relief)


def _newton(systems: Array, point: Point) -> Callable[[Array], tuple[Array, Array]]:
    """The map from wanted changes of ``x ∘ s`` to (dz, ds), with S z = (s, −1) restored on the way.

    Scaled by ``√(x/s)`` the matrix is the identity (0 in the corner) plus a skew-symmetric one.
    """
    x, s = point.policy, point.slack
    weight = np.concatenate([np.sqrt(x / s), np.ones((len(x), 1))], axis=-1)
    matrix = weight[:, :, None] * systems
    matrix *= weight[:, None, :]
    diagonal = np.arange(x.shape[-1])
    matrix[:, diagonal, diagonal] = np.maximum(1.0, FLOOR * x / s)
    solve = _factorised(matrix)
    residual = np.concatenate([s, np.full((len(x), 1), -1.0)], axis=-1) - times(systems, point.joint)
    played = point.support

    def direction(change: Array) -> tuple[Array, Array]:
        right = residual.copy()
        right[:, :-1] += change / x
        ahead = weight * solve(weight * right)
        relief = (times(systems, ahead) - residual)[:, :-1]
        # Each of the two equations is solved for its small unknown, which keeps that one's relative precision.
        relief[played] = ((change - s * ahead[:, :-1]) / x)[played]
        ahead[:, :-1][~played] = ((change - x * relief) / s)[~played]
        return ahead, relief

    return direction


def times(matrices: Array, vectors: Array) -> Array:
    """Matrix times vector game by game: (batch, m, n) and (batch, n) to (batch, m)."""
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def _factorised(matrices: Array) -> Callable[[Array], Array]:
    """A function that solves (batch, n, n) systems for (batch, n) right-hand sides, twice or more."""
    if matrices.shape[-1] <= BATCHED:
        return lambda right: np.asarray(np.linalg.solve(matrices, right[..., None])[..., 0])
    # LAPACK reads by columns: the transpose is factored, in place, and transposed back in the solve.
    factors = [dgetrf(matrix.T, overwrite_a=True)[:2] for matrix in matrices]
    return lambda right: np.stack(
        [dgetrs(*factor, row, trans=1)[0] for factor, row in zip(factors, right, strict=True)]
    )


def _longest(point: Point, ahead: Array, relief: Array) -> Array:
    """The largest step ≤ 1, (batch,), that keeps x and s non-negative."""
    shrink = np.maximum((-ahead[:, :-1] / point.policy).max(axis=-1), (-relief / point.slack).max(axis=-1))
    return np.asarray(1 / np.maximum(shrink, 1.0))


def unique_equilibria(systems: Array, support: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
    """The exact equilibrium of each game whose support is as given, where that is provably the only one.

    A policy with x > 0 on the support, s > 0 off it, and a nonsingular S restricted to the support is the only
    equilibrium: any other one has the same support by complementary slackness, and solves the same equations.
    'Positive' and 'nonsingular' mean beyond ten times the rounding error of the solve (condition number · 1.1e-16).

    Args:
        systems: (batch, n + 1, n + 1) from :func:`bordered`.
        support: (batch, n) actions taken to be played.

    Returns:
        policies (batch, n), and proved (batch,); rows that are not proved hold nothing of use.

    Example:
        >>> cycle = np.array([[[0, -1, 1], [1, 0, -1], [-1, 1, 0]]])
        >>> unique_equilibria(bordered(cycle), np.full((1, 3), True))
        (array([[0.33333333, 0.33333333, 0.33333333]]), array([ True]))
    """
    policies, proved = np.zeros(support.shape), np.zeros(len(support), bool)
    sizes = support.sum(axis=-1)
    for size in np.unique(sizes[sizes % 2 == 1]):  # a skew-symmetric matrix of even size has no simple kernel
        rows = np.flatnonzero(sizes == size)
        policies[rows], proved[rows] = _on_support(systems[rows], support[rows], int(size))
    return policies, proved


def _on_support(systems: Array, support: NDArray[np.bool_], size: int) -> tuple[Array, NDArray[np.bool_]]:
    """:func:`unique_equilibria` for games with the same number of played actions."""
    order = np.argsort(~support, axis=-1, kind="stable")[:, :size]
    index = np.concatenate([order, np.full((len(order), 1), support.shape[-1])], axis=-1)
    inner = systems[np.arange(len(index))[:, None, None], index[:, :, None], index[:, None, :]]
    inverse = inverses(inner)
    unit = np.zeros(index.shape)
    unit[:, -1] = -1.0
    solved = times(inverse, unit)
    solved += times(inverse, unit - times(inner, solved))
    joint = np.zeros((len(index), systems.shape[-1]))
    np.put_along_axis(joint, index, solved, axis=-1)
    margin = np.where(support, joint[:, :-1], times(systems, joint)[:, :-1]).min(axis=-1)
    condition = np.linalg.norm(inner, axis=(-2, -1)) * np.linalg.norm(inverse, axis=(-2, -1))
    return joint[:, :-1], margin > 10 * np.finfo(float).eps * condition


def inverses(matrices: Array) -> Array:
    """Inverses of (batch, n, n) matrices; NaN for an exactly singular one, which spares the others."""
    try:
        return np.asarray(np.linalg.inv(matrices))
    except np.linalg.LinAlgError:
        if len(matrices) == 1:
            return np.full(matrices.shape, np.nan)
        half = len(matrices) // 2
        return np.concatenate([inverses(matrices[:half]), inverses(matrices[half:])])
