"""Bradley–Terry rewards by maximum likelihood, for any distribution over the pairs that are compared.

With pair weights w_ij = μ(i,j) + μ(j,i), normalised over pairs, the log-likelihood of rewards r is
``Σ_{i<j} w_ij [p_ij log σ(r_i − r_j) + p_ji log σ(r_j − r_i)]``: concave, and blind to a constant in r (here
the mean is zero). Its gradient sums the flows w_ij (p_ij − σ(r_i − r_j)) into i; its Hessian is minus the
Laplacian of the graph with conductances w_ij σ(1 − σ).

Newton's method starts at the weighted least-squares fit of the log-odds (Berkson 1944), exact when the data
are Bradley–Terry. Along a direction δ the third derivative is at most D times the second, D the largest
|δ_i − δ_j| over sampled pairs; so a step of log(1 + D)/D raises the likelihood from any start, and tends to
the full step: convergence from anywhere, at the end quadratic, with no line search (Bach 2010; Sun and
Tran-Dinh 2019).

Whether there is a finite maximiser at all is for :mod:`stackelberg.equilibrium.separation` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, logit

from stackelberg.equilibrium.separation import all_pairs, listed, members, pair_weights, separated_groups
from stackelberg.errors import CertificateError, NoFiniteMaximiser
from stackelberg.validation import Array, check_labels

RESIDUAL_TOLERANCE = 1e-12
"""The largest |gradient| of the normalised log-likelihood at an answer."""

RESOLUTION = 1e-14
"""Groups tied by conductances below this share of the largest only are beyond double precision: refused."""

LAST_STEP, LAST_ROUNDED_STEP = 1e-9, 1e-6
"""A Newton step that moves no compared pair by more than this is the last: what it leaves is its square.

The second, looser bound is for games where nothing but rounding is left to climb: groups that hardly meet."""

ROUNDING = 8 * np.finfo(np.float64).eps

NEWTON_STEPS = 300  # 3 to 10 are usual; a preference of 1e-30 takes 70


def fit_bradley_terry(preferences: Array, sampling: Array, labels: Sequence[Any] | None = None) -> Array:
    """Rewards that maximise the likelihood of the preferences under the pair sampling, certified.

    Args:
        preferences: P with P + Pᵀ = 1, shape (batch, n, n).
        sampling: weights μ(y, y') ≥ 0 that broadcast to (batch, n, n). Only μ(y, y') + μ(y', y) off the
            diagonal matters, up to a factor.
        labels: names of the n actions, for error messages.

    Returns:
        r in nats, shape (batch, n), mean zero in each game: σ(r_i − r_j) fits p_ij.

    Raises:
        NoFiniteMaximiser: the rewards would be free or infinite; the message names the groups of actions.
        CertificateError: the residual is above ``RESIDUAL_TOLERANCE``, or some groups hang together by so
            little that rewards between them cannot be told in double precision.

    Rock-paper-scissors at two to one, with rock against scissors never shown to annotators:

    >>> cycle = np.array([[[1 / 2, 2 / 3, 1 / 3], [1 / 3, 1 / 2, 2 / 3], [2 / 3, 1 / 3, 1 / 2]]])
    >>> shown = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]])
    >>> fit_bradley_terry(cycle, shown).round(6) + 0.0  # (log 2, 0, −log 2)
    array([[ 0.693147,  0.      , -0.693147]])
    """
    weights = pair_weights(preferences, sampling)
    _refuse_separated(preferences, weights, labels)
    rewards, settled = _maximise(preferences, weights)
    _refuse_unresolved(weights, rewards, labels)
    _certify(preferences, weights, rewards, settled)
    return rewards


def likelihood_residual(preferences: Array, sampling: Array, rewards: Array) -> Array:
    """Largest |gradient| of the log-likelihood, (batch,), its pair weights summing to one. Shapes as above.

    >>> even = np.full((1, 2, 2), 0.5)
    >>> likelihood_residual(even, np.ones((2, 2)), np.array([[np.log(3) / 2, -np.log(3) / 2]]))  # |½ − ¾|
    array([0.25])
    """
    flows = _flows(preferences, pair_weights(preferences, sampling), rewards)
    return np.asarray(np.abs(_gradient(flows)).max(axis=-1))


def _refuse_separated(preferences: Array, weights: Array, labels: Sequence[Any] | None) -> None:
    for game, separation in enumerate(separated_groups(preferences, weights)):
        if separation is not None:
            context = f" of context {game}" if len(preferences) > 1 else ""
            raise NoFiniteMaximiser(separation.explain(check_labels(labels, preferences.shape[-1]), context))


def _maximise(preferences: Array, weights: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Damped Newton: rewards, and which games settled. Settled games leave the batch."""
    odds = np.clip(preferences, 1e-12, 1 - 1e-12)
    trust = weights * odds * (1 - odds)
    rewards = _potentials(trust, (trust * logit(odds)).sum(axis=-1))
    unsettled = np.arange(len(rewards))
    for _ in range(NEWTON_STEPS):
        if not unsettled.size:
            break
        step, settled = _newton_step(preferences[unsettled], weights[unsettled], rewards[unsettled])
        rewards[unsettled] += step
        unsettled = unsettled[~settled]
    return rewards - rewards.mean(axis=-1, keepdims=True), ~np.isin(np.arange(len(rewards)), unsettled)


