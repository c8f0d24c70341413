"""What ``stackelberg learn`` prints, writes and draws of a run."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

import stackelberg as sb
from stackelberg.commands import confess, console, draw, emit
from stackelberg.report import show_solution

GAMES = {sb.StackelbergGame: "stackelberg", sb.NashGame: "nash", sb.RewardGame: "reward"}


def show_run(solution: Any, folder: Path | None, seed: int, *, as_json: bool, figures: bool) -> None:
    """The answer as a table or JSON, into the folder too, and drawn where figures are wanted."""
    emit(document(solution), as_json=as_json, out=folder, name="learn")
    if not as_json:
        show_solution(solution, next(name for game, name in GAMES.items() if isinstance(solution.game, game)))
        lines = [solution.report]
        for name in ("average", "best"):
            other = getattr(solution, name)
            lines += [] if other is None else [f"{name}: duality gap {max(np.max(other.gap), 0):.1e}, {other.report}"]
        console().print("\n".join(lines))
        confess(solution.game.preference)
    if figures:
        draw(solution, folder, seed, quiet=as_json)
        _draw_run(solution, folder or Path("figures"), seed)


def _draw_run(solution: Any, folder: Path, seed: int) -> None:
    """The convergence, through the entry point ``stackelberg.figures`` named ``runs`` (the analysis floor's)."""
    painters = {point.name: point for point in entry_points(group="stackelberg.figures")}
    if "runs" not in painters:
        raise ValueError("--figures: the analysis package cannot draw runs. Install stackelberg again with it.")
    command = " ".join(["stackelberg", *sys.argv[1:]])
    painters["runs"].load()({folder.name or "run": solution}, folder, command=command, seed=seed)


def document(solution: Any) -> dict[str, Any]:
    """A learned solution as plain lists: the solution's own keys, how it ended, and what was recorded."""
    trajectory = solution.trajectory
    names = ("steps", "gap", "value", "kl", "average_gap", "distance")
    rows = {name: getattr(trajectory, name) for name in names} if trajectory is not None else {}
    others = {name: getattr(solution, name) for name in ("average", "best")}
    return {
        **solution.as_dict(),
        "status": solution.status.name.lower(),
        "report": solution.report,
        "trajectory": {name: _finite(row) for name, row in rows.items() if row is not None},
        **{name: None if each is None else each.as_dict() for name, each in others.items()},
    }


def _finite(numbers: Any) -> Any:
    """Plain lists, with None for what JSON has no number for."""
    plain = np.asarray(numbers).astype(object)
    plain[~np.isfinite(numbers)] = None
    return plain.tolist()
