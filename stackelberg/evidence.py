"""What a preference matrix was counted from, kept so that its uncertainty can be told.

Pairwise :class:`Counts` are resampled pair by pair; :class:`Ballots` are resampled ballot by ballot, which
keeps the dependence between the pairs that one ballot ranks.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackelberg.validation import Array, as_floats, check_labels, check_square, shown


class Unranked(enum.Enum):
    """What a partial ballot says about the candidates it does not rank."""

    BELOW = "below"
    """Below every ranked one; two unranked candidates are not compared (the default)."""
    TIED = "tied"
    """Below every ranked one, and tied with each other (half a win each)."""
    IGNORED = "ignored"
    """Nothing: only pairs of which both are ranked are compared."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Comparisons counted pair by pair.

    Attributes:
        wins: (n, n) or (contexts, n, n); ``wins[y, y']`` is how often y was preferred to y'.
        ties: the same shape, symmetric: how often the pair was judged equal.
    """

    wins: Array
    ties: Array

    @classmethod
    def checked(cls, wins: Any, ties: Any = None) -> Counts:
        """Counts from arrays, or a ``ValueError`` that names the first offending cell."""
        wins = as_floats(wins, "wins")
        check_square(wins, "wins")
        ties = np.zeros_like(wins) if ties is None else as_floats(ties, "ties")
        if ties.shape != wins.shape:
            raise ValueError(f"ties has shape {ties.shape} but wins has shape {wins.shape}. Give both the same.")
        for name, array in (("wins", wins), ("ties", ties)):
            bad = np.argwhere(array < 0)
            if len(bad):
                raise ValueError(
                    f"{name} must not be negative; at {tuple(bad[0].tolist())} it is {array[tuple(bad[0])]:.6g}. "
                    "Are these margins? Use PreferenceMatrix.from_margins."
                )
        if (np.diagonal(wins, axis1=-2, axis2=-1) != 0).any():
            raise ValueError("The diagonal of wins must be 0: an action is not compared with itself.")
        if (ties != np.swapaxes(ties, -1, -2)).any() or np.diagonal(ties, axis1=-2, axis2=-1).any():
            raise ValueError("ties must be symmetric, with diagonal 0: a tie of y with y' is one of y' with y.")
        with np.errstate(over="ignore"):
            total = wins + np.swapaxes(wins, -1, -2) + ties
        if not np.isfinite(total).all():
            raise ValueError("wins are so large that their sum overflows. Rescale them.")
        return cls(wins, ties)

    @property
    def comparisons(self) -> Array:
        """How often each pair was compared: ``wins + winsᵀ + ties``."""
        return self.wins + np.swapaxes(self.wins, -1, -2) + self.ties

    def probabilities(self) -> Array:
        """``(wins + ties/2) / comparisons``; ½ where a pair was never compared.

        >>> Counts.checked([[0, 3], [1, 0]]).probabilities()
        array([[0.5 , 0.75],
               [0.25, 0.5 ]])
        """
        total = self.comparisons
        compared = (total > 0) & ~np.eye(total.shape[-1], dtype=bool)
        half = np.full_like(total, 0.5)
        return np.divide(self.wins + self.ties / 2, total, out=half, where=compared)

    def resample(self, rng: np.random.Generator) -> Counts:
        """A bootstrap draw: every pair's comparisons redrawn (win, loss, tie) with the observed shares."""
        n = self.wins.shape[-1]
        upper = np.triu_indices(n, 1)
        wins, losses = self.wins[..., *upper], np.swapaxes(self.wins, -1, -2)[..., *upper]
        ties = self.ties[..., *upper]
        outcomes = np.stack([wins, losses, ties], axis=-1)
        if (outcomes != np.floor(outcomes)).any():
            raise ValueError("These counts are not whole numbers, so they cannot be resampled. Pass raw counts.")
        total = outcomes.sum(axis=-1)
        shares = outcomes / np.maximum(total, 1)[..., None]
        shares[..., 2] = np.maximum(0.0, 1 - shares[..., 0] - shares[..., 1])
        drawn = rng.multinomial(total.astype(np.int64), shares).astype(np.float64)
        new_wins, new_ties = np.zeros_like(self.wins), np.zeros_like(self.ties)
        new_wins[..., *upper], new_ties[..., *upper] = drawn[..., 0], drawn[..., 2]
        np.swapaxes(new_wins, -1, -2)[..., *upper] = drawn[..., 1]
        return Counts(new_wins, new_ties + np.swapaxes(new_ties, -1, -2))


@dataclass(frozen=True, eq=False)
class Ballots:
    """Rankings with their numbers.

    Attributes:
        weights: (ballots,) how many voters cast each ranking.
        ranks: (ballots, n) rank of each candidate, 0 the best, equal ranks tied, ``inf`` where unranked.
        unranked: what a ballot says about candidates it does not rank.
    """

    weights: Array
    ranks: Array
    unranked: Unranked = Unranked.BELOW

    @classmethod
    def checked(
        cls,
        rankings: Iterable[tuple[float, Sequence[Any]]],
        labels: Sequence[Any] | None = None,
        unranked: Unranked = Unranked.BELOW,
    ) -> tuple[Ballots, tuple[str, ...]]:
        """Ballots and their labels (in order of first appearance unless given) from ``(count, ranking)`` rows."""
        if not isinstance(unranked, Unranked):
            raise ValueError(f"unranked must be one of {', '.join(map(str, Unranked))}, not {shown(unranked)}.")
        try:
            given = list(rankings)
        except TypeError:
            raise ValueError(f"rankings must be rows (count, ranking), not {shown(rankings)}.") from None
        rows = [_ballot(row, number) for number, row in enumerate(given)]
        seen = list(dict.fromkeys(name for _, groups in rows for group in groups for name in group))
        names = check_labels(seen if labels is None else labels, None)
        if not rows or not names:
            raise ValueError("There are no rankings. Pass at least one (count, ranking) row.")
        if not np.isfinite(sum(count for count, _ in rows)):
            raise ValueError("The counts of the rankings are so large that their sum overflows. Rescale them.")
        index = {name: i for i, name in enumerate(names)}
        ranks = np.full((len(rows), len(names)), np.inf)
        for number, (_, groups) in enumerate(rows):
            for rank, group in enumerate(groups):
                for name in group:
                    if name not in index:
                        raise ValueError(f"Ranking {number} names {shown(name)}, not among the labels {shown(names)}.")
                    ranks[number, index[name]] = rank
        return cls(np.array([count for count, _ in rows]), ranks, unranked), names

    def counts(self) -> Counts:
        """The pairwise counts these ballots imply."""
        n = self.ranks.shape[1]
        wins, ties = np.zeros((n, n)), np.zeros((n, n))
        for number, weight in enumerate(self.weights):
            above, level = self.relations(slice(number, number + 1))
            wins += weight * above[0]
            ties += weight * level[0]
        return Counts(wins, ties)

    def relations(self, rows: slice = slice(None)) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """What each ballot says about each pair: ranked above, and ranked level; two (ballots, n, n) masks."""
        rank = self.ranks[rows]
        ranked = np.isfinite(rank)
        both = ranked[:, :, None] & ranked[:, None, :]
        above = rank[:, :, None] < rank[:, None, :]
        level = (rank[:, :, None] == rank[:, None, :]) & (both | (self.unranked is Unranked.TIED))
        level[:, *np.diag_indices(self.ranks.shape[1])] = False
        return (above & both if self.unranked is Unranked.IGNORED else above), level

    def resample(self, rng: np.random.Generator) -> Ballots:
        """A bootstrap draw of as many ballots, with the observed shares."""
        if (self.weights != np.floor(self.weights)).any():
            raise ValueError("These ballot counts are not whole numbers, so they cannot be resampled.")
        total = self.weights.sum()
        drawn = rng.multinomial(int(total), self.weights / total).astype(np.float64)
        return Ballots(drawn, self.ranks, self.unranked)


def _ballot(row: Any, number: int) -> tuple[float, list[tuple[str, ...]]]:
    """One ``(count, ranking)`` row as a count and groups of tied names, best first."""
    try:
        count, ranking = row
        if isinstance(count, bool) or not isinstance(count, Real):
            raise TypeError
        count = float(count)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"Ranking {number} must be a pair (count, ranking), not {shown(row)}.") from None
    if not (np.isfinite(count) and count > 0):
        raise ValueError(f"Ranking {number} has count {count}; counts must be positive and finite.")
    if isinstance(ranking, (str, bytes, set, frozenset, dict)) or not np.iterable(ranking):
        raise ValueError(f"Ranking {number} must be a list of names, best first, not {shown(ranking)}.")
    groups = [
        tuple(sorted(str(name) for name in group))
        if isinstance(group, (tuple, list, set, frozenset))
        else (str(group),)
        for group in ranking
    ]
    names = [name for group in groups for name in group]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"Ranking {number} names {shown(twice)} twice. A ballot ranks a candidate once.")
    return count, [group for group in groups if group]
