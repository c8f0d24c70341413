"""Stochastic transitivity, weak, moderate and strong: does a ≻ b ≻ c say anything about a against c?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from analysis.tournament import Mask, check_tolerance, margins, one_context
from stackelberg import PreferenceMatrix
from stackelberg.validation import Array


@dataclass(frozen=True)
class Transitivity:
    """How one kind of stochastic transitivity fares.

    Attributes:
        violations: ordered triples (a, b, c) that break it.
        triples: ordered triples of different actions with p(a,b) ≥ ½ and p(b,c) ≥ ½, that could break it.
        first: the first violation, in the order of the labels, or None.
    """

    violations: int
    triples: int
    first: tuple[str, str, str] | None

    @property
    def holds(self) -> bool:
        """Whether no triple breaks it."""
        return self.violations == 0


@dataclass(frozen=True)
class StochasticTransitivity:
    """For all a, b, c with ``p(a,b) ≥ ½`` and ``p(b,c) ≥ ½``, three demands, each stronger than the last.

    Attributes:
        weak: ``p(a,c) ≥ ½``.
        moderate: ``p(a,c) ≥ min(p(a,b), p(b,c))``.
        strong: ``p(a,c) ≥ max(p(a,b), p(b,c))``; Bradley–Terry preferences always meet it.
    """

    weak: Transitivity
    moderate: Transitivity
    strong: Transitivity


def stochastic_transitivity(
    P: PreferenceMatrix, *, context: int | None = None, tolerance: float = 0.0
) -> StochasticTransitivity:
    """Test weak, moderate and strong stochastic transitivity on every triple, in O(n³).

    Args:
        P: preferences, one matrix, or one a context.
        context: which context, where there are several.
        tolerance: margins up to it are ties, and p(a,c) may fall short by as much before it counts.

    Source: Davidson and Marschak, *Experimental tests of a stochastic decision theory* (1959); Fishburn,
        *Binary choice probabilities*, J. Math. Psychology 10 (1973).

    Example:
        >>> import stackelberg as sb
        >>> P = sb.PreferenceMatrix.from_scores([2.0, 1.0, 0.0], labels=["a", "b", "c"])
        >>> stochastic_transitivity(P).strong
        Transitivity(violations=0, triples=1, first=None)
        >>> stochastic_transitivity(sb.PreferenceMatrix.cycle(3)).weak
        Transitivity(violations=3, triples=3, first=('0', '1', '2'))
    """
    P, slack = one_context(P, context), check_tolerance(tolerance)
    m = margins(P)
    m[np.abs(m) <= slack] = 0.0
    triples, violations = 0, [0, 0, 0]
    first: list[tuple[str, str, str] | None] = [None, None, None]
    for a, middle, premise, broken in _from_each(m, slack):
        triples += int(premise.sum())
        for level, mask in enumerate(broken):
            violations[level] += int(mask.sum())
            if first[level] is None and mask.any():
                b, c = np.argwhere(mask)[0]
                first[level] = (P.labels[a], P.labels[middle[b]], P.labels[c])
    weak, moderate, strong = (Transitivity(violations[k], triples, first[k]) for k in range(3))
    return StochasticTransitivity(weak, moderate, strong)


def _from_each(m: Array, slack: float) -> Iterator[tuple[int, np.ndarray, Mask, tuple[Mask, Mask, Mask]]]:
    """For each a: the b with p(a,b) ≥ ½, then (b, c) masks of the premise and of the three violations."""
    onward = (m >= 0) & ~np.eye(len(m), dtype=bool)  # p(b, c) ≥ ½, b ≠ c
    for a in range(len(m)):
        middle = np.flatnonzero(onward[a])
        premise = onward[middle]
        premise[:, a] = False
        below_first = m[a] + slack < m[a, middle][:, None]  # p(a, c) < p(a, b)
        below_second = m[a] + slack < m[middle]  # p(a, c) < p(b, c)
        weak = premise & (m[a] < 0)
        moderate = premise & below_first & below_second
        strong = premise & (below_first | below_second)
        yield a, middle, premise, (weak, moderate, strong)
