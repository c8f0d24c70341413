"""The Stackelberg equilibrium in closed form: one pass over P, in log space, block by block.

Rows of the Follower are independent of each other, so nothing larger than a block is held unless the
Follower itself is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stackelberg.game import Game, StackelbergGame
from stackelberg.simplex import (
    TIE_TOLERANCE,
    kl_divergence,
    log_of,
    restricted,
    row_sums,
    soft_maximum,
    softmax,
    tilted,
)
from stackelberg.validation import Array

BLOCK = 1 << 16
"""Cells a block: the temporaries of one block stay in the processor's cache."""


SOFT = 10.0
"""From this τ on the logarithm of a sum near 1 would cancel, and is computed from small differences instead."""


def blocks(contexts: int, n: int, tau: Array) -> Iterator[tuple[slice, slice]]:
    """Slices (contexts, rows) that tile (contexts, n, n): whole games where they fit a block, else rows of one.

    Within a block every τ is zero, or every one moderate, or every one at least ``SOFT``.
    """
    size, rows = (BLOCK // (n * n), n) if n * n <= BLOCK else (1, max(1, BLOCK // n))
    kind = np.digitize(tau, [np.nextafter(0, 1), SOFT])
    edges = [0, *(np.flatnonzero(np.diff(kind)) + 1).tolist(), contexts]
    for first, last in pairwise(edges):
        for start in range(first, last, size):
            for row in range(0, n, rows):
                yield slice(start, min(last, start + size)), slice(row, min(n, row + rows))


def compact(reference: Array) -> Array:
    """(1, 1, 1) in place of one row that is uniform: the same numbers, and less to compute with."""
    alike = reference.shape[:2] == (1, 1) and np.ptp(reference) == 0
    return reference[..., :1] if alike else reference


def tile(array: Array, context: slice, rows: slice) -> Array:
    """The part of a (contexts or 1, n or 1, …) array that belongs to a block."""
    return array[context if array.shape[0] > 1 else slice(None), rows if array.shape[1] > 1 else slice(None)]


@np.errstate(over="ignore")  # a drop of −inf has weight 0, as it should
def respond(p: Array, reference: Array, tau: Array) -> tuple[Array, Array]:
    """The Follower's best responses and their values, for a block of rows.

    τ > 0: ``ω ∝ ω_ref exp(−p/τ)``, ``V = −τ log Σ ω_ref exp(−p/τ)``. τ = 0: ``V = min p`` and ω is the
    reference restricted to the minimisers.

    Args:
        p: (c, rows, n) preferences p(y ≻ y').
        reference: (c or 1, rows or 1, n) ω_ref, or (1, 1, 1) where it is uniform.
        tau: (c,) all positive or all zero.

    Returns:
        values (c, rows) and follower (c, rows, n).
    """
    least = p.min(axis=-1, keepdims=True)
    if not tau.any():
        return least[..., 0], restricted(reference, p <= least + tie(p))
    follower = least - p
    follower /= tau[:, None, None]
    if tau.min() >= SOFT:
        full = np.broadcast_to(reference, p.shape)
        return -soft_maximum(-p, full, tau[:, None]), tilted(full, follower)
    log_reference = log_of(reference)
    if reference.size == 1:  # the same for every reply, which leaves the largest exponent at 0
        top = log_reference
    else:
        follower += log_reference
        top = follower.max(axis=-1, keepdims=True)
        follower -= top
    np.exp(follower, out=follower)
    total = row_sums(follower)
    follower /= total
    return (least - tau[:, None, None] * (np.log(total) + top))[..., 0], follower


def tie(p: Array) -> Array:
    """How close two entries of a row count as tied, (…, 1): 1e-12 of the row's scale, and 4 ulps."""
    scale = np.abs(p - 0.5).max(axis=-1, keepdims=True)
    return np.asarray(TIE_TOLERANCE * scale + 4 * np.finfo(float).eps)


def follower_payoffs(p: Array, reference: Array, tau: Array, follower: Array) -> Array:
    """``V̂(y; ω) = Σ ω p + τ_F KL(ω‖ω_ref)`` for each row, (c, rows): what the Leader gets against ω."""
    if tau.min() >= SOFT:
        return np.einsum("crn,crn->cr", p, follower) + tau[:, None] * kl_divergence(follower, reference)
    tiny = np.finfo(float).tiny
    cost = np.maximum(follower, tiny)
    np.log(cost, out=cost)
    floor = np.log(tiny)
    cost -= np.maximum(log_of(reference), 2 * floor)
    cost *= tau[:, None, None]
    cost += p
    value = np.einsum("crn,crn->cr", cost, follower)
    forbidden = ((follower > 0) & (reference == 0)).any(axis=-1) if (reference == 0).any() else False
    return np.where(forbidden & (tau > 0)[:, None], np.inf, value)


@np.errstate(over="ignore")  # as above
def lead(values: Array, reference: Array, tau: Array, slack: Array | float = 0.0) -> tuple[Array, Array]:
    """The best policy against payoffs ``values`` and its worth, all contexts.

    τ > 0: ``π ∝ π_ref exp(V/τ)``, worth ``τ log Σ π_ref exp(V/τ)``; τ = 0: ``max V`` and the reference
    restricted to the maximisers.

    Args:
        values: (contexts, n) payoffs.
        reference: (contexts or 1, n) π_ref.
        tau: (contexts,).
        slack: see :func:`maximisers`.

    Returns:
        policy (contexts, n) and worth (contexts,).
    """
    worth = soft_maximum(values, reference, tau)
    reference, step = np.broadcast_to(reference, values.shape), tau[:, None]
    played = (reference > 0) | (step == 0)
    best = np.where(played, values, -np.inf).max(axis=-1, keepdims=True)
    drop = np.where(played, values - best, 0.0) / np.where(step > 0, step, 1.0)
    policy = softmax(log_of(reference) + drop)
    policy = np.where(step >= SOFT, tilted(reference, np.where(step >= SOFT, drop, 0.0)), policy)
    if (tau > 0).all():
        return policy, worth
    return np.where(step > 0, policy, restricted(reference, maximisers(values, slack) | (step > 0))), worth


def maximisers(values: Array, slack: Array | float = 0.0) -> NDArray[np.bool_]:
    """The optimal face: actions whose value is the largest, ties included, (contexts, n).

    Values closer than 1e-12 of their scale, 4 ulps, or ``slack`` (a bound on how inexactly the values
    themselves are known, a number or one a context) are tied.
    """
    best = values.max(axis=-1, keepdims=True)
    scale = np.abs(values - 0.5).max(axis=-1, keepdims=True)
    allowance = TIE_TOLERANCE * scale + 4 * np.finfo(float).eps + np.asarray(slack)[..., None]
    return np.asarray(values >= best - allowance)


def optimal_face(values: Array, reference: Array, slack: float = 0.0) -> NDArray[np.bool_]:
    """:func:`maximisers` among the actions that the reference allows, (contexts, n)."""
    played = np.broadcast_to(reference > 0, values.shape)
    least = np.where(played, values, np.inf).min(axis=-1, keepdims=True)
    return maximisers(np.where(played, values, least), slack) & played


def stackelberg_values(game: StackelbergGame, follower: Array | None = None) -> tuple[Array, Array]:
    """``V(y)`` and ``V̂(y; ω*)`` of every action, (contexts, n) each, in one pass over P.

    Args:
        game: the game.
        follower: (contexts, n, n) to be filled with ω*, or None to hold no more than a block of it.
    """
    p, reference, tau = game.preference.stacked, compact(game.follower_reference), game.tau_follower
    values, payoffs = np.empty(game.shape), np.empty(game.shape)
    for part, rows in blocks(*game.shape, tau):
        cells, weights = p[part, rows], tile(reference, part, rows)
        value, response = respond(cells, weights, tau[part])
        values[part, rows] = value
        payoffs[part, rows] = follower_payoffs(cells, weights, tau[part], response)
        if follower is not None:
            follower[part, rows] = response
    return values, payoffs


@singledispatch
def leader_values(game: Game) -> Array:
    """What each answer earns the Leader once the Follower replies as it should, (contexts, n)."""
    raise TypeError(f"{type(game).__name__} has no Leader. Use a StackelbergGame.")


@leader_values.register
def _(game: StackelbergGame) -> Array:
    return stackelberg_values(game)[0]
