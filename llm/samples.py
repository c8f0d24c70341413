"""Answers kept to be read: as a text, and as JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm.tournaments import Tournament

Row = Mapping[str, Any]


def rows_of(found: Tournament, prompts: Sequence[Any], count: int) -> tuple[Row, ...]:
    """The first ``count`` prompts, what each player answered, and the judge's preferences."""
    rows = []
    for i in range(min(count, len(prompts))):
        row: dict[str, Any] = {"prompt": prompts[i]}
        row |= {name: texts[i] for name, texts in zip(found.names, found.answers, strict=True)}
        for a in range(len(found.names)):
            for b in range(a):
                row[f"p({found.names[a]} > {found.names[b]})"] = float(found.judgements[a, b, i])
        rows.append(row)
    return tuple(rows)


def line(row: Row) -> str:
    r"""A row as a line of JSON; a pair that was skipped is null.

    >>> line({"prompt": "Why?", "p(Leader > base)": math.nan})
    '{"prompt": "Why?", "p(Leader > base)": null}\n'
    """
    plain = {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
    return json.dumps(plain, ensure_ascii=False) + "\n"


def document(rows: Sequence[Row], opening: Sequence[str]) -> str:
    """Markdown: lines to begin with, then every row, answers quoted so that nothing in them can read as a heading."""
    text = list(opening)
    for i, row in enumerate(rows, 1):
        text += ["", f"## {i}", ""]
        for name, value in row.items():
            if isinstance(value, float):
                text += [f"**{name}**: {'skipped' if math.isnan(value) else f'{value:.3f}'}", ""]
            else:
                text += [f"**{name}**:", "", *(f"    {each}".rstrip() for each in _words(value).split("\n")), ""]
    return "\n".join(text) + "\n"


def write(folder: Path, step: int, rows: Sequence[Row], opening: Sequence[str]) -> None:
    """``step-N.md`` to be read, and ``step-N.jsonl``; each is whole or not there."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"md": document(rows, opening), "jsonl": "".join(map(line, rows))}
    for kind, text in files.items():
        written = folder / f"step-{step:06d}.{kind}.part"
        written.write_text(text, encoding="utf-8")
        written.replace(folder / f"step-{step:06d}.{kind}")


def _words(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(f"{each['role']}: {each['content']}" for each in prompt)
