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


def set_apart(
    spots: Mapping[str, Array], centre: Array, taken: Sequence[Array] = (), within: tuple[float, float] = (-9, 9)
) -> dict[str, Array]:
    """Where each mark is drawn: at its spot, or in a row beside it where several are too close.

    Args:
        spots: (2,) in inches, by concept.
        centre: rows are set on the side away from it,
        taken: and away from these places, if they can.
        within: leftmost and rightmost place of a mark.

    Example:
        >>> spots = {"RLHF": np.zeros(2), "NLHF": np.zeros(2), "Borda": np.ones(2)}
        >>> {name: place.round(2).tolist() for name, place in set_apart(spots, np.array([0.0, 1.0])).items()}
        {'RLHF': [-0.1, -0.34], 'NLHF': [0.1, -0.34], 'Borda': [1.0, 1.0]}
    """
    names, places, filled = list(spots), dict(spots), list(taken)
    while names:
        group = [name for name in names if np.hypot(*(spots[name] - spots[names[0]])) < CLOSE]
        names = [name for name in names if name not in group]
        if len(group) > 1:
            middle = np.mean([spots[name] for name in group], axis=0)
            rows = _rows(middle, len(group), within)
            row = _roomiest(rows, middle, centre, [*filled, *spots.values()])
            places |= dict(zip(group, row, strict=True))
        filled += [places[name] for name in group]
    return places


def _rows(middle: Array, number: int, within: tuple[float, float]) -> list[Array]:
    """Where marks may stand side by side: above, below or beside ``middle``, pushed within the limits."""
    half = STEP * (number - 1) / 2
    along = np.column_stack([np.linspace(-half, half, number), np.zeros(number)])
    shifts = [(0, AWAY), (half + AWAY, AWAY), (half + AWAY, 0)]
    rows = [middle + along + np.array([x * right, y * up]) for x, y in shifts for right in (1, -1) for up in (1, -1)]
    for row in rows:
        row[:, 0] += max(within[0] - row[:, 0].min(), 0) - max(row[:, 0].max() - within[1], 0)
    return rows


def _roomiest(rows: list[Array], middle: Array, centre: Array, others: list[Array]) -> Array:
    """The row farthest from other things and then, if it is all one, from the centre and near to its place."""

    def room(k: int) -> float:
        apart = np.hypot(*np.moveaxis(rows[k][:, None] - np.array(others), -1, 0)).min()
        here = rows[k].mean(axis=0)
        outward, away = np.hypot(*(here - centre)), np.hypot(*(here - middle))
        return float(10 * min(apart, 0.25) + 0.1 * outward - 0.3 * away)

    return rows[max(range(len(rows)), key=room)]


def draw_marks(board: Axes, spots: Mapping[str, Array], places: Mapping[str, Array]) -> None:
    """Draw the marks at their places, with a line to a dot at the true spot where that is elsewhere."""
    for name, spot in spots.items():
        place = places[name]
        if np.hypot(*(place - spot)) > 1e-9:
            board.plot(*np.transpose([spot, place]), color=INK, linewidth=0.8, zorder=5, clip_on=False)
            board.plot(*spot, marker="o", markersize=3.5, color=INK, zorder=6, clip_on=False)
        board.plot(*place, zorder=7, **mark(name))
