"""Where labels go so that they do not meet: round a ring, and along arrows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from analysis.drawing.style import BLUE, GREY, SMALL, TEXT, line_height, text_width, wrapped
from stackelberg.validation import Array

LEVEL = 12
"""Up to so many labels round a ring are written level, more point outwards."""


@dataclass(frozen=True, eq=False)
class Rim:
    """Labels round a circle about the origin, with the box that they and the circle fill, in inches."""

    texts: tuple[str, ...]
    angles: Array
    radius: float
    size: float
    left: float
    right: float
    bottom: float
    top: float

    def write(self, board: Axes, centre: Array) -> None:
        """Write the labels about ``centre``."""
        for text, angle in zip(self.texts, self.angles, strict=True):
            spot = centre + self.radius * np.array([np.cos(angle), np.sin(angle)])
            board.text(*spot, text, size=self.size, linespacing=1.25, zorder=6, **_stance(angle, len(self.texts)))


def ring_labels(labels: Sequence[str], angles: Array, inner: float, dot: float) -> Rim:
    """Wrap labels for nodes of size ``dot`` on a circle of radius ``inner``, and measure what room all take."""
    radius = inner + dot + 0.08
    many = len(labels) > LEVEL
    size = TEXT if len(labels) <= 25 else 6.5
    texts = tuple(wrapped(label, 1.9 if many else 1.25, size, lines=1 if many else 3) for label in labels)
    corners = [_corners(t, a, radius, size, many) for t, a in zip(texts, angles, strict=True)]
    nodes = inner * np.column_stack([np.cos(angles), np.sin(angles)])
    box = np.concatenate([*corners, nodes + dot, nodes - dot])
    (left, bottom), (right, top) = box.min(axis=0), box.max(axis=0)
    return Rim(texts, np.asarray(angles), radius, size, left, right, bottom, top)


def _stance(angle: float, number: int) -> dict[str, Any]:
    """Alignment (and rotation, where there are many) of a label at an angle of the ring."""
    x, y = np.cos(angle), np.sin(angle)
    if number > LEVEL:
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
    stance = _stance(angle, 1)
    left = {"left": 0.0, "center": wide / 2, "right": wide}[stance["ha"]]
    below = {"bottom": 0.0, "center": high / 2, "top": high}[stance["va"]]
    low = radius * out - [left, below]
    return np.array([low, low + [wide, high]])


def place_labels(
    board: Axes,
    lines: Sequence[tuple[Array, Array]],
    texts: Sequence[str],
    strong: Sequence[bool],
    nodes: Sequence[Array],
    dot: float,
) -> None:
    """Write a number on each line, where it is farthest from the numbers, nodes and lines already there."""
    taken: list[Array] = [np.asarray(node) for node in nodes]
    order = sorted(range(len(lines)), key=lambda k: -float(np.hypot(*(lines[k][1] - lines[k][0]))))
    for k in order:
        start, end = lines[k]
        others = [line for m, line in enumerate(lines) if m != k]
        spots = [(start + t * (end - start), float(t)) for t in np.linspace(0.2, 0.8, 31)]
        best, _ = max(spots, key=lambda spot: _room(*spot, taken, others))
        taken.append(best)
        look = {"color": BLUE, "weight": "bold"} if strong[k] else {"color": GREY}
        patch = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        board.text(*best, texts[k], size=SMALL, ha="center", va="center", bbox=patch, zorder=5, **look)


def _room(spot: Array, t: float, taken: Sequence[Array], lines: Sequence[tuple[Array, Array]]) -> float:
    """How free a spot is: far from what is there already, off the crossings, and not far from the middle."""
    shape = np.array([0.6, 1.0])  # numbers are wider than high
    nearest = min(float(np.hypot(*((spot - other) * shape))) for other in taken)
    crossing = min((_distance(spot, line) for line in lines), default=1.0)
    return min(nearest, 0.4) + 2 * min(crossing, 0.16) - 0.1 * abs(t - 0.5)


def _distance(spot: Array, line: tuple[Array, Array]) -> float:
    start, along = line[0], line[1] - line[0]
    t = np.clip((spot - start) @ along / max(along @ along, 1e-12), 0, 1)
    return float(np.hypot(*(spot - start - t * along)))
