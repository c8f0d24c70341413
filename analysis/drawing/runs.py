"""What a picture needs of learning runs: their records as rows over steps, medians, bands, rates."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import stackelberg as sb
from stackelberg.validation import Array

NOTHING = 1e-17
"""What is less is drawn here, for logarithms."""

Runs = sb.Solution | Sequence[sb.Solution]


class Measure(enum.Enum):
    """What is drawn over the steps: the field of a trajectory and its name on an axis."""

    GAP = ("gap", "average_gap", "duality gap")
    DISTANCE = ("distance", None, "KL from the exact solution (nats)")
    GRADIENT = ("gradient_norm", None, "norm of the field")

    @property
    def last(self) -> str:
        """The field of the last iterate."""
        return str(self.value[0])

    @property
    def average(self) -> str | None:
        """The field of the average iterate, where there is one."""
        return self.value[1]

    @property
    def label(self) -> str:
        """Its name on an axis."""
        return str(self.value[2])


@dataclass(frozen=True, eq=False)
class Curves:
    """One quantity of several runs.

    Attributes:
        steps: (records,).
        rows: (runs, records): seeds, and contexts.
    """

    steps: Array
    rows: Array

    def middle(self) -> Array:
        """The median."""
        return np.asarray(np.median(self.rows, axis=0))

    def quantile(self, share: float) -> Array:
        """A quantile over runs."""
        return np.asarray(np.quantile(self.rows, share, axis=0))

    def rate(self) -> sb.Rate | None:
        """The fitted rate; None where there are too few records to fit."""
        try:
            return sb.fit_rate(self.steps, self.rows)
        except ValueError:
            return None

    def floored(self) -> Curves:
        """The same with what rounded to nothing at :data:`NOTHING`, so that logarithms can be drawn."""
        return Curves(self.steps, np.maximum(self.rows, NOTHING))


def solutions(runs: Runs) -> list[sb.Solution]:
    """One solution, or several, as a list."""
    found = list(runs) if isinstance(runs, Sequence) else [runs]
    if not found or any(not isinstance(one, sb.Solution) for one in found):
        raise ValueError("Runs are solutions that sb.solve learned: pass one or a list of them for every name.")
    return found


def curves(name: Any, runs: Runs, quantity: str) -> Curves | None:
    """A quantity of one name's runs, contexts and seeds as rows; None where it was not recorded."""
    rows: list[Array] = []
    steps: Array | None = None
    for one in solutions(runs):
        if one.trajectory is None:
            raise ValueError(f"{name} has no trajectory. Solve with a solver, and with record=sb.Record().")
        found = getattr(one.trajectory, quantity)
        if found is None:
            return None
        if steps is not None and not np.array_equal(steps, one.trajectory.steps):
            raise ValueError(f"The runs of {name} were recorded at different steps. Run all alike, without tolerance.")
        steps = np.asarray(one.trajectory.steps, dtype=np.float64)
        rows += list(np.atleast_2d(np.asarray(found).T))
    assert steps is not None
    return Curves(steps, np.array(rows))


def checked(runs: Mapping[Any, Runs]) -> None:
    """Refuse a picture of nothing."""
    if not runs:
        raise ValueError("There are no runs to draw. Pass solutions by the name of their solver.")


def thinned(steps: Array, most: int = 400) -> NDArray[np.int64]:
    """Indices of at most so many records, evenly in their logarithm and in themselves, first and last among them."""
    last = len(steps) - 1
    if last < most:
        return np.arange(last + 1, dtype=np.int64)
    even, early = np.linspace(0, last, most // 2), np.geomspace(1, last, most // 2)
    return np.unique(np.concatenate([even, early]).round().astype(np.int64))
