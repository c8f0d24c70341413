"""Rows of human preferences: ``prompt``, ``chosen``, ``rejected``, and optionally ``weight``, ``margin``, ``tie``."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm.judges.protocol import Array, Judge, Prompt, ask, messages_of
from stackelberg.validation import shown


@dataclass(frozen=True)
class PreferencePair:
    """Two answers to one prompt, and which was preferred.

    Args:
        prompt: a text or a conversation.
        chosen: the preferred answer.
        rejected: the other.
        weight: how much the row counts, > 0: the number of votes, say.
        margin: by how many nats the score of ``chosen`` should lead, ≥ 0.
        tie: the answers were judged equal; their order means nothing.

    Example:
        >>> PreferencePair("2 + 2?", "4", "5", weight=3).weight
        3
    """

    prompt: Prompt
    chosen: str
    rejected: str
    weight: float = 1.0
    margin: float = 0.0
    tie: bool = False

    def __post_init__(self) -> None:
        messages_of(self.prompt)
        for name in ("chosen", "rejected"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is {shown(getattr(self, name))}. Write a text, or one message.")
        for name, least in (("weight", "> 0"), ("margin", "≥ 0")):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if not number or value < 0 or (name == "weight" and value == 0):
                raise ValueError(f"{name} is {shown(value)}. It must be a number {least}.")
        if not isinstance(self.tie, bool):
            raise ValueError(f"tie is {shown(self.tie)}. Write true or false.")
        if self.tie and self.margin:
            raise ValueError(f"A tie cannot have a margin, here {self.margin:g}. Leave one of them out.")


def read_pairs(path: str | Path) -> list[PreferencePair]:
    """The rows of a JSONL file (``.gz`` too); columns of other names are not read.

    ``prompt`` is a text or a list of messages; ``chosen`` and ``rejected`` are texts, or lists of the one message
    that answers.

    Raises:
        ValueError: a row that is none, with its line.
    """
    raw = Path(path).read_bytes()
    lines = (gzip.decompress(raw) if str(path).endswith(".gz") else raw).decode("utf-8-sig").split("\n")
    pairs = [_row(line, f"{path}, line {i}") for i, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise ValueError(f"{path} has no rows. Write one JSON object a line, with prompt, chosen and rejected.")
    return pairs


def hold_out(
    pairs: Sequence[PreferencePair], share: float, seed: int
) -> tuple[list[PreferencePair], list[PreferencePair]]:
    """Training and test pairs: a share of the *prompts* is kept back with all their pairs.

    Raises:
        ValueError: one prompt only, or a share that leaves either part empty.
    """
    keys = [json.dumps(messages_of(pair.prompt)) for pair in pairs]
    prompts = sorted(set(keys))
    count = round(share * len(prompts))
    if not 0 < count < len(prompts):
        raise ValueError(
            f"{share:g} of {len(prompts)} prompt(s) leaves training or test without any. "
            "Pass a file of test pairs instead (--test)."
        )
    kept_back = {prompts[i] for i in np.random.default_rng(seed).permutation(len(prompts))[:count]}
    train = [pair for key, pair in zip(keys, pairs, strict=True) if key not in kept_back]
    return train, [pair for key, pair in zip(keys, pairs, strict=True) if key in kept_back]


def columns(pairs: Sequence[PreferencePair]) -> tuple[list[Prompt], list[str], list[str]]:
    """Prompts, chosen and rejected answers: what a judge is asked."""
    return [pair.prompt for pair in pairs], [pair.chosen for pair in pairs], [pair.rejected for pair in pairs]


def judge_pairs(judge: Judge, pairs: Sequence[PreferencePair]) -> Array:
    """The judge's p(chosen ≻ rejected) of every pair, (n,)."""
    return ask(judge, *columns(pairs))


def _row(line: str, where: str) -> PreferencePair:
    try:
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"the row is {shown(row)}, no JSON object.")
        missing = [name for name in ("prompt", "chosen", "rejected") if name not in row]
        if missing:
            raise ValueError(f"the row has no {' and no '.join(missing)}. Write prompt, chosen and rejected.")
        optional = {name: row[name] for name in ("weight", "margin", "tie") if row.get(name) is not None}
        return PreferencePair(row["prompt"], _answer(row["chosen"]), _answer(row["rejected"]), **optional)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{where}: {error}") from None


def _answer(value: Any) -> str:
    if not isinstance(value, list):
        return value
    messages = messages_of(value)
    if len(messages) != 1 or messages[0]["role"] != "assistant":
        raise ValueError(f"an answer of {len(messages)} messages. Write the one assistant message; the rest is prompt.")
    return messages[0]["content"]
