"""All equilibria of one symmetric zero-sum game: their face, and its point closest to a reference.

With B the actions played in some equilibrium and N the others, the equilibria are the policies on B with
``A_BB x = 0`` and ``A_NB x ≤ 0``, and some equilibrium has x > 0 on B and A x < 0 on N (Goldman and Tucker 1956).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackelberg.errors import CertificateError
from stackelberg.validation import Array

SINGULAR = 1e-12
"""A singular value of A_BB no larger than this times the largest one (or times max |A|) counts as zero."""

FIRST_BARRIER, LAST_BARRIER = 0.1, 1e-22
"""Products of values and prices along the way to the closest equilibrium; an inequality that touches without
pressing costs the square root of the last one in accuracy."""

STEPS = 200


@dataclass(frozen=True, eq=False)
class Face:
    """The equilibria ``x = centre + directions @ v`` with ``x ≥ 0`` and ``bounds @ x ≤ 0``.

    Attributes:
        centre: (m,) an equilibrium restricted to the m actions of B.
        directions: (m, dimension) orthonormal, columns sum to zero.
        bounds: (n − m, m) A_NB: what the actions of N gain.
    """

    centre: Array
    directions: Array
    bounds: Array

    @property
    def dimension(self) -> int:
        """0 for one equilibrium, 1 for a segment, and so on."""
        return self.directions.shape[1]

    @property
    def interior(self) -> bool:
        """Whether the centre plays all of B and leaves every action of N strictly worse.

        Then B is the right support: an equilibrium y has ``yᵀ A x = 0``, so y = 0 where A x < 0, and
        ``xᵀ A y = 0``, so A y = 0 where x > 0.
        """
        return bool((self.centre > 0).all() and (self.bounds @ self.centre < 0).all())


def face_around(game: Array, support: NDArray[np.bool_], policy: Array) -> Face | None:
    """The face of equilibria on ``support``, centred near ``policy``, or None where no policy solves A_BB x = 0.

    Args:
        game: (n, n) skew-symmetric, with max |A| between ½ and 1.
        support: (n,) the actions B.
        policy: (n,) close to an equilibrium that plays all of B.
    """
    _, values, rows = np.linalg.svd(game[np.ix_(support, support)])
    kernel = rows[values <= SINGULAR * max(1.0, values[0])].T
    total = kernel.sum(axis=0)  # (k,): what each kernel vector sums to
    if total @ total < SINGULAR:
        return None
    near = kernel.T @ policy[support]
    centre = kernel @ (near + total * (1 - total @ near) / (total @ total))
    turned = np.linalg.qr(total[:, None], mode="complete").Q[:, 1:]  # combinations that sum to zero
    return Face(centre, kernel @ turned, game[np.ix_(~support, support)])


def closest(face: Face, reference: Array) -> Array:
    """The equilibrium on ``face`` that minimises ``KL(x‖r) = Σ x log(x/r)``, (m,): a primal-dual interior point.

    All that must stay positive is one vector of values, x itself and ``−bounds @ x``; each has a price, and
    ``values ∘ prices`` is driven down to 1e-22. Steps lessen the barrier function ``KL(x‖r) − μ Σ log values``,
    which is convex, so they converge from anywhere; x is exact to about 1e-11 at worst, otherwise to rounding.

    Args:
        face: the equilibria, with a centre in the relative interior.
        reference: (m,) positive; need not sum to one.

    Raises:
        CertificateError: the conditions of optimality were not reached.
    """
    if face.dimension == 0:
        return face.centre
    m, log_reference = len(reference), np.log(reference)
    rows, first = _inequalities(face)
    values, place = first, np.zeros(face.dimension)
    barrier, prices = FIRST_BARRIER, FIRST_BARRIER / first
    for _ in range(STEPS):
        force = -prices
        force[:m] += np.log(values[:m]) - log_reference
        residual = np.abs(rows.T @ force).max() / (1 + np.abs(force).max())
        if max(residual - 1e-13, np.abs(values * prices - barrier).max()) <= 10 * barrier:
            if barrier == LAST_BARRIER:
                return np.asarray(face.centre + face.directions @ place)
            barrier = max(min(0.2 * barrier, barrier**1.5), LAST_BARRIER)
        pull = barrier / values - prices
        stiffness = prices / values
        stiffness[:m] += 1 / values[:m]
        along, ahead = _newton(rows, force, stiffness, pull)
        change = pull - prices * ahead / values
        prices = prices + _inside(prices, change, barrier) * change
        length = _damped(values, ahead, log_reference, barrier)
        place = place + length * along
        exact = first + rows @ place
        values = np.where(exact > 1e-2, exact, values + length * ahead)  # small values keep their relative precision
        prices = np.clip(prices, 1e-10 * barrier / values, 1e10 * barrier / values)
    raise CertificateError(
        f"The equilibrium closest to the reference was not reached in {STEPS} steps: the relative residual is "
        f"{residual:.1e}, which must fall to 1e-13. Pass a reference with less extreme probabilities; the least "
        f"is {reference.min():.1e}."
    )


def _inequalities(face: Face) -> tuple[Array, Array]:
    """Rows (p, dimension) and values (p,) with ``values + rows @ v ≥ 0``; those that can never bind are left out."""
    rows, values = -face.bounds @ face.directions, -face.bounds @ face.centre
    size = np.linalg.norm(rows, axis=-1)
    near = values < 2 * size  # no two policies are farther apart than √2
    rows, values = rows[near] / size[near, None], values[near] / size[near]
    return np.vstack([face.directions, rows]), np.concatenate([face.centre, values])


def _newton(rows: Array, force: Array, stiffness: Array, pull: Array) -> tuple[Array, Array]:
    """Change of the values, (p,), that brings ``rowsᵀ force`` to zero: ``Δforce = stiffness · Δvalues − pull``.

    Forces are unknowns beside the steps along the face, and each row is scaled by its stiffness, so that no entry
    grows where a value tends to zero.
    """
    p, k = rows.shape
    soft = 1 / (1 + stiffness)
    matrix = np.zeros((k + p, k + p))
    matrix[:k, k:] = rows.T
    matrix[k:, :k] = rows * (stiffness * soft)[:, None]
    matrix[range(k, k + p), range(k, k + p)] = -soft - 1e-13 / (1 + np.abs(force).max())
    along, relief = np.split(np.linalg.solve(matrix, np.concatenate([-rows.T @ force, pull * soft])), [k])
    # Rounding leaves errors of about 1e-16 max|along| in the one expression, 1e-16 max|relief| / stiffness in the other.
    precise = stiffness * np.abs(along).max() > np.abs(relief).max()
    return along, np.where(precise, (relief + pull) / stiffness, rows @ along)


def _inside(values: Array, ahead: Array, barrier: float) -> float:
    """The longest step ≤ 1 that keeps positive values positive, with a margin that shrinks as the barrier does."""
    share = 1 - min(max(barrier, 1e-6), 0.05)
    return float(share / max(share, (-ahead / values).max()))


def _damped(values: Array, ahead: Array, log_reference: Array, barrier: float) -> float:
    """The longest of :func:`_inside`'s step, its half, its quarter, … that lessens the barrier function (Armijo)."""
    m = len(log_reference)

    def height(at: Array) -> float:
        return float(at[:m] @ (np.log(at[:m]) - log_reference) - barrier * np.log(at).sum())

    length, start = _inside(values, ahead, barrier), height(values)
    drop = ahead[:m] @ (np.log(values[:m]) - log_reference) - barrier * (ahead / values).sum()
    while height(values + length * ahead) > start + 1e-4 * length * drop + 1e-14 * (1 + abs(start)):
        length /= 2
    return length
