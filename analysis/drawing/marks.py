"""Marks of the solution concepts in a plane, set side by side where they would lie on each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from analysis.drawing.style import GREY, INK, LOOKS, Look
from stackelberg.validation import Array

SIZE = 9.0
"""Of a mark, in points."""
CLOSE = 0.15
"""Marks nearer to each other than this, in inches, are set side by side."""
STEP, AWAY = 0.19, 0.34
"""Inches between marks side by side, and from the row to the place they stand for."""


def look_of(concept: str) -> Look:
    """The look of a concept; a plain cross for a name that is not among them."""
    return LOOKS.get(concept, Look(GREY, "X", ""))


def mark(concept: str) -> dict[str, Any]:
    """How a concept's point is drawn, for ``Axes.plot``."""
    look = look_of(concept)
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.8, "clip_on": False}
    return {"marker": look.marker, "color": look.colour, "markersize": SIZE, "linestyle": "none", **edge}


def set_apart(spots: Mapping[str, Array], centre: Array, taken: Sequence[Array] = ()) -> dict[str, Array]:
    """Where each mark is drawn: at its spot, or in a row beside it where several are too close.

    Args:
        spots: (2,) in inches, by concept.
        centre: rows are set on the side away from it,
        taken: and away from these places, if they can.

    Example:
        >>> spots = {"RLHF": np.zeros(2), "NLHF": np.zeros(2), "Borda": np.ones(2)}
        >>> {name: place.round(2).tolist() for name, place in set_apart(spots, np.array([0.0, 1.0])).items()}
        {'RLHF': [-0.1, -0.34], 'NLHF': [0.1, -0.34], 'Borda': [1.0, 1.0]}
    """
    names, places = list(spots), dict(spots)
    while names:
        group = [name for name in names if np.hypot(*(spots[name] - spots[names[0]])) < CLOSE]
        names = [name for name in names if name not in group]
        if len(group) > 1:
            middle = np.mean([spots[name] for name in group], axis=0)
            others = [*taken, *(spots[name] for name in spots if name not in group)]
            start = _row(middle, len(group), centre, others)
            places |= {name: start + [STEP * k, 0.0] for k, name in enumerate(group)}
    return places


def _row(middle: Array, number: int, centre: Array, others: list[Array]) -> Array:
    """Where a row of marks begins: above or below its place, away from other marks and from the centre."""
    sides = [middle + [0.0, AWAY], middle - [0.0, AWAY]]

    def room(row: Array) -> float:
        nearest = min((float(np.hypot(*((row - other) * [0.5, 1.0]))) for other in others), default=1.0)
        return min(nearest, 0.4) + 0.1 * float(np.hypot(*(row - centre)))

    return np.asarray(max(sides, key=room) - [STEP * (number - 1) / 2, 0.0])


def draw_marks(board: Axes, spots: Mapping[str, Array], places: Mapping[str, Array]) -> None:
    """Draw the marks at their places, with a line to a dot at the true spot where that is elsewhere."""
    for name, spot in spots.items():
        place = places[name]
        if np.hypot(*(place - spot)) > 1e-9:
            board.plot(*np.transpose([spot, place]), color=INK, linewidth=0.8, zorder=5, clip_on=False)
            board.plot(*spot, marker="o", markersize=3.5, color=INK, zorder=6, clip_on=False)
        board.plot(*place, zorder=7, **mark(name))
