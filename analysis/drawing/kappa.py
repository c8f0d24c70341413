"""The timescale ratio: how the gap falls for several κ, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from analysis.drawing.convergence import band_words, draw_curves, rate_words
from analysis.drawing.lines import Entry, LineLook, legend_height, log_axis, looks, power_of_ten, write_legend
from analysis.drawing.runs import NOTHING, Curves, Runs, checked, curves
from analysis.drawing.save import Drawing
from analysis.drawing.sheet import MARGIN, sheet
from analysis.drawing.style import GREY, SMALL, styled
from stackelberg.validation import Array

WIDE, SECOND, HIGH, LEGEND = 3.9, 2.2, 3.2, 3.15
"""Inches: width of the curves and of what they come to, their height, width of the legend."""


@styled
def draw_kappa(
    runs: Mapping[float, Runs], *, tolerance: float | None = None, quantiles: tuple[float, float] = (0.1, 0.9)
) -> Drawing:
    """The gap over the steps for several κ, and beside it the last gap, or the steps to a tolerance, against κ.

    Args:
        runs: by κ, what ``sb.solve`` learned: one solution, or one a seed; contexts count as runs, too.
        tolerance: if given, the steps until the gap is at most this are drawn against κ, with hollow marks at the
            budget for runs of which the median does not reach it; otherwise the last gap.
        quantiles: the ends of bands and whiskers.

    Raises:
        ValueError: no gap was recorded, or the runs of one κ were recorded at different steps.

    Example:
        >>> import stackelberg as sb
        >>> from analysis.figures import draw_kappa
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.random(4, contexts=3), tau=0.2)
        >>> runs = {k: sb.solve(game, sb.MirrorDescent(learning_rate=0.5, kappa=k), steps=200) for k in (1, 5)}
        >>> draw_kappa(runs, tolerance=1e-6).rows[-1]
        ('steps to 1e-06', 5, '', 50.0, 50.0, 60.0)
    """
    checked(runs)
    found = {kappa: _gaps(kappa, run) for kappa, run in sorted(runs.items())}
    entries = [
        Entry(f"κ = {kappa:g}", look, _facts(part, quantiles))
        for (kappa, part), look in zip(found.items(), looks(len(found)), strict=True)
    ]
    body = max(HIGH + 0.65, legend_height(entries, LEGEND) + 0.1)
    left, second = MARGIN + 0.65, MARGIN + 0.65 + WIDE + 0.85
    page = sheet(second + SECOND + 0.35 + LEGEND + MARGIN, body, *_words(tolerance, quantiles, found))
    axes, other = page.axes(left, 0.5, WIDE, body - 0.6), page.axes(second, 0.5, SECOND, body - 0.6)
    log_axis(axes, "y")
    axes.set_xlabel("steps")
    axes.set_ylabel("duality gap")
    axes.grid(True, which="major")
    for part, entry in zip(found.values(), entries, strict=True):
        draw_curves(axes, part, entry.look, quantiles)
    ends = {kappa: _end(part, tolerance, quantiles) for kappa, part in found.items()}
    _draw_ends(other, ends, [entry.look for entry in entries], tolerance, found)
    write_legend(page.drawing_board(), entries, second + SECOND + 0.35, body - 0.1, LEGEND)
    names = ("quantity", "kappa", "steps", "low", "median", "high")
    return Drawing("kappa", page.figure, names, _rows(found, ends, tolerance, quantiles))


def _gaps(kappa: float, run: Runs) -> Curves:
    found = curves(f"κ = {kappa:g}", run, "gap")
    if found is None:
        raise ValueError(f"The gap of κ = {kappa:g} was not recorded. Solve with record=sb.Record().")
    return found


def _facts(part: Curves, quantiles: tuple[float, float]) -> list[str]:
    facts = [band_words(len(part.rows), quantiles)] if len(part.rows) > 1 else []
    return [*facts, rate_words(part.rate())]


def steps_to(part: Curves, tolerance: float) -> Array:
    """The first recorded step of each run from which its gap stays within the tolerance; infinite where none.

    >>> steps_to(Curves(np.array([0.0, 10.0, 20.0]), np.array([[1.0, 0.1, 0.01], [1.0, 1.0, 1.0]])), 0.1)
    array([10., inf])
    """
    within = np.logical_and.accumulate(part.rows[:, ::-1] <= tolerance, axis=1)[:, ::-1]
    first = part.steps[np.argmax(within, axis=1)]
    return np.where(within.any(axis=1), first, np.inf)


def _end(part: Curves, tolerance: float | None, quantiles: tuple[float, float]) -> tuple[float, float, float]:
    """Low, median and high of what a κ comes to; infinite where the tolerance is not reached."""
    values = np.maximum(part.rows[:, -1], NOTHING) if tolerance is None else steps_to(part, tolerance)
    method: Any = "linear" if tolerance is None else "inverted_cdf"  # of numbers that may be infinite
    low, middle, high = np.quantile(values, [quantiles[0], 0.5, quantiles[1]], method=method)
    return float(low), float(middle), float(high)


def _draw_ends(
    axes: Axes,
    ends: dict[float, tuple[float, float, float]],
    shown: list[LineLook],
    tolerance: float | None,
    found: dict[float, Curves],
) -> None:
    """A mark with whiskers for each κ, joined by a line."""
    log_axis(axes, "x")
    log_axis(axes, "y", subs=(1.0,) if tolerance is None else (1.0, 2.0, 5.0))
    axes.set_xticks(list(ends), [f"{kappa:g}" for kappa in ends])
    axes.set_xlabel("κ = η_F / η_L")
    axes.set_ylabel("last gap" if tolerance is None else f"steps until the gap stays within {power_of_ten(tolerance)}")
    budget = max(float(part.steps[-1]) for part in found.values())
    most = np.inf if tolerance is None else budget
    kept = {kappa: tuple(min(max(value, NOTHING), most) for value in end) for kappa, end in ends.items()}
    axes.plot(list(kept), [end[1] for end in kept.values()], color=GREY, linewidth=0.8, zorder=2)
    for (kappa, (low, middle, high)), look in zip(kept.items(), shown, strict=True):
        axes.plot([kappa, kappa], [low, high], "_-", color=look.colour, linewidth=1.2, markersize=7, zorder=3)
        face = "white" if np.isinf(ends[kappa][1]) else look.colour
        axes.plot(kappa, middle, look.marker, color=look.colour, markerfacecolor=face, markersize=7, zorder=4)
    if tolerance is not None:
        axes.axhline(budget, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
        place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points"}
        axes.annotate("budget", (0.0, budget), xytext=(2, 6), size=SMALL, color=GREY, **place)
        axes.set_ylim(top=budget * 1.5)
    axes.minorticks_off()


def _words(tolerance: float | None, quantiles: tuple[float, float], found: dict[float, Curves]) -> tuple[str, str, str]:
    ends = "the last gap" if tolerance is None else f"the steps until the gap stays within {power_of_ten(tolerance)}"
    subtitle = f"Left: the gap of the last iterate. Right: {ends}."
    note = "Rates with 95 % intervals, after the first quarter of the steps and above rounding."
    if any(len(part.rows) > 1 for part in found.values()):
        subtitle += f" Whiskers: {100 * quantiles[0]:g}–{100 * quantiles[1]:g} % of the runs, marks their median."
        note += " Of several runs: mean rate, interval over runs."
    if tolerance is not None:
        note += " Hollow marks at the budget: not reached."
    return "What the timescale ratio κ does", subtitle, note


def _rows(
    found: dict[float, Curves],
    ends: dict[float, tuple[float, float, float]],
    tolerance: float | None,
    quantiles: tuple[float, float],
) -> tuple[tuple[Any, ...], ...]:
    rows: list[tuple[Any, ...]] = []
    for kappa, part in found.items():
        low, middle, high = part.quantile(quantiles[0]), part.middle(), part.quantile(quantiles[1])
        data = zip(part.steps, low, middle, high, strict=True)
        rows += [("gap", kappa, int(t), float(a), float(b), float(c)) for t, a, b, c in data]
    name = "last gap" if tolerance is None else f"steps to {tolerance:g}"
    rows += [(name, kappa, "", *end) for kappa, end in ends.items()]
    return tuple(rows)
