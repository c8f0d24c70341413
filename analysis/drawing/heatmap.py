"""The preference matrix as a heat map."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

import stackelberg as sb
from analysis.drawing.save import Drawing
from analysis.drawing.sheet import MARGIN, Sheet, sheet
from analysis.drawing.style import INK, SMALL, decimals, line_height, styled, text_width, wrapped
from analysis.tournament import majority, margins, one_context, smith_set
from stackelberg.validation import Array

NUMBERED = 12
"""Up to so many actions every cell has its number."""
NAMED = 80
"""Up to so many actions rows and columns have names."""

LOSES, EVEN, WINS = ("#FFF4DC", "#F5C77E"), "#C2C2C2", ("#5E93BF", "#0B3766")
"""Pale orange to grey to dark blue: two hues that part at ½, and ever darker, so that grey print keeps the order."""


@cache
def preference_colours() -> LinearSegmentedColormap:
    """The colour map of preferences: ½ is grey, losing pale orange, winning dark blue; darker is always more.

    >>> [round(float(np.dot(preference_colours()(p)[:3], [0.299, 0.587, 0.114])), 1) for p in (0.0, 0.5, 1.0)]
    [1.0, 0.8, 0.2]
    """
    return LinearSegmentedColormap.from_list("preference", [*LOSES, EVEN, *WINS], N=512)


@styled
def draw_heatmap(P: sb.PreferenceMatrix, *, context: int | None = None) -> Drawing:
    """The preference matrix as a heat map, the strongest first, the Smith set framed.

    Actions are ordered by wins less losses (Copeland), then by mean win rate (Borda). In a transitive world
    everything above the diagonal is a win; what is not stands out.

    Args:
        P: preferences, one matrix, or one a context.
        context: which context, where there are several.

    Example:
        >>> import stackelberg as sb
        >>> drawing = draw_heatmap(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]))
        >>> drawing.columns, drawing.rows[:2]
        (('row', 'column', 'p'), (('B', 'B', 0.5), ('B', 'A', 0.35)))
    """
    P = one_context(P, context)
    beats = majority(P)
    wins = beats.sum(axis=-1) - beats.sum(axis=-2)
    order = np.lexsort((-margins(P).sum(axis=-1), -wins))
    labels = [P.labels[i] for i in order]
    p = P.probabilities[np.ix_(order, order)]
    size = len(labels)
    members = int(smith_set(beats).sum())
    page, grid = _page(P, labels, members)
    image = _cells(grid, p, preference_colours())
    if members < size:
        frame: dict[str, Any] = {"fill": False, "edgecolor": INK, "linewidth": 1.8, "clip_on": False, "zorder": 5}
        grid.add_patch(Rectangle((-0.5, -0.5), members, members, **frame))
    _scale(page, grid, image)
    rows = tuple((labels[i], labels[j], float(p[i, j])) for i in range(size) for j in range(size))
    return Drawing("heatmap", page.figure, ("row", "column", "p"), rows)


def _page(P: sb.PreferenceMatrix, labels: list[str], members: int) -> tuple[Sheet, Axes]:
    """The sheet with axes for the cells, names on two sides."""
    n = len(labels)
    cell = max(0.46, 2 / n) if n <= NUMBERED else max(6.2 / n, 0.135 if n <= NAMED else 0.0)
    type_size, lines = (SMALL if cell > 0.16 else 6.5), 2 if cell > 0.3 else 1
    named = labels if n <= NAMED else []
    rows = [wrapped(label, 1.5, type_size, lines=lines) for label in named]
    columns = [wrapped(label, 1.3, type_size, lines=lines) for label in named]
    longest = max((text_width(text, type_size) for text in columns), default=0.0)
    level = longest < 0.9 * cell
    left = MARGIN + 0.3 + max((text_width(text, type_size) for text in rows), default=0.0) + 0.1
    above = 0.4 + (line_height(type_size) if level else longest)
    side = n * cell
    page = sheet(max(left + side + 1.1, 5.2), above + side + 0.1, *_words(P, n, members))
    grid = page.axes(left, 0.1, side, side)
    grid.set_xticks(range(len(columns)), columns, rotation=0 if level else 90, fontsize=type_size)
    grid.set_yticks(range(len(rows)), rows, fontsize=type_size)
    grid.tick_params(length=0, pad=4, top=True, labeltop=True, bottom=False, labelbottom=False)
    grid.spines[:].set_visible(False)
    grid.set_ylabel("this action y …")
    grid.set_xlabel("… against this one, y'")
    grid.xaxis.set_label_position("top")
    return page, grid


def _words(P: sb.PreferenceMatrix, n: int, members: int) -> tuple[str, str, str]:
    what = "Condorcet winner" if members == 1 else f"Smith set ({members} of {n})"
    subtitle = "How often the action of the row is preferred to that of the column."
    subtitle += f" Framed: the {what}." if members < n else ""
    note = "Ordered by wins less losses, then by mean win rate."
    if n > NAMED:
        note += " Too many actions for their names; the data file has them in this order."
    if P.never_compared:
        note += f" Never compared, and so ½: {len(P.never_compared)} pairs."
    return "Preferences, the strongest first", subtitle, note


def _cells(grid: Axes, p: Array, colours: LinearSegmentedColormap) -> AxesImage:
    """The cells, with numbers where there are few."""
    n = len(p)
    reach = max(float(np.abs(p - 0.5).max()), 1e-3)
    image = grid.imshow(p, cmap=colours, norm=Normalize(0.5 - reach, 0.5 + reach), interpolation="nearest")
    if n <= NUMBERED:
        edges = np.arange(n + 1) - 0.5
        grid.hlines(edges, -0.5, n - 0.5, color="white", linewidth=1)
        grid.vlines(edges, -0.5, n - 0.5, color="white", linewidth=1)
        digits = decimals(p.ravel().tolist())
        for (i, j), value in np.ndenumerate(p):
            ink = "white" if value > 0.5 + 0.4 * reach else INK
            weight = "bold" if value > 0.5 else "normal"
            text = "½" if i == j else f"{value:.{digits}f}"
            grid.text(j, i, text, size=SMALL, color=ink, weight=weight, ha="center", va="center")
    return image


def _scale(page: Sheet, grid: Axes, image: AxesImage) -> None:
    """The colour scale beside the cells, ½ marked."""
    box = grid.get_position()
    across, up = page.figure.get_size_inches()
    height = min(box.height * up, 3.0)
    bar_axes = page.figure.add_axes((box.x1 + 0.2 / across, box.y1 - height / up, 0.14 / across, height / up))
    bar = page.figure.colorbar(image, cax=bar_axes)
    bar.outline.set_visible(False)
    ticks = np.linspace(*image.get_clim(), 5)
    bar.set_ticks(ticks.tolist(), labels=["½" if tick == ticks[2] else f"{tick:.3f}" for tick in ticks])
    bar.set_label("p(y ≻ y'), probability", labelpad=4)
