"""The prompts of a configuration: from a file or a data set, some of them held out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm.judges import Prompt
from stackelberg.judged import is_prompt
from stackelberg.validation import shown


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Where prompts come from, and which are kept back for evaluation.

    Args:
        file: .jsonl (a row a line), .json (a list) or .txt (a prompt a line).
        dataset: in place of a file, a data set of the hub or a folder, for the package ``datasets``.
        name: of its configuration, where it has several.
        split: of the data set, to train on.
        column: of the rows; a text, or a conversation [{role: user, content: ...}].
        unique: keep one of equal prompts.
        limit: at most so many to train on, the first.
        max_tokens: leave out longer ones, as the policy's tokenizer counts; the number left out is told.
        held_out: the share of different prompts kept back, drawn once and for all.
        held_out_file: those to evaluate on, in a file of their own.
        held_out_split: those to evaluate on, a split of the data set.
        held_out_limit: at most so many of them, the first.
    """

    file: Path | None = None
    dataset: str | Path | None = None
    name: str | None = None
    split: str = "train"
    column: str = "prompt"
    unique: bool = False
    limit: int | None = None
    max_tokens: int | None = None
    held_out: float = 0.0
    held_out_file: Path | None = None
    held_out_split: str | None = None
    held_out_limit: int | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.dataset is None):
            raise ValueError("prompts come from one place. Write either file or dataset.")
        if self.dataset is None and self.held_out_split is not None:
            raise ValueError("held_out_split is of a dataset. Write held_out or held_out_file.")
        if (self.held_out > 0) + (self.held_out_file is not None) + (self.held_out_split is not None) > 1:
            raise ValueError("several fields say what is held out. Write one of held_out, _file and _split.")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out is a share from 0 to below 1, not {self.held_out:g}.")
        for path in (self.file, self.held_out_file):
            if path is not None and not path.is_file():
                raise ValueError(f"there is no file {path}. Relative paths start where the command runs.")
        for name in ("limit", "max_tokens", "held_out_limit"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}. Leave it out for no limit.")

    @property
    def keeps_back(self) -> bool:
        """Whether some are held out."""
        return self.held_out > 0 or self.held_out_file is not None or self.held_out_split is not None

    def read(self, tokenizer: Any = None) -> tuple[list[Prompt], list[Prompt], int]:
        """Those to train on, those held out, and how many were left out for their length.

        Args:
            tokenizer: counts tokens, where ``max_tokens`` is set.
        """
        learn = self._rows(self.file, self.split)
        if self.held_out > 0:
            learn, kept_back = _hold_out(learn, self.held_out)
        elif self.keeps_back:
            kept_back = self._rows(self.held_out_file, self.held_out_split)
        else:
            kept_back = []
        if self.unique:
            learn, kept_back = _different(learn), _different(kept_back)
        short, short_back = (self._short(each, tokenizer) for each in (learn, kept_back))
        left_out = len(learn) + len(kept_back) - len(short) - len(short_back)
        if not short or (self.keeps_back and not short_back):
            raise ValueError(f"prompts: none is left to {'evaluate' if short else 'train'} on. Raise limits or shares.")
        return short[: self.limit], short_back[: self.held_out_limit], left_out

    def _rows(self, file: Path | None, split: str | None) -> list[Prompt]:
        if file is not None:
            return read_prompts(file, self.column)
        return _of_dataset(str(self.dataset), self.name, str(split), self.column)

    def _short(self, prompts: list[Prompt], tokenizer: Any) -> list[Prompt]:
        if self.max_tokens is None:
            return prompts
        texts = [each if isinstance(each, str) else " ".join(part["content"] for part in each) for each in prompts]
        lengths = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
        return [each for each, length in zip(prompts, lengths, strict=True) if length <= self.max_tokens]


def read_prompts(file: Path, column: str = "prompt") -> list[Prompt]:
    """The prompts of a file: rows of JSON lines or of a JSON list, or lines of text.

    A row is a text, a conversation, or has either under ``column``; blank lines do not count.

    Raises:
        ValueError: another ending; a row that is no prompt, with its number.
    """
    text = file.read_text(encoding="utf-8-sig")
    lines = [(i, line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]
    try:
        match file.suffix:
            case ".jsonl":
                rows = [(f"line {i}", json.loads(line)) for i, line in lines]
            case ".json":
                rows = [(f"entry {i}", row) for i, row in enumerate(_list(json.loads(text)))]
            case ".txt":
                rows = [(f"line {i}", line.rstrip("\r")) for i, line in lines]
            case ending:
                raise ValueError(f"prompts in a file {ending or 'without ending'} are not read. Use .jsonl or .txt.")
    except json.JSONDecodeError as error:
        raise ValueError(f"{file} is no JSON: {error}. A {file.suffix} file holds rows with {column}.") from None
    found = [_prompt(row, column, f"{file}, {where}") for where, row in rows]
    if not found:
        raise ValueError(f"{file} holds no prompts. Write one a line.")
    return found


def _list(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise ValueError(f"a .json file of prompts is a list, not {shown(found)}. Use .jsonl for rows.")
    return found


def _prompt(row: Any, column: str, where: str) -> Prompt:
    if isinstance(row, dict):
        if column not in row:
            raise ValueError(f"{where} has no {column}; it has {', '.join(row)}. Name the column: prompts.column.")
        row = row[column]
    if not is_prompt(row) or not row:
        raise ValueError(f"{where} is {shown(row)}. Write a text or [{{'role': 'user', 'content': '...'}}].")
    found: Prompt = row
    return found


def _of_dataset(path: str, name: str | None, split: str, column: str) -> list[Prompt]:
    try:
        from datasets import load_dataset  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise ValueError(
            f"prompts.dataset: {path} is read by the package datasets, which is not installed. "
            "Install it (pip install datasets), or write the prompts into a file: prompts.file."
        ) from None
    rows: Iterable[Any] = load_dataset(path, name, split=split)
    return [_prompt(row, column, f"{path}, {split}, row {i}") for i, row in enumerate(rows)]


def _key(prompt: Prompt) -> str:
    return json.dumps(prompt if isinstance(prompt, str) else [dict(part) for part in prompt], sort_keys=True)


def _different(prompts: Sequence[Prompt]) -> list[Prompt]:
    found: dict[str, Prompt] = {}
    for each in prompts:
        found.setdefault(_key(each), each)
    return list(found.values())


def _hold_out(prompts: Sequence[Prompt], share: float) -> tuple[list[Prompt], list[Prompt]]:
    """Equal prompts stay on one side, and the same are kept back whatever the run's seed."""
    keys = [_key(each) for each in prompts]
    different = sorted(set(keys))
    count = max(1, round(share * len(different)))
    back = {different[i] for i in np.random.default_rng(0).permutation(len(different))[:count]}
    learn = [each for key, each in zip(keys, prompts, strict=True) if key not in back]
    return learn, [each for key, each in zip(keys, prompts, strict=True) if key in back]
