"""The Follower's refinement chain: the graph it walks on, and what each round brings."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator

import stackelberg as sb
from analysis.drawing.labels import bent, place_labels, ring_labels, spread_out
from analysis.drawing.save import Drawing
from analysis.drawing.sheet import MARGIN, Sheet, arrow, sheet, write
from analysis.drawing.style import BLACK, BLUE, INK, ORANGE, PALE, SMALL, styled
from analysis.drawing.walk import LEAST, REPLIES, Walk, ending, walk_of
from analysis.resampling import whole_number
from stackelberg.validation import Array

RADIUS, BEND = 1.45, 0.16


@styled
def draw_refinement(
    solution: sb.StackelbergSolution, rounds: int = 4, *, nash: sb.NashSolution | None = None
) -> Drawing:
    """The chain of the Follower's improvements, and round by round what it brings beside plain sampling.

    Args:
        solution: of a Stackelberg game without contexts.
        rounds: N, the number of answers, the first one included.
        nash: the policy to sample from for comparison; by default the Nash equilibrium with the Leader's τ
            and reference.

    Example:
        >>> import stackelberg as sb
        >>> drawing = draw_refinement(sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0)), 3)
        >>> [row for row in drawing.rows if row[0] == "p(y_k ≻ y_1)"]
        [('p(y_k ≻ y_1)', 1, '', '', 0.5), ('p(y_k ≻ y_1)', 2, '', '', 1.0), ('p(y_k ≻ y_1)', 3, '', '', 0.0)]
    """
    walk = walk_of(solution, whole_number("rounds", rounds), nash)
    labels = solution.game.labels
    dots = _dots(walk)
    clear = np.array([dots[i] + (0.3 if (i, i) in walk.arcs else 0.08) for i in walk.actions])
    rim = ring_labels([labels[i] for i in walk.actions], walk.angles, RADIUS, clear)
    graph = max(rim.right - rim.left, 3.0)
    plots = MARGIN + graph + 0.85
    body = max(rim.top - rim.bottom, 3.9) + 0.1
    page = sheet(plots + 2.5 + 1.75, body, *_words(solution, walk))
    board = page.drawing_board()
    centre = np.array([MARGIN + (graph - rim.right - rim.left) / 2, (body - rim.top - rim.bottom) / 2])
    _draw_graph(board, walk, centre, dots)
    rim.write(board, centre)
    _draw_rounds(page, walk, plots, body)
    return Drawing("refinement", page.figure, ("what", "round", "from", "to", "probability"), _rows(walk, labels))


def _words(solution: sb.StackelbergSolution, walk: Walk) -> tuple[str, str, str]:
    """Title, subtitle and note."""
    subtitle = "The Leader answers, the Follower improves the answer, sees the result and improves it again. "
    note = "Disc: the Leader's probability. Arc: the Follower's, the wider the likelier"
    note += f" (each action's {REPLIES} likeliest replies, none below {LEAST:g}). Coverage: a user's favourite, any "
    note += "action alike, is among the first k answers."
    left_out = solution.game.preference.n - len(walk.actions)
    if left_out:
        note += f" Not drawn: {left_out} actions seldom or never reached."
    leader, follower = float(solution.game.tau_leader[0]), float(solution.game.tau_follower[0])
    tau = f"τ = {leader:g}" if leader == follower else f"τ_L = {leader:g}, τ_F = {follower:g}"
    return f"Refinement along the Follower's chain ({tau})", subtitle + ending(solution), note


def _dots(walk: Walk) -> dict[int, float]:
    """Radius of each action's disc, in inches: area as the Leader's probability, and never nothing."""
    return {i: 0.07 + 0.27 * float(np.sqrt(walk.start[i])) for i in walk.actions}


def _draw_graph(board: Axes, walk: Walk, centre: Array, dots: dict[int, float]) -> None:
    spots = centre + RADIUS * np.column_stack([np.cos(walk.angles), np.sin(walk.angles)])
    places = dict(zip(walk.actions, spots, strict=True))
    for i, j in walk.arcs:
        _draw_arc(board, walk.follower[i, j], places[i], places[j], (dots[i], dots[j]), centre)
    moves = [(i, j) for i, j in walk.arcs if i != j]
    if len(moves) <= 12:
        curves = [bent(places[i], places[j], BEND) for i, j in moves]
        texts = [f"{walk.follower[i, j]:.2f}" for i, j in moves]
        place_labels(board, curves, texts, [{"color": INK}] * len(moves), list(places.values()))
    for i, spot in places.items():
        board.add_patch(
            Circle(spot, dots[i], facecolor=BLACK if walk.start[i] > 0 else "white", zorder=4, edgecolor=BLACK)
        )
        if dots[i] > 0.17:
            write(board, spot, f"{walk.start[i]:.2f}", color="white", size=SMALL, ha="center", va="center", zorder=5)


def _draw_arc(
    board: Axes, probability: float, start: Array, end: Array, dots: tuple[float, float], centre: Array
) -> None:
    """One reply: a bent arrow, or a loop outside the ring where the Follower keeps the answer."""
    look: dict[str, Any] = {"color": ORANGE, "linewidth": 0.6 + 3.6 * probability, "zorder": 2}
    look["mutation_scale"] = 7 + 5 * probability
    if start is not end:
        shrink = {"shrinkA": 72 * dots[0], "shrinkB": 72 * dots[1] + 1}
        arrow(board, start, end, connectionstyle=f"arc3,rad={BEND}", **shrink, **look)
        return
    out = (start - centre) / max(float(np.hypot(*(start - centre))), 1e-9)
    across = np.array([-out[1], out[0]])
    foot = start + 0.8 * dots[0] * out
    feet = foot + 0.55 * dots[0] * across, foot - 0.55 * dots[0] * across
    width = float(np.hypot(*(feet[0] - feet[1])))
    bend = -2 * 0.24 / width
    arrow(board, *feet, connectionstyle=f"arc3,rad={bend}", shrinkA=0, shrinkB=0, **look)


def _draw_rounds(page: Sheet, walk: Walk, left: float, body: float) -> None:
    """Two panels: p(y_k ≻ y_1), and coverage with its baselines."""
    height = (body - 1.35) / 2
    wins = page.axes(left, body - 0.3 - height, 2.5, height)
    wins.set_title("Win rate over the first answer, p(y_k ≻ y_1)")
    wins.axhline(0.5, color=PALE, linewidth=1, linestyle=(0, (4, 2)))
    rate = walk.refinement.win_rate
    reach = max(float(np.abs(rate - 0.5).max()) * 1.15, 0.02)
    wins.set_ylim(0.5 - reach, 0.5 + reach)
    _line(wins, rate, BLACK, "D", "-", height, [("refined", float(rate[-1]), BLACK)])
    covered = page.axes(left, 0.5, 2.5, height)
    covered.set_title("Coverage of a user's favourite")
    covered.set_ylim(0, 1.05)
    covered.set_xlabel("answers k")
    series = (
        ("SLHF, refined", walk.refinement.coverage(), BLACK, "D", "-"),
        ("NLHF, independent", walk.independent, BLUE, "o", (0, (1, 1.5))),
        ("NLHF, no repeats", walk.distinct, BLUE, "s", (0, (4, 2.5))),
    )
    ends = [(name, float(values[-1]), colour) for name, values, colour, *_ in series]
    for number, (_, values, colour, marker, dashes) in enumerate(series):
        _line(covered, values, colour, marker, dashes, height, ends if number == 2 else [])


def _line(
    axes: Axes, values: Array, colour: str, marker: str, dashes: Any, height: float, ends: list[tuple[str, float, str]]
) -> None:
    """A line over the rounds; names in its colour behind its end."""
    rounds = np.arange(1, len(values) + 1)
    look = {"markersize": 4.0} if marker == "D" else {"markersize": 7.5, "markerfacecolor": "none"}
    axes.plot(rounds, values, color=colour, marker=marker, linestyle=dashes, clip_on=False, **look)
    axes.set_xlim(0.9, max(len(values), 1) + 0.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    axes.set_ylabel("probability")
    axes.grid(axis="y")
    low, high = axes.get_ylim()
    inch = (high - low) / height
    heights = spread_out([value for _, value, _ in ends], 0.16 * inch, low, high)
    for (name, value, ink), place in zip(ends, heights, strict=True):
        spot = (1 + 0.08 / 2.5, (place - low) / (high - low))
        text = f"{name} {value:.3f}"
        axes.text(*spot, text, transform=axes.transAxes, color=ink, size=SMALL, va="center")


def _rows(walk: Walk, labels: tuple[str, ...]) -> tuple[tuple[Any, ...], ...]:
    rows: list[tuple[Any, ...]] = [("Leader", 1, labels[i], "", float(walk.start[i])) for i in walk.actions]
    rows += [("Follower", "", labels[i], labels[j], float(walk.follower[i, j])) for i, j in walk.arcs]
    series = {
        "p(y_k ≻ y_1)": walk.refinement.win_rate,
        "coverage SLHF": walk.refinement.coverage(),
        "coverage NLHF independent": walk.independent,
        "coverage NLHF without replacement": walk.distinct,
    }
    for name, values in series.items():
        rows += [(name, k + 1, "", "", float(value)) for k, value in enumerate(values)]
    return tuple(rows)
