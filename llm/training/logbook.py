"""The files of a run that people read: numbers of every step as JSON lines and CSV, and what was said."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger("llm")

Row = dict[str, float]


@dataclass(frozen=True, eq=False)
class Log:
    """Numbers by step: what ``solution.trajectory`` is for a language model.

    Args:
        rows: of each record, ``step`` among them; a record may lack what was not measured then.
        expected: what every step would have recorded, where none was taken: names without numbers.

    Example:
        >>> log = Log(({"step": 1, "kl": 0.0}, {"step": 2, "kl": 0.1, "eval/gain": 0.2}))
        >>> log.steps, log["kl"], log["eval/gain"]
        (array([1, 2]), array([0. , 0.1]), array([nan, 0.2]))
        >>> none = Log((), expected=("kl",))
        >>> len(none.steps), none.names, none["kl"]
        (0, ('kl',), array([], dtype=float64))
    """

    rows: tuple[Row, ...]
    expected: tuple[str, ...] = ()

    @property
    def steps(self) -> NDArray[np.int64]:
        """How many steps had been taken, (records,)."""
        return np.array([int(row["step"]) for row in self.rows], dtype=np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        """What was recorded, and what would have been."""
        recorded = (name for row in self.rows for name in row if name != "step")
        return tuple(dict.fromkeys((*recorded, *self.expected)))

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """(records,), NaN where it was not measured."""
        if name not in self.names:
            raise KeyError(f"{name} was not recorded. There are {', '.join(self.names)}.")
        return np.array([row.get(name, np.nan) for row in self.rows], dtype=np.float64)


class Logbook:
    """``metrics.jsonl`` and ``metrics.csv`` in a run's folder; in memory alone without one.

    A line is whole before the state that follows from it is saved, so that a run that was killed goes on with the very
    lines it would have had. They hold no clock: of two runs alike, the files are alike.

    Args:
        folder: of the run.
        step: from which the run goes on: later lines were of a future that is taken again. None from its beginning.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     book = Logbook(Path(folder))
        ...     book.write({"step": 1, "kl": 0.5})
        ...     book.write({"step": 2, "kl": 0.25})
        ...     again = Logbook(Path(folder), step=1)
        ...     len(again.log().rows)
        1
    """

    def __init__(self, folder: Path | None, step: int | None = None) -> None:
        self.path = None if folder is None else folder / "metrics.jsonl"
        self.rows: list[Row] = []
        if self.path is None:
            return
        if step and not self.path.exists():
            raise ValueError(
                f"{self.path} is gone, with the numbers of {step} steps. Put it back, or leave the folder."
            )
        if not self.path.exists():
            return
        self.rows = [] if step is None else [row for row in _lines(self.path) if row["step"] <= step]
        if step and (not self.rows or self.rows[-1]["step"] != step):
            last = int(self.rows[-1]["step"]) if self.rows else 0
            logger.warning(
                f"{self.path} is damaged: its whole lines end at step {last}, and the run has taken {step} steps. The "
                "numbers between are lost; put the file back before you go on, if you have another copy."
            )
        text = "".join(map(_line, self.rows))
        written = self.path.with_suffix(".part")
        written.write_text(text, encoding="utf-8")
        written.replace(self.path)

    def write(self, row: Mapping[str, float]) -> None:
        """Append one record."""
        self.rows.append(dict(row))
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(_line(row))

    def log(self) -> Log:
        """All records so far."""
        return Log(tuple(self.rows))

    def tabulate(self) -> None:
        """Write all records as CSV, a column a number."""
        if self.path is None:
            return
        names = ["step", *self.log().names]
        written = self.path.with_suffix(".csv.part")
        with written.open("w", encoding="utf-8", newline="") as stream:
            table = csv.DictWriter(stream, names)
            table.writeheader()
            table.writerows(self.rows)
        written.replace(self.path.with_suffix(".csv"))


def _line(row: Mapping[str, float]) -> str:
    plain = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
    return json.dumps(plain) + "\n"


def _lines(path: Path) -> list[Row]:
    """The whole lines; a kill may have cut the last one."""
    rows: list[Row] = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found: dict[str, Any] = json.loads(text)
            found["step"] + 0
        except (ValueError, TypeError, KeyError):
            break
        rows.append(cast(Row, {name: math.nan if value is None else value for name, value in found.items()}))
    return rows
