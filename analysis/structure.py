"""Everything about the structure of a preference matrix, gathered: one function, one answer."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from analysis.cycles import TopCycles, three_cycles, top_cycles
from analysis.fit import BradleyTerryFit, Unavailable, bradley_terry
from analysis.hodge import Hodge, hodge
from analysis.noise import NoiseTest, noise_test
from analysis.resampling import whole_number, why_not_redrawn
from analysis.tournament import (
    Mask,
    condorcet_loser,
    condorcet_winner,
    majority,
    minimax_leaders,
    one_context,
    schwartz_set,
    smith_set,
    weak_condorcet_winners,
)
from analysis.transitivity import StochasticTransitivity, stochastic_transitivity
from analysis.uncertainty import Bootstrap, bootstrap
from stackelberg import CertificateError, NoFiniteMaximiser, PreferenceMatrix


@dataclass(frozen=True, eq=False)
class Structure:
    """The structure of one preference matrix; actions are named by their labels.

    Attributes:
        labels: the actions.
        condorcet_winner: beats every other, or None.
        condorcet_loser: loses to every other, or None.
        weak_condorcet_winners: beaten by none (ties allowed).
        smith_set: the smallest set whose members each beat everyone outside.
        schwartz_set: the union of the minimal undominated sets.
        minimax_leaders: the best worst case (Simpson–Kramer): the Stackelberg Leaders at τ = 0.
        minimax_value: that worst case, ``max_y min_y' p(y ≻ y')``, at most ½.
        three_cycles: the number of triples that go round.
        ties: the number of pairs that neither wins.
        never_compared: the pairs of which no comparison is known (their ½ is a guess).
        cyclic_share: the share of the energy of p − ½ that no scores explain, all pairs equal.
        top_cycles: the cycles inside the Smith set.
        transitivity: weak, moderate and strong stochastic transitivity.
        hodge: the decomposition behind ``cyclic_share``.
        bradley_terry: rewards and goodness of fit, or why there are none.
        bootstrap: intervals and chances, or why there are none.
        noise_test: whether the cycles are more than noise, or why that cannot be told.
    """

    labels: tuple[str, ...]
    condorcet_winner: str | None
    condorcet_loser: str | None
    weak_condorcet_winners: tuple[str, ...]
    smith_set: tuple[str, ...]
    schwartz_set: tuple[str, ...]
    minimax_leaders: tuple[str, ...]
    minimax_value: float
    three_cycles: int
    ties: int
    never_compared: tuple[tuple[str, str], ...]
    cyclic_share: float
    top_cycles: TopCycles
    transitivity: StochasticTransitivity
    hodge: Hodge
    bradley_terry: BradleyTerryFit | Unavailable
    bootstrap: Bootstrap | Unavailable
    noise_test: NoiseTest | Unavailable

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain lists, dicts, numbers and strings, ready for JSON.

        Keys are the attributes' names, at every level; (n, n) arrays are left out, as P and the scores give
        them. An analysis that could not be made is ``{"reason": …}`` alone.
        """
        answer: dict[str, Any] = _plain(self)
        answer["top_cycles"]["number"] = self.top_cycles.number
        for level in fields(self.transitivity):
            answer["transitivity"][level.name]["holds"] = getattr(self.transitivity, level.name).holds
        return answer

    def to_json(self, indent: int | None = 2) -> str:
        """:meth:`as_dict` as JSON text."""
        return json.dumps(self.as_dict(), indent=indent, ensure_ascii=False, allow_nan=False)


def structure(
    P: PreferenceMatrix,
    *,
    context: int | None = None,
    tolerance: float = 0.0,
    cycle_cap: int = 1000,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
    progress: bool = False,
) -> Structure:
    """Condorcet winner and loser, Smith and Schwartz sets, cycles, transitivity, Hodge parts, and how sure.

    Args:
        P: preferences, one matrix, or one a context.
        context: which context, where there are several.
        tolerance: margins up to it are ties (see :func:`analysis.tournament.majority`).
        cycle_cap: list at most so many top cycles.
        level: nominal coverage of the bootstrap intervals.
        draws: bootstrap draws, and simulated worlds of the noise test; 0 leaves both out.
        seed: of their random numbers.
        progress: show progress bars on standard error.

    Raises:
        ValueError: several contexts and none chosen, or an argument out of its range.

    Example:
        >>> import stackelberg as sb
        >>> rings = structure(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), draws=0)
        >>> rings.condorcet_winner, rings.smith_set, rings.three_cycles, rings.minimax_leaders
        (None, ('A', 'B', 'C'), 1, ('A',))
        >>> sorted(rings.as_dict())[:4]
        ['bootstrap', 'bradley_terry', 'condorcet_loser', 'condorcet_winner']
    """
    P, draws = one_context(P, context), whole_number("draws", draws, least=0)
    beats, split = majority(P, tolerance), hodge(P)
    try:
        fit: BradleyTerryFit | Unavailable = bradley_terry(P)
    except (NoFiniteMaximiser, CertificateError) as error:
        fit = Unavailable(str(error))
    random = {"draws": draws, "seed": seed, "tolerance": tolerance, "progress": progress}
    sure, noise = _uncertainty(P, fit, level, random)

    def names(mask: Mask) -> tuple[str, ...]:
        return tuple(P.labels[i] for i in np.flatnonzero(mask))

    return Structure(
        labels=P.labels,
        condorcet_winner=next(iter(names(condorcet_winner(beats))), None),
        condorcet_loser=next(iter(names(condorcet_loser(beats))), None),
        weak_condorcet_winners=names(weak_condorcet_winners(beats)),
        smith_set=names(smith_set(beats)),
        schwartz_set=names(schwartz_set(beats)),
        minimax_leaders=names(minimax_leaders(P)),
        minimax_value=float(P.probabilities.min(axis=-1).max()),
        three_cycles=int(three_cycles(beats)),
        ties=P.n * (P.n - 1) // 2 - int(beats.sum()),
        never_compared=P.never_compared,
        cyclic_share=split.cyclic_share,
        top_cycles=top_cycles(P, tolerance=tolerance, cap=cycle_cap),
        transitivity=stochastic_transitivity(P, tolerance=tolerance),
        hodge=split,
        bradley_terry=fit,
        bootstrap=sure,
        noise_test=noise,
    )


def _uncertainty(
    P: PreferenceMatrix, fit: BradleyTerryFit | Unavailable, level: float, random: dict[str, Any]
) -> tuple[Bootstrap | Unavailable, NoiseTest | Unavailable]:
    """The bootstrap and the noise test, each with the reason in its place where it cannot be made."""
    reason = "Left out: draws=0." if not random["draws"] else why_not_redrawn(P.evidence)
    if reason:
        return Unavailable(reason), Unavailable(reason)
    noise = fit if isinstance(fit, Unavailable) else noise_test(P, fit=fit, **random)
    return bootstrap(P, level=level, **random), noise


def _plain(value: Any) -> Any:
    """Dataclasses, arrays and tuples as dicts, lists and numbers; (n, n) arrays are left out."""
    if is_dataclass(value):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return {name: _plain(part) for name, part in parts.items() if getattr(part, "ndim", 0) < 2}
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (tuple, np.ndarray)):
        return [_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value
