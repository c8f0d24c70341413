"""Bars side by side, a column a concept, with a small table of facts above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from analysis.drawing.marks import look_of
from analysis.drawing.sheet import MARGIN, Sheet, sheet
from analysis.drawing.style import FAINT, GREY, INK, SMALL, TEXT, line_height, text_width, wrapped
from stackelberg.validation import Array

MOST = 20
"""No more actions than this are drawn."""
LEAST = 0.005
"""Where there are more than :data:`FEW`, actions below this everywhere are left out."""
FEW = 8
WIDE, GAP, ROW = 1.15, 0.3, 0.3
"""Inches: width of a column, between columns, height of a row."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Column:
    """One concept: a bar for each action, and facts.

    Attributes:
        name: of the concept.
        values: (n,) lengths of the bars, or None where there is nothing to draw.
        facts: one for each row of the small table, "" where it says nothing here.
        low, high: (n,) whiskers, or None.
        rings: (n,) a second quantity, drawn as open circles, or None.
        missing: what stands in place of bars.
    """

    name: str
    values: Array | None
    facts: tuple[str, ...]
    low: Array | None = None
    high: Array | None = None
    rings: Array | None = None
    missing: str = ""


def chosen_actions(columns: Sequence[Column], order: Sequence[int]) -> list[int]:
    """The actions worth a row, in the given order."""
    drawn = [array for column in columns for array in (column.values, column.rings) if array is not None]
    most = np.max(drawn, axis=0, initial=0.0) if drawn else np.zeros(len(order))
    kept = [i for i in order if len(order) <= FEW or most[i] >= LEAST]
    best = set(sorted(kept, key=lambda i: -most[i])[:MOST])
    return [i for i in kept if i in best]


def draw_columns(
    labels: Sequence[str],
    columns: Sequence[Column],
    facts: Sequence[str],
    words: tuple[str, str, str],
    axis: str,
) -> Sheet:
    """A sheet with one column of bars a concept.

    Args:
        labels: of the actions drawn, top to bottom; the columns' arrays are in this order.
        columns: one a concept.
        facts: names of the rows of the small table.
        words: title, subtitle and note.
        axis: what the bars measure, with its unit.
    """
    names = [wrapped(label, 1.8, SMALL, lines=2) for label in labels]
    heads = [wrapped(column.name, WIDE + 0.1, TEXT, weight="bold") for column in columns]
    left = MARGIN + max(text_width(text, SMALL) for text in [*names, *facts]) + 0.12
    step, head = line_height(SMALL) + 0.05, max(text.count("\n") + 1 for text in heads) * line_height(TEXT) + 0.08
    bars = ROW * len(labels)
    body = head + step * len(facts) + 0.14 + bars + 0.55
    page = sheet(max(left + len(columns) * (WIDE + GAP) + MARGIN + 0.15, 5.6), body, *words)
    board = page.drawing_board()
    for number, fact in enumerate(facts):
        board.text(left - 0.12, body - head - step * number, fact, size=SMALL, color=GREY, ha="right", va="top")
    for number, (column, text) in enumerate(zip(columns, heads, strict=True)):
        start = left + number * (WIDE + GAP)
        board.text(start, body - head + 0.08, text, size=TEXT, weight="bold", va="bottom", linespacing=1.25)
        for row, fact in enumerate(column.facts):
            board.text(start, body - head - step * row, fact, size=SMALL, va="top")
        axes = page.axes(start, 0.5, WIDE, bars)
        _draw_bars(axes, column, names if number == 0 else [], len(labels))
    board.text(left, 0.02, axis, size=SMALL, color=INK, va="bottom")
    return page


def _draw_bars(axes: Axes, column: Column, names: Sequence[str], number: int) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(number - 0.5, -0.5)
    axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, pad=6)
    axes.grid(axis="x")
    if column.values is None:
        text = wrapped(column.missing, WIDE - 0.1, SMALL, lines=4)
        axes.text(0.5, 0.5, text, transform=axes.transAxes, size=SMALL, color=GREY, ha="center", va="center")
        return
    look, rows = look_of(column.name), np.arange(number)
    axes.barh(rows, column.values, height=0.56, color=look.colour, zorder=2)
    if column.low is not None and column.high is not None:
        axes.hlines(rows, column.low, column.high, color=INK, linewidth=1.2, zorder=3, clip_on=False)
        ends = np.concatenate([column.low, column.high])
        axes.plot(ends, np.tile(rows, 2), "|", color=INK, markersize=5, zorder=3, clip_on=False)
    if column.rings is not None:
        seen = column.rings > 0
        look_ring: dict[str, Any] = {
            "markerfacecolor": "white",
            "markeredgecolor": INK,
            "markersize": 5.5,
            "clip_on": False,
        }
        axes.plot(column.rings[seen], rows[seen], "o", zorder=4, **look_ring)
    for row in range(number):
        _write_value(axes, column, row)


def _write_value(axes: Axes, column: Column, row: int) -> None:
    """The number behind a bar and its whisker; on the bar where there is no room behind."""
    value = 0.0 if column.values is None else float(column.values[row])
    end = value if column.high is None else float(column.high[row])
    ring = 0.0 if column.rings is None else float(column.rings[row])
    text = f"{value:.2f}" if value >= LEAST else "0"
    places = [end, max(end, ring)] if ring < end + 0.02 or ring > end + 0.42 else [max(end, ring)]
    free = [place for place in places if place <= 0.68]
    if free:
        ink = INK if value >= LEAST else GREY
        gap = 0.06 if free[0] == end else 0.1  # a ring is wider than the end of a line
        axes.text(free[0] + gap, row, text, size=SMALL, color=ink, va="center", zorder=5)
        return
    patch = {"facecolor": "white", "edgecolor": FAINT, "pad": 1.2, "alpha": 0.95}
    axes.text(0.1, row, text, size=SMALL, color=INK, va="center", bbox=patch, zorder=5)
