"""Learning runs on the simplex of three actions: paths over the field that pulls them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon

import stackelberg as sb
from analysis.drawing.lines import LINES, Entry, LineLook, legend_height, looks, write_legend
from analysis.drawing.runs import Runs, checked, solutions
from analysis.drawing.save import Drawing
from analysis.drawing.sheet import MARGIN, arrow, sheet
from analysis.drawing.style import GREY, INK, PALE, SMALL, TEXT, line_height, styled, wrapped
from analysis.drawing.triangle import CORNERS, on_paper
from stackelberg.field import natural_field
from stackelberg.policy import Tabular
from stackelberg.simplex import log_of
from stackelberg.validation import Array

SIDE, LEGEND = 4.3, 2.3
"""Inches: side of the triangle, width of the legend."""
GRID = 13
"""Arrows of the field along a side."""
LONGEST = 0.26
"""Inches of the longest arrow of the field."""


@styled
def draw_trajectories(runs: Mapping[str, Runs]) -> Drawing:
    """Paths of the first mover's policy on the simplex of three actions, over the field of the game.

    The arrows are how the policy would move under the natural gradient, ``dπ/dt = π (u − E_π u)``: in a
    Stackelberg game u is the Leader's when the Follower replies best, ``V(y) − τ_L log π/π_ref``; in a Nash game
    it is that of one policy against itself. Their lengths are square roots of the speeds.

    Args:
        runs: by name, what ``sb.solve`` learned in one game with ``record=sb.Record(policies=True)``: one
            solution, or several, say from different starts.

    Raises:
        ValueError: not three actions, contexts, policies that were not recorded, or different games.

    Example:
        >>> import stackelberg as sb
        >>> from analysis.figures import draw_trajectories
        >>> game, record = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.1), sb.Record(policies=True)
        >>> run = sb.solve(game, sb.EGPO(learning_rate=0.5), steps=100, start=[0.8, 0.1, 0.1], record=record)
        >>> drawing = draw_trajectories({"EGPO": run})
        >>> drawing.columns, drawing.rows[1]
        (('kind', 'name', 'steps', '0', '1', '2'), ('path 1', 'EGPO', 0, 0.8, 0.1, 0.1))
    """
    checked(runs)
    game = _one_game(runs)
    exact = _first(sb.solve(game))
    labels = game.preference.labels
    entries = [Entry(name, look, _facts(run)) for (name, run), look in zip(runs.items(), looks(len(runs)), strict=True)]
    corner = np.array([MARGIN + 0.5, 0.45])
    body = max(0.866 * SIDE + 0.9, legend_height(entries, LEGEND) + 1.2)
    page = sheet(corner[0] + SIDE + 0.6 + LEGEND + MARGIN, body, *_words(game))
    board = page.drawing_board()
    _draw_frame(board, labels, corner)
    arrows = _draw_field(board, game, corner)
    rows: list[tuple[Any, ...]] = [("exact solution", "", "", *exact.tolist())]
    for (name, run), look in zip(runs.items(), looks(len(runs)), strict=True):
        rows += _draw_paths(board, name, run, look, corner)
    _draw_star(board, corner + SIDE * on_paper(exact))
    left, top = corner[0] + SIDE + 0.55, body - 0.15
    _draw_key(board, left, write_legend(board, entries, left, top, LEGEND))
    return Drawing("trajectories", page.figure, ("kind", "name", "steps", *labels), (*rows, *arrows))


def _one_game(runs: Mapping[str, Runs]) -> Any:
    """The game of all runs, with its policies on a triangle."""
    every = [one for run in runs.values() for one in solutions(run)]
    game: Any = every[0].game
    if game.preference.n != 3 or game.preference.contexts is not None:
        raise ValueError("A triangle shows one game of three actions without contexts. Choose three actions of P.")
    for one in every:
        same = type(one.game) is type(game) and np.array_equal(
            one.game.preference.probabilities, game.preference.probabilities
        )
        if not same or not np.array_equal(one.game.tau, game.tau):  # type: ignore[attr-defined]
            raise ValueError("These runs are of different games, and the field is of one. Draw them apart.")
        if one.trajectory is None or one.trajectory.policies is None:
            raise ValueError("The policies on the way were not recorded. Solve with record=sb.Record(policies=True).")
    return game


def _first(solution: sb.Solution) -> Array:
    """The first mover's policy."""
    found = solution.leader if isinstance(solution, sb.StackelbergSolution) else solution.policy  # type: ignore[attr-defined]
    return np.asarray(found)


def _facts(run: Runs) -> list[str]:
    """How the runs of a name ended."""
    every = solutions(run)
    gaps = [float(one.gap) for one in every]
    steps = max(int(one.trajectory.steps[-1]) for one in every if one.trajectory is not None)
    most = f"{max(gaps):.1e}" if max(gaps) > 0 else "0"
    worst = f"gap {most}" if len(gaps) == 1 else f"{len(gaps)} runs, gaps up to {most}"
    return [f"{worst} after {steps:,} steps"]


