"""Concepts that turn pair comparisons into one score an action: Borda, and RLHF's Bradley–Terry reward."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

import stackelberg as sb
from analysis.fit import Unavailable
from analysis.tournament import Mask, margins
from stackelberg.validation import Array

TIE = 1e-12
"""Borda scores closer than this are tied: they differ by rounding alone."""


def borda_scores(P: ArrayLike, sampling: ArrayLike | None = None) -> Array:
    """The mean win rate of each action over the pairs shown, ``Σ_y' μ(y,y') p(y≻y') / Σ_y' μ(y,y')``, (…, n).

    Args:
        P: (…, n, n) preferences.
        sampling: μ ≥ 0, (…, n, n), how often each pair is shown, up to a factor, in either order (it is made
            symmetric); every pair alike by default. Leading axes broadcast with those of P. Pairs that were
            never compared do not count.

    Returns:
        scores, NaN for an action that is never shown (½ for the only action there is).

    Source: Borda's count (1781), divided by the number of comparisons.

    Example:
        >>> borda_scores(sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2])).round(3)
        array([0.6 , 0.55, 0.35])
    """
    m = margins(P)
    n = m.shape[-1]
    mu = np.ones((n, n)) if sampling is None else np.asarray(sampling, dtype=np.float64)
    mu = mu * P.compared if isinstance(P, sb.PreferenceMatrix) else mu
    mu = np.where(np.eye(n, dtype=bool), 0.0, mu + np.swapaxes(mu, -1, -2))
    won, shown = (mu * m).sum(axis=-1), mu.sum(axis=-1)
    missing = np.full(np.broadcast_shapes(won.shape, shown.shape), np.nan if n > 1 else 0.0)
    return np.asarray(0.5 + np.divide(won, shown, out=missing, where=shown > 0))


def winners(scores: Array) -> Mask:
    """The actions of largest score, ties (1e-12) included, (…, n); one without a score (NaN) never wins.

    >>> winners(np.array([0.6, 0.6, np.nan])).tolist()
    [True, True, False]
    """
    known = np.where(np.isnan(scores), -np.inf, scores)
    best = known.max(axis=-1, keepdims=True)
    return np.asarray((known >= best - TIE) & np.isfinite(known))


def shared(mask: Mask) -> Array:
    """Probability one shared equally by the actions of a mask, (…, n).

    >>> shared(np.array([True, True, False]))
    array([0.5, 0.5, 0. ])
    """
    return np.asarray(mask / np.maximum(mask.sum(axis=-1, keepdims=True), 1))


def reward_policy(
    P: sb.PreferenceMatrix, tau: float, sampling: ArrayLike | None = None
) -> sb.RewardSolution | Unavailable:
    """RLHF's answer under pair sampling μ, or the reason why the likelihood has no maximiser that can be certified.

    >>> P = sb.PreferenceMatrix([[0.5, 1.0], [0.0, 0.5]], labels=["tea", "coffee"])
    >>> isinstance(reward_policy(P, tau=0.1), Unavailable)  # coffee never wins: its reward is −∞
    True
    """
    try:
        return sb.solve(sb.RewardGame(P, tau=tau, sampling=sampling))
    except (sb.NoFiniteMaximiser, sb.CertificateError) as error:
        return Unavailable(str(error))


@dataclass(frozen=True, eq=False)
class Answers:
    """A concept's answers under many pair samplings.

    Attributes:
        policies: (samplings, n); NaN where there is no answer.
        modes: (samplings, n) the actions of largest score, ties included; none where there is no answer.
        reasons: (samplings) why there is no answer, or None.
    """

    policies: Array
    modes: Mask
    reasons: tuple[str | None, ...]

    @classmethod
    def joined(cls, parts: Iterable[Answers]) -> Answers:
        """Several batches of answers, end to end."""
        batches = list(parts)
        return cls(
            np.concatenate([batch.policies for batch in batches]),
            np.concatenate([batch.modes for batch in batches]),
            tuple(reason for batch in batches for reason in batch.reasons),
        )


def borda_answers(P: sb.PreferenceMatrix, samplings: Array) -> Answers:
    """Borda's winners under each of many pair samplings (samplings, n, n).

    >>> P = sb.PreferenceMatrix.cycle(3)
    >>> borda_answers(P, np.array([[[0, 1, 0], [1, 0, 1], [0, 1, 0]]])).policies
    array([[1., 0., 0.]])
    """
    modes = winners(borda_scores(P, samplings))
    return Answers(shared(modes), modes, (None,) * len(samplings))


def reward_answers(P: sb.PreferenceMatrix, tau: float, samplings: Array) -> Answers:
    """RLHF's answer under each of many pair samplings; all at once, or one by one where some have none.

    Args:
        P: preferences without contexts.
        tau: KL coefficient ≥ 0.
        samplings: (samplings, n, n).

    Example:
        >>> P = sb.PreferenceMatrix.from_scores([1.0, 0.0])
        >>> found = reward_answers(P, 1.0, np.array([[[0, 1], [1, 0]], [[0, 0], [0, 0]]]))
        >>> found.policies.round(3), [reason is None for reason in found.reasons]
        (array([[0.731, 0.269], [  nan,   nan]]), [True, False])
    """
    many = sb.PreferenceMatrix(np.broadcast_to(P.probabilities, samplings.shape), P.labels)
    found = reward_policy(many, tau, samplings * P.compared)
    if not isinstance(found, Unavailable):
        return Answers(found.policy, found.optimal_actions, (None,) * len(samplings))
    if len(samplings) == 1:
        return Answers(np.full((1, P.n), np.nan), np.zeros((1, P.n), dtype=bool), (found.reason,))
    return Answers.joined(reward_answers(P, tau, samplings[k : k + 1]) for k in range(len(samplings)))


def names(labels: tuple[str, ...], mask: Mask) -> tuple[str, ...]:
    """The labels of the actions of a mask.

    >>> names(("A", "B", "C"), np.array([True, False, True]))
    ('A', 'C')
    """
    return tuple(label for label, member in zip(labels, mask, strict=True) if member)
