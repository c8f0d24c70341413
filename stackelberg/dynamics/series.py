"""Series of numbers that depend on each other: the variance of their sums, and lines through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stackelberg.validation import Array

STRONGEST = 0.97
"""Serial correlation is taken for no more than this (Andrews and Monahan 1992)."""


@dataclass(frozen=True)
class Line:
    """A least-squares line ``y ≈ level + slope · x``.

    Attributes:
        level: at x = 0.
        slope: of the line.
        error: standard error of the slope, serial correlation of the residuals included (Newey and West 1987,
            bandwidth by Andrews 1991, after prewhitening by Andrews and Monahan 1992).
        residual: mean square of the residuals.
        worth: how many independent residuals tell as much, 3 to their number.
    """

    level: float
    slope: float
    error: float
    residual: float
    worth: float

    @classmethod
    def through(cls, x: Array, y: Array) -> Line:
        """The line through points in order of time."""
        mean, across = x.mean(), x - x.mean()
        spread = float(across @ across)
        slope = float(across @ y) / spread
        level = float(y.mean() - slope * mean)
        residuals = y - level - slope * x
        n = len(x)
        variance = long_run_variance(across * residuals) * n / spread**2 * n / (n - 2)
        square = float(residuals @ residuals) / n
        return cls(level, slope, float(np.sqrt(variance)), square, effective_number(residuals))


def long_run_variance(series: Array) -> float:
    """``Σ_k cov(s_t, s_{t+k})`` of a series of mean zero, positive: n times the variance of its mean.

    The series is prewhitened by its own first-order autoregression, summed with Bartlett's weights, recoloured.

    >>> noise = np.random.default_rng(0).normal(size=10_000)
    >>> round(long_run_variance(noise - noise.mean()), 1)
    1.0
    """
    memory = _memory(series)
    white = series[1:] - memory * series[:-1]
    left = _memory(white)
    ratio = 4 * left**2 / (1 - left**2) ** 2
    bandwidth = 1.1447 * (ratio * len(white)) ** (1 / 3)  # Andrews (1991), equation 6.2
    total = float(white @ white)
    for lag in range(1, min(int(bandwidth) + 1, len(white))):
        total += 2 * (1 - lag / (bandwidth + 1)) * float(white[lag:] @ white[:-lag])
    return max(total, 0.0) / len(white) / (1 - memory) ** 2


def effective_number(series: Array) -> float:
    """How many independent numbers say as much of the mean as these, between 3 and their number."""
    n, variance = len(series), float(series @ series) / len(series)
    worth = long_run_variance(series)
    return float(np.clip(n * variance / worth, 3, n)) if worth > 0 else float(n)


def _memory(series: Array) -> float:
    """The first-order autocorrelation, its bias after a line was taken off mended (Kendall 1954; Marriott and Pope)."""
    square, n = float(series[:-1] @ series[:-1]), len(series)
    if square == 0:
        return 0.0
    found = float(series[1:] @ series[:-1]) / square
    return float(np.clip(found + (2 + 4 * found) / n, -STRONGEST, STRONGEST))
