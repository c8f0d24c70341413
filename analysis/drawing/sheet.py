"""A sheet of paper measured in inches: heading above, note below, and room between for the drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from analysis.drawing.style import GREY, INK, SMALL, TEXT, TITLE, line_height, wrapped
from stackelberg.validation import Array

MARGIN = 0.2
"""Inches left free on every side."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """A figure whose body, between heading and note, is ``width`` by ``body`` inches.

    Attributes:
        figure: the figure.
        width: of the sheet.
        body: height of the room for the drawing.
        floor: where the body begins, from the bottom edge.
    """

    figure: Figure
    width: float
    body: float
    floor: float

    def axes(self, left: float, bottom: float, width: float, height: float) -> Axes:
        """Axes in the body, placed in inches from its lower left corner."""
        across, up = self.figure.get_size_inches()
        return self.figure.add_axes((left / across, (bottom + self.floor) / up, width / across, height / up))

    def drawing_board(self) -> Axes:
        """Axes without frame over the whole body, on which one unit is one inch."""
        board = self.axes(0, 0, self.width, self.body)
        board.set_xlim(0, self.width)
        board.set_ylim(0, self.body)
        board.set_axis_off()
        return board


def sheet(width: float, body: float, title: str, subtitle: str = "", note: str = "") -> Sheet:
    """A new sheet with its heading and note written, wrapped to its width; its height follows from them.

    Args:
        width: of the sheet, in inches.
        body: height of the room for the drawing, in inches.
        title: what is shown.
        subtitle: what to see in it, and what the marks mean.
        note: small print below.
    """
    room = width - 2 * MARGIN
    heading = wrapped(title, room, TITLE, weight="bold")
    below = wrapped(subtitle, room, TEXT) if subtitle else ""
    small = wrapped(note, room, SMALL) if note else ""
    head = _height(heading, TITLE) + (_height(below, TEXT) + 0.06 if below else 0)
    foot = _height(small, SMALL) + 0.08 if small else 0
    height = MARGIN + head + 0.12 + body + foot + MARGIN
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    left, top = MARGIN / width, 1 - MARGIN / height
    spacing: dict[str, Any] = {"linespacing": 1.25, "ha": "left"}
    figure.text(left, top, heading, size=TITLE, weight="bold", color=INK, va="top", **spacing)
    if below:
        drop = (_height(heading, TITLE) + 0.06) / height
        figure.text(left, top - drop, below, size=TEXT, color=INK, va="top", **spacing)
    if small:
        figure.text(left, MARGIN / height, small, size=SMALL, color=GREY, va="bottom", **spacing)
    return Sheet(figure, width, body, MARGIN + foot)


def write(axes: Axes, spot: Array, text: str, **look: Any) -> None:
    """Write a text at a spot (2,)."""
    axes.text(float(spot[0]), float(spot[1]), text, **({"linespacing": 1.25} | look))


def arrow(axes: Axes, start: Array, end: Array, **look: Any) -> None:
    """Draw an arrow from one spot (2,) to another; shrinkA and shrinkB are in points."""
    ends = ((float(spot[0]), float(spot[1])) for spot in (start, end))
    axes.add_patch(FancyArrowPatch(*ends, **({"arrowstyle": "-|>"} | look)))


def _height(text: str, size: float) -> float:
    return (text.count("\n") + 1) * line_height(size)
