"""Does the last iterate converge, orbit, diverge, or wander? Amplitude and period from what was recorded."""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stackelberg.dynamics.series import Line
from stackelberg.validation import Array, as_floats, shown

FEWEST = 32
"""Records that it takes to judge."""
STILL = 1e-9
"""Swings smaller than this are none."""
BACK, FORTH = 0.5, -0.25
"""A cycle is correlated with itself a period later by at least the one, and in between by at most the other."""
SHRINKS, GROWS = 0.9, 10.0
"""An orbit whose swings, over the half of the run that is judged, fall below the one converges; above the other
it diverges."""
FALLS, SURE = 0.75, 3.0
"""Without a period: the steps must shrink by this over the half to converge, by so many standard errors."""


class Motion(enum.Enum):
    """What the last iterate does, as a sentence."""

    CONVERGES = "converges: its swings shrink, or have ended"
    ORBITS = "orbits: it comes back period after period and does not settle"
    DIVERGES = "diverges: its swings grow"
    WANDERS = "wanders: it moves on without a period"


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """What the second half of a run does.

    Attributes:
        motion: what it does.
        amplitude: half the distance from least to most of the coordinate that swings most.
        period: in steps; NaN where there is none.
        growth: what a step multiplies the swings by; NaN without a period.
        recurrence: correlation with itself one period later, 1 for a perfect cycle; 0 without a period.
    """

    motion: Motion
    amplitude: float
    period: float
    growth: float
    recurrence: float

    @property
    def orbits(self) -> bool:
        """Whether the last iterate goes round rather than to a point."""
        return self.motion is Motion.ORBITS


