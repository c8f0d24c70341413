"""Barycentric coordinates on paper, and the regions of a triangle in which one reply is best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stackelberg.validation import Array

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(3) / 2]])
"""Where the first, second and third action stand, on a triangle of side 1."""


def on_paper(policies: ArrayLike) -> Array:
    """Policies over three actions, (…, 3), as points of the triangle, (…, 2).

    >>> on_paper([0.0, 1.0, 0.0])
    array([1., 0.])
    """
    return np.asarray(np.asarray(policies, dtype=np.float64) @ CORNERS)


@dataclass(frozen=True, eq=False)
class Region:
    """The mixtures against which some actions (one, unless they tie everywhere) are the best reply.

    Attributes:
        actions: their indices.
        corners: (corners, 3) of the convex polygon, in probabilities.
    """

    actions: tuple[int, ...]
    corners: Array


def best_reply_regions(P: ArrayLike) -> list[Region]:
    """Where each of three actions is the best reply, ``{π : y ∈ argmax_y (Pπ)(y)}``; those of no area left out.

    Example:
        >>> import stackelberg as sb
        >>> regions = best_reply_regions(sb.PreferenceMatrix.cycle(3))
        >>> [region.actions for region in regions], len(regions[0].corners)
        ([(0,), (1,), (2,)], 4)
    """
    p = np.asarray(P, dtype=np.float64)
    found: list[Region] = []
    for y in range(3):
        corners = np.eye(3)
        for z in range(3):
            corners = _clipped(corners, p[y] - p[z]) if z != y else corners
        if _area(corners) < 1e-9:
            continue
        same = [k for k, region in enumerate(found) if _same(region.corners, corners)]
        if same:
            found[same[0]] = Region((*found[same[0]].actions, y), corners)
        else:
            found.append(Region((y,), corners))
    return found


def _clipped(corners: Array, normal: Array) -> Array:
    """The part of a convex polygon where ``normal · π ≥ 0`` (Sutherland and Hodgman 1974)."""
    kept: list[Array] = []
    for k in range(len(corners)):
        here, there = corners[k], corners[(k + 1) % len(corners)]
        a, b = float(here @ normal), float(there @ normal)
        if a >= -1e-12:
            kept.append(here)
        if (a > 1e-12 and b < -1e-12) or (a < -1e-12 and b > 1e-12):
            kept.append(here + a / (a - b) * (there - here))
    return np.array(kept).reshape(-1, 3)


def _area(corners: Array) -> float:
    if len(corners) < 3:
        return 0.0
    x, y = on_paper(corners).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _same(first: Array, second: Array) -> bool:
    return len(first) == len(second) and bool(np.allclose(np.sort(first, axis=0), np.sort(second, axis=0)))


def roomiest(region: Region, points: Array, box: Array) -> Array | None:
    """Where a box fits best into a region: centred on paper, inside, and far from ``points`` (k, 2); or None.

    Args:
        region: the region.
        points: to be kept clear of, on paper.
        box: (2,) width and height, on paper.
    """
    steps = np.linspace(0, 1, 81)
    a, b = (grid.ravel() for grid in np.meshgrid(steps, steps))
    spots = on_paper(np.column_stack([a, b, 1 - a - b])[a + b <= 1 + 1e-9])
    corners = on_paper(region.corners)
    sides = np.roll(corners, -1, axis=0) - corners
    inward = np.column_stack([-sides[:, 1], sides[:, 0]]) / np.maximum(np.hypot(*sides.T), 1e-12)[:, None]
    depth = np.einsum("skd,kd->sk", spots[:, None] - corners, inward) - np.abs(inward) @ box / 2
    beyond = np.maximum(np.abs(spots[:, None] - points) - box / 2, 0)  # from the box to each point
    clear = np.minimum(depth.min(axis=1), np.hypot(*np.moveaxis(beyond, -1, 0)).min(axis=1, initial=1.0) - 0.03)
    best = int(np.argmax(clear))
    return spots[best] if clear[best] > 0 else None
