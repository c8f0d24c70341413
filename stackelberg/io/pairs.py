"""Comparisons one by one: JSONL pairs ``{"chosen": ..., "rejected": ...}``, and counting them."""

from __future__ import annotations

from typing import Any

import numpy as np

from stackelberg.evidence import Unranked
from stackelberg.io.common import check_names, refusal
from stackelberg.io.records import parse
from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import shown

Outcome = tuple[int, str | None, str, str, float]
"""Line, context (or None), winner, loser, how often."""
KEYS = ("chosen", "rejected", "count", "weight", "prompt")


def read_jsonl(text: str, unranked: Unranked) -> PreferenceMatrix:
    """A matrix from JSONL pairs (see :func:`stackelberg.read_preferences`); ``unranked`` plays no part."""
    lines = enumerate(text.split("\n"), start=1)  # not splitlines: JSON texts may contain U+2028
    outcomes = [_outcome(parse(line, i), i) for i, line in lines if line.strip()]
    if not outcomes:
        raise ValueError('The file is empty. Expected lines such as {"chosen": "A", "rejected": "B"}.')
    return from_outcomes(outcomes)


def _outcome(row: Any, line: int) -> Outcome:
    place = f"line {line}"
    if not isinstance(row, dict) or not {"chosen", "rejected"} <= row.keys():
        raise refusal(place, row, 'an object such as {"chosen": "A", "rejected": "B"}')
    for key in row:
        if key not in KEYS:
            raise refusal(f"{place}, key", key, f"only {', '.join(KEYS)}; remove the others")
    for key in ("chosen", "rejected", "prompt"):
        if not isinstance(row.get(key, ""), str):
            raise refusal(f"{place}, {key}", row[key], "a text (the action's name, or the prompt)")
    counts = [row[key] for key in ("count", "weight") if key in row]
    if len(counts) > 1 or not all(type(count) is float for count in counts):
        raise refusal(place, row, "one number as count or weight")
    return line, row.get("prompt"), row["chosen"], row["rejected"], counts[0] if counts else 1.0


def from_outcomes(outcomes: list[Outcome]) -> PreferenceMatrix:
    """Wins counted from outcomes, one matrix a context where contexts are named (in order of appearance).

    Raises:
        ValueError: naming the line, where an outcome is none, or where contexts compare different actions.

    Example:
        >>> P = from_outcomes([(1, None, "tea", "coffee", 3.0), (2, None, "coffee", "tea", 1.0)])
        >>> P.labels, P.probabilities[0, 1]
        (('tea', 'coffee'), np.float64(0.75))
    """
    for line, _, winner, loser, count in outcomes:
        if not winner or not loser or winner == loser:
            raise refusal(f"line {line}", [winner, loser], "two different names, a winner and a loser")
        check_names([winner, loser], f"line {line}")
        if count < 0:
            raise refusal(f"line {line}", count, "a count that is not negative")
    labels = list(dict.fromkeys(name for _, _, *pair, _ in outcomes for name in pair))
    contexts = list(dict.fromkeys(context for _, context, *_ in outcomes))
    _check_contexts(outcomes, contexts, labels)
    action = {name: i for i, name in enumerate(labels)}
    place = {context: i for i, context in enumerate(contexts)}
    wins = np.zeros((len(contexts), len(labels), len(labels)))
    with np.errstate(over="ignore"):  # a sum that overflows is refused by from_counts
        for _, context, winner, loser, count in outcomes:
            wins[place[context], action[winner], action[loser]] += count
    return PreferenceMatrix.from_counts(wins[0] if contexts == [None] else wins, labels=labels)


def _check_contexts(outcomes: list[Outcome], contexts: list[str | None], labels: list[str]) -> None:
    """Either no prompt anywhere, or one in every row, and the same actions under each."""
    if contexts == [None]:
        return
    if None in contexts:
        line = next(line for line, context, *_ in outcomes if (context is None) != (contexts[0] is None))
        raise ValueError(f"line {line}: some rows have a prompt, others none. Expected one in every row, or none.")
    named: dict[str | None, set[str]] = {context: set() for context in contexts}
    last = {context: line for line, context, *_ in outcomes}
    for _, context, winner, loser, _ in outcomes:
        named[context] |= {winner, loser}
    for context in contexts:
        missing = [name for name in labels if name not in named[context]]
        if missing:
            raise ValueError(
                f"line {last[context]}: prompt {shown(context)} never compares {shown(missing[0])}. "
                "A prompt is a context, and contexts share their actions. To pool them, leave prompt out."
            )
