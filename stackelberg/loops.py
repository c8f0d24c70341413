"""The passes over a table, each one loop, compiled when it is first called: what :mod:`stackelberg.compiled` calls.

Passes begin with ``force = one · first + two · second (+ three · third)`` of each cell. Tables lie in one of two ways.
Either a row's cells lie one after another, (rows, n), and loops run *along* rows; or, for short rows, the rows lie side
by side, (n, rows), and loops run *across* them. Whatever there is one of a row is (rows,).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from stackelberg.elementary import exp, log

compiled = njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp", "reassoc"})


@compiled
def soften_along(
    one: Any, first: Any, two: Any, second: Any, logits: Any, weights: Any, total: Any, inner: Any
) -> None:
    """Logits are the force, weights its exponentials; of every row the sums of the weights and of weight · logit."""
    for row in range(logits.shape[0]):
        summed, bent = 0.0, 0.0
        for j in range(logits.shape[1]):
            force = one[row] * first[row, j] + two[row] * second[row, j]
            weight = exp(force)
            logits[row, j], weights[row, j] = force, weight
            summed += weight
            bent += weight * force
        total[row], inner[row] = summed, bent


@compiled
def soften_across(
    one: Any, first: Any, two: Any, second: Any, logits: Any, weights: Any, total: Any, inner: Any
) -> None:
    """The same, side by side."""
    total[:], inner[:] = 0.0, 0.0
    for j in range(logits.shape[0]):
        for row in range(logits.shape[1]):
            force = one[row] * first[j, row] + two[row] * second[j, row]
            weight = exp(force)
            logits[j, row], weights[j, row] = force, weight
            total[row] += weight
            inner[row] += weight * force


@compiled
def pull_along(
    one: Any, first: Any, two: Any, second: Any, weights: Any, share: Any, heavy: Any, gradient: Any
) -> None:
    """``heavy · weight · (force − Σ share · weight · force)`` of every row."""
    for row in range(gradient.shape[0]):
        mean = 0.0
        for j in range(gradient.shape[1]):
            mean += weights[row, j] * (one[row] * first[row, j] + two[row] * second[row, j])
        mean *= share[row]
        for j in range(gradient.shape[1]):
            force = one[row] * first[row, j] + two[row] * second[row, j]
            gradient[row, j] = (force - mean) * (weights[row, j] * heavy[row])


@compiled
def pull_across(
    one: Any, first: Any, two: Any, second: Any, weights: Any, share: Any, heavy: Any, gradient: Any
) -> None:
    """The same, side by side."""
    mean = np.zeros(gradient.shape[1])
    for j in range(gradient.shape[0]):
        for row in range(gradient.shape[1]):
            mean[row] += weights[j, row] * (one[row] * first[j, row] + two[row] * second[j, row])
    for row in range(gradient.shape[1]):
        mean[row] *= share[row]
    for j in range(gradient.shape[0]):
        for row in range(gradient.shape[1]):
            force = one[row] * first[j, row] + two[row] * second[j, row]
            gradient[j, row] = (force - mean[row]) * (weights[j, row] * heavy[row])


@compiled
def project_along(
    one: Any,
    first: Any,
    two: Any,
    second: Any,
    three: Any,
    third: Any,
    least: float,
    table: Any,
    logits: Any,
    total: Any,
    inner: Any,
) -> None:
    """The force projected onto the simplex, its logarithms of ``least`` or above, and sums as in :func:`soften_along`.

    The row is shifted until what is above 0 sums to 1 (Michelot 1986), by less and less, so that no digits are lost.
    """
    n = table.shape[1]
    for row in range(table.shape[0]):
        summed = 0.0
        for j in range(n):
            force = one[row] * first[row, j] + two[row] * second[row, j] + three[row] * third[row, j]
            table[row, j] = force
            summed += force
        shift, before, count = (summed - 1.0) / n, -1.0, float(n)
        while count != before:
            before = count
            summed, count = 0.0, 0.0
            for j in range(n):
                moved = table[row, j] - shift
                above = (moved > 0.0) * 1.0
                table[row, j] = moved
                summed += moved * above
                count += above
            shift = (summed - 1.0) / max(count, 1.0)
        summed, bent = 0.0, 0.0
        for j in range(n):
            moved = table[row, j]
            share = 0.0 if moved <= 0.0 else moved
            bound = log(least if share < least else share)
            table[row, j], logits[row, j] = share, bound
            summed += share
            bent += share * bound
        total[row], inner[row] = summed, bent


@compiled
def project_across(
    one: Any,
    first: Any,
    two: Any,
    second: Any,
    three: Any,
    third: Any,
    least: float,
    table: Any,
    logits: Any,
    total: Any,
    inner: Any,
) -> None:
    """The same, side by side."""
    n, rows = table.shape
    shift, before, count = np.zeros(rows), np.full(rows, float(n)), np.zeros(rows)
    for j in range(n):
        for row in range(rows):
            force = one[row] * first[j, row] + two[row] * second[j, row] + three[row] * third[j, row]
            table[j, row] = force
            shift[row] += force
    for row in range(rows):
        shift[row] = (shift[row] - 1.0) / n
    rising = 1.0
    while rising > 0.0:
        total[:], count[:] = 0.0, 0.0
        for j in range(n):
            for row in range(rows):
                moved = table[j, row] - shift[row]
                above = (moved > 0.0) * 1.0
                table[j, row] = moved
                total[row] += moved * above
                count[row] += above
        rising = 0.0
        for row in range(rows):
            rises = count[row] != before[row]
            shift[row] = (total[row] - 1.0) / max(count[row], 1.0) if rises else 0.0
            before[row] = count[row]
            rising += 1.0 if rises else 0.0
    total[:], inner[:] = 0.0, 0.0
    for j in range(n):
        for row in range(rows):
            moved = table[j, row]
            share = 0.0 if moved <= 0.0 else moved
            bound = log(least if share < least else share)
            table[j, row], logits[j, row] = share, bound
            total[row] += share
            inner[row] += share * bound


@compiled
def dot_along(weights: Any, values: Any, sums: Any) -> None:
    """``Σ weight · value`` of every row."""
    for row in range(weights.shape[0]):
        summed = 0.0
        for j in range(weights.shape[1]):
            summed += weights[row, j] * values[row, j]
        sums[row] = summed


@compiled
def dot_across(weights: Any, values: Any, sums: Any) -> None:
    """The same, side by side."""
    sums[:] = 0.0
    for j in range(weights.shape[0]):
        for row in range(weights.shape[1]):
            sums[row] += weights[j, row] * values[j, row]


@compiled
def add_along(sums: Any, weights: Any, share: Any) -> None:
    """Add ``share · weight``."""
    for row in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            sums[row, j] += weights[row, j] * share[row]


@compiled
def add_across(sums: Any, weights: Any, share: Any) -> None:
    """The same, side by side."""
    for j in range(sums.shape[0]):
        for row in range(sums.shape[1]):
            sums[j, row] += weights[j, row] * share[row]
