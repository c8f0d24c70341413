"""A square table of numbers: probabilities or wins, told apart by their values and never guessed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackelberg.io.common import number
from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import COMPLEMENT_TOLERANCE, Array, shown


def from_square(labels: tuple[str, ...], rows: list[tuple[int, list[str]]]) -> PreferenceMatrix:
    """A matrix from ``(line, cells)`` rows in the order of ``labels``.

    *Probabilities* lie in [0, 1], have ``P + Pᵀ = 1`` (to 1e-9) and a diagonal of ½ or blank. *Numbers of
    wins* are whole, not negative, with a diagonal of 0 or blank. A table that is neither is refused with
    the reason for each, and so is one that could be both (zeros and ones, diagonal blank).

    Raises:
        ValueError: naming line and cell.

    Example:
        >>> P = from_square(("A", "B"), [(2, ["", "0.75"]), (3, ["0.25", ""])])
        >>> P.probabilities[0, 1], P.counts is None
        (np.float64(0.75), True)
    """
    values = np.array([_numbers(i, line, cells, labels) for i, (line, cells) in enumerate(rows)])
    lines = [line for line, _ in rows]
    blank = np.isnan(values)
    shares, wins = np.where(blank, 0.5, values), np.where(blank, 0.0, values)
    no_shares = _first(_faults_of_probabilities(shares), labels, lines, values)
    no_wins = _first(_faults_of_wins(wins), labels, lines, values)
    if no_shares and no_wins:
        hint = _hint(wins)
        raise ValueError(f"Not probabilities: {no_shares}. Not numbers of wins either: {no_wins}. {hint}")
    if not no_shares and not no_wins:
        raise ValueError(
            f"line {lines[0]}: zeros and ones with a blank diagonal can be probabilities or numbers of wins. "
            "Expected 0.5 (probabilities) or 0 (wins) on the diagonal."
        )
    return PreferenceMatrix(shares, labels) if no_wins else PreferenceMatrix.from_counts(wins, labels=labels)


def _numbers(row: int, line: int, cells: list[str], labels: tuple[str, ...]) -> list[float]:
    """One row of numbers, nan where the diagonal is blank."""
    return [
        float("nan") if i == row and not cell else number(cell, f"line {line}, column {shown(labels[i])}")
        for i, cell in enumerate(cells)
    ]


Fault = tuple[NDArray[np.bool_], str]


def _faults_of_probabilities(p: Array) -> list[Fault]:
    # huge entries may overflow in the sum; they are outside [0, 1], which is told first
    with np.errstate(over="ignore"):
        unequal = np.abs(p + p.T - 1) > COMPLEMENT_TOLERANCE
    return [
        ((p < 0) | (p > 1), "not in [0, 1]"),
        (
            np.eye(len(p), dtype=bool) & (np.abs(p - 0.5) > COMPLEMENT_TOLERANCE / 2),
            "not 0.5, on the diagonal",
        ),
        (unequal, "and with the opposite cell does not sum to 1 (to 1e-9)"),
    ]


def _faults_of_wins(wins: Array) -> list[Fault]:
    return [
        (wins < 0, "negative"),
        (np.eye(len(wins), dtype=bool) & (wins != 0), "not 0, on the diagonal"),
        (wins != np.floor(wins), "not a whole number"),
    ]


def _first(faults: list[Fault], labels: tuple[str, ...], lines: list[int], values: Array) -> str:
    """The first fault in words, or an empty string where there is none."""
    for mask, words in faults:
        if mask.any():
            i, j = np.argwhere(mask)[0].tolist()
            return f"line {lines[i]}, {shown(labels[i])} over {shown(labels[j])} is {values[i, j]:.12g}, {words}"
    return ""


def _hint(values: Array) -> str:
    with np.errstate(over="ignore"):
        total = values + values.T
    off = ~np.eye(len(values), dtype=bool)
    if (values < 0).any() and not total.any():
        return "Are these margins? Pass them to PreferenceMatrix.from_margins."
    if off.any() and np.allclose(total[off], 100):
        return "Are these percentages? Divide them by 100, with 0.5 on the diagonal."
    if off.any() and np.allclose(total[off], 1):
        return "Write 0.5 on the diagonal, or leave it blank."
    return "Expected one or the other."
