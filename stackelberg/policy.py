"""Tabular policies: one probability for every action a player can see itself in front of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stackelberg.simplex import row_sums
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

    Example:
        >>> Tabular.from_logits([0.0, np.log(3)]).probabilities
        array([0.25, 0.75])
    """

    probabilities: Array
    logits: Array
    finite: bool = True

    @classmethod
    def from_logits(cls, logits: ArrayLike) -> Tabular:
        """The softmax of ``logits``. Rows that are not finite stay so, and :attr:`finite` says it."""
        return cls._normalise(np.array(logits, dtype=float))

    @classmethod
    def from_probabilities(cls, probabilities: ArrayLike, floor: float = FLOOR) -> Tabular:
        """From rows that sum to one; logarithms are read at ``floor`` or above."""
        given = np.asarray(probabilities, dtype=float)
        logits = np.maximum(given, floor)
        np.log(logits, out=logits)
        return cls(given, logits, bool(np.isfinite(row_sums(given)).all()))

    def shifted(self, direction: Array, rate: float) -> Tabular:
        """The policy whose logits are ``logits + rate · direction``."""
        logits = np.multiply(direction, rate)
        logits += self.logits
        return self._normalise(logits)

    @classmethod
    def _normalise(cls, logits: Array) -> Tabular:
        """Take the array over. The rows were normalised a small step ago, so mostly no shift is needed."""
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            weights = np.exp(logits)
            total = row_sums(weights)
            if not ((total > 1e-100) & (total < 1e100)).all():
                logits -= logits.max(axis=-1, keepdims=True)
                np.exp(logits, out=weights)
                total = row_sums(weights)
            weights *= 1 / total  # much the quicker division
            logits -= np.log(total)
        return cls(weights, logits, bool(np.isfinite(total).all()))

    def expect(self, values: Array) -> Array:
        """``Σ_y π(y) values(y)`` of every row, without the last axis."""
        return np.einsum("...n,...n->...", self.probabilities, values)
