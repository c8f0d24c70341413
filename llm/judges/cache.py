"""Every judgement kept on disk, in SQLite: asked once, reused, and exported as JSON lines."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm.fields import check_fields
from llm.judges.protocol import Array, Judge, JudgeError, Prompt, ask, identity_of, kept

SCHEMA = """CREATE TABLE IF NOT EXISTS judgements (
    key BLOB PRIMARY KEY, judge TEXT NOT NULL, prompt TEXT NOT NULL, first TEXT NOT NULL, second TEXT NOT NULL,
    probability REAL NOT NULL, time REAL NOT NULL)"""
COLUMNS = ("judge", "prompt", "first", "second", "probability", "time")
LOOKUP = 500
"""Keys a query; SQLite takes some thousands, older builds 999."""
PATIENCE = 60
"""Seconds to wait for others who use the file."""


@dataclass(frozen=True)
class Cached:
    """A judge whose judgements are kept in a file and asked for only once.

    The file is SQLite in write-ahead mode: several processes may share it, and a killed run loses at most the
    ``chunk`` of pairs then being asked. A skipped pair (NaN) is not kept, so it is asked again next time. Where two
    processes judge the same pair at once, the first judgement written stands and both read it. Put it next to the
    judge and the other wrappers around it: ``BothOrders(Cached(judge, ...))`` keeps every single order.

    Args:
        judge: with an ``identity`` (plain functions: :class:`llm.judges.Named`).
        path: of the file; made with its folder if absent.
        chunk: pairs asked and saved at once.

    Raises:
        ValueError: the judge has no identity, or the path is a folder's.
        JudgeError: the judge failed; what it had judged is saved first.

    Example:
        >>> from tempfile import mkdtemp
        >>> from llm.judges import Named
        >>> judge = Cached(Named(lambda prompts, first, second: [0.75] * len(first), "toy"), mkdtemp() + "/toy.sqlite")
        >>> judge(["2 + 2?"], ["4"], ["5"])
        array([0.75])
        >>> [(row["first"], row["probability"]) for row in judge.rows()]
        [('4', 0.75)]
    """

    judge: Judge
    path: str | Path
    chunk: int = 256

    def __post_init__(self) -> None:
        check_fields(self, chunk=1)
        identity_of(self.judge)
        if Path(self.path).is_dir():
            raise ValueError(f"{self.path} is a folder. Pass a file in it: {Path(self.path) / 'judgements.sqlite'}.")

    @property
    def identity(self) -> str:
        """That of the judge within: where its answers are kept does not change them."""
        return identity_of(self.judge)

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The probabilities, (n,): those kept, and those of the judge for the pairs not seen before."""
        identity = self.identity
        pairs = list(zip(prompts, first, second, strict=True))
        keys = [_key(identity, *pair) for pair in pairs]
        with closing(_open(self.path)) as store:
            known = _find(store, keys)
            new = list({key: i for i, key in reversed(list(enumerate(keys))) if key not in known}.values())[::-1]
            for start in range(0, len(new), self.chunk):
                rows = new[start : start + self.chunk]
                self._learn(store, identity, [keys[i] for i in rows], [pairs[i] for i in rows])
            known |= _find(store, [keys[i] for i in new])
        return np.array([known.get(key, np.nan) for key in keys], dtype=float)

    def _learn(self, store: sqlite3.Connection, identity: str, keys: list[bytes], pairs: list[Any]) -> None:
        try:
            p = ask(self.judge, *map(list, zip(*pairs, strict=True)))
        except JudgeError as error:
            if error.partial is not None and error.judge is self.judge:
                _save(store, identity, keys, pairs, error.partial)
            raise
        _save(store, identity, keys, pairs, p)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every judgement in the file, of every judge, in the order they were made."""
        with closing(_open(self.path)) as store:
            for row in store.execute(f"SELECT {', '.join(COLUMNS)} FROM judgements ORDER BY rowid"):
                values = dict(zip(COLUMNS, row, strict=True))
                yield {**values, "prompt": json.loads(values["prompt"])}

    def export(self, path: str | Path) -> int:
        """Write every judgement as JSON lines (judge, prompt, first, second, probability, time); how many they are.

        ``time`` is in seconds since 1970, UTC.
        """
        with open(path, "w", encoding="utf-8") as lines:
            return sum(1 for row in self.rows() if lines.write(json.dumps(row, ensure_ascii=False) + "\n"))


def _open(path: str | Path) -> sqlite3.Connection:
    """A connection of its own for each call, so that threads, forks and pickles are no concern."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    store = sqlite3.connect(path, timeout=PATIENCE)
    try:
        _log_ahead(store)
        store.execute("PRAGMA synchronous=NORMAL")
        store.execute(SCHEMA)
    except sqlite3.Error as error:
        store.close()
        raise ValueError(f"{path} cannot be used for judgements: {error}. Name a new file.") from error
    return store


def _log_ahead(store: sqlite3.Connection) -> None:
    """Switch a file to its write-ahead log. Two that open a new file at once: SQLite lets neither wait here."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            store.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _key(identity: str, prompt: Prompt, first: str, second: str) -> bytes:
    return hashlib.sha256(json.dumps([identity, _plain(prompt), first, second]).encode()).digest()


def _plain(prompt: Prompt) -> Any:
    """A prompt as JSON can hold it; the order of a message's keys does not count."""
    return prompt if isinstance(prompt, str) else [dict(sorted(message.items())) for message in prompt]


def _find(store: sqlite3.Connection, keys: list[bytes]) -> dict[bytes, float]:
    found: dict[bytes, float] = {}
    for start in range(0, len(keys), LOOKUP):
        some = keys[start : start + LOOKUP]
        marks = ",".join("?" * len(some))
        found |= dict(store.execute(f"SELECT key, probability FROM judgements WHERE key IN ({marks})", some))
    return found


def _save(store: sqlite3.Connection, identity: str, keys: list[bytes], pairs: list[Any], p: Array) -> None:
    now = time.time()
    rows = [
        (key, identity, json.dumps(_plain(prompt), ensure_ascii=False), first, second, float(value), now)
        for key, (prompt, first, second), value, good in zip(keys, pairs, p, kept(p), strict=True)
        if good
    ]
    with store:
        store.executemany("INSERT OR IGNORE INTO judgements VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
