"""Where labels go so that they do not meet: round a ring, and along arrows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from analysis.drawing.sheet import write
from analysis.drawing.style import SMALL, TEXT, line_height, text_width, wrapped
from stackelberg.validation import Array

LEVEL = 12
"""Up to so many labels round a ring are written level; more point outwards, unless all are short."""
SHORT = 0.3
"""Inches."""


@dataclass(frozen=True, eq=False)
class Rim:
    """Labels round a circle about the origin, with the box that they and the circle fill, in inches."""

    texts: tuple[str, ...]
    angles: Array
    radii: Array
    size: float
    outward: bool
    left: float
    right: float
    bottom: float
    top: float

    def write(self, board: Axes, centre: Array) -> None:
        """Write the labels about ``centre``."""
        for text, angle, radius in zip(self.texts, self.angles, self.radii, strict=True):
            spot = centre + radius * np.array([np.cos(angle), np.sin(angle)])
            write(board, spot, text, size=self.size, zorder=6, **_stance(angle, self.outward))


def ring_labels(labels: Sequence[str], angles: Array, inner: float, clear: Array) -> Rim:
    """Wrap labels for nodes on a circle of radius ``inner``, ``clear`` (k,) inches outside, and measure all."""
    size = TEXT if len(labels) <= 25 else 6.5
    many = len(labels) > LEVEL and max(text_width(label, size) for label in labels) > SHORT
    texts = tuple(wrapped(label, 1.9 if many else 1.25, size, lines=1 if many else 3) for label in labels)
    radii = inner + clear
    corners = [_corners(t, a, r, size, many) for t, a, r in zip(texts, angles, radii, strict=True)]
    nodes = inner * np.column_stack([np.cos(angles), np.sin(angles)])
    box = np.concatenate([*corners, nodes + clear[:, None], nodes - clear[:, None]])
    (left, bottom), (right, top) = box.min(axis=0), box.max(axis=0)
    return Rim(texts, np.asarray(angles), radii, size, many, left, right, bottom, top)


def _stance(angle: float, outward: bool) -> dict[str, Any]:
    """Alignment (and rotation, where there are many) of a label at an angle of the ring."""
    x, y = np.cos(angle), np.sin(angle)
    if outward:
        turn = np.degrees(angle) if x >= -1e-9 else np.degrees(angle) + 180
        side = "left" if x >= -1e-9 else "right"
        return {"rotation": turn, "ha": side, "va": "center", "rotation_mode": "anchor"}
    side = "center" if abs(x) < 0.2 else "left" if x > 0 else "right"
    return {"ha": side, "va": "center" if abs(y) < 0.6 else "bottom" if y > 0 else "top"}


def _corners(text: str, angle: float, radius: float, size: float, many: bool) -> Array:
    """Corners of a label's box about the circle's centre, (2, 2), a little generous."""
    out = np.array([np.cos(angle), np.sin(angle)])
    wide, high = text_width(text, size), (text.count("\n") + 1) * line_height(size)
    if many:
        far = (radius + wide) * out
        return np.array([far - high / 2, far + high / 2])
    stance = _stance(angle, False)
    left = {"left": 0.0, "center": wide / 2, "right": wide}[stance["ha"]]
    below = {"bottom": 0.0, "center": high / 2, "top": high}[stance["va"]]
    low = radius * out - np.array([left, below])
    return np.array([low, low + np.array([wide, high])])


def place_labels(
    board: Axes,
    curves: Sequence[Array],
    texts: Sequence[str],
    looks: Sequence[dict[str, Any]],
    nodes: Sequence[Array],
) -> None:
    """Write a number on each curve where it is clear of the nodes, the other curves and the other numbers.

    Args:
        board: axes in inches.
        curves: points (k, 2) along each, in order.
        texts: the numbers.
        looks: how each is written.
        nodes: (2,) each, to be kept clear of.
    """
    taken = [np.asarray(node) for node in nodes]
    lengths = [float(np.hypot(*np.diff(curve, axis=0).T).sum()) for curve in curves]
    for k in sorted(range(len(curves)), key=lambda k: -lengths[k]):
        others = np.concatenate([np.empty((0, 2)), *(curve for m, curve in enumerate(curves) if m != k)])
        t = np.linspace(0, 1, len(curves[k]))
        inside = (t >= 0.2) & (t <= 0.8)
        spots = curves[k][inside]
        best = spots[np.argmax(_room(spots, taken, others) - 0.1 * np.abs(t[inside] - 0.5))]
        taken.append(best)
        patch = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        write(board, best, texts[k], size=SMALL, ha="center", va="center", bbox=patch, zorder=5, **looks[k])


def _room(spots: Array, taken: Sequence[Array], others: Array) -> Array:
    """How free each spot is: far from what is there already, and off the crossings."""
    shape = np.array([0.6, 1.0])  # numbers are wider than high
    apart = np.hypot(*np.moveaxis((spots[:, None] - np.array(taken)) * shape, -1, 0)).min(axis=1)
    crossing = np.hypot(*np.moveaxis(spots[:, None] - others, -1, 0)).min(axis=1, initial=1.0)
    return np.asarray(np.minimum(apart, 0.4) + 2 * np.minimum(crossing, 0.16))


def straight(start: Array, end: Array) -> Array:
    """Points along a straight line, (61, 2)."""
    return np.asarray(start + np.linspace(0, 1, 61)[:, None] * (end - start))


def bent(start: Array, end: Array, bend: float) -> Array:
    """Points along matplotlib's ``arc3`` with ``rad=bend``, (61, 2): a quadratic curve."""
    t = np.linspace(0, 1, 61)[:, None]
    along = end - start
    control = (start + end) / 2 + bend * np.array([along[1], -along[0]])
    return np.asarray((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end)


def spread_out(heights: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Heights moved as little as it takes to be ``gap`` apart and within [low, high], in the same order.

    >>> [round(height, 2) for height in spread_out([0.5, 0.5, 0.9], 0.2, 0.0, 1.0)]
    [0.4, 0.6, 0.9]
    """
    order = np.argsort(heights, kind="stable")
    placed = np.asarray(heights, dtype=np.float64)[order]
    for _ in range(100):
        close = gap - np.diff(placed)
        push = np.maximum(close, 0) / 2
        if not (push > 1e-9).any():
            break
        placed[:-1] -= push
        placed[1:] += push
        placed = np.clip(placed, low, high)
    answer = np.empty(len(placed))
    answer[order] = placed
    return [float(height) for height in answer]
