"""Distributions over the pairs that annotators are shown, and how sure a share is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stackelberg.validation import Array

NORMAL_QUANTILE = 1.959963984540054
"""The standard normal's 97.5 % point: all intervals are 95 %."""
BATCH_CELLS = 2_000_000
"""The most cells, samplings × n × n, held at once."""


def random_samplings(n: int, draws: int, rng: np.random.Generator) -> Array:
    """``draws`` pair samplings μ ~ Dirichlet(1) over the pairs, symmetric, summing to 1: (draws, n, n).

    >>> random_samplings(3, 5, np.random.default_rng(0)).sum(axis=(1, 2)).round(12)
    array([1., 1., 1., 1., 1.])
    """
    upper = np.triu_indices(n, 1)
    weights = rng.standard_exponential((draws, len(upper[0])))
    mu = np.zeros((draws, n, n))
    mu[:, *upper] = weights / (2 * weights.sum(axis=-1, keepdims=True))
    return np.asarray(mu + np.swapaxes(mu, -1, -2))


def wilson(share: Array, draws: int) -> tuple[Array, Array]:
    """The 95 % Wilson score interval of a share seen in so many draws.

    Source: Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927).

    >>> low, high = wilson(np.array([0.0, 0.5]), 100)
    >>> low.round(3), high.round(3)
    (array([0.   , 0.404]), array([0.037, 0.596]))
    """
    z = NORMAL_QUANTILE**2 / draws
    centre = (share + z / 2) / (1 + z)
    half = np.sqrt(z * share * (1 - share) + z**2 / 4) / (1 + z)
    return np.maximum(centre - half, 0.0), np.minimum(centre + half, 1.0)


def leave_one_out(n: int, chosen: NDArray[np.intp] | None = None) -> Iterator[tuple[NDArray[np.intp], Array]]:
    """Each pair left out in turn, all others alike: batches of pairs (b, 2) with their samplings (b, n, n).

    Args:
        n: number of actions.
        chosen: numbers of the pairs to leave out, in the order of ``np.triu_indices(n, 1)``; all by default.

    >>> pairs, samplings = next(leave_one_out(3))
    >>> pairs[0], samplings[0]
    (array([0, 1]), array([[0., 0., 1.],
                           [0., 0., 1.],
                           [1., 1., 0.]]))
    """
    pairs = np.stack(np.triu_indices(n, 1), axis=-1)
    pairs = pairs if chosen is None else pairs[chosen]
    start = 0
    for size in batch_sizes(len(pairs), n):
        batch = pairs[start : start + size]
        start += size
        mu = np.repeat((1.0 - np.eye(n))[None], size, axis=0)
        rows = np.arange(size)
        mu[rows, batch[:, 0], batch[:, 1]] = mu[rows, batch[:, 1], batch[:, 0]] = 0
        yield batch, mu


def batch_sizes(total: int, n: int) -> Iterator[int]:
    """Sizes of batches of (n, n) matrices, ``total`` matrices in all.

    >>> list(batch_sizes(5, 1000))
    [2, 2, 1]
    """
    most = max(1, BATCH_CELLS // (n * n))
    yield from (min(most, total - start) for start in range(0, total, most))
