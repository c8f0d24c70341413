"""PrefLib: orders (.soc .soi .toc .toi) and weighted graphs (.wmd), in the format of 2022 with a '#' header.

After the specification in the repository PrefLib/PrefLib-Data (FORMAT_SPECIFICATION.md): metadata lines
``# KEY: value``, then ``count: 1,{2,3},4`` or, in a graph, ``source,destination,weight``. Alternatives are
numbered from 1. What the header says about the content is checked against the content.
"""

from __future__ import annotations

import re

import numpy as np

from stackelberg.evidence import Counts, Unranked
from stackelberg.io.common import Ranking, check_names, check_outer_blanks, number, refusal, writable_rankings
from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import shown

KINDS = {
    "soc": "strict, complete orders",
    "soi": "strict orders",
    "toc": "complete orders, ties allowed",
    "toi": "orders, ties allowed",
    "wmd": "a weighted graph",
}
NAME = re.compile(r"ALTERNATIVE NAME ([1-9][0-9]{0,8})")
GROUP = r"(?:[0-9]{1,9}|\{\s*[0-9]{1,9}(?:\s*,\s*[0-9]{1,9})*\s*\})"
ORDER = re.compile(rf"\s*([0-9]+)\s*:\s*({GROUP}(?:\s*,\s*{GROUP})*)\s*")
Line = tuple[int, str]


def read_preflib(text: str, unranked: Unranked, kind: str | None = None) -> PreferenceMatrix:
    """A matrix from PrefLib text; ``kind`` is the file's ending, else the header's ``DATA TYPE`` decides."""
    metadata, data = _split(text)
    stated = metadata.get("DATA TYPE", kind)
    if stated not in KINDS or kind not in (None, stated):
        raise refusal("DATA TYPE", stated, kind or "one of " + ", ".join(KINDS))
    names = _names(metadata)
    if stated == "wmd":
        return _graph(data, metadata, names)
    parsed = [_order(line, content, stated, names) for line, content in data]
    _check_total(metadata, "NUMBER VOTERS", sum(count for count, _ in parsed))
    orders = {tuple(tuple(sorted(group)) for group in groups) for _, groups in parsed}
    _check_total(metadata, "NUMBER UNIQUE ORDERS", len(orders))
    return PreferenceMatrix.from_rankings(parsed, names, unranked)


def _split(text: str) -> tuple[dict[str, str], list[Line]]:
    """The header as a dictionary, and the numbered data lines below it."""
    metadata: dict[str, str] = {}
    data: list[Line] = []
    for line, content in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not content.strip():
            continue
        if not content.startswith("#"):
            data.append((line, content))
            continue
        key, colon, value = (part.strip() for part in content[1:].partition(":"))
        if not colon or key in metadata or data:
            raise refusal(f"line {line}", content, "a line '# KEY: value', each key once, all above the data")
        metadata[key] = value
    if not metadata:
        expected = "lines '# KEY: value' (PrefLib's format since 2022; its older files began with a number)"
        raise refusal("line 1", text[:200].partition("\n")[0], expected)
    if not data:
        raise ValueError("There is no line below the header. Expected data such as '12: 1,2,3'.")
    return metadata, data


def _names(metadata: dict[str, str]) -> tuple[str, ...]:
    """The names of alternatives 1 to n, all there and no more."""
    named = {int(match[1]): value for key, value in metadata.items() if (match := NAME.fullmatch(key))}
    if sorted(named) != list(range(1, len(named) + 1)) or not named:
        raise refusal("the header", sorted(named), "a line '# ALTERNATIVE NAME k: name' for each k from 1 up")
    if "NUMBER ALTERNATIVES" not in metadata:
        raise ValueError("The header has no NUMBER ALTERNATIVES. Expected a line '# NUMBER ALTERNATIVES: n'.")
    _check_total(metadata, "NUMBER ALTERNATIVES", len(named))
    return check_names([named[k] for k in sorted(named)], "the alternatives")


def _check_total(metadata: dict[str, str], key: str, total: float) -> None:
    if key in metadata and number(metadata[key], key) != total:
        raise refusal(key, metadata[key], f"{total:.17g}, which the content has (is the file complete?)")


