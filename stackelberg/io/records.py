"""JSON, as people write it and as ``save`` does."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from stackelberg.evidence import Ballots, Counts, Unranked
from stackelberg.io.common import Ranking, check_evidence, check_names, number, rankings_of, refusal
from stackelberg.preference import PreferenceMatrix

KEYS = ("labels", "probabilities", "wins", "ties", "ballots", "unranked")
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s,:\[\]{}"]+', re.DOTALL)


def read_json(text: str, unranked: Unranked) -> PreferenceMatrix:
    """A matrix from a JSON document (see :func:`stackelberg.read_preferences`)."""
    value = parse(text, 1)
    if isinstance(value, list):
        return PreferenceMatrix(_numbers(value, "the array"))
    if not isinstance(value, dict):
        raise refusal("line 1", value, "an object with probabilities, wins or ballots, or an array of numbers")
    _check_keys(value)
    labels: Sequence[str] | None = _labels(value["labels"]) if "labels" in value else None
    evidence: Counts | Ballots | None = None
    if "wins" in value:
        ties = _numbers(value["ties"], "ties") if "ties" in value else None
        evidence = Counts.checked(_numbers(value["wins"], "wins"), ties)
    elif "ballots" in value:
        rows = [_ballot(row, f"ballots[{i}]") for i, row in enumerate(_list(value["ballots"], "ballots"))]
        meaning = unranked_from(value["unranked"]) if "unranked" in value else unranked
        evidence, labels = Ballots.checked(rows, labels, meaning)
    return _assembled(value, labels, evidence)


def _assembled(value: dict[str, Any], labels: Any, evidence: Counts | Ballots | None) -> PreferenceMatrix:
    if "probabilities" in value:
        p = _numbers(value["probabilities"], "probabilities")
    elif evidence is not None:
        p = (evidence.counts() if isinstance(evidence, Ballots) else evidence).probabilities()
    P = PreferenceMatrix(p, labels, evidence)
    check_evidence(P)
    return P


def _check_keys(value: dict[str, Any]) -> None:
    for key in value:
        if key not in KEYS:
            raise refusal("the object", key, f"only the keys {', '.join(KEYS)}")
    if not value.keys() & {"probabilities", "wins", "ballots"} or {"wins", "ballots"} <= value.keys():
        raise refusal("the object", list(value), "probabilities, or wins, or ballots among its keys")
    for key, needed in (("ties", "wins"), ("unranked", "ballots")):
        if key in value and needed not in value:
            raise refusal("the object", list(value), f"{needed} beside {key}")


def parse(text: str, first_line: int) -> Any:
    """JSON without its dark corners: NaN, Infinity, repeated keys and rounded whole numbers are refused."""

    def place(token: str) -> str:
        start = next((m.start() for m in TOKEN.finditer(text) if m[0] == token), 0)
        return f"line {first_line + text.count(chr(10), 0, start)}"

    def finite(token: str) -> float:
        try:
            return number(token, "")
        except ValueError:
            return number(token, place(token))  # said again, with the line

    def constant(token: str) -> float:
        raise refusal(place(token), token, "a finite number")

    try:
        return json.loads(
            text, parse_int=finite, parse_float=finite, parse_constant=constant, object_pairs_hook=_object
        )
    except json.JSONDecodeError as error:
        content = text.split("\n")[error.lineno - 1]
        expected = f"JSON ({error.msg} at column {error.colno})"
        raise refusal(f"line {first_line + error.lineno - 1}", content, expected) from None
    except RecursionError:
        raise ValueError(f"line {first_line}: the brackets are nested too deeply. Expected rows.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        keys = [key for key, _ in pairs]
        raise refusal("an object", next(key for key in keys if keys.count(key) > 1), "each key once")
    return members


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise refusal(place, value, "an array")
    return value


def _numbers(value: Any, place: str, levels: int = 3) -> Any:
    """Nested lists with nothing but numbers in them; the shape is checked by whoever takes them."""
    if not isinstance(value, list) or not levels:
        raise refusal(place, value, "an array of numbers" if levels == 3 else "a number")
    for i, item in enumerate(value):
        if type(item) is not float:  # `parse` has made every number a float; true and false are none
            _numbers(item, f"{place}[{i}]", levels - 1)
    return value


def _labels(value: Any) -> list[str]:
    for i, name in enumerate(_list(value, "labels")):
        if not isinstance(name, str):
            raise refusal(f"labels[{i}]", name, "a text")
    return list(check_names(value, "labels"))


def _ballot(row: Any, place: str) -> Ranking:
    """``[count, [name, [tied, tied], ...]]``."""
    if not (isinstance(row, list) and len(row) == 2 and type(row[0]) is float):
        raise refusal(place, row, 'a pair such as [3, ["A", ["B", "C"]]]')
    groups = [tuple(_labels(group if isinstance(group, list) else [group])) for group in _list(row[1], place)]
    if not all(groups):
        raise refusal(place, row[1], "names, none of the ties empty")
    return row[0], groups


def unranked_from(value: Any) -> Unranked:
    """The member of :class:`Unranked` whose value this is.

    >>> unranked_from("tied")
    <Unranked.TIED: 'tied'>
    """
    for member in Unranked:
        if member.value == value:
            return member
    raise refusal("unranked", value, "one of " + ", ".join(member.value for member in Unranked))


def write_json(P: PreferenceMatrix) -> str:
    """The JSON text of a matrix with all it knows: labels, exact probabilities, counts or ballots."""
    parts: dict[str, Any] = {"labels": list(P.labels), "probabilities": P.probabilities.tolist()}
    if isinstance(P.evidence, Counts):
        parts["wins"] = P.evidence.wins.tolist()
        if P.evidence.ties.any():
            parts["ties"] = P.evidence.ties.tolist()
    elif isinstance(P.evidence, Ballots):
        rows = rankings_of(P.evidence.weights, P.evidence.ranks, P.labels)
        parts["ballots"] = [[count, [g if len(g) > 1 else g[0] for g in groups]] for count, groups in rows]
        parts["unranked"] = P.evidence.unranked.value
    lines = [f"  {json.dumps(key)}: {_laid_out(value)}" for key, value in parts.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _laid_out(value: Any) -> str:
    """JSON with one row of a matrix a line."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n    " + ",\n    ".join(json.dumps(row, ensure_ascii=False) for row in value) + "\n  ]"
    return json.dumps(value, ensure_ascii=False)
