"""The law by which errors fall, and its rate with an interval."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stackelberg.validation import Array


class Law(enum.Enum):
    """How errors fall, as a sentence."""

    LINEAR = "linear: each step multiplies the error by one factor"
    SUBLINEAR = "sublinear: the error falls as a power of the steps"
    UNDECIDED = "undecided: the records do not tell, or the error does not fall"


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval.

    >>> Interval(0.9, 0.88, 0.92).holds(0.91)
    True
    """

    value: float
    low: float
    high: float

    def holds(self, number: float) -> bool:
        """Whether a number lies in the interval."""
        return self.low <= number <= self.high

    def __str__(self) -> str:
        """Four digits, or as many as tell the ends apart."""
        digits = next((d for d in range(4, 8) if f"{self.low:.{d}g}" != f"{self.high:.{d}g}"), 7)
        return f"{self.value:.{digits}g} [{self.low:.{digits}g}, {self.high:.{digits}g}]"


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A fitted rate.

    Attributes:
        law: what the evidence says.
        factor: ρ of ``error ≈ c ρ^t``, the factor a step.
        exponent: a of ``error ≈ c t^{−a}``.
        scale: c, under the law that fits better; of the middle run where there are several.
        evidence: difference of the two Bayesian information criteria, above 0 for linear; summed over runs.
        window: first and last step that were fitted, in any run.
        records: how many records were fitted, in all runs.
        runs: how many runs; above 1 the intervals are over runs.
    """

    law: Law
    factor: Interval
    exponent: Interval
    scale: float
    evidence: float
    window: tuple[float, float]
    records: int
    runs: int

    def __str__(self) -> str:
        match self.law:
            case Law.LINEAR:
                return f"linear: factor a step {self.factor}"
            case Law.SUBLINEAR:
                return f"sublinear: ∝ t⁻ᵃ with a = {self.exponent}"
            case _:
                return "rate undecided"

    def predict(self, steps: ArrayLike) -> Array:
        """The fitted errors at these steps, under the law that fits better."""
        t = np.asarray(steps, dtype=float)
        curve = self.factor.value**t if self.evidence >= 0 else np.maximum(t, 1) ** -self.exponent.value
        return np.asarray(self.scale * curve)
