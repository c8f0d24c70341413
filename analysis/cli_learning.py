"""The command ``stackelberg plot``: the convergence of several runs in one figure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

import stackelberg as sb
from analysis.cli import write_drawings
from analysis.figures import draw_convergence, save
from stackelberg.absent import missing


def draw_runs(
    runs: Mapping[str, Any], directory: str | os.PathLike[str], *, command: str, seed: int | None = None
) -> list[Path]:
    """Draw the convergence of runs by name, and write it: what ``stackelberg learn --figures`` calls.

    Returns:
        the paths written.

    Example:
        >>> import tempfile
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), reference=[0.5, 0.3, 0.2])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = draw_runs({"EGPO": sb.solve(game, sb.EGPO(), steps=50)}, folder, command="example")
        ...     [path.name for path in paths if path.suffix == ".png"]
        ['convergence.png']
    """
    return save(draw_convergence(runs), directory, command=command, seed=seed)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the figure [figures].")
def plot(runs: tuple[Path, ...], out: Path | None) -> None:
    """Draw the convergence of RUNS, folders that learn --out wrote or files that solution.save wrote.

    \b
    Examples:
      stackelberg plot runs/*
      stackelberg plot runs/mirror runs/gda --out figures/comparison
    """
    solutions = {name: _loaded(path) for name, path in _named(runs).items()}
    write_drawings([draw_convergence(solutions)], out, 0, quiet=False)


def _named(paths: tuple[Path, ...]) -> dict[str, Path]:
    """Paths by their last part, or whole where two would have the same name."""
    names = [path.stem if path.suffix == ".npz" else path.resolve().name for path in paths]
    clash = len(set(names)) < len(names)
    return {str(path) if clash else name: path for name, path in zip(names, paths, strict=True)}


def _loaded(path: Path) -> Any:
    if not path.exists():
        raise ValueError(f"{missing(path, 'run')} A run starts with: stackelberg learn FILE --out {path}")
    if path.is_dir() and not (path / "solution.npz").exists():
        if (path / "run.json").exists():
            raise ValueError(f"{path} holds an unfinished run. Finish it: stackelberg learn --resume {path}")
        raise ValueError(f"{path} is a folder without a run. Name those that stackelberg learn --out wrote.")
    if path.is_file() and path.suffix != ".npz":
        raise ValueError(
            f"{path} is no run, and plot draws runs. Learn one first: stackelberg learn {path} --out runs/{path.stem}"
        )
    solution = sb.load(path)
    if solution.trajectory is None:
        raise ValueError(f"{path} has no trajectory to draw: it was solved exactly, or nothing was recorded. Learn it.")
    return solution