def _words(game: Any) -> tuple[str, str, str]:
    two = isinstance(game, sb.StackelbergGame)
    who = "the Leader" if two else "the policy"
    tau = f"τ_L = {float(game.tau_leader[0]):g}" if two else f"τ = {float(game.tau[0]):g}"
    note = "Arrows: the natural gradient of the policy" + (" against a Follower that replies best." if two else ".")
    note += " The longer the faster, by the square root."
    if two:
        note += " A Follower that learns replies otherwise at first, so paths may leave the arrows."
    return f"Where {who} goes ({tau})", "Every point is a mixture of three actions, every corner one of them.", note


def _draw_frame(board: Axes, labels: tuple[str, ...], corner: Array) -> None:
    ends = corner + SIDE * CORNERS
    board.add_patch(Polygon(ends, fill=False, edgecolor=INK, linewidth=1.2, zorder=3))
    for label, end, (side, drop) in zip(labels, ends, (("top", -0.1), ("top", -0.1), ("bottom", 0.1)), strict=True):
        text = wrapped(label, 1.4, TEXT, weight="bold", lines=2)
        board.text(end[0], end[1] + drop, text, size=TEXT, weight="bold", ha="center", va=side)


def leader_field(game: Any, policies: Array) -> Array:
    """The field u of the first mover, (…, 3): the Leader's when the Follower replies best, one policy's against itself.

    Args:
        game: of three actions, without contexts.
        policies: (…, 3), inside the simplex.
    """
    if isinstance(game, sb.StackelbergGame):
        values = sb.solve(game).values
        return np.asarray(values + game.tau_leader * (log_of(game.leader_reference) - np.log(policies)))
    tables = (Tabular.from_probabilities(policies.reshape(-1, 3)),)
    return np.asarray(natural_field(game).at(tables).total[0]).reshape(policies.shape)


def _draw_field(board: Axes, game: Any, corner: Array) -> list[tuple[Any, ...]]:
    """An arrow at each point of a grid inside the triangle."""
    k = GRID
    counts = [(i + 1 / 3, j + 1 / 3, k - i - j - 2 / 3) for i in range(k) for j in range(k - i)]
    policies = np.array(counts) / k
    u = leader_field(game, policies)
    motion = policies * (u - (policies * u).sum(axis=-1, keepdims=True))
    way = on_paper(motion)  # a difference of policies is a difference on paper
    speed = np.hypot(*way.T)
    length = LONGEST * np.sqrt(speed / max(float(speed.max()), 1e-300))
    ahead = way / np.maximum(speed, 1e-300)[:, None] * length[:, None]
    for spot, step, size in zip(corner + SIDE * on_paper(policies), ahead, length, strict=True):
        if size > 0.03:
            look = {"mutation_scale": 3 + 14 * size, "shrinkA": 0, "shrinkB": 0, "linewidth": 0.7, "color": PALE}
            arrow(board, spot - step / 2, spot + step / 2, zorder=1, **look)
    rows = zip(policies.tolist(), motion.tolist(), strict=True)
    return [row for at, by in rows for row in (("field at", "", "", *at), ("field is", "", "", *by))]


def _draw_paths(board: Axes, name: str, run: Runs, look: LineLook, corner: Array) -> list[tuple[Any, ...]]:
    """Every run's path, a hollow mark where it starts and a full one where it ends."""
    rows: list[tuple[Any, ...]] = []
    size = max(8.5 - 1.5 * LINES.index(look), 4.0)  # marks on one spot stay visible round each other
    for number, one in enumerate(solutions(run), 1):
        seen = one.trajectory
        assert seen is not None
        assert seen.policies is not None
        path = corner + SIDE * on_paper(seen.policies[0])
        board.plot(*path.T, color=look.colour, linestyle=look.dashes, linewidth=1.3, zorder=4)
        board.plot(*path[0], look.marker, color=look.colour, markerfacecolor="white", markersize=size, zorder=6)
        ends: dict[str, Any] = {"color": look.colour, "markeredgecolor": "white", "markersize": size, "zorder": 9}
        board.plot(*path[-1], look.marker, clip_on=False, **ends)
        steps = zip(seen.steps, seen.policies[0], strict=True)
        rows += [(f"path {number}", name, int(t), *policy.tolist()) for t, policy in steps]
    return rows


def _draw_star(board: Axes, spot: Array) -> None:
    edge: dict[str, Any] = {"markeredgecolor": INK, "markeredgewidth": 0.9, "markerfacecolor": "#F0E442"}
    board.plot(*spot, "*", markersize=19, zorder=5, clip_on=False, **edge)


def _draw_key(board: Axes, left: float, top: float) -> None:
    """What the marks mean."""
    middle = np.array([left + 0.19, top - 0.5 * line_height(SMALL)])
    _draw_star(board, middle)
    board.text(left + 0.48, top, "exact solution", size=SMALL, va="top")
    for drop, face, words in ((0.24, "white", "hollow mark: start"), (0.48, GREY, "full mark: end")):
        spot = middle - [0, drop]
        board.plot(*spot, "o", color=GREY, markerfacecolor=face, markersize=6)
        board.text(left + 0.48, top - drop, words, size=SMALL, va="top")
