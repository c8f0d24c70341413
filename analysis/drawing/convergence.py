"""Gap or distance over the steps: last iterate and average, bands over runs, fitted rates."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from analysis.drawing.lines import (
    Entry,
    LineLook,
    draw_band,
    draw_line,
    legend_height,
    log_axis,
    looks,
    power_of_ten,
    write_legend,
)
from analysis.drawing.runs import NOTHING, Curves, Measure, Runs, checked, curves, thinned
from analysis.drawing.save import Drawing
from analysis.drawing.sheet import MARGIN, sheet
from analysis.drawing.style import styled
from stackelberg import Rate

WIDE, HIGH, LEGEND = 4.6, 3.3, 3.15
"""Inches: the axes, as high or higher, and the width of the legend."""


class Scale(enum.Enum):
    """How steps are spaced: a linear rate is straight on the first, a power law on the second."""

    EVEN = "even"
    LOG = "log"


@styled
def draw_convergence(
    runs: Mapping[str, Runs],
    *,
    measure: Measure = Measure.GAP,
    scale: Scale = Scale.EVEN,
    average: bool = True,
    quantiles: tuple[float, float] = (0.1, 0.9),
) -> Drawing:
    """Gap or distance over the steps, several solvers, with the rate that :func:`stackelberg.fit_rate` fits.

    Several seeds of a solver, or the contexts of its game, are drawn as their median with a band between two
    quantiles, both said in the legend; so is the rate, with its 95 % interval.

    Args:
        runs: by name, what ``sb.solve`` learned: one solution, or one a seed.
        measure: the gap, the distance or the norm of the field; it must have been recorded.
        scale: even steps (a linear rate is a straight line) or logarithmic ones (a power law is).
        average: draw the average iterate's gap, too, where it was recorded; thin, with hollow marks.
        quantiles: the ends of the band.

    Raises:
        ValueError: nothing recorded, runs of one name recorded at different steps, or more than eight names.

    Example:
        >>> import stackelberg as sb
        >>> from analysis.figures import draw_convergence
        >>> game = sb.NashGame(sb.PreferenceMatrix.random(4, contexts=3), tau=0.2)
        >>> runs = {"EGPO": sb.solve(game, sb.EGPO(learning_rate=0.5), steps=200)}
        >>> draw_convergence(runs).rows[0][:3]
        ('EGPO', 'last', 0)
    """
    checked(runs)
    found = [(name, look, _parts(name, run, measure, average)) for (name, run), look in _with_looks(runs)]
    entries = [entry for name, look, parts in found for entry in _entries(name, look, parts, quantiles)]
    body = max(HIGH + 0.65, legend_height(entries, LEGEND) + 0.1)
    left = MARGIN + 0.65
    page = sheet(left + WIDE + 0.35 + LEGEND + MARGIN, body, *_words(found, measure, scale, quantiles))
    axes = page.axes(left, 0.5, WIDE, body - 0.6)
    _prepare(axes, measure.label, scale)
    for _, look, parts in found:
        for kind, part in parts.items():
            draw_curves(axes, part, look, quantiles, faint=kind == "average")
    write_legend(page.drawing_board(), entries, left + WIDE + 0.35, body - 0.1, LEGEND)
    rows = tuple(
        row for name, _, parts in found for kind, part in parts.items() for row in _rows(name, kind, part, quantiles)
    )
    return Drawing("convergence", page.figure, ("run", "iterate", "steps", "low", "median", "high"), rows)


def _with_looks(runs: Mapping[str, Runs]) -> list[tuple[tuple[str, Runs], LineLook]]:
    return list(zip(runs.items(), looks(len(runs)), strict=True))


def _parts(name: str, run: Runs, measure: Measure, average: bool) -> dict[str, Curves]:
    """Last and average iterate, as far as recorded."""
    last = curves(name, run, measure.last)
    if last is None:
        raise ValueError(f"The {measure.label} of {name} was not recorded. Set it in sb.Record(…).")
    mean = curves(name, run, measure.average) if average and measure.average else None
    return {"last": last} if mean is None else {"last": last, "average": mean}


def _prepare(axes: Axes, label: str, scale: Scale) -> None:
    log_axis(axes, "y")
    if scale is Scale.LOG:
        log_axis(axes, "x")
    axes.grid(True, which="major")
    axes.set_xlabel("steps")
    axes.set_ylabel(label)


def draw_curves(
    axes: Axes, part: Curves, look: LineLook, quantiles: tuple[float, float], *, faint: bool = False
) -> None:
    """Median and, where there are several runs, the band."""
    kept = thinned(part.steps)
    if axes.get_xscale() == "log":
        kept = kept[part.steps[kept] > 0]
    steps, shown = part.steps[kept], part.floored()
    draw_line(axes, steps, shown.middle()[kept], look, faint=faint)
    if len(part.rows) > 1:
        low, high = (shown.quantile(share)[kept] for share in quantiles)
        draw_band(axes, steps, low, high, look)


def _entries(name: str, look: LineLook, parts: dict[str, Curves], quantiles: tuple[float, float]) -> list[Entry]:
    """One entry of the legend for each line."""
    entries = []
    for kind, part in parts.items():
        facts = [rate_words(part.rate())]
        if kind == "last" and len(part.rows) > 1:
            facts.insert(0, band_words(len(part.rows), quantiles))
        entries.append(Entry(name if kind == "last" else "its average", look, facts, kind == "average"))
    return entries


def band_words(number: int, quantiles: tuple[float, float]) -> str:
    """What a band shows.

    >>> band_words(20, (0.1, 0.9))
    'median and 10–90 % of 20 runs'
    """
    return f"median and {100 * quantiles[0]:g}–{100 * quantiles[1]:g} % of {number} runs"


def rate_words(rate: Rate | None) -> str:
    """A rate for a legend."""
    return "no rate: too few records above rounding" if rate is None else str(rate)


def _words(
    found: list[tuple[str, LineLook, dict[str, Curves]]], measure: Measure, scale: Scale, quantiles: tuple[float, float]
) -> tuple[str, str, str]:
    """Title, subtitle and note."""
    straight = "linear rate" if scale is Scale.EVEN else "power law"
    subtitle = f"A {straight} is a straight line here."
    if any("average" in parts for _, _, parts in found):
        subtitle += " Solid marks: last iterate. Hollow marks: average of all iterates so far."
    note = "Rates with 95 % intervals, after the first quarter of the steps and above rounding."
    if any(len(part.rows) > 1 for _, _, parts in found for part in parts.values()):
        note += " Of several runs: mean rate, interval over runs."
    if any((part.rows < NOTHING).any() for _, _, parts in found for part in parts.values()):
        note += f" What is below {power_of_ten(NOTHING)} is drawn there."
    return f"How the {measure.label.split(' (')[0]} falls", subtitle, note


def _rows(name: Any, kind: str, part: Curves, quantiles: tuple[float, float]) -> list[tuple[Any, ...]]:
    (low, high), middle = (part.quantile(share) for share in quantiles), part.middle()
    kept = thinned(part.steps)
    return [(name, kind, int(part.steps[i]), float(low[i]), float(middle[i]), float(high[i])) for i in kept]
