"""Tabular policies: one probability for every action a player can see itself in front of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stackelberg.combination import Combination
from stackelberg.kernel import Kernel, laid_out
from stackelberg.validation import Array

FLOOR = np.finfo(float).tiny
"""The smallest probability of full precision, 2e-308."""


@dataclass(frozen=True, eq=False)
class Tabular:
    """A policy as a table of probabilities and their logarithms, rows along the last axis; never changed in place.

    Args:
        probabilities: (contexts, n), or (contexts, n, n) with a row an observed action.
        logits: the natural logarithms, normalised, kept apart so that probabilities below 1e-308 keep theirs.
        finite: whether every row is a distribution; told from the row sums, which any NaN reaches.
        kernel: does the passes over the table, and over the tables that come of it.

    Example:
        >>> Tabular.from_logits([0.0, np.log(3)]).probabilities
        array([0.25, 0.75])
    """

    probabilities: Array
    logits: Array
    finite: bool = True
    kernel: Kernel = field(default_factory=Kernel, repr=False)

    @classmethod
    def from_logits(cls, logits: ArrayLike) -> Tabular:
        """The softmax of ``logits``. Rows that are not finite stay so, and :attr:`finite` says it."""
        return cls._softened(Kernel(), Combination((1.0, laid_out(np.asarray(logits, dtype=float)))))

    @classmethod
    def from_probabilities(cls, probabilities: ArrayLike, floor: float = FLOOR) -> Tabular:
        """From rows that sum to one; logarithms are read at ``floor`` or above."""
        given, kernel = laid_out(np.asarray(probabilities, dtype=float)), Kernel()
        return cls(given, *kernel.logarithms(given, floor), kernel)

    def shifted(self, direction: Any, rate: float) -> Tabular:
        """The policy whose logits are ``logits + rate · direction``; the direction an array or a combination."""
        return self._softened(self.kernel, rate * Combination.of(direction) + self.logits)

    def projected(self, direction: Any, rate: float, floor: float) -> Tabular:
        """``probabilities + rate · direction`` projected onto the simplex; logarithms are read at ``floor`` or above."""
        moved = rate * Combination.of(direction) + self.probabilities
        return Tabular(*self.kernel.project(moved, floor), self.kernel)

    @classmethod
    def _softened(cls, kernel: Kernel, logits: Combination) -> Tabular:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return cls(*kernel.soften(logits), kernel)

    def expect(self, values: Any) -> Array:
        """``Σ_y π(y) values(y)`` of every row, without the last axis."""
        return self.kernel.expect(self.probabilities, values)
