"""Cycles of the majority relation: how many triples go round, and the rings at the top."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.tournament import Mask, has_ties, majority, one_context, smith_set
from stackelberg import PreferenceMatrix


def three_cycles(beats: Mask) -> NDArray[np.int64]:
    """How many triples go round, a beats b beats c beats a: integers of shape (…), exact.

    Without ties the score formula, ``C(n, 3) − Σ_y C(wins(y), 2)``; otherwise ``trace(B³)/3`` through one
    matrix product, whose entries are whole numbers that float32 holds exactly.

    Source: Kendall and Babington Smith, *On the method of paired comparisons*, Biometrika 31 (1940).

    Args:
        beats: (…, n, n) strict majority relation; a tie takes no part in a cycle.

    Example:
        >>> import stackelberg as sb
        >>> int(three_cycles(majority(sb.PreferenceMatrix.cycle(5))))
        5
    """
    n = beats.shape[-1]
    if not has_ties(beats):
        wins = beats.sum(axis=-1, dtype=np.int64)
        return np.asarray(n * (n - 1) * (n - 2) // 6 - (wins * (wins - 1) // 2).sum(axis=-1))
    edges = beats.astype(np.float32)
    closed = (edges @ edges) * np.swapaxes(edges, -1, -2)
    return np.asarray(closed.sum(axis=(-2, -1), dtype=np.float64).astype(np.int64) // 3)


@dataclass(frozen=True)
class TopCycles:
    """The simple cycles of the strict majority relation inside the Smith set.

    Attributes:
        cycles: each a ring of labels in which every one beats the next and the last beats the first;
            shorter ones first, each starting at the member that comes first among the labels.
        complete: whether these are all. If not, there are more than ``len(cycles)``.
        complete_to: every cycle of at most this many actions is listed.
    """

    cycles: tuple[tuple[str, ...], ...]
    complete: bool
    complete_to: int

    @property
    def number(self) -> str:
        """How many there are, in words that do not claim more than is known: "5", or "more than 1000"."""
        return str(len(self.cycles)) if self.complete else f"more than {len(self.cycles)}"


def top_cycles(
    P: PreferenceMatrix, *, context: int | None = None, tolerance: float = 0.0, cap: int = 1000
) -> TopCycles:
    """All cycles of the majority relation through the top, that is inside the Smith set.

    Their number grows faster than exponentially with the size of the Smith set, so at most ``cap`` are
    listed, shorter ones first, and the answer says whether there are more. Which of the longest are listed
    then depends on the order of the actions.

    Args:
        P: preferences, one matrix, or one a context.
        context: which context, where there are several.
        tolerance: margins up to it are ties (see :func:`analysis.tournament.majority`).
        cap: the largest number of cycles to list, at least 1.

    Source: Gupta and Suzumura, *Finding all bounded-length simple cycles in a directed graph* (2021), as in
        ``networkx.simple_cycles``, for cycles of four and more.

    Example:
        >>> import stackelberg as sb
        >>> rings = top_cycles(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]))
        >>> rings.cycles, rings.number
        ((('A', 'B', 'C'),), '1')
    """
    if isinstance(cap, bool) or not isinstance(cap, (int, np.integer)) or cap < 1:
        raise ValueError(f"cap must be a whole number of cycles, at least 1, not {cap!r}.")
    P = one_context(P, context)
    beats = majority(P, tolerance)
    members = np.flatnonzero(smith_set(beats))
    beats = beats[np.ix_(members, members)]
    found, complete_to = _shortest_cycles(beats, int(cap))
    rings = tuple(tuple(P.labels[members[i]] for i in ring) for ring in found)
    return TopCycles(rings, complete_to >= len(members), min(complete_to, len(members)))


def _shortest_cycles(beats: Mask, cap: int) -> tuple[list[tuple[int, ...]], int]:
    """At most ``cap`` cycles, shorter first, and the length up to which they are all."""
    found = list(itertools.islice(_triples(beats), cap + 1))
    complete_to, bound = (3, 4) if len(found) <= cap else (2, 3)
    while complete_to < len(beats) and len(found) <= cap:
        longer = (ring for ring in _bounded(beats, bound) if len(ring) > complete_to)
        found += itertools.islice(longer, cap + 1 - len(found))
        if len(found) <= cap:
            complete_to, bound = bound, 2 * bound
    return sorted(found, key=lambda ring: (len(ring), ring))[:cap], complete_to


def _triples(beats: Mask) -> Iterator[tuple[int, ...]]:
    """The 3-cycles, each once, from its smallest member."""
    for a in range(len(beats) - 2):
        rest = slice(a + 1, None)
        closed = beats[rest, rest] & beats[a, rest, None] & beats[None, rest, a]
        for b, c in np.argwhere(closed):
            yield a, a + 1 + int(b), a + 1 + int(c)


def _bounded(beats: Mask, bound: int) -> Iterator[tuple[int, ...]]:
    """The simple cycles of at most ``bound`` actions, each from its smallest member."""
    import networkx

    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(beats)))
    graph.add_edges_from(np.argwhere(beats).tolist())
    for ring in networkx.simple_cycles(graph, length_bound=bound):
        start = ring.index(min(ring))
        yield tuple(ring[start:] + ring[:start])