def _newton_step(preferences: Array, weights: Array, rewards: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The damped step (batch, n), and whether it is the last."""
    flows = _flows(preferences, weights, rewards)
    gradient = _gradient(flows)
    direction = _potentials(_conductances(weights, rewards), gradient)
    reach = np.where(weights > 0, np.abs(_differences(direction)), 0.0).max(axis=(1, 2))
    damping = np.divide(np.log1p(reach), reach, out=np.ones_like(reach), where=reach > 0)
    rounded = (np.abs(gradient) <= ROUNDING * np.abs(flows).sum(axis=-1)).all(axis=-1)
    return damping[:, None] * direction, reach <= np.where(rounded, LAST_ROUNDED_STEP, LAST_STEP)


def _potentials(conductances: Array, currents: Array) -> Array:
    """Solve Laplacian · x = currents with Σx = 0, (batch, n), scaled to unit degrees.

    A rank-one term fixes the constant. A diagonal of rounding size keeps the matrix regular where ties are
    too weak for double precision: :func:`_refuse_unresolved` says so then.
    """
    root = np.sqrt(conductances.sum(axis=-1))
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    unit = root / np.maximum(np.linalg.norm(root, axis=-1, keepdims=True), np.finfo(np.float64).tiny)
    matrix = (1 + ROUNDING) * np.eye(root.shape[-1]) + unit[:, :, None] * unit[:, None, :]
    matrix -= inverse[:, :, None] * conductances * inverse[:, None, :]
    potentials = inverse * np.linalg.solve(matrix, (inverse * currents)[..., None])[..., 0]
    return np.asarray(potentials - potentials.mean(axis=-1, keepdims=True))


def _flows(preferences: Array, weights: Array, rewards: Array) -> Array:
    """``w_ij (p_ij − σ(r_i − r_j))``, (batch, n, n), exactly antisymmetric.

    From the smaller of p_ij and p_ji, since a preference of 1 − 1e-12 has lost most of the digits of 1e-12.
    """
    mirrored = np.swapaxes(preferences, -1, -2)
    upper = np.triu(np.ones(preferences.shape[-2:], dtype=bool))
    sign = np.where((preferences < mirrored) | ((preferences == mirrored) & upper), 1.0, -1.0)
    rare = np.minimum(preferences, mirrored)
    return np.asarray(sign * weights * (rare - expit(sign * _differences(rewards))))


def _gradient(flows: Array) -> Array:
    """Row sums, in extended precision where there is any: within groups that hardly meet they must cancel."""
    return flows.sum(axis=-1, dtype=np.longdouble).astype(np.float64)


def _conductances(weights: Array, rewards: Array) -> Array:
    differences = _differences(rewards)
    return np.asarray(weights * expit(differences) * expit(-differences))


def _differences(rewards: Array) -> Array:
    return rewards[:, :, None] - rewards[:, None, :]


def _refuse_unresolved(weights: Array, rewards: Array, labels: Sequence[Any] | None) -> None:
    """Rewards between groups that are hardly tied to each other can be wrong while the residual is tiny."""
    conductances = _conductances(weights, rewards)
    strong = conductances >= RESOLUTION * conductances.max(axis=(1, 2), keepdims=True)
    for game in np.flatnonzero(~all_pairs(strong)):
        count, component = connected_components(strong[game], directed=False)
        if count > 1:
            group = listed(members(component == 0), check_labels(labels, weights.shape[-1]))
            raise CertificateError(
                f"In context {game} the rewards of {group} are tied to the others by less than "
                f"{RESOLUTION:g} of what ties them within: too little for double precision. Sample more "
                "pairs across, or set preferences and weights this small to 0."
            )


def _certify(preferences: Array, weights: Array, rewards: Array, settled: NDArray[np.bool_]) -> None:
    residual = likelihood_residual(preferences, weights, rewards)
    failed = np.flatnonzero(~(settled & (residual <= RESIDUAL_TOLERANCE)))
    if failed.size:
        raise CertificateError(
            f"The Bradley–Terry fit of context {failed[0]} stopped at a residual of {residual[failed[0]]:.3g} "
            f"(tolerance {RESIDUAL_TOLERANCE:g}), its rewards {'settled' if settled[failed[0]] else 'moving'}. "
            "Set preferences and weights that are almost 0 to 0, or sample more pairs."
        )
