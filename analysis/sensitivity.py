"""How much each concept's answer depends on which pairs were shown to the annotators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import stackelberg as sb
from analysis.comparison import BORDA, FOLLOWER, LEADER, NLHF, RLHF, Comparison, Row, compare
from analysis.pair_sampling import batch_sizes, leave_one_out, random_samplings, wilson
from analysis.resampling import whole_number
from analysis.scoring import Answers, borda_answers, names, reward_answers, shared
from analysis.tournament import one_context
from stackelberg.validation import Array

RESAMPLES = 1000
"""Bootstrap redraws of a mean distance."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LeftOut:
    """What RLHF and Borda answer where one pair is never shown to the annotators, all others alike.

    Attributes:
        pair: the two labels.
        rlhf: the labels of largest reward, ties included; none where there is no finite fit.
        borda: the labels of largest Borda score, ties included.
        reason: why there is no finite fit (the pairs that are left may not connect the actions), or None.
    """

    pair: tuple[str, str]
    rlhf: tuple[str, ...]
    borda: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Spread:
    """How a concept's answer varies over random pair samplings.

    Attributes:
        concept: its name.
        frequency: (n,) share of samplings in which each action is the mode; k tied ones have 1/k each.
        low, high: (n,) 95 % Wilson interval of it.
        distance: mean total-variation distance to the policy under uniform sampling.
        distance_low, distance_high: 95 % percentile bootstrap interval of that mean.
        depends: whether the concept sees the sampling at all. Where not, all this is exact.
        reason: why there is no answer, where there is none; the arrays are then None.
    """

    concept: str
    frequency: Array | None = None
    low: Array | None = None
    high: Array | None = None
    distance: float | None = None
    distance_low: float | None = None
    distance_high: float | None = None
    depends: bool = True
    reason: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Sensitivity:
    """How the answers move with the pair sampling.

    Attributes:
        comparison: the answers under uniform sampling.
        left_out: one a pair, in the order (0, 1), (0, 2), …; some at random where there are too many.
        pairs: how many pairs there are.
        spreads: RLHF, Borda, NLHF, SLHF Leader, SLHF Follower.
        draws: how many random samplings.
        seed: of their random numbers.
    """

    comparison: Comparison
    left_out: tuple[LeftOut, ...]
    pairs: int
    spreads: tuple[Spread, ...]
    draws: int
    seed: int

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the actions."""
        return self.comparison.labels

    def spread(self, concept: str) -> Spread:
        """The spread of a concept by its name."""
        for spread in self.spreads:
            if spread.concept == concept:
                return spread
        known = ", ".join(spread.concept for spread in self.spreads)
        raise ValueError(f"There is no concept {concept!r} here. There are: {known}.")

    def left_out_shares(self, concept: str) -> Array | None:
        """(n,) share of the left-out pairs after which each action wins (RLHF or Borda), ties shared.

        Pairs without a finite fit do not count; None where no pair does.
        """
        field = {RLHF: "rlhf", BORDA: "borda"}.get(concept)
        if field is None:
            raise ValueError(f"{concept} does not depend on the pairs shown. Ask for {RLHF!r} or {BORDA!r}.")
        won = np.array([[y in getattr(row, field) for y in self.labels] for row in self.left_out], dtype=bool)
        won = won[won.any(axis=-1)] if len(won) else won
        return np.asarray(shared(won).mean(axis=0)) if len(won) else None


def sensitivity(
    P: sb.PreferenceMatrix,
    *,
    tau: float = 0.1,
    draws: int = 200,
    most_left_out: int = 500,
    seed: int = 0,
    context: int | None = None,
) -> Sensitivity:
    """How each concept's answer moves with the distribution of the pairs shown to annotators.

    RLHF and Borda average over the pairs they are shown; NLHF and SLHF ask only for p(y ≻ y') itself. Two
    questions: what if one pair is never shown, and what under samplings μ ~ Dirichlet(1) over the pairs?

    Args:
        P: preferences, one matrix, or one a context.
        tau: KL coefficient ≥ 0 of all the games.
        draws: how many random samplings.
        most_left_out: where there are more pairs than this, so many chosen at random are left out in turn.
        seed: of the random numbers.
        context: which context, where there are several.

    Example (leave one pair of the Condorcet paradox out, and RLHF elects whom you like):
        >>> import stackelberg as sb
        >>> found = sensitivity(sb.PreferenceMatrix.condorcet([1 / 3, 1 / 3, 1 / 3]), draws=50)
        >>> [(row.pair, row.rlhf) for row in found.left_out]
        [(('A', 'B'), ('B',)), (('A', 'C'), ('A',)), (('B', 'C'), ('C',))]
        >>> found.spread("SLHF Leader").distance
        0.0
    """
    P, draws = one_context(P, context), whole_number("draws", draws)
    here, rng = compare(P, tau=tau), np.random.default_rng(seed)
    samplings = (random_samplings(P.n, size, rng) for size in batch_sizes(draws, P.n))
    parts = [(reward_answers(P, tau, mu), borda_answers(P, mu)) for mu in samplings]
    rlhf, borda = (Answers.joined(batches) for batches in zip(*parts, strict=True))
    spreads = (
        _spread(here.row(RLHF), rlhf, rng),
        _spread(here.row(BORDA), borda, rng),
        *(_unmoved(here, concept) for concept in (NLHF, LEADER, FOLLOWER)),
    )
    pairs, most = P.n * (P.n - 1) // 2, whole_number("most_left_out", most_left_out, least=0)
    chosen = None if pairs <= most else np.sort(rng.choice(pairs, most, replace=False))
    left_out = tuple(_leave_out(P, tau, chosen))
    return Sensitivity(comparison=here, left_out=left_out, pairs=pairs, spreads=spreads, draws=draws, seed=seed)


def _spread(row: Row, answers: Answers, rng: np.random.Generator) -> Spread:
    """How answers under random samplings vary around the row's policy."""
    reason = next(filter(None, answers.reasons), row.reason)
    if row.policy is None or reason is not None:
        return Spread(concept=row.concept, reason=reason)
    frequency = shared(answers.modes).mean(axis=0)
    low, high = wilson(frequency, len(answers.modes))
    distances = np.abs(answers.policies - row.policy).sum(axis=-1) / 2
    means = [rng.choice(distances, len(distances)).mean() for _ in range(RESAMPLES)]
    ends = np.quantile(means, [0.025, 0.975])
    return Spread(
        concept=row.concept,
        frequency=frequency,
        low=low,
        high=high,
        distance=float(distances.mean()),
        distance_low=float(ends[0]),
        distance_high=float(ends[1]),
    )


def _unmoved(here: Comparison, concept: str) -> Spread:
    """The spread of a concept that does not see the sampling."""
    share = shared(np.array([label in here.row(concept).modes for label in here.labels]))
    return Spread(
        concept=concept,
        frequency=share,
        low=share,
        high=share,
        distance=0.0,
        distance_low=0.0,
        distance_high=0.0,
        depends=False,
    )


def _leave_out(P: sb.PreferenceMatrix, tau: float, chosen: NDArray[np.intp] | None) -> Iterator[LeftOut]:
    """Leave each pair out in turn."""
    for pairs, mu in leave_one_out(P.n, chosen):
        rlhf, borda = reward_answers(P, tau, mu), borda_answers(P, mu)
        for k, (i, j) in enumerate(pairs):
            yield LeftOut(
                pair=(P.labels[i], P.labels[j]),
                rlhf=names(P.labels, rlhf.modes[k]),
                borda=names(P.labels, borda.modes[k]),
                reason=rlhf.reasons[k],
            )
