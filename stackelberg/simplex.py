"""Probability vectors along the last axis: what every game, equilibrium and diagnostic computes with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, rel_entr

from stackelberg.validation import Array

TIE_TOLERANCE = 1e-12
"""Two payoffs closer than this (relative to their scale) are one payoff: an optimal face is decided by it."""


def log_sum_exp(values: Array) -> Array:
    """``log Σ exp(values)`` along the last axis, without overflow; ``−inf`` entries are allowed.

    >>> float(log_sum_exp(np.array([1000.0, 1000.0]))) - 1000
    0.69314718055...
    """
    top = values.max(axis=-1, keepdims=True)
    return np.asarray(np.log(np.exp(values - top).sum(axis=-1)) + top[..., 0])


def softmax(logits: Array) -> Array:
    """``exp(logits) / Σ exp(logits)`` along the last axis, without overflow.

    >>> softmax(np.array([0.0, np.log(3)]))
    array([0.25, 0.75])
    """
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def tilted(reference: Array, drop: Array) -> Array:
    """``reference · exp(drop) / Σ reference · exp(drop)`` for small drops ≤ 0: the reference exactly where all are 0.

    >>> tilted(np.array([0.3, 0.7]), np.zeros(2))
    array([0.3, 0.7])
    """
    total = 1 + (reference * np.expm1(drop)).sum(axis=-1, keepdims=True)
    return np.asarray(reference * np.exp(drop) / total)


def log_of(probabilities: Array) -> Array:
    """Natural logarithm with ``log 0 = −inf``, said on purpose and so without a warning."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(probabilities))


def restricted(reference: Array, face: NDArray[np.bool_]) -> Array:
    """``reference`` conditioned on the actions of ``face``: the documented selection on an optimal face.

    It is the limit of the KL-regularised answer as τ → 0, and does not depend on the order of the actions.
    """
    weights = np.where(face, reference, 0.0)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


@np.errstate(over="ignore", divide="ignore", invalid="ignore")  # what comes of 0 and inf is exchanged or not read
def kl_divergence(policy: ArrayLike, reference: ArrayLike) -> Array:
    """``KL(policy ‖ reference) = Σ policy · log(policy / reference)`` in nats, along the last axis.

    Infinite where the policy plays what the reference never does. Summed from the terms
    ``reference · ((1 + x) log(1 + x) − x) ≥ 0`` with ``1 + x = policy / reference``, so that tiny divergences keep
    their digits.

    >>> float(kl_divergence([1.0, 0.0], [0.5, 0.5]))
    0.69314718055...
    """
    p, q = np.broadcast_arrays(np.asarray(policy, float), np.asarray(reference, float))
    x, ratio = (p - q) / q, p / q
    terms = q * (ratio * _log_one_plus(x, ratio) - x)
    tiny = np.abs(x) < 1e-5
    if tiny.any():
        terms = np.where(tiny, q * x**2 * (0.5 - x / 6), terms)
    if not p.all():
        terms = np.where(p == 0, q, terms)
    if not np.isfinite(terms).all():  # the reference never plays it, or the ratio is too large for a float
        terms = np.where(np.isfinite(ratio) & (q > 0), terms, rel_entr(p, q) - p + q)
    return np.asarray(row_sums(terms)[..., 0] if terms.ndim else terms)


def _log_one_plus(x: Array, ratio: Array) -> Array:
    """``log(1 + x)`` with all its digits; ``ratio`` is 1 + x but for rounding. Much the quicker than log1p (Kahan)."""
    return np.log(ratio) * (x / (ratio - 1))


@np.errstate(over="ignore")  # a drop of −inf has weight 0, as it should
def soft_maximum(values: Array, reference: Array, tau: Array) -> Array:
    """``τ log Σ reference · exp(values / τ)`` along the last axis: the worth of the KL-regularised best policy.

    It is the largest value at τ = 0 and tends to the mean under the reference as τ grows; written so that it
    neither overflows at τ → 0 nor cancels at τ → ∞.

    Args:
        values: (…, n).
        reference: distributions that broadcast with ``values``; zeros are allowed where τ > 0.
        tau: (…,), ≥ 0.

    >>> soft_maximum(np.array([[0.0, 1.0]] * 3), np.array([0.5, 0.5]), np.array([0.0, 1.0, 1e12])).round(6)
    array([1.      , 0.620115, 0.5     ])
    """
    values, reference = np.broadcast_arrays(values, reference)
    played = (reference > 0) | (tau == 0)[..., None]
    best = np.where(played, values, -np.inf).max(axis=-1)
    step = np.where(tau > 0, tau, 1.0)
    drop = np.where(played, values - best[..., None], 0.0) / step[..., None]
    total = np.where(tau > 0, np.log1p((reference * np.expm1(drop)).sum(axis=-1)), 0.0)
    return np.asarray(best + step * total)


def entropy(policy: ArrayLike) -> Array:
    """``−Σ policy · log policy`` in nats, along the last axis: log n when uniform, 0 when deterministic.

    >>> float(entropy([0.5, 0.5, 0.0]))
    0.69314718055...
    """
    return np.asarray(entr(np.asarray(policy, float)).sum(axis=-1))


def row_sums(array: Array) -> Array:
    """Sums along the last axis, which stays; a matrix product is much the faster where rows lie one after another."""
    if array.ndim > 1 and array.strides[-1] != array.itemsize:
        return np.asarray(np.add.reduce(array, axis=-1, keepdims=True))
    rows = np.ascontiguousarray(array).reshape(-1, array.shape[-1])
    return (rows @ np.ones(array.shape[-1])).reshape(*array.shape[:-1], 1)


def project(values: Array, out: Array | None = None) -> Array:
    """The Euclidean projection of every row onto the probability simplex, ``max(values − λ, 0)`` with sum one.

    λ is found by Newton's method on the convex, piecewise linear ``Σ max(values − λ, 0) = 1`` from below:
    it rises to the root in finitely many steps, one where no entry ends at zero (Michelot 1986).

    Args:
        values: (…, n).
        out: where to put it; ``values`` itself is allowed.

    >>> project(np.array([[0.5, 0.7], [2.0, 0.5]]))
    array([[0.4, 0.6],
           [1. , 0. ]])
    """
    moved = np.subtract(values, (row_sums(values) - 1) / values.shape[-1], out=out)
    rows = moved.reshape(-1, moved.shape[-1])  # a view
    todo = np.flatnonzero(rows.min(axis=-1) < 0)
    if not todo.size:  # so for NaN
        return moved
    part = rows[todo]
    count = (part > 0).sum(axis=-1, keepdims=True)
    while todo.size:
        clipped = np.maximum(part, np.zeros_like(part))
        shift = (row_sums(clipped) - 1) / np.maximum(count, 1)
        part -= shift
        rows[todo] = part
        fewer = (part > 0).sum(axis=-1, keepdims=True)
        again = ((fewer < count) & (shift > 0))[:, 0]
        todo, part, count = todo[again], part[again], fewer[again]
    return np.maximum(moved, np.zeros_like(moved), out=moved)
