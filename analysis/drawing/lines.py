"""Lines over steps: looks that differ in more than colour, bands, axes in powers of ten, a legend beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from analysis.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    SMALL,
    TEXT,
    VERMILLION,
    line_height,
    wrapped,
)
from stackelberg.validation import Array

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MARKS = 8
"""About so many markers a line."""


@dataclass(frozen=True)
class LineLook:
    """Colour, dashes and marker of one line: any one of them tells it apart."""

    colour: str
    dashes: Any
    marker: str


LINES = (
    LineLook(BLUE, "-", "o"),
    LineLook(VERMILLION, (0, (5, 2)), "s"),
    LineLook(BLACK, (0, (1, 1.2)), "^"),
    LineLook(GREEN, (0, (6, 2, 1, 2)), "D"),
    LineLook(PURPLE, (0, (3, 1, 1, 1, 1, 1)), "v"),
    LineLook(ORANGE, (0, (9, 2)), "P"),
    LineLook(SKY, (0, (2, 3)), "X"),
    LineLook(GREY, (0, (9, 2, 3, 2)), "<"),
)


def looks(number: int) -> tuple[LineLook, ...]:
    """A look for each of so many lines.

    >>> [look.marker for look in looks(3)]
    ['o', 's', '^']
    """
    if number > len(LINES):
        raise ValueError(f"{number} lines cannot be told apart in one picture. Draw {len(LINES)} at most.")
    return LINES[:number]


def power_of_ten(value: float, _: Any = None) -> str:
    """A tick's label: 0.01 to 100 as they are, else a power of ten with a raised exponent.

    >>> power_of_ten(1e-7), power_of_ten(10.0)
    ('10⁻⁷', '10')
    """
    exponent = round(float(np.log10(value)))
    if abs(value / 10.0**exponent - 1) > 1e-6:
        return f"{value:g}"
    return f"{value:g}" if -2 <= exponent <= 3 else "10" + str(exponent).translate(SUPERSCRIPT)


def log_axis(axes: Axes, which: str, subs: tuple[float, ...] = (1.0,)) -> None:
    """Make an axis ("x" or "y") logarithmic, labelled in powers of ten, times ``subs``."""
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    axis.set_major_locator(LogLocator(subs=subs, numticks=7))
    axis.set_major_formatter(FuncFormatter(power_of_ten))
    axis.set_minor_formatter(NullFormatter())


def draw_line(axes: Axes, steps: Array, values: Array, look: LineLook, *, faint: bool = False) -> None:
    """A line over steps with a few markers; ``faint`` is thin with hollow markers."""
    marks = _marked(axes, steps)
    style: dict[str, Any] = {"color": look.colour, "linestyle": look.dashes, "marker": look.marker, "markevery": marks}
    if faint:
        style |= {"linewidth": 0.9, "markersize": 4.5, "markerfacecolor": "white"}
    else:
        style |= {"markersize": 5.0, "markeredgecolor": "white", "markeredgewidth": 0.5}
    axes.plot(steps, values, zorder=4 if faint else 5, **style)


def draw_band(axes: Axes, steps: Array, low: Array, high: Array, look: LineLook) -> None:
    """The band round a line, with thin edges that grey print keeps."""
    axes.fill_between(steps, low, high, color=look.colour, alpha=0.16, linewidth=0, zorder=2)
    for edge in (low, high):
        axes.plot(steps, edge, color=look.colour, linewidth=0.4, alpha=0.7, zorder=3)


def _marked(axes: Axes, steps: Array) -> list[int]:
    """Which records get a marker: evenly spaced along the axis as it is drawn."""
    positive = steps[steps > 0]
    logarithmic = axes.get_xscale() == "log" and len(positive) > 1
    ends = (positive[0], steps[-1]) if logarithmic else (steps[0], steps[-1])
    places = np.geomspace(*ends, MARKS) if logarithmic else np.linspace(*ends, MARKS)
    return sorted({int(np.argmin(np.abs(steps - place))) for place in places})


@dataclass(frozen=True)
class Entry:
    """One entry of a legend: a name with its look, and lines of small print; hollow for an average."""

    name: str
    look: LineLook
    facts: Sequence[str] = ()
    average: bool = False


def write_legend(board: Axes, entries: Sequence[Entry], left: float, top: float, width: float) -> float:
    """Write a legend on a board in inches, from its upper left corner; how far down it came."""
    for entry in entries:
        middle = top - 0.5 * line_height(TEXT)
        _sample(board, left, middle, entry.look, 0.0 if entry.average else 1.0)
        name = wrapped(entry.name, width - 0.48, TEXT, weight="bold", lines=2)
        board.text(left + 0.48, top, name, size=TEXT, weight="bold", va="top", linespacing=1.25)
        top -= (name.count("\n") + 1) * line_height(TEXT)
        for fact in entry.facts:
            text = wrapped(fact, width - 0.48, SMALL, lines=4)
            board.text(left + 0.48, top, text, size=SMALL, va="top", linespacing=1.25)
            top -= (text.count("\n") + 1) * line_height(SMALL)
        top -= 0.12
    return top


def legend_height(entries: Sequence[Entry], width: float) -> float:
    """How high a legend will be, in inches."""
    height = 0.0
    for entry in entries:
        name = wrapped(entry.name, width - 0.48, TEXT, weight="bold", lines=2)
        facts = [wrapped(fact, width - 0.48, SMALL, lines=4) for fact in entry.facts]
        height += (name.count("\n") + 1) * line_height(TEXT) + 0.12
        height += sum((fact.count("\n") + 1) * line_height(SMALL) for fact in facts)
    return height


def _sample(board: Axes, left: float, height: float, look: LineLook, filled: float) -> None:
    style: dict[str, Any] = {"color": look.colour, "linestyle": look.dashes, "linewidth": 1.6 if filled else 0.9}
    board.plot([left, left + 0.38], [height, height], **style)
    face = look.colour if filled else "white"
    board.plot(left + 0.19, height, look.marker, color=look.colour, markerfacecolor=face, markersize=5)
