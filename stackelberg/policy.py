"""Tabular policies: one probability for every action a player can see itself in front of."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stackelberg.combination import Combination
from stackelberg.kernel import Kernel, laid_out
from stackelberg.simplex import row_sums
from stackelberg.validation import Array

FLOOR = np.finfo(float).tiny
"""The smallest probability of full precision, 2e-308."""


@dataclass(frozen=True, eq=False)
class Tabular:
    """A policy as a table of probabilities and their logarithms, rows along the last axis; never changed in place.

    Weights are divided by their sums, and logits normalised, only when somebody reads them.

    Args:
        weights: (contexts, n), or (contexts, n, n) with a row an observed action.
        exponents: the natural logarithms, kept apart so that weights below 1e-308 keep theirs.
        finite: whether every row is a distribution.
        total: the row sums, (…, 1); None where they are one.
        inner: ``Σ_y weights(y) exponents(y)`` of every row, (…,); None where nobody has summed them yet.
        kernel: does the passes over the table, and over the tables that come of it.

    Example:
        >>> Tabular.from_logits([0.0, np.log(3)]).probabilities
        array([0.25, 0.75])
    """

    weights: Array
    exponents: Array
    finite: bool = True
    total: Array | None = None
    inner: Array | None = None
    kernel: Kernel = field(default_factory=Kernel, repr=False, metadata={"saved": False})

    @classmethod
    def from_logits(cls, logits: ArrayLike, kernel: Kernel | None = None) -> Tabular:
        """The softmax of ``logits``. Rows that are not finite stay so, and :attr:`finite` says it."""
        own = Kernel() if kernel is None else kernel
        return cls._softened(own, Combination((1.0, own.native(logits))))

    @classmethod
    def from_probabilities(
        cls, probabilities: ArrayLike, floor: float = FLOOR, kernel: Kernel | None = None
    ) -> Tabular:
        """From rows that sum to one; logarithms are read at ``floor`` or above."""
        own = Kernel() if kernel is None else kernel
        return cls._of(own.native(probabilities), floor, own)

    @classmethod
    def mean(cls, sums: Array, count: int, kernel: Kernel) -> Tabular:
        """The mean policy, from ``sums`` of the probabilities of ``count``."""
        return cls._of(np.multiply(sums, 1 / count, out=kernel.take(sums.shape)), FLOOR, kernel)

    @classmethod
    def _of(cls, probabilities: Array, floor: float, kernel: Kernel) -> Tabular:
        return cls(probabilities, *kernel.logarithms(probabilities, floor), kernel=kernel)

    def from_state(self, state: dict[str, Array], prefix: str) -> Tabular:
        """The table, shaped and placed as this one, whose arrays ``state`` names after ``prefix``.

        Raises:
            ValueError: an array is missing, has another shape, or the rows are no distributions.
        """
        given = [state.get(prefix + name) for name in ("weights", "exponents", "total", "inner")]
        if [getattr(part, "shape", None) for part in given[:2]] != [tuple(self.weights.shape)] * 2:
            raise ValueError(f"the point's arrays {', '.join(state)} are not of tables shaped {self.weights.shape}.")
        if any(np.isnan(part).any() for part in given if part is not None):
            raise ValueError("the point's rows are no numbers.")
        weights, exponents, total, inner = (part if part is None else self.kernel.native(part) for part in given)
        found = Tabular(weights, exponents, True, total, inner, self.kernel)  # type: ignore[arg-type]
        if not (np.abs(self.kernel.exact(found.probabilities).sum(axis=-1) - 1) < 1e-6).all():
            raise ValueError("the point's rows are no distributions.")
        return found

    def exact(self) -> Tabular:
        """The same policy in NumPy's float64, with sums of one to that precision."""
        if self.kernel.plain:
            return self
        weights = laid_out(self.kernel.exact(self.weights))
        exponents = laid_out(self.kernel.exact(self.exponents))
        np.log(weights, out=exponents, where=weights > np.finfo(np.float32).tiny)  # as near as the weights themselves
        return Tabular(weights, exponents, self.finite, row_sums(weights))

    @cached_property
    def probabilities(self) -> Array:
        """Rows that sum to one."""
        return self.weights if self.total is None else self.kernel.share(self.weights, self.total)

    @cached_property
    def logits(self) -> Array:
        """The natural logarithms of the probabilities."""
        return self.exponents if self.total is None else self.kernel.lower(self.exponents, self.total)

    @property
    def log_probabilities(self) -> Combination:
        """The logits, not yet normalised: ``exponents − log total``."""
        constant = () if self.total is None else ((-1.0, np.log(self.total)),)
        return Combination((1.0, self.exponents), *constant)

    def shifted(self, direction: Any, rate: float) -> Tabular:
        """The policy whose logits are ``logits + rate · direction``; the direction an array or a combination."""
        return self._softened(self.kernel, rate * Combination.of(direction) + self.exponents)

    def projected(self, direction: Any, rate: float, floor: float) -> Tabular:
        """``probabilities + rate · direction`` on the simplex again; logarithms are read at ``floor`` or above."""
        moved = rate * Combination.of(direction) + self.probabilities
        return Tabular(*self.kernel.project(moved, floor), kernel=self.kernel)

    @classmethod
    def _softened(cls, kernel: Kernel, logits: Combination) -> Tabular:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return cls(*kernel.soften(logits), kernel=kernel)

    def expect(self, values: Any) -> Array:
        """``Σ_y π(y) values(y)`` of every row, without the last axis."""
        if values.shape[-1] == 1:
            return values[..., 0]
        if not isinstance(values, Combination):
            return self._shared(self._summed(values))
        terms = [(factor if isinstance(factor, float) else factor[..., 0], array) for factor, array in values.terms]
        sums = [factor * self._summed(array) for factor, array in terms if array.shape[-1] > 1]
        constants = [factor * array[..., 0] for factor, array in terms if array.shape[-1] == 1]
        return reduce(operator.add, constants, self._shared(reduce(operator.add, sums)))

    def _summed(self, values: Array) -> Array:
        """``Σ_y weights(y) values(y)`` of every row."""
        known = self.inner if values is self.exponents else None
        return self.kernel.dot(self.weights, values) if known is None else known

    def _shared(self, sums: Array) -> Array:
        return sums if self.total is None else sums / self.total[..., 0]

    def gradient(self, natural: Any, weight: Array | None) -> Array:
        """``weight π (natural − E_π natural)`` of every row."""
        return self.kernel.gradient(self.weights, natural, weight, self.total)

    def add_to(self, sums: Array) -> None:
        """Add the probabilities to ``sums``, in place."""
        if self.total is None or "probabilities" in vars(self):
            sums += self.probabilities
        else:
            self.kernel.accumulate(sums, self.weights, self.total)
