"""Intervals of mean preferences, and what is left of a preference at equal lengths."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.optimize import minimize
from scipy.special import expit

from llm.judges.protocol import Array

LEVEL = 0.95
RIDGE = 0.1
"""Precision of the prior on a pair's log-odds at equal lengths."""


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


def equal_length(longer: Array, p: Array) -> Array:
    """What each pair of players' preference would be at equal lengths, (pairs,).

    Fits ``logit p = q_pair + c · tanh(longer / scale)`` by maximum likelihood with a weak prior q ~ N(0, 10), and
    answers σ(q): length controlled as in AlpacaEval. One c serves all pairs; what differences of length *within* a pair
    of players do to its judgements tells c from q. Where they say nothing, the prior leaves length all it can explain.
    From verdicts of 0 and 1 that takes some hundred prompts.

    Args:
        longer: length of the first answer less the second's, (pairs, prompts).
        p: judgements, (pairs, prompts); NaN where skipped.

    Returns:
        NaN for a pair without a judgement.

    Source: Dubois et al., *Length-controlled AlpacaEval* (2024).

    Example:
        >>> longer = np.arange(200.0)[None] % 8 - 1
        >>> better, lengthier = np.full(longer.shape, 0.9), expit(4 * np.tanh(longer / 3))
        >>> equal_length(longer, better).round(2), equal_length(longer, lengthier).round(2)
        (array([0.9]), array([0.5]))
    """
    seen = ~np.isnan(p)
    pair = np.broadcast_to(np.arange(len(p))[:, None], p.shape)[seen]
    difference, target = longer[seen], p[seen]
    scale = np.sqrt(np.mean(difference**2)) if difference.any() else 1.0
    x = np.tanh(difference / scale)

    def loss(at: Array) -> tuple[float, Array]:
        z = at[pair] + at[-1] * x
        over = expit(z) - target
        slopes = np.bincount(pair, over, len(p)) + RIDGE * at[:-1]
        value = np.sum(np.logaddexp(0, z) - target * z) + RIDGE / 2 * at[:-1] @ at[:-1]
        return float(value), np.append(slopes, over @ x)

    bounds = [(None, None)] * len(p) + [(-20.0, 20.0)]
    found = minimize(loss, np.zeros(len(p) + 1), jac=True, bounds=bounds, method="L-BFGS-B")
    return np.where(seen.any(-1), expit(found.x[:-1]), np.nan)
