"""How fast errors fall: linear or sublinear, decided by evidence, with an interval for the rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from stackelberg.dynamics.law import Interval, Law, Rate
from stackelberg.dynamics.series import Line
from stackelberg.validation import Array, as_floats, shown

ROUNDING = 1e-13
"""Errors below this are rounding."""
STRONG = 10.0
"""Difference of the Bayesian information criterion that is very strong evidence (Kass and Raftery 1995)."""
FEWEST = 8
"""A run with fewer records than this, after the burn-in and above rounding, is not judged."""


def fit_rate(
    steps: ArrayLike, errors: ArrayLike, *, burn_in: float = 0.25, rounding: float = ROUNDING, evidence: float = STRONG
) -> Rate:
    """Does an error fall linearly, ``c ρ^t``, or sublinearly, ``c t^{−a}``, and how fast?

    Both laws are straight lines for log error, over t and over log t, with two numbers each. After the burn-in
    they are compared by the Bayesian information criterion, ``Δ = m log(s²_sub/s²_lin)``, s² the mean squared
    residuals and m how many independent ones they are worth; below ``evidence``, or where the error does not
    clearly fall, the law is undecided. The 95 % interval of one run is that of its slope with Newey–West errors,
    prewhitened, and Student's t with m − 2 degrees of freedom; that of several runs is Student's over their slopes.

    An error quadratic in the policies, a KL or a gap where all is played, falls by the square of their factor.
    Where the best error is below 1e-10, what is within a factor of ten of it is left out as rounding, too.

    Args:
        steps: (records,) increasing steps, as in ``trajectory.steps``.
        errors: (records,), or (runs, records): seeds, or contexts, ``trajectory.gap.T``.
        burn_in: the share of the steps above rounding that is left out first.
        rounding: a run is read up to its last error above this.
        evidence: the least Δ that decides.

    Raises:
        ValueError: shapes that do not fit, negative errors, or fewer than 8 records to judge by.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.3)
        >>> record = sb.Record(every=1)
        >>> run = sb.solve(game, sb.EGPO(learning_rate=0.5), steps=80, start=[0.4, 0.35, 0.25], record=record)
        >>> rate = sb.fit_rate(run.trajectory.steps, run.trajectory.gap)
        >>> rate.law, round(rate.factor.value, 2), round(sb.spectrum(game, sb.EGPO(learning_rate=0.5)).gap_factor, 2)
        (<Law.LINEAR: 'linear: each step multiplies the error by one factor'>, 0.7, 0.7)
        >>> print(sb.fit_rate(range(1, 101), [1 / t for t in range(1, 101)]))
        sublinear: ∝ t⁻ᵃ with a = 1 [1, 1]
    """
    t, rows = _checked(steps, errors)
    fits = [_fit(*_window(t, row, burn_in, rounding, k)) for k, row in enumerate(rows)]
    total = float(sum(fit.evidence for fit in fits))
    factor = _interval([fit.linear for fit in fits])
    exponent = _interval([fit.power for fit in fits])
    better = factor if total >= 0 else exponent
    falls = better.high < 0
    law = Law.UNDECIDED if abs(total) < evidence or not falls else Law.LINEAR if total > 0 else Law.SUBLINEAR
    levels = [(fit.linear if total >= 0 else fit.power).level for fit in fits]
    return Rate(
        law=law,
        factor=Interval(*(float(np.exp(end)) for end in (factor.value, factor.low, factor.high))),
        exponent=Interval(-exponent.value, -exponent.high, -exponent.low),
        scale=float(np.exp(np.median(levels))),
        evidence=total,
        window=(min(fit.first for fit in fits), max(fit.last for fit in fits)),
        records=sum(fit.records for fit in fits),
        runs=len(fits),
    )


@dataclass(frozen=True)
class _Fit:
    """One run under both laws."""

    linear: Line
    power: Line
    evidence: float
    first: float
    last: float
    records: int


def _checked(steps: ArrayLike, errors: ArrayLike) -> tuple[Array, Array]:
    t, rows = as_floats(steps, "steps"), np.atleast_2d(as_floats(errors, "errors"))
    if t.ndim != 1 or rows.ndim != 2 or rows.shape[1] != len(t) or not rows.size:
        raise ValueError(
            f"errors must be (records,) or (runs, records) beside steps (records,), not {np.shape(errors)} beside "
            f"{t.shape}. Transpose a trajectory with contexts: trajectory.gap.T."
        )
    if (np.diff(t) <= 0).any() or (t < 0).any():
        raise ValueError("steps must increase from 0 or more. Pass trajectory.steps.")
    # a gap may round to a little below zero
    if (rows < -1e-9).any():
        raise ValueError(f"errors must not be negative; the least is {shown(float(rows.min()))}. Pass gaps or norms.")
    return t, rows


def _window(t: Array, errors: Array, burn_in: float, rounding: float, run: int) -> tuple[Array, Array]:
    """The steps to judge by, and the logarithms of their errors."""
    if not 0 <= burn_in < 1:
        raise ValueError(f"burn_in must be a share from 0 to below 1, not {shown(burn_in)}. Pass 0.25.")
    least = float(errors.min())
    floor = max(rounding, 10 * least) if least < 1e-10 else rounding
    above = np.flatnonzero(errors > floor)
    end = t[above[-1]] if len(above) else 0.0
    kept = (errors > floor) & (t <= end) & (t >= burn_in * end) & (t > 0)
    if kept.sum() < FEWEST:
        raise ValueError(
            f"Run {run} has {kept.sum()} records after the burn-in and above rounding, and {FEWEST} are needed. "
            "Record more often, sb.Record(every=1) or --every 1, or run longer."
        )
    return t[kept], np.log(errors[kept])


def _fit(t: Array, log_errors: Array) -> _Fit:
    linear, power = Line.through(t, log_errors), Line.through(np.log(t), log_errors)
    least = 1e-24 + 1e-30 * float(log_errors @ log_errors)  # lines through rounding are equally good
    worth = min(linear, power, key=lambda line: line.residual).worth
    evidence = worth * np.log((power.residual + least) / (linear.residual + least))
    return _Fit(linear, power, float(evidence), float(t[0]), float(t[-1]), len(t))


def _interval(lines: list[Line]) -> Interval:
    """Of the slope: from its own error, or over runs."""
    slopes = np.array([line.slope for line in lines])
    if len(lines) > 1:
        middle, error, freedom = slopes.mean(), slopes.std(ddof=1) / np.sqrt(len(slopes)), len(slopes) - 1.0
    else:
        middle, error, freedom = slopes[0], lines[0].error, max(lines[0].worth - 2, 1.0)
    half = float(student.ppf(0.975, freedom)) * float(error)
    return Interval(float(middle), float(middle) - half, float(middle) + half)
