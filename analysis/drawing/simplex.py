"""Three actions: the simplex with every solution in it, and which reply is best where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon, Rectangle
from numpy.typing import ArrayLike

import stackelberg as sb
from analysis.comparison import FOLLOWER, LEADER, Row, compare
from analysis.drawing.comparison import policy_rows
from analysis.drawing.marks import draw_marks, mark, set_apart
from analysis.drawing.save import Drawing
from analysis.drawing.sheet import MARGIN, arrow, sheet, write
from analysis.drawing.style import GREY, INK, PALE, SMALL, TEXT, line_height, styled, text_width, wrapped
from analysis.drawing.triangle import CORNERS, Region, best_reply_regions, on_paper, roomiest
from analysis.tournament import one_context
from stackelberg.validation import Array, check_distribution, check_shape

SIDE = 3.7
"""Side of the triangle, in inches."""
BEYOND = np.array([[0.0, -0.22], [0.0, -0.22], [0.0, 0.22]])
"""From the corners to their names, in inches."""
TINTS = (("#DCEBF5", "////"), ("#FBEFD2", "...."), ("#E4F2EC", "\\\\\\\\"))
"""Colour and hatch of the regions."""


@styled
def draw_simplex(
    P: sb.PreferenceMatrix,
    solutions: Mapping[str, ArrayLike] | Sequence[sb.Solution] | None = None,
    *,
    tau: float = 0.1,
    actions: Sequence[str] | None = None,
    context: int | None = None,
) -> Drawing:
    """The simplex over three actions with the solutions in it, shaded by the best reply to each mixture.

    Args:
        P: preferences over three actions, or more with three of them named in ``actions``.
        solutions: what ``sb.solve`` returned, or policies (3,) by the name of their concept; by default those
            of :func:`analysis.comparison.compare`.
        tau: KL coefficient of the games, where no solutions are given.
        actions: three labels: P is restricted to them, as if there were no others.
        context: which context, where there are several.

    Example:
        >>> import stackelberg as sb
        >>> drawing = draw_simplex(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), tau=0)
        >>> drawing.columns
        ('kind', 'name', 'A', 'B', 'C')
        >>> [round(x, 3) for x in drawing.rows[2][2:]], drawing.rows[2][1]
        ([0.5, 0.2, 0.3], 'NLHF')
    """
    P = restricted_to(one_context(P, context), actions)
    policies = _policies(compare(P, tau=tau).rows if solutions is None else solutions)
    regions = best_reply_regions(P)
    corner = np.array([MARGIN + 0.7, 0.6])
    spots = dict(zip(policies, corner + SIDE * on_paper(np.array(list(policies.values()))), strict=True))
    ends = corner + SIDE * CORNERS
    places = set_apart(spots, ends.mean(axis=0), list(ends + BEYOND), (MARGIN, corner[0] + SIDE + 0.55))
    page = sheet(corner[0] + SIDE + 3.0, 0.866 * SIDE + 1.1, *_words(P, tau if solutions is None else None, actions))
    board = page.drawing_board()
    unnamed = _draw_regions(board, P, regions, corner, np.array([*spots.values(), *places.values()]))
    _draw_corners(board, P.labels, corner)
    if {LEADER, FOLLOWER} <= set(places):
        _draw_reply(board, places[LEADER], places[FOLLOWER])
    draw_marks(board, spots, places)
    _draw_legend(board, P.labels, policies, unnamed, np.array([corner[0] + SIDE + 0.7, page.body - 0.25]))
    return Drawing("simplex", page.figure, ("kind", "name", *P.labels), _rows(P, policies, regions))


def restricted_to(P: sb.PreferenceMatrix, actions: Sequence[str] | None) -> sb.PreferenceMatrix:
    """P over three actions: as it is, or restricted to those named."""
    if actions is None:
        if P.n != 3:
            raise ValueError(f"A triangle has room for three actions and P has {P.n}. Name three in actions=.")
        return P
    unknown = [name for name in actions if name not in P.labels]
    if unknown or len(set(actions)) != 3 or len(actions) != 3:
        wrong = f"P has no action {unknown[0]!r}" if unknown else f"these are not three different ones: {actions!r}"
        raise ValueError(f"actions must name three actions of P, but {wrong}.")
    order = [P.labels.index(name) for name in actions]
    return sb.PreferenceMatrix(P.probabilities[np.ix_(order, order)], tuple(actions))


def _policies(found: Mapping[str, ArrayLike] | Sequence[sb.Solution | Row]) -> dict[str, Array]:
    """Policies over three actions by the name of their concept, checked."""
    if not isinstance(found, Mapping):
        rows = [row for one in found for row in ((one,) if isinstance(one, Row) else policy_rows(one))]
        found = {row.concept: row.policy for row in rows if row.policy is not None}
    if not found:
        raise ValueError("There are no solutions to draw. Leave solutions out to have P solved.")
    return {name: check_shape(check_distribution(x, name), (3,), name) for name, x in found.items()}


def _words(P: sb.PreferenceMatrix, tau: float | None, actions: Sequence[str] | None) -> tuple[str, str, str]:
    """Title, subtitle and note."""
    subtitle = "Every point is a mixture of three actions, every corner one of them alone."
    if actions is not None:
        subtitle += f" P is restricted to {', '.join(P.labels)}."
    note = "Shading: which action is the best reply to the mixture. An arrow leads from Leader to Follower."
    return "Where the solutions lie" + ("" if tau is None else f" (τ = {tau:g})"), subtitle, note


def _draw_regions(
    board: Axes, P: sb.PreferenceMatrix, regions: list[Region], corner: Array, spots: Array
) -> list[tuple[str, Region]]:
    """Shade each region and write in it which reply is best; those without room for it are returned."""
    unnamed = []
    for region in regions:
        outline = corner + SIDE * on_paper(region.corners)
        board.add_patch(Polygon(outline, zorder=1, **_tint(region)))
        board.add_patch(Polygon(outline, fill=False, edgecolor=GREY, linewidth=0.8, zorder=2))
        names = " or ".join(P.labels[y] for y in region.actions)
        text = wrapped(f"best reply {names}", 1.2, SMALL)
        box = np.array([text_width(text, SMALL) + 0.1, (text.count("\n") + 1) * line_height(SMALL) + 0.1])
        place = roomiest(region, (spots - corner) / SIDE, box / SIDE)
        if place is None:
            unnamed.append((names, region))
            continue
        patch = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2.5}
        spot = corner + SIDE * place
        write(board, spot, text, size=SMALL, color=INK, ha="center", va="center", bbox=patch, zorder=3)
    return unnamed


def _tint(region: Region) -> dict[str, Any]:
    tint, hatch = TINTS[region.actions[0]]
    return {"facecolor": tint, "edgecolor": PALE, "hatch": hatch, "linewidth": 0}


def _draw_corners(board: Axes, labels: tuple[str, ...], corner: Array) -> None:
    ends = corner + SIDE * CORNERS
    board.add_patch(Polygon(ends, fill=False, edgecolor=INK, linewidth=1.4, zorder=3))
    for label, end, (side, drop) in zip(labels, ends, (("top", -0.12), ("top", -0.12), ("bottom", 0.12)), strict=True):
        text = wrapped(label, 1.4, TEXT, weight="bold", lines=2)
        board.text(end[0], end[1] + drop, text, size=TEXT, weight="bold", ha="center", va=side)


def _draw_reply(board: Axes, leader: Array, follower: Array) -> None:
    """An arrow from the Leader to its Follower, where they are apart."""
    if np.hypot(*(leader - follower)) > 0.4:
        look = {"mutation_scale": 9, "shrinkA": 7, "shrinkB": 7, "color": INK, "zorder": 4}
        arrow(board, leader, follower, connectionstyle="arc3,rad=0.15", **look)


def _draw_legend(
    board: Axes,
    labels: tuple[str, ...],
    policies: Mapping[str, Array],
    unnamed: list[tuple[str, Region]],
    start: Array,
) -> None:
    """Mark, name and probabilities of every solution, one below the other, then regions without a name."""
    left, top = start

    def line(text: str, size: float, below: float = 0.0, **look: Any) -> None:
        nonlocal top
        lines = wrapped(text, 2.0, size, lines=4, weight=look.get("weight", "normal"))
        board.text(left + 0.22, top, lines, size=size, va="top", linespacing=1.25, **look)
        top -= (lines.count("\n") + 1) * line_height(size) + below

    line(f"probabilities of {', '.join(labels)}", SMALL, 0.12, color=GREY)
    for name, policy in policies.items():
        board.plot(left, top - 0.065, **mark(name))
        line(name, TEXT, weight="bold")
        line(" · ".join(f"{probability:.3f}" for probability in policy), SMALL, 0.12)
    for name, region in unnamed:
        board.add_patch(Rectangle((left - 0.1, top - 0.14), 0.2, 0.14, zorder=1, **_tint(region)))
        line(f"best reply {name}", SMALL, 0.06)


def _rows(P: sb.PreferenceMatrix, policies: Mapping[str, Array], regions: list[Region]) -> tuple[tuple[Any, ...], ...]:
    rows = [("solution", name, *policy.tolist()) for name, policy in policies.items()]
    for region in regions:
        names = " or ".join(P.labels[y] for y in region.actions)
        rows += [("corner of the region of best reply", names, *corner.tolist()) for corner in region.corners]
    return tuple(rows)
