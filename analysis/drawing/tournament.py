"""The tournament graph: who beats whom, and the cycle at the top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle

import stackelberg as sb
from analysis.drawing.labels import place_labels, ring_labels, straight
from analysis.drawing.ring import cycle_through, seats
from analysis.drawing.save import Drawing
from analysis.drawing.sheet import arrow, sheet, write
from analysis.drawing.style import BLUE, GREY, INK, PALE, SMALL, decimals, shortened, styled
from analysis.scoring import names
from analysis.tournament import Mask, majority, one_context, smith_set
from stackelberg.validation import Array

NUMBERED = 7
"""Up to so many actions every arrow has its number; beyond, only those of the cycle."""
MOST = 50
"""No more actions than this are drawn."""
CROWD = 25
"""With more, only the Smith set is drawn."""
CLEAREST = 120
"""Where there are more arrows than this, only the clearest are drawn beside the cycle."""
ROOMY = 18
"""Up to so many actions there is room for numbers on the cycle."""


@dataclass(frozen=True, eq=False)
class Cast:
    """Who is drawn: indices into P, clockwise, with their places, and the cycle among them."""

    members: list[int]
    angles: Array
    ring: list[int]
    smith: Mask
    beats: Mask
    left_out: str

    @property
    def cycle(self) -> set[tuple[int, int]]:
        """The arrows (winner, loser) of the cycle drawn out."""
        return set(zip(self.ring, [*self.ring[1:], *self.ring[:1]], strict=True))


@styled
def draw_tournament(P: sb.PreferenceMatrix, *, context: int | None = None) -> Drawing:
    """The majority relation as a graph: an arrow from winner to loser, the top cycle drawn out.

    The Smith set stands at the top, filled. A cycle through it is bold: through all of it where it has no
    ties. Above 25 actions only the Smith set is drawn, above 50 members only those with most wins; the
    subtitle says so.

    Args:
        P: preferences, one matrix, or one a context.
        context: which context, where there are several.

    Example:
        >>> import stackelberg as sb
        >>> drawing = draw_tournament(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]))
        >>> drawing.columns
        ('winner', 'loser', 'p', 'in_cycle', 'drawn')
        >>> drawing.rows[0]
        ('A', 'B', 0.65, True, True)
    """
    P = one_context(P, context)
    cast = _cast(P)
    radius = 1.45 if len(cast.members) <= 4 else min(1.2 + 0.13 * len(cast.members), 3.4)
    dot = 0.19 if len(cast.members) <= CROWD else 0.09
    rim = ring_labels([P.labels[i] for i in cast.members], cast.angles, radius, np.full(len(cast.members), dot + 0.08))
    width = max(6.4, 2 * (max(abs(rim.left), rim.right) + 0.25))
    page = sheet(width, rim.top - rim.bottom + 0.1, *_words(P, cast))
    board = page.drawing_board()
    centre = np.array([width / 2, 0.05 - rim.bottom])
    spots = centre + radius * np.column_stack([np.cos(cast.angles), np.sin(cast.angles)])
    places = dict(zip(cast.members, spots, strict=True))
    _draw_arrows(board, P, cast, places, dot)
    _draw_nodes(board, cast, places, dot)
    rim.write(board, centre)
    return Drawing("tournament", page.figure, ("winner", "loser", "p", "in_cycle", "drawn"), _rows(P, cast))


def _cast(P: sb.PreferenceMatrix) -> Cast:
    """Choose who is drawn, and where."""
    beats = majority(P)
    smith = smith_set(beats)
    wins = beats.sum(axis=-1) - beats.sum(axis=-2)
    ranked = [int(i) for i in np.lexsort((-P.probabilities.sum(axis=-1), -wins))]
    top, left_out = [i for i in ranked if smith[i]], ""
    if len(top) > MOST:
        left_out = f"Only {CROWD} of the {len(top)} of the Smith set are drawn, those with most wins less losses."
        top = top[:CROWD]
    elif P.n > CROWD and len(top) < P.n:
        left_out = f"{P.n - len(top)} others are left out: each member of the Smith set beats each of them."
    rest = [] if P.n > CROWD else [i for i in ranked if not smith[i]]
    inside = beats[np.ix_(top, top)]
    ring = [top[k] for k in cycle_through(inside)]
    ring = ring[-(len(ring) // 2) :] + ring[: -(len(ring) // 2)] if rest else ring  # the best in the middle
    around, angles = seats([*ring, *(i for i in top if i not in ring)], rest)
    return Cast(around, angles, ring, smith, beats, left_out)


def _words(P: sb.PreferenceMatrix, cast: Cast) -> tuple[str, str, str]:
    """Title, subtitle and note."""
    drawn = len(cast.members)
    crowded, numbered = drawn > CROWD, drawn <= NUMBERED
    share = "the winner's share of the pair (probability)"
    note = ["An arrow runs from winner to loser" + (f", with {share}." if numbered else ".")]
    if not numbered and cast.ring and drawn <= ROOMY:
        note.append(f"Numbers: {share}.")
    arrows, pairs = int(cast.beats[np.ix_(cast.members, cast.members)].sum()), drawn * (drawn - 1) // 2
    if arrows > CLEAREST:
        note.append(f"Thin: the {CLEAREST} clearest of {arrows} wins; the other arrows are left out.")
    elif arrows < pairs:
        note.append("A pair without an arrow is tied.")
    if not crowded:
        note.append("In the circle: how many it beats.")
    if P.never_compared:
        note.append(f"Never compared, and so drawn as tied: {len(P.never_compared)} pairs.")
    title = "Who beats whom" + (f": {drawn} of {P.n} drawn" if cast.left_out else "")
    return title, " ".join(filter(None, [_found(P, cast), cast.left_out])), " ".join(note)


def _found(P: sb.PreferenceMatrix, cast: Cast) -> str:
    """The Condorcet winner or the Smith set, in words."""
    members = names(P.labels, cast.smith)
    if len(members) == 1:
        beaten = "the only one there is" if P.n == 1 else "who beats everyone else"
        return f"Condorcet winner (filled): {shortened(members[0], 60)}, {beaten}."
    if len(members) == P.n:
        found = f"No Condorcet winner. Smith set (filled): all {P.n}; no smaller group beats everyone outside it."
    else:
        found = f"No Condorcet winner. Smith set (filled): the smallest group, {len(members)} of {P.n}, that beats "
        found += "everyone outside it."
    number = len(cast.ring)
    return found + (
        f" Bold: a cycle through {'all' if number == len(members) else number} of its members." if number else ""
    )


def _draw_arrows(board: Axes, P: sb.PreferenceMatrix, cast: Cast, places: dict[int, Any], dot: float) -> None:
    arrows = [(i, j) for i in cast.members for j in cast.members if cast.beats[i, j]]
    crowded = len(cast.members) > CROWD
    if len(arrows) > CLEAREST:
        arrows = sorted(arrows, key=lambda arrow: -P.probabilities[arrow])[:CLEAREST]
        arrows = [*arrows, *sorted(cast.cycle - set(arrows))]
    for i, j in sorted(arrows, key=lambda arrow: arrow in cast.cycle):
        bold = (i, j) in cast.cycle
        inside = cast.smith[i] and cast.smith[j]
        look = {"color": BLUE, "linewidth": 2.4, "zorder": 3} if bold else _quiet(len(cast.members), inside)
        size = 13 if bold else 6 if crowded else 9
        arrow(board, places[i], places[j], mutation_scale=size, shrinkA=72 * dot, shrinkB=72 * dot + 1, **look)
    shown = arrows if len(cast.members) <= NUMBERED else sorted(cast.cycle) if len(cast.members) <= ROOMY else []
    digits = decimals([P.probabilities[i, j] for i, j in shown])
    texts = [f"{P.probabilities[i, j]:.{digits}f}" for i, j in shown]
    strong = {"color": BLUE, "weight": "bold"}
    looks = [strong if arrow in cast.cycle else {"color": GREY} for arrow in shown]
    place_labels(board, [straight(places[i], places[j]) for i, j in shown], texts, looks, list(places.values()))


def _quiet(number: int, inside: bool) -> dict[str, Any]:
    """An arrow that is not of the cycle: the fainter the more there are, and the more it is to be expected."""
    if number > CROWD:
        return {"color": PALE, "linewidth": 0.5, "zorder": 1}
    thin = 1.0 if number <= NUMBERED else 0.5
    return {"color": GREY if inside else PALE, "linewidth": thin, "zorder": 2 if inside else 1}


def _draw_nodes(board: Axes, cast: Cast, places: dict[int, Any], dot: float) -> None:
    for i in cast.members:
        top = bool(cast.smith[i])
        board.add_patch(
            Circle(places[i], dot, facecolor=BLUE if top else "white", edgecolor=BLUE if top else GREY, zorder=4)
        )
        if len(cast.members) <= CROWD:
            ink = "white" if top else INK
            wins = str(int(cast.beats[i].sum()))
            write(board, places[i], wins, size=SMALL, color=ink, ha="center", va="center", zorder=5)


def _rows(P: sb.PreferenceMatrix, cast: Cast) -> tuple[tuple[Any, ...], ...]:
    drawn = set(cast.members)
    return tuple(
        (P.labels[i], P.labels[j], float(P.probabilities[i, j]), (i, j) in cast.cycle, {i, j} <= drawn)
        for i, j in np.argwhere(cast.beats).tolist()
    )
