"""Numbers that say what they are: exact, sampled with an error, or only a bound."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np


class Kind(enum.Enum):
    """What a number is, as words."""

    EXACT = "exact"
    SAMPLED = "sampled"
    LOWER_BOUND = "a lower bound"


@dataclass(frozen=True)
class Estimate:
    """A number, what kind of number it is, and its standard error (0 where exact).

    Example:
        >>> Estimate.mean([0.4, 0.6, 0.5, 0.5])
        Estimate(value=0.5, kind=<Kind.SAMPLED: 'sampled'>, stderr=0.0408...)
        >>> print(Estimate(0.25), Estimate(0.5, Kind.SAMPLED, 0.01), Estimate(0.1, Kind.LOWER_BOUND))
        0.25 0.5 ± 0.01 ≥ 0.1
    """

    value: float
    kind: Kind = Kind.EXACT
    stderr: float = 0.0

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        mark = "≥ " if self.kind is Kind.LOWER_BOUND else ""
        return f"{mark}{self.value:.4g}" + (f" ± {self.stderr:.2g}" if self.stderr else "")

    @classmethod
    def mean(cls, draws: Any) -> Estimate:
        """The mean of independent draws with its standard error; two draws at least."""
        draws = np.asarray(draws, dtype=float)
        if draws.ndim != 1 or len(draws) < 2:
            raise ValueError(f"A standard error needs two draws or more in a row, not shape {draws.shape}. Draw more.")
        return cls(float(draws.mean()), Kind.SAMPLED, float(draws.std(ddof=1) / np.sqrt(len(draws))))
