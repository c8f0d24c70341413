"""The map of learning rate and κ: where a solver converges, cycles or diverges."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from analysis.drawing.lines import power_of_ten
from analysis.drawing.save import Drawing
from analysis.drawing.sheet import MARGIN, sheet
from analysis.drawing.style import GREY, INK, SMALL, line_height, styled, wrapped
from analysis.timescales import Outcome, Timescales

CELL, LEGEND = (0.62, 0.46), 2.3
"""Inches: width and height of a cell, width of the legend."""
QUICK, SLOW = "#EAF3F9", "#2E6DA0"
"""Ends of the shade: the slower the darker."""
MARKS: dict[Outcome, tuple[str, str, str]] = {
    Outcome.CYCLES: ("○", "#FBEFD2", "////"),
    Outcome.DIVERGES: ("✕", "#F3D3C8", "xxxx"),
    Outcome.UNSETTLED: ("…", "#F4F4F4", "...."),
}
"""Symbol, colour and hatch: any of them tells an outcome."""


@styled
def draw_timescales(found: Timescales) -> Drawing:
    """Heat map of κ against the learning rate: steps to the tolerance, or how the run failed to come there.

    A run that converges has its number of steps, the darker the slower. Cycles, divergence and runs that are
    still on their way have each a symbol and a hatch, so that the map reads in black and white.

    Args:
        found: from :func:`analysis.timescales.timescales`.

    Example:
        >>> import stackelberg as sb
        >>> from analysis.figures import draw_timescales, timescales
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2]), tau=0.5)
        >>> draw_timescales(timescales(game, sb.MirrorDescent, [0.5, 6.0], [1, 2], steps=500)).rows[0]
        ('MirrorDescent', 1.0, 0.5, 'CONVERGES', 18.0, 8.55...e-07)
    """
    (down, across), (wide, high) = found.steps.shape, CELL
    left = MARGIN + 0.75
    body = max(down * high + 0.75, 2.7)
    page = sheet(left + across * wide + 0.45 + LEGEND + MARGIN, body, *_words(found))
    grid = page.axes(left, body - 0.1 - down * high, across * wide, down * high)
    _frame(grid, found)
    shades = LinearSegmentedColormap.from_list("steps", [QUICK, SLOW])
    shown = _shares(found)
    for i in range(down):
        for j in range(across):
            _draw_cell(
                grid, (j, i), found.outcomes[i][j], found.steps[i, j], shades(shown[i, j]), bool(shown[i, j] > 0.6)
            )
    _draw_legend(page.drawing_board(), found, shades, left + across * wide + 0.45, body - 0.1)
    columns = ("solver", "kappa", "learning_rate", "outcome", "steps", "gap")
    return Drawing("timescales", page.figure, columns, _rows(found))


def _shares(found: Timescales) -> Any:
    """How dark each cell is, 0 to 1, by the logarithm of its steps."""
    steps = np.where(np.isnan(found.steps), 1.0, np.maximum(found.steps, 1.0))
    quickest, budget = _ends(found)
    return np.clip(np.log(steps / quickest) / np.log(budget / quickest), 0, 1)


def _ends(found: Timescales) -> tuple[float, float]:
    """The quickest run, and the budget."""
    reached = found.steps[~np.isnan(found.steps)]
    quickest = max(float(reached.min(initial=found.budget)), 1.0)
    return min(quickest, found.budget / 2), float(found.budget)


def _frame(grid: Axes, found: Timescales) -> None:
    down, across = found.steps.shape
    grid.set_xlim(-0.5, across - 0.5)
    grid.set_ylim(-0.5, down - 0.5)
    grid.set_xticks(range(across), [f"{rate:.3g}" for rate in found.rates])
    grid.set_yticks(range(down), [f"{kappa:.3g}" for kappa in found.kappas])
    grid.tick_params(length=0)
    grid.spines[:].set_visible(False)
    grid.set_xlabel("learning rate of the Leader")
    grid.set_ylabel("κ = η_F / η_L")


def _draw_cell(grid: Axes, spot: tuple[int, int], outcome: Outcome, steps: float, shade: Any, dark: bool) -> None:
    corner = (spot[0] - 0.5, spot[1] - 0.5)
    edge: dict[str, Any] = {"edgecolor": "white", "linewidth": 1.2, "zorder": 1}
    words: dict[str, Any] = {"ha": "center", "va": "center", "size": SMALL, "zorder": 3}
    if outcome is Outcome.CONVERGES:
        grid.add_patch(Rectangle(corner, 1, 1, facecolor=shade, **edge))
        grid.text(*spot, f"{int(steps):,}", color="white" if dark else INK, **words)
        return
    symbol, colour, _ = MARKS[outcome]
    _draw_failure(grid, corner, (1, 1), outcome)
    patch: dict[str, Any] = {"facecolor": colour, "edgecolor": "none", "pad": 1.5}
    grid.text(*spot, symbol, color=INK, bbox=patch, **(words | {"size": SMALL + 3, "weight": "bold"}))


def _draw_failure(axes: Axes, corner: tuple[float, float], size: tuple[float, float], outcome: Outcome) -> None:
    """The tint and the hatch of an outcome, in a white frame."""
    _, colour, hatch = MARKS[outcome]
    axes.add_patch(Rectangle(corner, *size, facecolor=colour, edgecolor=GREY, hatch=hatch, linewidth=0, zorder=1))
    axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", linewidth=1.2, zorder=2))


def _draw_legend(board: Axes, found: Timescales, shades: Any, left: float, top: float) -> None:
    """The shade with its ends, then each outcome that occurs."""
    quickest, budget = _ends(found)
    board.text(left, top, "steps to the tolerance", size=SMALL, weight="bold", va="top")
    top -= line_height(SMALL) + 0.28
    for k in range(20):
        board.add_patch(Rectangle((left + 0.07 * k, top), 0.07, 0.2, facecolor=shades(k / 19), linewidth=0))
    board.text(left, top - 0.05, f"{quickest:,.0f}", size=SMALL, va="top")
    board.text(left + 1.4, top - 0.05, f"{budget:,.0f}", size=SMALL, va="top", ha="right")
    top -= 0.45
    for outcome, (symbol, colour, _) in MARKS.items():
        if not any(outcome in row for row in found.outcomes):
            continue
        _draw_failure(board, (left, top - 0.26), (0.36, 0.3), outcome)
        patch: dict[str, Any] = {"facecolor": colour, "edgecolor": "none", "pad": 1.0}
        board.text(left + 0.18, top - 0.11, symbol, ha="center", va="center", size=SMALL + 2, bbox=patch, zorder=3)
        text = wrapped(outcome.value, LEGEND - 0.5, SMALL)
        board.text(left + 0.48, top, text, size=SMALL, va="top", linespacing=1.25)
        top -= max((text.count("\n") + 1) * line_height(SMALL), 0.3) + 0.12


def _words(found: Timescales) -> tuple[str, str, str]:
    subtitle = f"Number and shade: steps until the gap is at most {power_of_ten(found.tolerance)}."
    note = f"Every run from the references, at most {found.budget:,} steps."
    return f"Where {found.solver} converges", subtitle, note


def _rows(found: Timescales) -> tuple[tuple[Any, ...], ...]:
    return tuple(
        (found.solver, kappa, rate, found.outcomes[i][j].name, float(found.steps[i, j]), float(found.gap[i, j]))
        for i, kappa in enumerate(found.kappas.tolist())
        for j, rate in enumerate(found.rates.tolist())
    )
