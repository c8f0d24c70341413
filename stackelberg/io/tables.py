"""CSV: a square table with labels, a long form ``winner,loser[,count]``, or ballots ``count,ranking``."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import numpy as np

from stackelberg.evidence import Ballots, Unranked
from stackelberg.io.common import Ranking, check_names, check_outer_blanks, number, refusal, writable_rankings
from stackelberg.io.pairs import Outcome, from_outcomes
from stackelberg.io.square import from_square
from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import shown

Row = tuple[int, list[str]]
"""The line that a row ends on, and its cells, without outer blanks."""


def read_csv(text: str, unranked: Unranked) -> PreferenceMatrix:
    """A matrix from CSV; the header chooses the layout (see :func:`stackelberg.read_preferences`)."""
    rows = _rows(text)
    columns = {name.casefold(): i for i, name in enumerate(rows[0][1])}
    if len(columns) == len(rows[0][1]):
        if columns.keys() in ({"winner", "loser"}, {"winner", "loser", "count"}):
            return _pairs(rows[1:], columns)
        if columns.keys() == {"count", "ranking"}:
            return _ballots(rows[1:], columns, unranked)
    return _square(rows)


def _rows(text: str) -> list[Row]:
    """All rows with something in them, each as long as the header, or a ``ValueError``."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[Row] = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if cells in ([], [""]):
                continue
            if rows and len(cells) != len(rows[0][1]):
                expected = f"{len(rows[0][1])} cells as in the header, not {len(cells)}"
                raise refusal(f"line {reader.line_num}", ",".join(cells), expected)
            rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: not CSV, {error}. Expected quotes in pairs.") from None
    if len(rows) < 2:
        raise ValueError("There is no row below the header. Expected a header and at least one row.")
    return rows


def _pairs(rows: list[Row], columns: dict[str, int]) -> PreferenceMatrix:
    """The long form: a row says that the winner beat the loser, ``count`` times (once by default)."""
    outcomes: list[Outcome] = []
    for line, cells in rows:
        count = number(cells[columns["count"]], f"line {line}, column count") if "count" in columns else 1.0
        outcomes.append((line, None, cells[columns["winner"]], cells[columns["loser"]], count))
    return from_outcomes(outcomes)


def _ballots(rows: list[Row], columns: dict[str, int], unranked: Unranked) -> PreferenceMatrix:
    """Ballots such as ``12,A>B=C``; a first row ``0,A=B=C=D`` only declares the names and their order."""
    parsed: list[Ranking] = []
    for position, (line, cells) in enumerate(rows):
        place = f"line {line}"
        count = number(cells[columns["count"]], f"{place}, column count")
        ranking = cells[columns["ranking"]]
        groups = [tuple(name.strip() for name in group.split("=")) for group in ranking.split(">")]
        check_names([name for group in groups for name in group], f"{place}, ranking {shown(ranking)}")
        declares = position == 0 and count == 0 and len(groups) == 1
        if count <= 0 and not declares:
            raise refusal(f"{place}, column count", cells[columns["count"]], "a positive number of voters")
        parsed.append((count, groups))
    labels = list(dict.fromkeys(name for _, groups in parsed for group in groups for name in group))
    return PreferenceMatrix.from_rankings([row for row in parsed if row[0]], labels, unranked)


def _square(rows: list[Row]) -> PreferenceMatrix:
    """The square layout; rows may come in another order than the columns, and are put in theirs by name."""
    (line, header), body = rows[0], rows[1:]
    if len(header) < 2:
        expected = "cells with commas between them, such as 'row_beats_col,A,B' or 'winner,loser,count'"
        raise refusal(f"line {line}", header[0], expected)
    labels = check_names(header[1:], f"line {line}")
    by_name: dict[str, Row] = {}
    known = set(labels)
    for line, (name, *cells) in body:
        if name not in known or name in by_name:
            expected = "one row for each label of the header (or a header 'winner,loser,count', or 'count,ranking')"
            raise refusal(f"line {line}", name, expected)
        by_name[name] = (line, cells)
    missing = [name for name in labels if name not in by_name]
    if missing:
        raise ValueError(f"line {body[-1][0]}: the table ends without a row for {shown(missing[0])}. Add it.")
    return from_square(labels, [by_name[name] for name in labels])


def write_csv(P: PreferenceMatrix) -> str:
    """The CSV text of a matrix without contexts, or a ``ValueError`` that says what CSV would lose."""
    if P.contexts is not None:
        raise ValueError("CSV holds one matrix, and P has contexts. Save it as .json or .npz.")
    check_outer_blanks(P.labels, "CSV")
    if isinstance(P.evidence, Ballots):
        return _written(_ballot_cells(P), P.labels)
    text: Callable[[float], str] = repr
    values = P.probabilities
    if P.evidence is not None:
        text, values = plain, P.evidence.wins
        if P.evidence.ties.any() or (values != np.floor(values)).any():
            raise ValueError(
                "A square CSV holds whole numbers of wins, and P was counted from ties or fractions too. "
                "Save it as .json or .npz."
            )
    table = [[name, *map(text, row)] for name, row in zip(P.labels, values.tolist(), strict=True)]
    return _written([["row_beats_col", *P.labels], *table], P.labels)


def _ballot_cells(P: PreferenceMatrix) -> list[list[str]]:
    """The rows of ``count,ranking``, led by one of names where first appearances do not give their order."""
    rows = writable_rankings(P, "CSV")
    for label in P.labels:
        if ">" in label or "=" in label:
            raise ValueError(
                f"The label {shown(label)} contains '>' or '=', which rank and tie names in a ranking. "
                "Save as .json or .npz."
            )
    appearing = tuple(dict.fromkeys(name for _, groups in rows for group in groups for name in group))
    cells = [[plain(count), ">".join("=".join(group) for group in groups)] for count, groups in rows]
    names = [["0", "=".join(P.labels)]] if appearing != P.labels else []
    return [["count", "ranking"], *names, *cells]


def plain(value: float) -> str:
    """A number as people write it: whole numbers without a point.

    >>> plain(3.0), plain(0.1)
    ('3', '0.1')
    """
    return str(int(value)) if value.is_integer() else repr(value)


def _written(cells: list[list[str]], labels: tuple[str, ...]) -> str:
    longest = max(len(cell) for row in cells for cell in row)
    if longest > csv.field_size_limit():
        raise ValueError(f"A CSV cell of {longest} characters is more than readers take. Save as .json or .npz.")
    # csv quotes "\n" by itself, but not "\r" where lines end in "\n"
    everything = any("\r" in label for label in labels)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL if everything else csv.QUOTE_MINIMAL)
    writer.writerows(cells)
    return buffer.getvalue()
