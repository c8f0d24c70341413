"""All equilibria of one symmetric zero-sum game: the face that they form.

With B the actions played in some equilibrium and N the others, the equilibria are the policies on B with
``A_BB x = 0`` and ``A_NB x ≤ 0``, and some equilibrium has x > 0 on B and A x < 0 on N (Goldman and Tucker 1956).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackelberg.validation import Array

SINGULAR = 1e-13
"""A singular value of A_BB no larger than this times the largest one (or times max |A|) counts as zero."""


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

    Example:
        Two copies of rock: the equilibria form a segment.

        >>> game = np.array([[0, 0, -1, 1], [0, 0, -1, 1], [1, 1, 0, -1], [-1, -1, 1, 0]])
        >>> face_around(game, np.full(4, True), np.array([0.2, 0.1, 0.3, 0.4])).centre.round(6)
        array([0.216667, 0.116667, 0.333333, 0.333333])
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
