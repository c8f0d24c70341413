"""Many preference matrices at once, drawn from evidence and measured: what the bootstrap stands on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from analysis.cycles import three_cycles
from analysis.hodge import cyclic_energy, cyclic_share
from analysis.tournament import Mask, condorcet_winner, majority, margins, minimax_leaders, smith_set
from stackelberg import Ballots, Counts
from stackelberg.validation import Array

BATCH_CELLS = 2_000_000
"""The most cells, draws × n × n, held at once."""


def whole_number(name: str, value: int, least: int = 1) -> int:
    """``value`` as an int of at least ``least``, or a ``ValueError`` that names it."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}, not {value!r}.")
    return int(value)


def resampled(evidence: Counts | Ballots, rng: np.random.Generator, draws: int) -> Iterator[Array]:
    """Batches (d, n, n) of preferences, ``draws`` in all: the nonparametric bootstrap of ``P.resample``.

    Counts are redrawn pair by pair (win, loss, tie), ballots ballot by ballot.

    >>> rng = np.random.default_rng(0)
    >>> [batch.shape for batch in resampled(Counts.checked([[0, 3], [1, 0]]), rng, 150)]
    [(100, 2, 2), (50, 2, 2)]
    """
    check_redrawn(evidence)
    if isinstance(evidence, Ballots):
        yield from _ballot_by_ballot(evidence, rng, draws)
        return
    total, wins, ties = pair_outcomes(evidence)
    compared = np.maximum(total, 1)
    yield from simulated(total, wins / compared, ties / compared, len(evidence.wins), rng, draws)


def why_not_redrawn(evidence: Counts | Ballots | None) -> str | None:
    """Why evidence cannot be redrawn, in a sentence, or None where it can.

    >>> why_not_redrawn(Counts.checked([[0, 0.5], [1, 0]]))
    'These counts are not whole numbers, so they cannot be redrawn. Pass raw counts.'
    """
    if evidence is None:
        return "Only probabilities are known, no counts, so nothing can be redrawn. Use from_counts."
    numbers = (evidence.weights,) if isinstance(evidence, Ballots) else (evidence.wins, evidence.ties)
    if any((array != np.floor(array)).any() for array in numbers):
        return "These counts are not whole numbers, so they cannot be redrawn. Pass raw counts."
    return None


def check_redrawn(evidence: Counts | Ballots | None) -> Counts | Ballots:
    """``evidence``, or a ``ValueError`` where it cannot be redrawn."""
    reason = why_not_redrawn(evidence)
    if evidence is None or reason:
        raise ValueError(reason)
    return evidence


def pair_outcomes(counts: Counts) -> tuple[Array, Array, Array]:
    """Comparisons, wins of the first, and ties, of the pairs y < y': (pairs,) each."""
    upper = np.triu_indices(counts.wins.shape[-1], 1)
    return counts.comparisons[upper], counts.wins[upper], counts.ties[upper]


def simulated(total: Array, win: Array, tie: Array, n: int, rng: np.random.Generator, draws: int) -> Iterator[Array]:
    """Batches (d, n, n) of preferences from independent comparisons of each pair; ½ where there are none.

    Args:
        total: (pairs,) the number of comparisons of each pair y < y', in the order of ``np.triu_indices``.
        win: (pairs,) the probability that y wins one.
        tie: (pairs,) the probability of a tie.
        n: the number of actions.
        rng: the source of randomness.
        draws: how many matrices in all.
    """
    upper = np.triu_indices(n, 1)
    shares = np.stack([win, tie, np.maximum(0.0, 1 - win - tie)], axis=-1)
    for d in _batch_sizes(draws, n):
        outcome = rng.multinomial(total.astype(np.int64), shares, size=(d, len(total)))
        points = outcome[..., 0] + outcome[..., 1] / 2
        p = np.full((d, n, n), 0.5)
        p[:, *upper] = np.where(total > 0, points / np.maximum(total, 1), 0.5)
        p[:, *upper[::-1]] = 1 - p[:, *upper]
        yield p


def _ballot_by_ballot(ballots: Ballots, rng: np.random.Generator, draws: int) -> Iterator[Array]:
    weights, n = ballots.weights, ballots.ranks.shape[1]
    step = max(1, BATCH_CELLS // (n * n))
    for d in _batch_sizes(draws, n):
        drawn = rng.multinomial(int(weights.sum()), weights / weights.sum(), size=d).astype(np.float64)
        wins, ties = np.zeros((d, n * n)), np.zeros((d, n * n))
        for start in range(0, len(weights), step):
            rows = slice(start, start + step)
            above, level = (mask.reshape(-1, n * n).astype(np.float64) for mask in ballots.relations(rows))
            wins += drawn[:, rows] @ above
            ties += drawn[:, rows] @ level
        yield Counts(wins.reshape(d, n, n), ties.reshape(d, n, n)).probabilities()


def _batch_sizes(draws: int, n: int) -> Iterator[int]:
    most = max(1, min(100, BATCH_CELLS // (n * n)))
    while draws > 0:
        yield min(most, draws)
        draws -= most


@dataclass(frozen=True, eq=False)
class Measures:
    """What is measured on each matrix of a batch: numbers (draws,) and masks (draws, n)."""

    cyclic_share: Array
    cyclic_energy: Array
    three_cycles: NDArray[np.int64]
    shortfall: Array
    winner: Mask
    smith: Mask
    leaders: Mask

    @property
    def none(self) -> Mask:
        """(draws,) where there is no Condorcet winner."""
        return np.asarray(~self.winner.any(axis=-1))


def measure(p: Array, tolerance: float) -> Measures:
    """Measure a batch of preferences (draws, n, n)."""
    beats = majority(p, tolerance)
    shortfall = 0.0 - margins(p).min(axis=-1).max(axis=-1)
    winner, smith, leaders = condorcet_winner(beats), smith_set(beats), minimax_leaders(p)
    return Measures(cyclic_share(p), cyclic_energy(p), three_cycles(beats), shortfall, winner, smith, leaders)


def measure_all(batches: Iterable[Array], tolerance: float) -> Measures:
    """Measure one batch after the other, and put the results end to end."""
    parts = [measure(batch, tolerance) for batch in batches]
    return Measures(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Measures)))


def watched(batches: Iterator[Array], draws: int, what: str, progress: bool) -> Iterator[Array]:
    """The batches, with a progress bar on standard error where one is asked for."""
    if not progress:
        yield from batches
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=draws)
        for batch in batches:
            yield batch
            bar.advance(task, len(batch))
