"""What every reader and writer shares: numbers and names in text, refusals, evidence as rankings."""

from __future__ import annotations

import math
import re

import numpy as np

from stackelberg.evidence import Ballots, Counts, Unranked
from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import COMPLEMENT_TOLERANCE, Array, shown

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
Ranking = tuple[float, list[tuple[str, ...]]]
"""How many voters, and their groups of tied names, best first."""


def refusal(place: str, found: object, expected: str) -> ValueError:
    """A ``ValueError`` with its three parts: where, what stands there (shortened), what should.

    >>> str(refusal("line 3", "12%", "a number"))
    "line 3: found '12%', expected a number."
    """
    return ValueError(f"{place}: found {shown(found)}, expected {expected}.")


def number(text: str, place: str) -> float:
    """The number that ``text`` writes in ASCII digits, or a ``ValueError``.

    Stricter than ``float``: no ``nan`` or ``inf``, no ``1_000``, no digits of other scripts, nothing that
    overflows, and no whole number that float64 would have to round.

    >>> number(" 2.5e-1 ", "line 1")
    0.25
    """
    text = text.strip()
    if not NUMBER.fullmatch(text):
        raise refusal(place, text, "a number such as 12 or 0.25")
    value = float(text)
    if math.isinf(value):
        raise refusal(place, text, "a number that fits into float64, at most 1.8e308")
    if text.lstrip("+-").isdigit() and int(text) != value:
        raise refusal(place, text, "a whole number that float64 holds exactly, at most 2^53")
    return value


def check_names(names: list[str], place: str) -> tuple[str, ...]:
    """Distinct, non-empty names, or a ``ValueError`` that says which one is not."""
    if "" in names:
        raise refusal(place, names, "a name for every action, none of them empty")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{place}: the name {shown(twice)} stands twice, expected distinct names.")
    for name in names:
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise refusal(place, name, "text, and half a surrogate pair is none")
    return tuple(names)


def check_evidence(P: PreferenceMatrix) -> None:
    """Refuse a matrix whose probabilities are not those that its evidence implies (to 1e-9)."""
    if P.evidence is None:
        return
    if not isinstance(P.evidence, (Counts, Ballots)):
        raise ValueError(f"evidence must be Counts or Ballots, not {shown(P.evidence)}.")
    implied = P.counts.probabilities()  # type: ignore[union-attr]  # there is evidence, so there are counts
    if implied.shape != P.probabilities.shape:
        raise ValueError(
            f"The evidence is for shape {implied.shape} but the probabilities have shape "
            f"{P.probabilities.shape}. Expected one shape."
        )
    wrong = np.argwhere(np.abs(implied - P.probabilities) > COMPLEMENT_TOLERANCE)
    if len(wrong):
        cell = tuple(wrong[0].tolist())
        raise ValueError(
            f"The evidence and the probabilities contradict each other: at {cell} the evidence gives "
            f"{implied[cell]:.9g} and P is {P.probabilities[cell]:.9g}. Leave one of them out."
        )


def rankings_of(weights: Array, ranks: Array, labels: tuple[str, ...]) -> list[Ranking]:
    """Ballots as rows ``(count, groups)``; ballots that nobody cast (after a resampling) are left out."""
    rows = []
    for weight, row in zip(weights.tolist(), ranks, strict=True):
        if weight == 0:
            continue
        levels = np.unique(row[np.isfinite(row)])
        groups = [tuple(labels[i] for i in np.flatnonzero(row == level)) for level in levels]
        rows.append((weight, groups))
    return rows


def writable_rankings(P: PreferenceMatrix, ending: str) -> list[Ranking]:
    """The ballots of ``P`` for a format that keeps whole counts and nothing about unranked candidates."""
    if not isinstance(P.evidence, Ballots):
        raise ValueError(f"{ending} holds rankings, and P was not made from any. Save as .json or .npz.")
    partial = bool(np.isinf(P.evidence.ranks).any())
    if partial and P.evidence.unranked is not Unranked.BELOW:
        raise ValueError(
            f"{ending} does not say what partial ballots mean, and would be read with Unranked.BELOW again, "
            f"not {P.evidence.unranked}. Save as .json or .npz."
        )
    rows = rankings_of(P.evidence.weights, P.evidence.ranks, P.labels)
    if not rows or not all(groups for _, groups in rows):
        raise ValueError(f"{ending} cannot hold a ballot that ranks nobody. Save as .json or .npz.")
    return rows


def check_outer_blanks(labels: tuple[str, ...], ending: str) -> None:
    """Refuse labels that begin or end with a blank, where readers of ``ending`` strip blanks."""
    for label in labels:
        if label != label.strip():
            raise ValueError(
                f"The label {shown(label)} begins or ends with a blank, which {ending} does not keep. "
                "Save as .json or .npz."
            )
