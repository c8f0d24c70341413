"""Solutions to files and back."""

from __future__ import annotations

import os
from pathlib import Path

from stackelberg.container import load_as, save_as
from stackelberg.solution import Solution

KIND, VERSION = "stackelberg solution", 1
NAME = "solution.npz"


def save_solution(solution: Solution, path: str | os.PathLike[str]) -> Path:
    """Write a solution to ``path``; see :meth:`stackelberg.Solution.save`."""
    place = _place(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    save_as(place, KIND, VERSION, solution)
    return place


def load(path: str | os.PathLike[str]) -> Solution:
    """Read a solution that ``solution.save`` wrote: game, policies, trajectory, average, status and report.

    Every number and every array comes back exactly. The file is an archive of arrays and a JSON document; nothing
    in it is ever executed or unpickled.

    Args:
        path: the file, or the folder that holds ``solution.npz``.

    Raises:
        ValueError: the file is damaged, was changed, or is no solution; the message says which.
        OSError: there is no such file.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import stackelberg as sb
        >>> solution = sb.solve(sb.NashGame(sb.PreferenceMatrix.cycle(3)), sb.EGPO(), steps=20)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = solution.save(Path(folder) / "cycle.npz")
        ...     again = sb.load(file)
        >>> again.report, bool((again.policy == solution.policy).all())
        ('ran all 20 steps', True)
    """
    place = Path(path)
    if not (place / NAME if place.is_dir() else place).exists():
        hint = (
            "It is a language model's: llm.TransformerPolicy.from_pretrained reads what solution.save wrote."
            if (place / "metrics.jsonl").exists() or (place / "stackelberg.json").exists()
            else f"It holds an unfinished run: sb.resume({str(place)!r}) goes on."
            if (place / "run.json").exists()
            else ""
        )
        raise FileNotFoundError(f"There is no solution at {place}. {hint or 'Save one with solution.save(...).'}")
    solution, _ = load_as(place / NAME if place.is_dir() else place, KIND, VERSION)
    if not isinstance(solution, Solution):
        raise ValueError(f"{place} holds a {type(solution).__name__}, no solution. Save with solution.save(...).")
    return solution


def _place(path: str | os.PathLike[str]) -> Path:
    """The file itself, or ``solution.npz`` in the folder that has no such ending."""
    place = Path(path)
    if place.suffix == ".npz" and not place.is_dir():
        return place
    if place.suffix and not place.is_dir():
        raise ValueError(f"{place}: a solution is saved as .npz, not as {place.suffix}. Name a .npz file or a folder.")
    return place / NAME
