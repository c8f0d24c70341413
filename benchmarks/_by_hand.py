"""The steps of ``tabular_step.py`` in plain NumPy, as one writes them down: no records, no averages, no checks.

The reference is uniform, as there, so that its logarithm is the same all along a row and drops out.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def mirror(costs: Array, tau: float, rate: float, kappa: float, steps: int) -> Array:
    """Mirror descent; the Leader after so many steps."""
    leader, follower, work = start(costs)
    weights, share = np.exp(follower), np.exp(leader)
    for _ in range(steps):
        payoff = tau * np.einsum("...n,...n->...", weights, follower) - np.einsum("...n,...n->...", weights, costs)
        follower *= 1 - kappa * rate * tau
        follower += np.multiply(costs, kappa * rate, out=work)
        softmax(follower, weights)
        leader *= 1 - rate * tau
        leader += rate * payoff
        softmax(leader, share)
    return share


def policy_gradient(costs: Array, tau: float, rate: float, kappa: float, steps: int) -> Array:
    """GDA in softmax parameters."""
    leader, follower, work = start(costs)
    weights, share = np.exp(follower), np.exp(leader)
    for _ in range(steps):
        np.subtract(costs, np.multiply(follower, tau, out=work), out=work)
        replied = np.einsum("...n,...n->...", weights, work)[..., None]
        work -= replied
        work *= weights
        work *= kappa * rate * share[..., None]
        follower += work
        softmax(follower, weights)
        force = -replied[..., 0] - tau * leader
        leader += rate * share * (force - (share * force).sum(-1, keepdims=True))
        softmax(leader, share)
    return share


def projected(costs: Array, tau: float, rate: float, kappa: float, steps: int, floor: float = 1e-12) -> Array:
    """GDA on the simplex."""
    leader, follower, work = start(costs)
    weights, share = np.exp(follower), np.exp(leader)
    for _ in range(steps):
        np.subtract(costs, np.multiply(follower, tau, out=work), out=work)
        payoff = -np.einsum("...n,...n->...", weights, work)
        work *= kappa * rate * share[..., None]
        work += weights
        onto_simplex(work, weights)
        np.log(np.maximum(weights, floor, out=follower), out=follower)
        onto_simplex(share + rate * (payoff - tau * leader), share)
        np.log(np.maximum(share, floor, out=leader), out=leader)
    return share


def start(costs: Array) -> tuple[Array, Array, Array]:
    """Uniform logarithms of Leader and Follower, and room to work in."""
    level = -np.log(costs.shape[-1])
    return np.full(costs.shape[:-1], level), np.full_like(costs, level), np.empty_like(costs)


def softmax(logits: Array, weights: Array) -> None:
    """Normalise the logits, which are near 0, and write their exponentials."""
    np.exp(logits, out=weights)
    total = weights.sum(-1, keepdims=True)
    weights /= total
    logits -= np.log(total)


def onto_simplex(values: Array, out: Array) -> None:
    """The projection of every row by sorting it (Held et al. 1974)."""
    ordered = np.sort(values, axis=-1)[..., ::-1]
    level = (ordered.cumsum(-1) - 1) / np.arange(1, values.shape[-1] + 1)
    active = (ordered > level).sum(-1, keepdims=True)
    np.maximum(values - np.take_along_axis(level, active - 1, -1), 0, out=out)
