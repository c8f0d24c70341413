"""The point of a face of equilibria that is closest to a reference in KL(x‖r), by a primal-dual interior point.

The steps lessen ``KL(x‖r) − μ Σ log values`` while μ falls, where the values are all that must not be negative: the
probabilities x themselves and the losses ``−A x`` of actions that are not played. The function is convex, so the
steps converge from anywhere; values on the way to 0 are held back by their barrier until its weight μ has gone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stackelberg.equilibrium.face import Face
from stackelberg.errors import CertificateError
from stackelberg.validation import Array

FIRST_BARRIER, LAST_BARRIER = 0.1, 1e-22
"""μ along the way to the closest equilibrium. An inequality that touches without pressing costs √μ in accuracy."""

THIN = 1e-12
"""A face counts as flat where the centre is closer than this to an inequality, and a probability or a gain as
constant where it varies by less."""

STEPS = 200
"""Newton steps to the closest equilibrium before giving up; 10 to 50 are usual."""


def closest(face: Face, reference: Array) -> Array:
    """The equilibrium on ``face`` that minimises ``KL(x‖r) = Σ x log(x/r)``, (m,).

    Exact to rounding as a rule, and to about 1e-11 where an inequality touches x without pressing.

    Args:
        face: the equilibria, with a centre in the relative interior.
        reference: (m,) positive; need not sum to one.

    Raises:
        CertificateError: the conditions of optimality were not reached.

    Example:
        All policies of three actions that play the second at least twice as often as the first:

        >>> directions = np.array([[-1, -1], [-1, 1], [2, 0]]) / np.sqrt([6, 2])
        >>> face = Face(np.array([0.2, 0.5, 0.3]), directions, bounds=np.array([[2, -1, 0]]))
        >>> closest(face, np.full(3, 1 / 3)).round(3)
        array([0.218, 0.436, 0.346])
    """
    problem = _Projection.onto(face, reference)
    if not problem.directions.size:
        return face.centre
    iterate, barrier = problem.start(), FIRST_BARRIER
    residual = np.inf
    with np.errstate(all="ignore"):  # what is not a number never passes the test below
        for _ in range(STEPS):
            force = problem.slope(iterate) - iterate.prices
            residual = np.abs(problem.rows.T @ force).max() / (1 + np.abs(force).max())
            unequal = np.abs(iterate.values * iterate.prices - barrier).max()
            if max(residual - 1e-13, unequal) <= 10 * barrier:
                if barrier == LAST_BARRIER:
                    return np.asarray(face.centre + problem.directions @ iterate.place)
                barrier = max(min(0.2 * barrier, barrier**1.5), LAST_BARRIER)
            iterate = problem.advance(iterate, force, barrier)
    raise CertificateError(
        f"The game has many equilibria, and the one closest to the reference was not reached in {STEPS} steps: "
        f"residual {residual:.1e}, barrier {barrier:.1e}, to be 1e-13 and {LAST_BARRIER}. Pass a reference with "
        f"less extreme probabilities (the least is {reference.min():.1e}), or round margins that are tied but for "
        "noise."
    )


@dataclass(frozen=True, eq=False)
class _Iterate:
    """Where the interior-point method stands: ``x = centre + directions @ place``.

    Small values are carried along rather than computed from the place, which keeps their relative precision.
    """

    place: Array  # (dimension,)
    values: Array  # (p,) positive
    prices: Array  # (p,) positive


@dataclass(frozen=True, eq=False)
class _Projection:
    """Minimise KL(x‖r) where ``values = first + rows @ place ≥ 0``; x is the first m values."""

    directions: Array  # (m, dimension), those of the face along which there is room
    rows: Array  # (p, dimension)
    first: Array  # (p,)
    log_reference: Array  # (m,), less the actions whose probability cannot change

    @classmethod
    def onto(cls, face: Face, reference: Array) -> _Projection:
        """The problem on a face, without inequalities out of reach and directions without room.

        About its analytic centre a face is no wider than p times the distance to any inequality.
        """
        rows = np.vstack([face.directions, -face.bounds @ face.directions])
        first = np.concatenate([face.centre, -face.bounds @ face.centre])
        size = np.linalg.norm(rows, axis=-1)
        varies = size > THIN
        thin = varies & (first < THIN * size)
        _, values, turned = np.linalg.svd(rows[thin] / size[thin, None])
        free = turned[np.count_nonzero(values > 1e-6) :].T
        m, kept = len(reference), varies & ~thin
        played, reached = kept[:m], kept[m:] & (first[m:] < 2 * size[m:])  # two policies are at most √2 apart
        scaled = rows[m:][reached] / size[m:][reached, None]
        return cls(
            face.directions @ free,
            np.vstack([face.directions[played], scaled]) @ free,
            np.concatenate([face.centre[played], first[m:][reached] / size[m:][reached]]),
            np.log(reference[played]),
        )

    def start(self) -> _Iterate:
        return _Iterate(np.zeros(self.rows.shape[1]), self.first, FIRST_BARRIER / self.first)

    def slope(self, iterate: _Iterate) -> Array:
        """Derivative of KL(x‖r) by the values, (p,), but for a constant in x."""
        m = len(self.log_reference)
        return np.concatenate([np.log(iterate.values[:m]) - self.log_reference, np.zeros(len(iterate.values) - m)])

    def height(self, values: Array, barrier: float) -> float:
        """``KL(x‖r) − μ Σ log values``."""
        x = values[: len(self.log_reference)]
        return float(x @ (np.log(x) - self.log_reference) - barrier * np.log(values).sum())

    def advance(self, at: _Iterate, force: Array, barrier: float) -> _Iterate:
        """One Newton step towards ``rowsᵀ (slope − prices) = 0`` and ``values ∘ prices = barrier``."""
        pull = barrier / at.values - at.prices
        stiffness = at.prices / at.values
        stiffness[: len(self.log_reference)] += 1 / at.values[: len(self.log_reference)]
        along, ahead = _newton(self.rows, force, stiffness, pull)
        length = self._length(at, ahead, barrier)
        place = at.place + length * along
        values = self.first + self.rows @ place
        values = np.where(values > 1e-2, values, at.values + length * ahead)
        change = pull - at.prices * ahead / at.values
        prices = at.prices + _inside(at.prices, change, barrier) * change
        return _Iterate(place, values, np.clip(prices, 1e-10 * barrier / values, 1e10 * barrier / values))

    def _length(self, at: _Iterate, ahead: Array, barrier: float) -> float:
        """The longest of the step to the boundary, its half, its quarter, … that lessens the height (Armijo)."""
        length, height = _inside(at.values, ahead, barrier), self.height(at.values, barrier)
        drop = self.slope(at) @ ahead - barrier * (ahead / at.values).sum()
        noise = 1e-14 * (1 + abs(height))
        while self.height(at.values + length * ahead, barrier) > height + 1e-4 * length * drop + noise:
            length /= 2
        return length


def _newton(rows: Array, force: Array, stiffness: Array, pull: Array) -> tuple[Array, Array]:
    """Step along the face, (dimension,), and of the values, (p,), that brings ``rowsᵀ force`` to zero.

    A force answers a step by ``Δforce = stiffness · Δvalues − pull``. Forces are unknowns beside the step and each
    row is scaled by its stiffness, so that no entry grows where a value tends to zero; a touch of softness keeps
    rows solvable that bind and repeat each other.
    """
    p, k = rows.shape
    soft = 1 / (1 + stiffness)
    touch = 3e-14 * np.linalg.norm(rows, axis=-1) / (1 + np.abs(force).max())
    matrix = np.zeros((k + p, k + p))
    matrix[:k, k:] = rows.T
    matrix[k:, :k] = rows * (stiffness * soft)[:, None]
    matrix[range(k, k + p), range(k, k + p)] = -soft - touch
    try:
        solution = np.linalg.solve(matrix, np.concatenate([-rows.T @ force, pull * soft]))
    except np.linalg.LinAlgError:
        solution = np.full(k + p, np.nan)
    along, relief = np.split(solution, [k])
    # Errors are about 1e-16 max|along| in the one expression and 1e-16 max|relief| / stiffness in the other.
    precise = stiffness * np.abs(along).max() > np.abs(relief).max()
    return along, np.where(precise, (relief + pull) / stiffness, rows @ along)


def _inside(values: Array, ahead: Array, barrier: float) -> float:
    """The longest step ≤ 1 that keeps positive values positive, with a margin that shrinks as the barrier does."""
    share = 1 - min(max(barrier, 1e-6), 0.05)
    return float(share / max(share, (-ahead / values).max()))
