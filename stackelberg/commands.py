"""What every command shares: options, input files, output as a table, JSON, files and figures.

The floors above hang their own commands on the program through the entry points ``stackelberg.commands``
and build them from these parts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from stackelberg.evidence import Unranked
from stackelberg.io import read_preferences
from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import Array

Command = TypeVar("Command", bound=Callable[..., Any])


def options(*choices: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several click options as one decorator, shown by ``--help`` in this order."""

    def decorate(command: Command) -> Command:
        for choice in reversed(choices):
            command = choice(command)
        return command

    return decorate


reading_options = options(
    click.option(
        "--unranked",
        type=click.Choice([choice.value for choice in Unranked]),
        default=Unranked.BELOW.value,
        show_default=True,
        help="What a partial ballot says about those it leaves out: below the ranked and not compared with "
        "each other, below and tied with each other, or nothing.",
    ),
    click.option("--context", type=int, help="Take one context of FILE, counted from 0 [default: all]."),
)
preferences_file = options(click.argument("file"), reading_options)
tau_option = click.option("--tau", type=float, default=0.1, show_default=True, help="KL coefficient, ≥ 0.")
output_options = options(
    click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of whatever is drawn at random."
    ),
    click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for results and figures."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON (the README lists the keys)."),
    click.option("--figures", is_flag=True, help="Draw into --out (default: figures)."),
)
pair_sampling = click.option(
    "--without",
    "left_out",
    nargs=2,
    multiple=True,
    metavar="A B",
    help="A pair never shown to the annotators of the reward (repeatable).",
)


def load(file: str, unranked: str, context: int | None) -> PreferenceMatrix:
    """The preferences of ``FILE``, or those of one of its contexts; ``-`` is standard input."""
    if Path(file).is_dir():
        raise ValueError(f"{file} is a folder, and FILE is a file of preferences. Name one, such as {file}/wins.csv.")
    stream = getattr(sys.stdin, "buffer", sys.stdin)  # bytes, where there are any: npz comes through a pipe too
    preference = read_preferences(stream if file == "-" else file, unranked=Unranked(unranked))
    if context is None:
        return preference
    if preference.contexts is None:
        raise ValueError(f"--context {context}: FILE holds one matrix without contexts. Leave --context out.")
    return preference.at(context)


def confess(preference: PreferenceMatrix) -> None:
    """Say which pairs were never compared, so that nobody takes their ½ for an observation."""
    pairs = preference.never_compared
    if pairs:
        shown = "; ".join(f"{first} – {second}" for first, second in pairs[:6]) + ("; …" if len(pairs) > 6 else "")
        console().print(f"Pairs never compared, whose p = ½ is a guess ({len(pairs)}): {shown}")


def parse_reference(text: str | None, labels: tuple[str, ...]) -> Array | None:
    """A reference policy from ``A=0.5,B=0.3,C=0.2`` (those not named get 0); None or ``uniform`` is uniform.

    Labels with a comma or ``=`` in them want JSON: ``{"a, b": 0.5, "c": 0.5}``.

    >>> parse_reference("B=0.25,A=0.75", ("A", "B", "C"))
    array([0.75, 0.25, 0.  ])
    """
    if text is None or text == "uniform":
        return None
    given = _json_pairs(text) if text.startswith("{") else _plain_pairs(text)
    for name in given:
        find(name, labels)
    return np.array([given.get(label, 0.0) for label in labels])


def _plain_pairs(text: str) -> dict[str, float]:
    given: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        name = name.strip()
        try:
            probability = float(number if name else "")
        except ValueError:
            raise ValueError(f"--reference: {part!r} is not LABEL=PROBABILITY. Write A=0.5,B=0.5, or JSON.") from None
        if name in given:
            raise ValueError(f"--reference names {name!r} twice. Name every action once.")
        given[name] = probability
    return given


def _json_pairs(text: str) -> dict[str, float]:
    try:
        given = json.loads(text)
        return {name: float(probability) for name, probability in given.items()}
    except (ValueError, TypeError):
        raise ValueError(f'--reference: {text!r} is not JSON such as {{"A": 0.5, "B": 0.5}}. Write that.') from None


def parse_sampling(left_out: tuple[tuple[str, str], ...], labels: tuple[str, ...]) -> Array | None:
    """Pair sampling μ with some pairs left out, all others alike; None where none is left out."""
    if not left_out:
        return None
    sampling = np.ones((len(labels), len(labels))) - np.eye(len(labels))
    for first, second in left_out:
        i, j = find(first, labels), find(second, labels)
        if i == j:
            raise ValueError(f"--without {first} {second}: an action is never compared with itself. Name two.")
        sampling[i, j] = sampling[j, i] = 0
    return sampling


def find(name: str, labels: tuple[str, ...]) -> int:
    """The position of a label, or a ``ValueError`` that lists those there are."""
    if name not in labels:
        shown = ", ".join(labels[:10]) + (", …" if len(labels) > 10 else "")
        raise ValueError(f"There is no action {name!r}. The actions are: {shown}.")
    return labels.index(name)


def table(title: str, columns: list[str], rows: list[list[Any]], caption: str = "") -> None:
    """Print a table: the first column left, numbers to four places and right."""
    grid = Table(title=title, caption=caption or None, title_justify="left", caption_justify="left")
    for number, column in enumerate(columns):
        grid.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        grid.add_row(
            *(
                cell if isinstance(cell, str) else "–" if cell is None or np.isnan(cell) else f"{cell:.4f}"
                for cell in row
            )
        )
    console().print(grid)


def console() -> Console:
    """Where people read: standard output, at a fixed width where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, markup=False)


def emit(document: dict[str, Any], *, as_json: bool, out: Path | None, name: str) -> None:
    """Print the answer where JSON was asked for, and write it to ``out/name.json`` where a folder was given."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    if as_json:
        click.echo(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def draw(solution: Any, out: Path | None, seed: int, *, quiet: bool, rounds: int = 4) -> None:
    """Draw a solution through the entry point ``stackelberg.figures`` (the analysis floor's)."""
    painters = {point.name: point for point in entry_points(group="stackelberg.figures")}
    if "solution" not in painters:
        raise ValueError("--figures: no drawing package is installed. Install stackelberg with its analysis package.")
    command = " ".join(["stackelberg", *sys.argv[1:]])
    written = painters["solution"].load()(solution, out or Path("figures"), command=command, seed=seed, rounds=rounds)
    if not quiet:
        drawn = ", ".join(path.stem for path in written if path.suffix == ".png")
        console().print(f"Drawn into {out or Path('figures')}: {drawn} (svg, png, csv)")
