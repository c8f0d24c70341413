"""How well a ranking by scores, Bradley–Terry, explains the preferences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit, xlogy

from analysis.tournament import one_context
from stackelberg import Counts, PreferenceMatrix
from stackelberg.equilibrium.bradley_terry import fit_bradley_terry
from stackelberg.validation import Array


@dataclass(frozen=True)
class Unavailable:
    """An analysis that could not be made, and why.

    Attributes:
        reason: a sentence.
    """

    reason: str


@dataclass(frozen=True, eq=False)
class BradleyTerryFit:
    """The maximum-likelihood rewards and how far they are from the preferences.

    Attributes:
        rewards: (n,) of mean zero, in nats: ``p(y ≻ y') ≈ σ(r(y) − r(y'))``.
        weights: (n, n) the weight of each pair in the likelihood, summing to 1 over ordered pairs: by the
            number of comparisons where that is known, all pairs equal where it is not.
        divergence: mean KL(p ‖ σ(r − r')) in nats a comparison; 0 for a perfect fit.
        largest_error: the largest |p − σ(r − r')| over the pairs with weight.
        worst_pair: where that is.
        deviance: ``2 Σ comparisons · KL``, the likelihood-ratio statistic against a free p for each pair;
            None where the number of comparisons is not known.
        degrees_of_freedom: compared pairs − (n − 1), or None likewise.
        p_value: of the deviance, by its asymptotic χ² law; None without counts, without degrees of freedom,
            and for ballots, whose comparisons are not independent. Ties make it too large (cautious); pairs
            compared a handful of times make it rough: the noise test then says more.
    """

    rewards: Array
    weights: Array
    divergence: float
    largest_error: float
    worst_pair: tuple[str, str] | None
    deviance: float | None
    degrees_of_freedom: int | None
    p_value: float | None

    @property
    def probabilities(self) -> Array:
        """``σ(r(y) − r(y'))``, (n, n): the transitive world that fits best."""
        return np.asarray(expit(self.rewards[:, None] - self.rewards[None, :]))


def bradley_terry(P: PreferenceMatrix, *, context: int | None = None) -> BradleyTerryFit:
    """Fit Bradley–Terry rewards, every comparison counting once (every pair, where counts are unknown).

    Args:
        P: preferences, one matrix, or one a context.
        context: which context, where there are several.

    Raises:
        stackelberg.NoFiniteMaximiser: the likelihood has no unique finite maximiser; the message says why.

    Source: Bradley and Terry, *Rank analysis of incomplete block designs*, Biometrika 39 (1952).

    Example:
        >>> import stackelberg as sb
        >>> fit = bradley_terry(sb.PreferenceMatrix.from_counts([[0, 3], [1, 0]]))
        >>> (fit.rewards[0] - fit.rewards[1]).round(6) == np.log(3).round(6), fit.degrees_of_freedom
        (np.True_, 0)
    """
    P = one_context(P, context)
    comparisons = P.comparisons
    weights = 1.0 - np.eye(P.n) if comparisons is None else comparisons.copy()
    np.fill_diagonal(weights, 0.0)
    weights /= weights.sum() or 1.0
    p = P.probabilities
    rewards = np.zeros(1) if P.n == 1 else fit_bradley_terry(p[None], weights[None], P.labels)[0]
    q = expit(rewards[:, None] - rewards[None, :])
    divergence = max(0.0, float((weights * _divergence(p, rewards)).sum()))
    error = np.where(weights > 0, np.abs(p - q), 0.0)
    worst = np.unravel_index(error.argmax(), error.shape)
    pair = (P.labels[worst[0]], P.labels[worst[1]]) if P.n > 1 else None
    return BradleyTerryFit(rewards, weights, divergence, float(error.max()), pair, *_deviance(P, divergence))


def _divergence(p: Array, rewards: Array) -> Array:
    """KL(p ‖ σ(r − r')) of every pair, (n, n), in logarithms, so that it stays finite."""
    log_q = log_expit(rewards[:, None] - rewards[None, :])
    return np.asarray(xlogy(p, p) - p * log_q + xlogy(1 - p, 1 - p) - (1 - p) * log_q.T)


def _deviance(P: PreferenceMatrix, divergence: float) -> tuple[float | None, int | None, float | None]:
    from scipy.stats import chi2

    if P.comparisons is None:
        return None, None, None
    each = np.triu(P.comparisons, 1)
    deviance, freedom = 2 * float(each.sum()) * divergence, int((each > 0).sum()) - (P.n - 1)
    if freedom <= 0 or not isinstance(P.evidence, Counts):
        return deviance, max(freedom, 0), None
    return deviance, freedom, float(chi2.sf(deviance, freedom))