def _order(line: int, content: str, kind: str, names: tuple[str, ...]) -> Ranking:
    match = ORDER.fullmatch(content)
    if not match:
        raise refusal(f"line {line}", content, "a count and an order such as '12: 1,{2,3},4'")
    count = number(match[1], f"line {line}")
    groups = [re.findall("[0-9]+", group) for group in re.findall(GROUP, match[2])]
    ranked = [int(k) for group in groups for k in group]
    for k in ranked:
        if not 1 <= k <= len(names):
            raise refusal(f"line {line}", k, f"alternatives from 1 to {len(names)}")
    if len(set(ranked)) != len(ranked) or not count:
        raise refusal(f"line {line}", content, "a positive count, and each alternative at most once")
    if (kind in ("soc", "toc") and len(ranked) != len(names)) or (kind[0] == "s" and "{" in content):
        raise refusal(f"line {line}", content, f"{KINDS[kind]} of {len(names)} alternatives, as .{kind} says")
    return count, [tuple(names[int(k) - 1] for k in group) for group in groups]


def _graph(data: list[Line], metadata: dict[str, str], names: tuple[str, ...]) -> PreferenceMatrix:
    """An edge ``i,j,w`` is w wins of i over j; pairs without an edge were never compared."""
    wins: dict[tuple[int, int], float] = {}
    for line, content in data:
        cells = content.split(",")
        if len(cells) != 3 or not all(re.fullmatch(r"\s*[0-9]{1,9}\s*", cell) for cell in cells[:2]):
            raise refusal(f"line {line}", content, "an edge 'source,destination,weight' such as '1,2,12.0'")
        edge, weight = (int(cells[0]) - 1, int(cells[1]) - 1), number(cells[2], f"line {line}")
        if weight < 0 or min(edge) < 0 or max(edge) >= len(names) or edge[0] == edge[1] or edge in wins:
            expected = f"two different alternatives from 1 to {len(names)}, each edge once, no negative weight"
            raise refusal(f"line {line}", content, expected)
        wins[edge] = weight
    _check_total(metadata, "NUMBER EDGES", len(wins))
    table = np.zeros((len(names), len(names)))
    for edge, weight in wins.items():
        table[edge] = weight
    return PreferenceMatrix.from_counts(table, labels=names)


def write_preflib(P: PreferenceMatrix, kind: str) -> str:
    """The PrefLib text of a matrix made from rankings or (.wmd) from wins, or a ``ValueError``."""
    check_outer_blanks(P.labels, f".{kind}")
    for label in P.labels:
        if "\n" in label or "\r" in label:
            raise ValueError(f"The label {shown(label)} has a line break, which .{kind} cannot hold. Save as .json.")
    lines, totals = _edges(P) if kind == "wmd" else _orders(P, kind)
    header = [
        *("FILE NAME: ", "TITLE: ", "DESCRIPTION: ", f"DATA TYPE: {kind}", "MODIFICATION TYPE: original"),
        *("RELATES TO: ", "RELATED FILES: ", "PUBLICATION DATE: ", "MODIFICATION DATE: "),
        *(f"NUMBER ALTERNATIVES: {P.n}", *totals),
        *(f"ALTERNATIVE NAME {k}: {label}" for k, label in enumerate(P.labels, start=1)),
    ]
    return "\n".join([*(f"# {row}" for row in header), *lines]) + "\n"


def _orders(P: PreferenceMatrix, kind: str) -> tuple[list[str], list[str]]:
    rows = writable_rankings(P, f".{kind}")
    place = {label: str(k) for k, label in enumerate(P.labels, start=1)}
    voters: dict[str, int] = {}  # PrefLib wants each order once
    for count, groups in rows:
        sizes = [len(group) for group in groups]
        fits = (kind[0] == "t" or max(sizes) == 1) and (kind[2] == "i" or sum(sizes) == P.n)
        if not fits or not count.is_integer():
            raise ValueError(f".{kind} holds {KINDS[kind]}, in whole numbers; P has others. Try .toi or .json.")
        tied = [",".join(place[name] for name in group) for group in groups]
        order = ",".join(f"{{{names}}}" if "," in names else names for names in tied)
        voters[order] = voters.get(order, 0) + int(count)
    if sum(voters.values()) > 2**53:
        raise ValueError(f".{kind} would be read with rounded counts, there are so many voters. Save as .json.")
    totals = [f"NUMBER VOTERS: {sum(voters.values())}", f"NUMBER UNIQUE ORDERS: {len(voters)}"]
    return [f"{count}: {order}" for order, count in voters.items()], totals


def _edges(P: PreferenceMatrix) -> tuple[list[str], list[str]]:
    if not isinstance(P.evidence, Counts) or P.contexts is not None or P.evidence.ties.any():
        raise ValueError(".wmd holds one table of wins without ties, and P has none. Save as .json or .npz.")
    wins = P.evidence.wins
    lines = [f"{i + 1},{j + 1},{wins[i, j].item()!r}" for i, j in np.argwhere(wins).tolist()]
    if not lines:
        raise ValueError(".wmd cannot hold a table without a single win. Save as .json or .npz.")
    return lines, [f"NUMBER EDGES: {len(lines)}"]
