"""Several panels of lines side by side, one legend: medians with bands over runs, theory dotted, points alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from analysis.drawing.lines import Entry, LineLook, draw_band, draw_line, legend_height, log_axis, looks, write_legend
from analysis.drawing.save import Drawing
from analysis.drawing.sheet import MARGIN, sheet
from analysis.drawing.style import GREY, INK, TEXT, styled
from stackelberg.validation import Array

WIDE, HIGH, APART, LEGEND = 2.75, 2.5, 0.8, 2.4
"""Inches: each panel, the room between two, the legend."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """One line, cloud of points, or line of theory.

    Attributes:
        name: in the legend, the same look in every panel.
        x: (points,).
        rows: (runs, points) or (points,); of several runs the median is drawn, with a band.
        points: draw marks only.
        theory: draw a thin grey line, named in the note rather than in the legend.
    """

    name: str
    x: Array
    rows: Array
    points: bool = False
    theory: bool = False

    @property
    def runs(self) -> Array:
        """(runs, points)."""
        return np.atleast_2d(np.asarray(self.rows, dtype=float))


@dataclass(frozen=True, eq=False, kw_only=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: above it.
        x, y: names of the axes, with units.
        curves: what is drawn.
        log: which axes are logarithmic: "x", "y", "xy" or "".
        bottom: the least y that is shown; lines go below it, and without it break off, where they come to zero.
    """

    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    log: str = "y"
    bottom: float | None = None


@dataclass(frozen=True, kw_only=True)
class Words:
    """Heading, what to see, small print, and lines of small print of a curve's legend."""

    title: str
    subtitle: str
    note: str = ""
    facts: tuple[tuple[str, tuple[str, ...]], ...] = ()


@styled
def draw_panels(
    name: str,
    panels: Sequence[Panel],
    words: Words,
    *,
    across: int = 3,
    quantiles: tuple[float, float] = (0.1, 0.9),
) -> Drawing:
    """Panels in rows, the legend of all at the right.

    Args:
        name: of the files.
        panels: what is drawn.
        words: heading, note and facts.
        across: panels in a row, at most.
        quantiles: the ends of the bands over runs.

    Example:
        >>> steps = np.arange(1, 9)
        >>> curve = Curve(name="EGPO", x=steps, rows=[0.5**steps, 0.6**steps])
        >>> panel = Panel(title="τ = 0.1", x="steps", y="gap", curves=(curve,))
        >>> draw_panels("gaps", [panel], Words(title="Gaps", subtitle="They fall.")).rows[0]
        ('τ = 0.1', 'EGPO', 1, 0.51, 0.55, 0.59)
    """
    names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves if not curve.theory))
    look = dict(zip(names, looks(len(names)), strict=True))
    facts = dict(words.facts)
    entries = [Entry(each, look[each], facts.get(each, ())) for each in names]
    columns = min(across, len(panels))
    rows = -(-len(panels) // columns)
    body = max(rows * (HIGH + 0.85), legend_height(entries, LEGEND) + 0.3)
    left = MARGIN + 0.6
    end = left + columns * (WIDE + APART) - APART
    page = sheet(end + 0.3 + LEGEND + MARGIN, body, words.title, words.subtitle, words.note)
    for number, panel in enumerate(panels):
        down, right = divmod(number, columns)
        axes = page.axes(left + right * (WIDE + APART), body - (down + 1) * (HIGH + 0.85) + 0.5, WIDE, HIGH)
        _draw(axes, panel, look, quantiles)
    write_legend(page.drawing_board(), entries, end + 0.3, body - 0.3, LEGEND)
    data = tuple(row for panel in panels for curve in panel.curves for row in _rows(panel, curve, quantiles))
    return Drawing(name, page.figure, ("panel", "curve", "x", "low", "median", "high"), data)


def _draw(axes: Axes, panel: Panel, look: dict[str, LineLook], quantiles: tuple[float, float]) -> None:
    for which in panel.log:
        log_axis(axes, which)
    axes.set_title(panel.title, fontsize=TEXT, color=INK)
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    axes.grid(True, which="major")
    for curve in panel.curves:
        x, runs = np.asarray(curve.x, dtype=float), curve.runs
        if "y" in panel.log:
            runs = np.where(runs > 0, runs, np.nan) if panel.bottom is None else np.maximum(runs, panel.bottom / 100)
        if curve.theory:
            axes.plot(x, runs[0], color=GREY, linewidth=1.0, linestyle=(0, (1, 1.5)), zorder=6)
        elif curve.points:
            mark: dict[str, Any] = {"marker": look[curve.name].marker, "color": look[curve.name].colour}
            axes.plot(np.tile(x, len(runs)), runs.ravel(), linestyle="none", markersize=3.5, alpha=0.7, **mark)
        else:
            low, middle, high = _quantiles(runs, quantiles)
            draw_line(axes, x, middle, look[curve.name])
            if len(runs) > 1:
                draw_band(axes, x, low, high, look[curve.name])
    if panel.bottom is not None:
        axes.set_ylim(bottom=panel.bottom)


def _quantiles(runs: Array, quantiles: tuple[float, float]) -> tuple[Array, Array, Array]:
    low, middle, high = (np.quantile(runs, share, axis=0) for share in (quantiles[0], 0.5, quantiles[1]))
    return low, middle, high


def _rows(panel: Panel, curve: Curve, quantiles: tuple[float, float]) -> list[tuple[Any, ...]]:
    x = np.asarray(curve.x).tolist()
    bands = np.stack(_quantiles(curve.runs, quantiles), axis=-1)
    return [(panel.title, curve.name, place, *map(float, band)) for place, band in zip(x, bands, strict=True)]
