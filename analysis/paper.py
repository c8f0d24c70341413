"""A paper's table or figure made again: a script that measures, and holds what it finds against what was claimed.

A folder ``papers/NAME`` holds scripts, ``settings.py`` and ``expected.json``, an object of claims for each script:
``{"table1": {"leader": {"expected": [1, 0, 0], "tolerance": 1e-9, "source": "…"}}}``. A claim has ``expected`` with a
``tolerance``, or ``at_least``, or ``at_most``, or both; ``full: true`` where a quick run is too short to tell.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis.drawing.save import Drawing, provenance, save
from stackelberg.commands import console, table

KEYS = {"expected", "tolerance", "at_least", "at_most", "source", "full"}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a number must be: near ``expected``, or within bounds.

    Attributes:
        expected: a number or a nested list; None where there are bounds only.
        tolerance: the largest absolute difference from it.
        at_least, at_most: bounds of every entry.
        source: who says so.
        full: whether only a full run can tell.

    Example:
        >>> claim = Claim(expected=[0.5, 0.5], tolerance=1e-3, source="theory")
        >>> claim.holds([0.5, 0.5004]), claim.holds([0.5, float("nan")]), str(claim)
        (True, False, '[0.5, 0.5] ± 0.001')
    """

    source: str
    expected: Any = None
    tolerance: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    full: bool = False

    def __post_init__(self) -> None:
        bounds = self.at_least is not None or self.at_most is not None
        if (self.expected is None) != (self.tolerance is None) or (self.expected is None) != bounds:
            raise ValueError(
                f"A claim is 'expected' with 'tolerance', or 'at_least' or 'at_most', not {vars(self)}. "
                "Mend expected.json."
            )

    @classmethod
    def read(cls, entry: dict[str, Any]) -> Claim:
        """From an entry of expected.json."""
        unknown = set(entry) - KEYS
        if unknown or not entry.get("source"):
            raise ValueError(f"A claim needs a source, and knows no {sorted(unknown)}. It may have: {sorted(KEYS)}.")
        return cls(**entry)

    def holds(self, got: Any) -> bool:
        """Whether every entry of ``got`` is as claimed; NaN is not."""
        numbers = np.asarray(got, dtype=float)
        if self.expected is not None:
            expected = np.asarray(self.expected, dtype=float)
            return numbers.shape == expected.shape and bool((np.abs(numbers - expected) <= self.tolerance).all())
        least = -np.inf if self.at_least is None else self.at_least
        most = np.inf if self.at_most is None else self.at_most
        return bool(((numbers >= least) & (numbers <= most)).all())

    def __str__(self) -> str:
        if self.expected is not None:
            return f"{_short(self.expected)} ± {self.tolerance:g}"
        low = "" if self.at_least is None else f"≥ {self.at_least:g}"
        return " and ".join(filter(None, [low, "" if self.at_most is None else f"≤ {self.at_most:g}"]))


@dataclass(eq=False)
class Study:
    """One script's run: its options, its claims, and what was found. Made by :meth:`begin`.

    Attributes:
        folder: the paper's folder.
        name: of the script, without ending.
        quick: whether this is the reduced run.
        out: where tables and figures go.
        claims: what expected.json says of this script.
    """

    folder: Path
    name: str
    quick: bool
    out: Path
    claims: dict[str, Claim]
    found: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begin(cls, script: str, arguments: Sequence[str] | None = None) -> Study:
        """The study of a script; pass ``__file__``. Options of the command line: ``--quick`` and ``--out``."""
        path = Path(script).resolve()
        parser = argparse.ArgumentParser(description=f"{path.parent.name}: {path.stem}")
        parser.add_argument("--quick", action="store_true", help="a reduced run, in seconds")
        default = Path("figures") / "papers" / path.parent.name
        parser.add_argument("--out", type=Path, default=default, help="folder for tables and figures")
        options = parser.parse_args(arguments)
        every = json.loads((path.parent / "expected.json").read_text(encoding="utf-8"))
        if path.stem not in every:
            raise ValueError(f"expected.json claims nothing of {path.stem}. Give it an entry {path.stem!r}.")
        claims = {name: Claim.read(entry) for name, entry in every[path.stem].items()}
        return cls(path.parent, path.stem, options.quick, options.out, claims)

    @property
    def command(self) -> str:
        """What makes this again."""
        return f"python papers/{self.folder.name}/{self.name}.py" + (" --quick" if self.quick else "")

    def check(self, name: str, got: Any) -> None:
        """Hold what was found against the claim of this name."""
        if name not in self.claims:
            raise ValueError(f"expected.json has no claim {name!r} of {self.name}. Add it, with its source.")
        if name in self.found:
            raise ValueError(f"{name!r} was checked already. Check every claim once.")
        self.found[name] = np.asarray(got, dtype=float).tolist()

    def draw(self, drawing: Drawing, seed: int | None = None) -> None:
        """Write a figure with its data and provenance."""
        save(drawing, self.out, command=self.command, seed=seed)

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print a table, and write it as ``name.csv``."""
        table(f"{self.folder.name}: {name}", list(columns), [[_short(cell) for cell in row] for row in rows])
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])

    def finish(self, seed: int | None = None) -> int:
        """Say of every claim whether it holds, write ``NAME.checks.json``; 0 if all do, else 1.

        A claim that was not checked does not hold, unless it is for full runs and this is a quick one.
        """
        rows, failed = [], 0
        for name, claim in self.claims.items():
            left_out = self.quick and claim.full
            holds = name in self.found and claim.holds(self.found[name])
            failed += not (holds or left_out)
            verdict = "not in a quick run" if left_out else "holds" if holds else "FAILS"
            rows.append([name, str(claim), _short(self.found.get(name, "not checked")), verdict])
        table(f"{self.folder.name}: {self.name}, claims", ["claim", "expected", "got", ""], rows)
        self.out.mkdir(parents=True, exist_ok=True)
        document = provenance(self.command, seed) | {"found": self.found, "failed": failed}
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        (self.out / f"{self.name}.checks.json").write_text(text, encoding="utf-8")
        if failed:
            console().print(f"{failed} of {len(rows)} claims of {self.command} fail.")
        return 1 if failed else 0


def scripts_of(folder: Path) -> list[Path]:
    """The scripts of a paper's folder, in the order of expected.json."""
    expected = folder / "expected.json"
    if not expected.is_file():
        raise ValueError(f"{folder} holds no expected.json, so it is no paper's folder. Give --folder papers/NAME.")
    return [folder / f"{name}.py" for name in json.loads(expected.read_text(encoding="utf-8"))]


def words_for(script: Path, *, quick: bool, out: Path | None) -> list[str]:
    """The command that runs a script alone, with this interpreter."""
    more = (["--quick"] if quick else []) + ([] if out is None else ["--out", str(out)])
    return [sys.executable, str(script), *more]


def _short(value: Any) -> str:
    """A cell of a table: four digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, np.ndarray)):
        return "[" + ", ".join(_short(each) for each in value) + "]"
    return f"{value:.4g}" if isinstance(value, (int, float, np.number)) and not isinstance(value, bool) else str(value)
