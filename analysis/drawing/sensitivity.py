"""How often each action wins under other pair samplings, concept by concept."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.comparison import BORDA, RLHF
from analysis.drawing.columns import Column, chosen_actions, draw_columns
from analysis.drawing.save import Drawing
from analysis.drawing.style import styled
from analysis.sensitivity import Sensitivity, Spread
from stackelberg.validation import Array

FACTS = ("mean distance", "its 95 % interval", "pairs that matter")


@styled
def draw_sensitivity(sensitivity: Sensitivity) -> Drawing:
    """How often each action is the mode under random pair samplings, and with a pair left out.

    Example:
        >>> import stackelberg as sb
        >>> from analysis.sensitivity import sensitivity
        >>> found = sensitivity(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), draws=20)
        >>> draw_sensitivity(found).columns
        ('concept', 'quantity', 'action', 'value', 'low', 'high')
    """
    columns = [_column(sensitivity, spread) for spread in sensitivity.spreads]
    order = [int(i) for i in np.argsort(-sensitivity.comparison.borda, kind="stable")]
    shown = chosen_actions(columns, order)
    cut = [
        Column(
            name=column.name,
            values=_of(column.values, shown),
            low=_of(column.low, shown),
            high=_of(column.high, shown),
            rings=_of(column.rings, shown),
            facts=column.facts,
            missing=column.missing,
        )
        for column in columns
    ]
    labels = [sensitivity.labels[i] for i in shown]
    page = draw_columns(labels, cut, FACTS, _words(sensitivity, len(shown)), "share of the samplings")
    names = ("concept", "quantity", "action", "value", "low", "high")
    return Drawing("sensitivity", page.figure, names, _rows(sensitivity, columns, shown))


def _of(array: Array | None, shown: list[int]) -> Array | None:
    return None if array is None else array[shown]


def _column(found: Sensitivity, spread: Spread) -> Column:
    """One concept's bars: whiskers and rings only where it depends on the sampling at all."""
    if spread.distance is None:
        return Column(name=spread.concept, values=None, facts=("",) * 3, missing="no finite fit")
    if not spread.depends:
        return Column(name=spread.concept, values=spread.frequency, facts=("0 exactly", "", "none"))
    changed, fitted = changes(found, spread.concept)
    facts = (f"{spread.distance:.3f}", f"[{spread.distance_low:.3f}, {spread.distance_high:.3f}]")
    return Column(
        name=spread.concept,
        values=spread.frequency,
        low=spread.low,
        high=spread.high,
        rings=found.left_out_shares(spread.concept),
        facts=(*facts, f"{changed} of {fitted}"),
    )


def changes(found: Sensitivity, concept: str) -> tuple[int, int]:
    """How many left-out pairs change the winners of RLHF or Borda, of how many that leave an answer."""
    field = {RLHF: "rlhf", BORDA: "borda"}[concept]
    answers = [getattr(row, field) for row in found.left_out if getattr(row, field)]
    return sum(answer != found.comparison.row(concept).modes for answer in answers), len(answers)


def _words(found: Sensitivity, shown: int) -> tuple[str, str, str]:
    """Title, subtitle and note."""
    title = f"Who wins, if other pairs are shown to the annotators? (τ = {found.comparison.tau:g})"
    subtitle = f"Bars: how often an action is the likeliest over {found.draws:,} random pair samplings, with 95 % "
    subtitle += "intervals. Rings: over samplings that leave out one pair. NLHF and SLHF see no sampling."
    notes = ["Distance: total variation (0 to 1) to the policy under uniform sampling."]
    notes.append("Pairs that matter: those that change the winner when they are left out.")
    if len(found.left_out) < found.pairs:
        notes.append(f"Left out: {len(found.left_out):,} pairs chosen at random from {found.pairs:,}.")
    disconnected = sum(row.reason is not None for row in found.left_out)
    if disconnected:
        notes.append(f"Without a finite RLHF fit: {disconnected} of {len(found.left_out)} left-out pairs.")
    notes += [f"{spread.concept}: {spread.reason}" for spread in found.spreads if spread.reason]
    if len(found.labels) > shown:
        notes.append(f"Not drawn: {len(found.labels) - shown} actions that win less.")
    return title, subtitle, " ".join(notes)


def _rows(found: Sensitivity, columns: list[Column], shown: list[int]) -> tuple[tuple[Any, ...], ...]:
    rows: list[tuple[Any, ...]] = []
    for spread, column in zip(found.spreads, columns, strict=True):
        if spread.frequency is None or spread.low is None or spread.high is None:
            continue
        ends = (spread.distance, spread.distance_low, spread.distance_high)
        rows.append((spread.concept, "mean distance", "", *ends))
        for i in shown:
            values = (float(array[i]) for array in (spread.frequency, spread.low, spread.high))
            rows.append((spread.concept, "share of random samplings", found.labels[i], *values))
            if column.rings is not None:
                share = float(column.rings[i])
                rows.append((spread.concept, "share of left-out pairs", found.labels[i], share, "", ""))
    return tuple(rows)