def detect_cycle(values: ArrayLike, steps: ArrayLike | None = None) -> Cycle:
    """Does a run's last iterate orbit? Judged from the second half of the recorded policies, or of the gap.

    A period is a lag at which the autocorrelation of the values, all coordinates together and less a straight line,
    peaks at ½ or above after a dip to −¼ or below, with three of it or more in the half. With a period the swings,
    root mean square over one period each, must not shrink by more than a tenth over the half (it converges, a
    spiral) nor grow tenfold (it diverges): then it orbits, outwards where ``growth`` is above 1. Without one the
    run converges where the lengths of its steps fall to ¾ or less over the half, by three standard errors
    (Newey–West) or more, diverges where they grow likewise, and wanders otherwise, as noise does.
    A gap turns more often than the policies: its period may be a whole fraction of theirs.

    Args:
        values: (records, …), say ``trajectory.policies[0]`` of a game without contexts, or ``trajectory.gap``.
        steps: (records,) steps of the records, evenly spaced; 0, 1, 2, … by default.

    Raises:
        ValueError: fewer than 32 records, values that are not finite, or steps that are not evenly spaced.

    Example:
        Self-play on rock-paper-scissors turns round by η√3/6 a step:

        >>> import stackelberg as sb
        >>> solver, game = sb.SelfPlay(learning_rate=0.2), sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0)
        >>> record = sb.Record(every=1, policies=True)
        >>> run = sb.solve(game, solver, steps=1000, start=[0.34, 0.33, 0.33], record=record).trajectory
        >>> cycle = sb.detect_cycle(run.policies[0], run.steps)
        >>> cycle.orbits, round(cycle.period), round(sb.spectrum(game, solver).period)
        (True, 109, 109)
    """
    rows, every = _checked(values, steps)
    tail = rows[len(rows) // 2 :]
    amplitude = float(np.ptp(tail, axis=0).max(initial=0.0)) / 2
    if amplitude < STILL:
        return Cycle(motion=Motion.CONVERGES, amplitude=amplitude, period=np.nan, growth=np.nan, recurrence=0.0)
    found = _period(_levelled(tail))
    if found is None:
        motion = _without_period(tail)
        return Cycle(motion=motion, amplitude=amplitude, period=np.nan, growth=np.nan, recurrence=0.0)
    period, recurrence = found
    growth = _growth(tail, period)
    change = growth ** len(tail)
    motion = Motion.CONVERGES if change < SHRINKS else Motion.DIVERGES if change > GROWS else Motion.ORBITS
    growth = float(growth ** (1 / every))
    return Cycle(motion=motion, amplitude=amplitude, period=period * every, growth=growth, recurrence=recurrence)


def _checked(values: Any, steps: Any) -> tuple[Array, float]:
    rows = as_floats(values, "values")
    rows = rows.reshape(len(rows), -1) if rows.ndim else rows.reshape(1, 1)
    if len(rows) < FEWEST:
        raise ValueError(f"There are {len(rows)} records, and a cycle takes {FEWEST} to see. Record more often.")
    if steps is None:
        return rows, 1.0
    t = as_floats(steps, "steps")
    if t.shape != (len(rows),):
        raise ValueError(f"steps must have shape ({len(rows)},), one a record, not {t.shape}. Pass trajectory.steps.")
    gaps = np.diff(t)
    if not np.allclose(gaps[:-1], gaps[0]) or not 0 < gaps[-1] <= gaps[0] * (1 + 1e-9):
        raise ValueError(f"steps must be evenly spaced; their gaps are {shown(gaps.tolist())}. Record at every k-th.")
    uneven = gaps[-1] < gaps[0] * (1 - 1e-9)  # a run's last record may come early
    return (rows[:-1] if uneven else rows), float(gaps[0])


def _levelled(tail: Array) -> Array:
    """Less the straight line through every coordinate."""
    t = np.arange(len(tail)) - (len(tail) - 1) / 2
    flat = tail - tail.mean(axis=0)
    return np.asarray(flat - np.outer(t, t @ flat / (t @ t)))


def _autocorrelation(series: Array) -> Array:
    """At lags 0, 1, …, of all coordinates together, each lag by its own norms; by the fast Fourier transform."""
    n = len(series)
    wave = np.fft.rfft(series, 2 * n, axis=0)
    products = np.fft.irfft((np.abs(wave) ** 2).sum(axis=1), 2 * n)[:n]
    squares = np.concatenate([[0.0], np.cumsum((series**2).sum(axis=1))])
    norms = np.sqrt(squares[n:0:-1] * (squares[n] - squares[:n]))
    return np.asarray(products / np.maximum(norms, np.finfo(float).tiny))


def _period(series: Array) -> tuple[float, float] | None:
    """The first lag at which the series is itself again, in records, and how much so."""
    likeness = _autocorrelation(series)[: len(series) // 3 + 2]
    low = np.flatnonzero(likeness < FORTH)
    if not len(low):
        return None
    inside = np.arange(max(low[0], 1), len(likeness) - 1)
    peak = (likeness[inside] >= likeness[inside - 1]) & (likeness[inside] > likeness[inside + 1])
    peaks = inside[peak & (likeness[inside] >= BACK)]
    if not len(peaks):
        return None
    best = likeness[peaks].max()
    first = int(peaks[likeness[peaks] >= 0.9 * best][0])
    return _refined(likeness, first), float(likeness[first])


def _refined(likeness: Array, first: int) -> float:
    """The period by the furthest of its peaks that can be followed, placed between records by a parabola."""
    period, turns = _top(likeness, first), 1
    while (turns + 1) * period < len(likeness) - 2:
        near = round((turns + 1) * period)
        reach = max(int(period / 4), 1)
        window = np.arange(max(near - reach, 1), min(near + reach + 1, len(likeness) - 1))
        lag = int(window[np.argmax(likeness[window])])
        if likeness[lag] < BACK or (lag in (window[0], window[-1]) and len(window) > 3):
            break
        turns += 1
        period = _top(likeness, lag) / turns
    return period


def _top(likeness: Array, lag: int) -> float:
    """The maximum of the parabola through a lag and its neighbours."""
    before, here, after = likeness[lag - 1 : lag + 2]
    bend = before - 2 * here + after
    return float(lag + (0.5 * (before - after) / bend if bend < 0 else 0.0))


def _growth(tail: Array, period: float) -> float:
    """What a record multiplies the swings by: a line through the logarithms of their size, a period each."""
    turns = int(len(tail) / period)
    cuts = len(tail) - np.round(np.arange(turns, -1, -1) * period).astype(int)
    swings = [np.sqrt(np.var(tail[a:b], axis=0).sum()) for a, b in itertools.pairwise(cuts)]
    sizes = np.maximum(swings, np.finfo(float).tiny)
    return float(np.exp(np.polyfit(np.arange(turns) * period, np.log(sizes), 1)[0]))


def _without_period(tail: Array) -> Motion:
    """By the trend of the lengths of the steps: those of noise do not change, however long its memory."""
    lengths = np.maximum(np.linalg.norm(np.diff(tail, axis=0), axis=1), np.finfo(float).eps)
    trend = Line.through(np.arange(len(lengths), dtype=float), np.log(lengths))
    change = trend.slope * len(lengths)
    if abs(trend.slope) < SURE * trend.error or abs(change) < -np.log(FALLS):
        return Motion.WANDERS
    return Motion.CONVERGES if change < 0 else Motion.DIVERGES
