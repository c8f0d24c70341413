"""The commands this floor hangs on the program: ``preference-model``, and ``train``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from llm.train_cli import train
from stackelberg.commands import console, options

__all__ = ["preference_model", "train"]

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)

training_options = options(
    click.option("--kind", type=click.Choice(["reward", "pairwise"]), default="reward", show_default=True,
                 help="A Bradley–Terry reward of one answer, or a comparison that reads both."),
    click.option("--epochs", type=float, default=1.0, show_default=True, help="Passes over the pairs."),
    click.option("--learning-rate", type=float, default=1e-5, show_default=True, help="Of AdamW."),
    click.option("--batch-size", type=click.IntRange(min=1), default=16, show_default=True,
                 help="Pairs a device and step."),
    click.option("--accumulate", type=click.IntRange(min=1), default=1, show_default=True, help="Batches an update."),
    click.option("--weight-decay", type=float, default=0.0, show_default=True, help="Of AdamW."),
    click.option("--max-tokens", type=click.IntRange(min=1), help="Longest text read [default: the model's limit]."),
    click.option("--skip-long", is_flag=True, help="Leave longer pairs out and count them, not stop."),
    click.option("--bf16", is_flag=True, help="Compute in bfloat16; weights stay in float32."),
    click.option("--save-every", type=click.IntRange(min=1), default=200, show_default=True,
                 help="Updates between checkpoints."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                 help="Of the held-out prompts, the order of pairs, dropout and a new head."),
)  # fmt: skip


@click.command("preference-model")
@click.argument("train", type=FILE)
@click.option("--base", required=True, help="The model to start from: a folder or a hub name.")
@click.option("--out", type=FOLDER, required=True, help="Folder for the model, its report and its checkpoints.")
@click.option("--test", type=FILE, help="Pairs to report on, in the form of TRAIN.")
@click.option("--held-out", type=float, help="Without --test: the share of TRAIN's prompts kept back [default: 0.1].")
@training_options
@click.option("--resume", is_flag=True, help="Go on from the last whole checkpoint in --out.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def preference_model(
    train: Path,
    base: str,
    out: Path,
    test: Path | None,
    held_out: float | None,
    resume: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train a judge from pairs: rows of TRAIN (JSONL) with prompt, chosen, rejected.

    A row may also hold weight (> 0), margin (≥ 0, in nats) and tie (true). Reported on pairs kept back: accuracy with
    its 95 % interval, calibration and log loss, and the same for a judge that sees only how long the answers are.

    \b
    Examples:
      stackelberg preference-model pairs.jsonl --base Qwen/Qwen2.5-0.5B --out judge
      stackelberg preference-model pairs.jsonl --base ./small --out judge --kind pairwise --test test.jsonl
    """
    from llm.judges.pairs import hold_out, read_pairs
    from llm.judges.protocol import JudgeError
    from llm.preference_model import train_preference_model

    if test is not None and held_out is not None:
        raise ValueError("--test and --held-out both say what to report on. Pass one of them.")
    pairs = read_pairs(train)
    share = 0.1 if held_out is None else held_out
    learn, kept_back = hold_out(pairs, share, settings["seed"]) if test is None else (pairs, read_pairs(test))
    progress = sys.stderr.isatty() and not as_json
    try:
        found = train_preference_model(
            learn, kept_back, base, out, _training(**settings), resume=resume, progress=progress
        )
    except JudgeError as error:
        raise ValueError(str(error)) from None
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2, ensure_ascii=False))
    else:
        _show(found, out)


def _training(kind: str, skip_long: bool, **settings: Any) -> Any:
    from llm.judges.protocol import OnFailure
    from llm.preference_model import Kind, Training

    long = OnFailure.SKIP if skip_long else OnFailure.STOP
    return Training(kind=Kind.PAIRWISE if kind == "pairwise" else Kind.REWARD, long=long, **settings)


def _show(found: Any, out: Path) -> None:
    table = Table("judge", "accuracy", "95 % interval", "log loss (nats)", "calibration error")
    for name, each in {"the model": found.model, "length only": found.length_only}.items():
        interval = f"{each.low:.3f} – {each.high:.3f}"
        numbers = (f"{each.accuracy:.3f}", interval, f"{each.log_loss:.3f}", f"{each.calibration_error:.3f}")
        table.add_row(name, *numbers)
    console().print(table)
    bins = Table("confidence", "pairs (weight)", "mean confidence", "accuracy")
    for each in found.model.reliability:
        if each.weight:
            span = f"{each.low:.2f} – {each.high:.2f}"
            bins.add_row(span, f"{each.weight:g}", f"{each.confidence:.3f}", f"{each.accuracy:.3f}")
    console().print(bins)
    rest = found.model
    console().print(
        f"Trained on {found.train_pairs} pairs ({found.left_out} too long were left out); reported on {rest.pairs} "
        f"pairs kept back, {rest.ties} ties beside them, {rest.skipped} skipped. Saved in {out}."
    )
