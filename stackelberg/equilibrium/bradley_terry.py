"""Bradley–Terry rewards by maximum likelihood, for any distribution over the pairs that are compared.

With pair weights w_ij = μ(i,j) + μ(j,i), normalised over pairs, the log-likelihood of rewards r is
``Σ_{i<j} w_ij [p_ij log σ(r_i − r_j) + p_ji log σ(r_j − r_i)]``: concave, and blind to a constant in r (here
the mean is zero). Its gradient sums the flows w_ij (p_ij − σ(r_i − r_j)) into i; its Hessian is minus the
Laplacian of the graph with conductances w_ij σ(1 − σ).

Newton's method from the weighted least-squares fit of the log-odds (Berkson 1944), exact when the data are
Bradley–Terry. Along a direction δ the third derivative is at most D times the second, D the largest
|δ_i − δ_j| over sampled pairs; so the step log(1 + D)/D raises the likelihood from any start, and tends to the
full step: global, at the end quadratic convergence without a line search (Bach 2010; Sun and Tran-Dinh 2019).

A finite maximiser exists, and is then unique, iff the graph with an arc i → j wherever w_ij p_ij > 0 is
strongly connected (Zermelo 1929, Ford 1957).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, logit

from stackelberg.errors import CertificateError, NoFiniteMaximiser
from stackelberg.validation import Array, check_labels

RESIDUAL_TOLERANCE = 1e-12
"""The largest |gradient| of the normalised log-likelihood at an answer."""

RESOLUTION = 1e-14
"""Groups tied only by conductances below this share of the largest are beyond double precision, and refused."""

LAST_STEP = 1e-9
"""A Newton step that moves no compared pair by more than this is the last: what it leaves is its square."""

ROUNDING = 8 * np.finfo(np.float64).eps
NEWTON_STEPS = 2_000  # each moves a pair by 0.7 nats or more, up to log-odds of some 700; 3 to 10 are usual


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
    weights = _pair_weights(preferences, sampling)
    _refuse_separated(preferences, weights, labels)
    rewards, settled = _maximise(preferences, weights)
    _certify(preferences, weights, rewards, settled, labels)
    return rewards


def likelihood_residual(preferences: Array, sampling: Array, rewards: Array) -> Array:
    """Largest |gradient| of the log-likelihood with pair weights that sum to one, shape (batch,); shapes as above.

    >>> even = np.full((1, 2, 2), 0.5)
    >>> likelihood_residual(even, np.ones((2, 2)), np.array([[np.log(3) / 2, -np.log(3) / 2]]))  # |½ − ¾|
    array([0.25])
    """
    flows = _flows(preferences, _pair_weights(preferences, sampling), rewards)
    return np.asarray(np.abs(flows.sum(axis=-1)).max(axis=-1))


@dataclass(frozen=True)
class Separation:
    """Why one game has no finite maximiser.

    Attributes:
        groups: indices of the actions of each group.
        compared: False where no sampled pair joins the groups; True where the first of two groups wins
            every sampled comparison against the second.
    """

    groups: tuple[tuple[int, ...], ...]
    compared: bool

    def explain(self, labels: Sequence[str], context: str = "") -> str:
        """The case in a sentence and what to do, with the actions by name and `context` after the subject."""
        names = [_listed([labels[action] for action in group]) for group in self.groups]
        if self.compared:
            return (
                f"The Bradley–Terry likelihood{context} has no finite maximiser: {names[0]} wins every sampled "
                f"comparison against {names[1]}, so their rewards drift apart without bound. Sample a pair in "
                "which the losing side sometimes wins, or add half a win to each side of every pair."
            )
        return (
            f"The Bradley–Terry likelihood{context} has no unique maximiser: no sampled pair joins the groups "
            f"{_listed(names, limit=10)}, so rewards between them are free. Give a pair across the groups a "
            "positive sampling weight."
        )


def separated_groups(preferences: Array, sampling: Array) -> list[Separation | None]:
    """For each game what keeps it from having a finite maximiser, None where it has one. Shapes as above.

    >>> always = np.array([[[0.5, 1.0], [0.0, 0.5]]])
    >>> separated_groups(always, np.ones((2, 2)))
    [Separation(groups=((0,), (1,)), compared=True)]
    """
    weights = _pair_weights(preferences, sampling)
    arcs = (weights > 0) & (preferences > 0)
    complete = (arcs | np.eye(arcs.shape[-1], dtype=bool)).all(axis=(1, 2))
    return [None if done else _separation(row) for row, done in zip(arcs, complete, strict=True)]


def _separation(arcs: NDArray[np.bool_]) -> Separation | None:
    """The separation of one graph (n, n) with an arc from i to j where i sometimes wins against j."""
    count, component = connected_components(arcs, directed=True, connection="weak")
    if count > 1:
        return Separation(tuple(_members(component == group) for group in range(count)), compared=False)
    count, component = connected_components(arcs, directed=True, connection="strong")
    if count == 1:
        return None
    crossing = arcs & (component[:, None] != component[None])
    beaten = np.isin(component, component[crossing.any(axis=0)])  # someone in the component sometimes loses
    winners = component == component[np.argmin(beaten)]
    return Separation((_members(winners), _members(~winners)), compared=True)


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
    """The damped step (batch, n), and whether it is the last: tiny, or nothing but rounding left to climb."""
    flows = _flows(preferences, weights, rewards)
    gradient = flows.sum(axis=-1)
    direction = _potentials(_conductances(weights, rewards), gradient)
    reach = np.where(weights > 0, np.abs(_differences(direction)), 0.0).max(axis=(1, 2))
    damping = np.divide(np.log1p(reach), reach, out=np.ones_like(reach), where=reach > 0)
    rounding = (np.abs(gradient) <= ROUNDING * np.abs(flows).sum(axis=-1)).all(axis=-1)
    return damping[:, None] * direction, (reach <= LAST_STEP) | rounding


def _potentials(conductances: Array, currents: Array) -> Array:
    """Solve Laplacian · x = currents with Σx = 0, (batch, n); the constant is fixed by a rank-one term."""
    n = currents.shape[-1]
    degree = conductances.sum(axis=-1)
    level = degree.mean(axis=-1) / n
    gauge = np.where(level > 0, level, 1.0)[:, None, None]  # one action: nothing to solve
    laplacian = degree[..., None] * np.eye(n) - conductances
    potentials = np.linalg.solve(laplacian + gauge, currents[..., None])[..., 0]
    return np.asarray(potentials - potentials.mean(axis=-1, keepdims=True))


def _flows(preferences: Array, weights: Array, rewards: Array) -> Array:
    """``w_ij (p_ij − σ(r_i − r_j))``, (batch, n, n), from the smaller of p_ij and p_ji: 1 − 1e-12 has few digits."""
    rarer = preferences <= np.swapaxes(preferences, -1, -2)
    sign = np.where(rarer, 1.0, -1.0)
    rare = np.where(rarer, preferences, np.swapaxes(preferences, -1, -2))
    return np.asarray(sign * weights * (rare - expit(sign * _differences(rewards))))


def _conductances(weights: Array, rewards: Array) -> Array:
    differences = _differences(rewards)
    return np.asarray(weights * expit(differences) * expit(-differences))


def _differences(rewards: Array) -> Array:
    return rewards[:, :, None] - rewards[:, None, :]


def _pair_weights(preferences: Array, sampling: Array) -> Array:
    """``μ + μᵀ`` off the diagonal, (batch, n, n), so that the weights of the unordered pairs sum to one."""
    given = np.broadcast_to(np.asarray(sampling, dtype=np.float64), preferences.shape)
    if not np.all((given >= 0) & np.isfinite(given)):
        raise ValueError("sampling weights must be finite and not negative. Give unsampled pairs weight 0.")
    weights = (given + np.swapaxes(given, -1, -2)) * ~np.eye(given.shape[-1], dtype=bool)
    total = weights.sum(axis=(1, 2), keepdims=True) / 2
    return np.asarray(weights / np.where(total > 0, total, 1.0))


def _certify(
    preferences: Array, weights: Array, rewards: Array, settled: NDArray[np.bool_], labels: Any
) -> None:
    residual = np.abs(_flows(preferences, weights, rewards).sum(axis=-1)).max(axis=-1)
    failed = np.flatnonzero(~(settled & (residual <= RESIDUAL_TOLERANCE)))
    if failed.size:
        raise CertificateError(
            f"The Bradley–Terry fit of context {failed[0]} has a residual of {residual[failed[0]]:.3g}, and the "
            f"tolerance is {RESIDUAL_TOLERANCE:g}. Are some preferences or sampling weights very close to 0?"
        )
    conductances = _conductances(weights, rewards)
    strong = conductances >= RESOLUTION * conductances.max(axis=(1, 2), keepdims=True)
    for game in np.flatnonzero(~(strong | np.eye(strong.shape[-1], dtype=bool)).all(axis=(1, 2))):
        count, component = connected_components(strong[game], directed=False)
        if count > 1:
            names = check_labels(labels, preferences.shape[-1])
            group = _listed([names[action] for action in _members(component == 0)])
            raise CertificateError(
                f"In context {game} the rewards of {group} hang together with the others by less than "
                f"{RESOLUTION:g} of the information within, too little for double precision. Treat preferences "
                "and sampling weights this small as 0, or sample more pairs across."
            )


def _members(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(action) for action in np.flatnonzero(mask))


def _listed(names: Sequence[str], *, limit: int = 8) -> str:
    more = [f"and {len(names) - limit} more"] if len(names) > limit else []
    return "{" + ", ".join([*names[:limit], *more]) + "}"
