"""Means of judgements, some of them skipped, with their standard errors and intervals."""

from __future__ import annotations

import numpy as np
from scipy import stats

from llm.judges.protocol import Array

LEVEL = 0.95


def mean_of(values: Array) -> Array:
    """The mean along the last axis of what is not NaN; NaN where nothing is.

    >>> mean_of(np.array([[0.0, 1.0, np.nan], [np.nan] * 3]))
    array([0.5, nan])
    """
    seen = ~np.isnan(values)
    sums = np.where(seen, values, 0.0).sum(-1)
    return np.asarray(np.divide(sums, seen.sum(-1), out=np.full(sums.shape, np.nan), where=seen.any(-1)))


def stderr_of(values: Array) -> Array:
    """The standard error of :func:`mean_of` over independent draws; NaN from fewer than two.

    >>> stderr_of(np.array([0.4, 0.6, 0.5, 0.5])).round(4)
    np.float64(0.0408)
    """
    count = (~np.isnan(values)).sum(-1)
    variance = mean_of((values - mean_of(values)[..., None]) ** 2) / np.maximum(count - 1, 1)
    return np.where(count > 1, np.sqrt(variance), np.nan)[()]


def interval_of(values: Array) -> Array:
    """A 95 % interval of the mean of draws in [0, 1], (..., 2); NaN from fewer than two draws.

    Wilson's, with Student's quantile and the effective number of draws ``(n − 1) m(1 − m) / var``: n − 1 for verdicts
    of 0 and 1, more for milder judgements, where it is the t interval. Unlike that one it keeps its width where every
    draw is 1: 30 wins of 30 leave room down to 0.87.

    Source: Wilson (1927); Korn and Graubard, *Confidence intervals for proportions with small expected number of
    positive counts estimated from survey data*, Survey Methodology 24 (1998), for the effective number.

    Example:
        >>> interval_of(np.ones(30)).round(2), interval_of(np.array([0.6, 0.7, 0.8])).round(2)
        (array([0.87, 1.  ]), array([0.43, 0.88]))
    """
    count = (~np.isnan(values)).sum(-1)
    mean = mean_of(values)
    most, spread = mean * (1 - mean), mean_of((values - mean[..., None]) ** 2)
    milder = np.divide(most, spread, out=np.where(most > 0, np.inf, 1.0), where=spread > 0)
    with np.errstate(invalid="ignore"):
        effective = np.where(count > 1, (count - 1) * milder, np.nan)
    quantile = stats.t.ppf((1 + LEVEL) / 2, np.maximum(count - 1, 1))
    pull = quantile**2 / effective
    middle = (mean + pull / 2) / (1 + pull)
    half = np.sqrt(pull * most + pull**2 / 4) / (1 + pull)
    return np.clip(np.stack([middle - half, middle + half], -1), 0, 1)
