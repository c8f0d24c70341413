"""A picture with the numbers drawn in it, and how both are written with their provenance."""

from __future__ import annotations

import csv
import json
import os
import platform
import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from matplotlib.figure import Figure

from analysis.drawing.style import styled

DPI = 200
PACKAGES = ("stackelberg", "numpy", "scipy", "matplotlib", "networkx")


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture and the numbers drawn in it.

    Attributes:
        name: of its files, without ending.
        figure: the matplotlib figure.
        columns: names of the columns of the data.
        rows: the data, a row a mark drawn.
    """

    name: str
    figure: Figure
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@styled
def save(drawing: Drawing, directory: str | os.PathLike[str], *, command: str, seed: int | None = None) -> list[Path]:
    """Write ``name.svg``, ``name.png``, ``name.csv`` (the data) and ``name.provenance.json``.

    All but the time in the provenance are the same, byte by byte, whenever the same versions draw the same
    numbers.

    Args:
        drawing: what a ``draw_…`` function returned.
        directory: made where it does not exist.
        command: what made the picture; folders of this machine are cut out of it.
        seed: of the random numbers behind it, if any.

    Returns:
        the paths written.

    Example:
        >>> import tempfile
        >>> import stackelberg as sb
        >>> from analysis.figures import draw_heatmap, save
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = save(draw_heatmap(sb.PreferenceMatrix.cycle(3)), folder, command="an example")
        >>> [path.name for path in written]
        ['heatmap.svg', 'heatmap.png', 'heatmap.csv', 'heatmap.provenance.json']
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", drawing.name):
        raise ValueError(f"{drawing.name!r} cannot name files. Use letters, digits, '-', '_' and '.'.")
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{drawing.name}.{ending}" for ending in ("svg", "png", "csv", "provenance.json")]
    drawing.figure.savefig(paths[0], format="svg", metadata={"Date": None})
    drawing.figure.savefig(paths[1], format="png", dpi=DPI)
    with paths[2].open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([drawing.columns, *drawing.rows])
    record = provenance(command, seed) | {"files": [path.name for path in paths[:3]]}
    paths[3].write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return paths


def provenance(command: str, seed: int | None) -> dict[str, Any]:
    """Where a picture comes from: command, seed, versions, time (UTC)."""
    versions = {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return {"command": without_folders(command), "seed": seed, "versions": versions, "time": time}


def without_folders(command: str) -> str:
    """A command line in which absolute paths are cut to their last part.

    >>> without_folders("stackelberg solve /home/me/wins.csv --out=/home/me/out --tau 0")
    'stackelberg solve wins.csv --out=out --tau 0'
    """
    try:
        return shlex.join(_cut(word) for word in shlex.split(command))
    except ValueError:  # a lone quotation mark: no command line, so plain words
        return " ".join(_cut(word) for word in command.split())


def _cut(word: str) -> str:
    return re.sub(r"(?<![^=])(?:[A-Za-z]:)?[/\\].*", lambda found: _last(found.group()), word)


def _last(path: str) -> str:
    kind = PureWindowsPath if "\\" in path else PurePosixPath
    return kind(path).name or path


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
