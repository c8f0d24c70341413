"""Winners, sets, cycles and transitivity: against their definitions over every small tournament."""

from __future__ import annotations

import itertools
import json

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stackelberg as sb
from analysis import stochastic_transitivity, structure, top_cycles
from analysis.cycles import three_cycles
from analysis.tournament import (
    condorcet_loser,
    condorcet_winner,
    has_ties,
    majority,
    minimax_leaders,
    schwartz_set,
    smith_set,
    weak_condorcet_winners,
)


def all_preferences(n: int, outcomes: tuple[float, ...]) -> np.ndarray:
    """Every (n, n) preference matrix whose entries above the diagonal are among ``outcomes``."""
    upper = np.triu_indices(n, 1)
    cells = np.array(list(itertools.product(outcomes, repeat=len(upper[0]))))
    p = np.full((len(cells), n, n), 0.5)
    p[:, *upper] = cells
    p[:, *upper[::-1]] = 1 - cells
    return p


SMALL = {f"tournaments {n}": all_preferences(n, (0.2, 0.7)) for n in range(1, 7)}
SMALL |= {f"with ties {n}": all_preferences(n, (0.2, 0.5, 0.7)) for n in range(2, 6)}
small = pytest.mark.parametrize("p", SMALL.values(), ids=SMALL)


def subsets(n: int) -> list[np.ndarray]:
    """Every non-empty subset as a mask, smaller ones first."""
    masks = [np.array(bits, dtype=bool) for bits in itertools.product([False, True], repeat=n)]
    return sorted(masks[1:], key=lambda mask: int(mask.sum()))


# --- sets, against their definitions ---------------------------------------------------------------


@small
def test_smith_set_is_the_smallest_dominant_set_of_every_small_tournament(p: np.ndarray) -> None:
    beats, n = majority(p), p.shape[-1]
    expected, missing = np.zeros((len(p), n), dtype=bool), np.ones(len(p), dtype=bool)
    for mask in subsets(n):
        dominant = beats[:, mask][:, :, ~mask].all(axis=(1, 2)) & missing
        expected[dominant] = mask
        missing &= ~dominant
    assert not missing.any()
    np.testing.assert_array_equal(smith_set(beats), expected)


@pytest.mark.parametrize("name", ["tournaments 4", "tournaments 5", "with ties 3", "with ties 4"])
def test_schwartz_set_is_the_union_of_minimal_undominated_sets(name: str) -> None:
    for beats in majority(SMALL[name]):
        minimal: list[np.ndarray] = []
        for mask in subsets(len(beats)):
            undominated = not beats[np.ix_(~mask, mask)].any()
            if undominated and not any((inner <= mask).all() for inner in minimal):
                minimal.append(mask)
        np.testing.assert_array_equal(schwartz_set(beats), np.any(minimal, axis=0))


@pytest.mark.parametrize("seed", range(20))
def test_smith_and_schwartz_sets_are_top_components_of_the_right_digraphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = sb.PreferenceMatrix.from_margins(np.triu(m := rng.choice([-0.4, 0, 0.4], (12, 12)), 1) - np.triu(m, 1).T)
    beats = majority(p)
    not_beaten = nx.from_numpy_array((~beats.T & ~np.eye(12, dtype=bool)).astype(int), create_using=nx.DiGraph)
    strict = nx.from_numpy_array(beats.astype(int), create_using=nx.DiGraph)
    for graph, members in ((not_beaten, smith_set(beats)), (strict, schwartz_set(beats))):
        parts = nx.condensation(graph)
        tops = [node for node in parts if parts.in_degree(node) == 0]
        expected = set().union(*(parts.nodes[node]["members"] for node in tops))
        assert set(np.flatnonzero(members)) == expected


@small
def test_three_cycles_are_the_triples_that_go_round(p: np.ndarray) -> None:
    beats = majority(p)
    expected = np.zeros(len(p), dtype=int)
    for a, b, c in itertools.combinations(range(p.shape[-1]), 3):
        expected += beats[:, a, b] & beats[:, b, c] & beats[:, c, a]
        expected += beats[:, a, c] & beats[:, c, b] & beats[:, b, a]
    np.testing.assert_array_equal(three_cycles(beats), expected)


@small
def test_winners_and_losers_are_what_they_are_called(p: np.ndarray) -> None:
    others = ~np.eye(p.shape[-1], dtype=bool)
    np.testing.assert_array_equal(condorcet_winner(majority(p)), ((p > 0.5) | ~others).all(axis=-1))
    np.testing.assert_array_equal(condorcet_loser(majority(p)), ((p < 0.5) | ~others).all(axis=-1))
    np.testing.assert_array_equal(weak_condorcet_winners(majority(p)), ((p >= 0.5) | ~others).all(axis=-1))
    worst = p.min(axis=-1)
    np.testing.assert_array_equal(minimax_leaders(p), worst == worst.max(axis=-1, keepdims=True))


def test_three_cycles_of_a_thousand_by_both_ways() -> None:
    P = np.array(sb.PreferenceMatrix.random(1000, seed=1))
    by_scores = int(three_cycles(majority(P)))
    P[0, 1] = P[1, 0] = 0.5  # one tie sends it the other way: it closes a cycle or not with each third
    beats = majority(P)
    assert has_ties(beats)
    exact = beats.astype(np.int64)
    assert int(three_cycles(beats)) == int(((exact @ exact) * exact.T).sum()) // 3
    assert 0 < by_scores - int(three_cycles(beats)) < 1000
    assert by_scores == pytest.approx(1000 * 999 * 998 / 24, rel=0.01)  # a random triple goes round with 1/4


def test_schwartz_can_be_smaller_than_smith_and_all_ties_are_all_tied() -> None:
    tied = structure(sb.PreferenceMatrix(np.full((4, 4), 0.5)), draws=0)
    assert tied.smith_set == tied.schwartz_set == tied.weak_condorcet_winners == tied.minimax_leaders == tied.labels
    assert (tied.condorcet_winner, tied.ties, tied.three_cycles, tied.cyclic_share) == (None, 6, 0, 0.0)
    assert tied.transitivity.strong.holds
    beats = majority([[0.5, 0.9, 0.5], [0.1, 0.5, 0.5], [0.5, 0.5, 0.5]])
    assert smith_set(beats).sum() == 3
    assert schwartz_set(beats).tolist() == [True, False, True]


def test_one_action_is_its_own_winner_and_loser() -> None:
    alone = structure(sb.PreferenceMatrix([[0.5]], labels=["only"]))
    assert alone.condorcet_winner == alone.condorcet_loser == "only"
    assert (alone.three_cycles, alone.cyclic_share, alone.smith_set) == (0, 0.0, ("only",))
    json.loads(alone.to_json())


# --- tolerance -------------------------------------------------------------------------------------


def test_a_tolerance_makes_small_margins_ties() -> None:
    P = sb.PreferenceMatrix.condorcet([0.34, 0.33, 0.33])  # p(A≻B) = .67, p(B≻C) = .67, p(C≻A) = .66
    assert structure(P, draws=0).three_cycles == 1
    loose = structure(P, draws=0, tolerance=0.165)
    assert (loose.three_cycles, loose.ties, loose.schwartz_set) == (0, 1, ("A",))
    assert structure(P, draws=0, tolerance=0.3).ties == 3


def test_rounding_is_a_tie_and_never_a_win_for_both() -> None:
    P = sb.PreferenceMatrix([[0.5, 0.5 + 4e-10], [0.5 + 4e-10, 0.5]])  # complementary to 1e-9, no more
    assert not majority(P).any()
    assert not majority([[0.5, 0.1 * 5 + 1e-16], [0.5, 0.5]]).any()
    assert majority([[0.5, 0.5 + 1e-11], [0.5 - 1e-11, 0.5]])[0, 1]


@pytest.mark.parametrize("tolerance", [-0.1, 0.5, float("nan")])
def test_a_tolerance_out_of_range_is_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance is a margin"):
        structure(sb.PreferenceMatrix.cycle(3), tolerance=tolerance)


# --- top cycles ------------------------------------------------------------------------------------


def rings(beats: np.ndarray) -> set[tuple[int, ...]]:
    """Every simple cycle, from its smallest member, by trying every arrangement of every subset."""
    found = set()
    for size in range(3, len(beats) + 1):
        for ring in itertools.permutations(range(len(beats)), size):
            if ring[0] == min(ring) and all(beats[a, b] for a, b in itertools.pairwise((*ring, ring[0]))):
                found.add(ring)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_top_cycles_are_all_the_rings_inside_the_smith_set(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = np.triu(rng.choice([-0.3, 0.0, 0.3], (6, 6), p=[0.45, 0.1, 0.45]), 1)
    P = sb.PreferenceMatrix.from_margins(m - m.T)
    beats = majority(P)
    top = set(np.flatnonzero(smith_set(beats)))
    expected = {tuple(map(str, ring)) for ring in rings(beats) if set(ring) <= top}
    answer = top_cycles(P)
    assert answer.complete
    assert answer.number == str(len(expected))
    assert set(answer.cycles) == expected
    assert len(answer.cycles) == len(expected)
    assert sorted(answer.cycles, key=len) == list(answer.cycles)


@pytest.mark.parametrize("cap", [1, 13, 14, 15, 40, 200])
def test_a_cap_says_more_than_and_keeps_the_short_ones(cap: int) -> None:
    P = sb.PreferenceMatrix.cycle(7)  # 14 triples go round
    everything, answer = top_cycles(P), top_cycles(P, cap=cap)
    assert everything.complete
    assert len(answer.cycles) == min(cap, len(everything.cycles))
    assert answer.complete == (cap >= len(everything.cycles))
    assert answer.number == (str(len(everything.cycles)) if answer.complete else f"more than {cap}")
    short = {ring for ring in everything.cycles if len(ring) <= answer.complete_to}
    assert short <= set(answer.cycles) <= set(everything.cycles)
    assert answer.complete_to >= (3 if cap >= 14 else 2)


def test_a_long_ring_of_ties_is_found() -> None:
    n = 40
    step = np.roll(np.eye(n), 1, axis=1)
    answer = top_cycles(sb.PreferenceMatrix.from_margins(0.2 * (step - step.T)))
    assert answer.cycles == (tuple(map(str, range(n))),)
    assert answer.number == "1"


def test_no_cycle_at_the_top_where_there_is_a_condorcet_winner() -> None:
    p = np.full((4, 4), 0.5)
    p[1:, 1:] = sb.PreferenceMatrix.cycle(3)
    p[0, 1:], p[1:, 0] = 1, 0
    answer = structure(sb.PreferenceMatrix(p), draws=0)
    assert (answer.three_cycles, answer.top_cycles.number) == (1, "0")


@pytest.mark.parametrize("cap", [0, 2.5, True])
def test_a_senseless_cap_is_refused(cap: object) -> None:
    with pytest.raises(ValueError, match="cap must be a whole number"):
        top_cycles(sb.PreferenceMatrix.cycle(3), cap=cap)  # type: ignore[arg-type]


# --- stochastic transitivity -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_transitivity_triple_by_triple(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m = np.triu(rng.choice([-0.4, -0.2, -0.1, 0.0, 0.1, 0.3, 0.4], (6, 6)), 1)
    p = np.array(sb.PreferenceMatrix.from_margins(m - m.T))
    answer = stochastic_transitivity(sb.PreferenceMatrix(p))
    least = {"weak": lambda ab, bc: 0.5, "moderate": min, "strong": max}
    triples = [t for t in itertools.permutations(range(6), 3) if min(p[t[0], t[1]], p[t[1], t[2]]) >= 0.5]
    for name, bound in least.items():
        broken = [(a, b, c) for a, b, c in triples if p[a, c] < bound(p[a, b], p[b, c]) - 1e-12]
        found = getattr(answer, name)
        assert (found.violations, found.triples, found.holds) == (len(broken), len(triples), not broken)
        assert found.first == (tuple(map(str, min(broken))) if broken else None)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_bradley_terry_is_strongly_transitive(scores: list[float]) -> None:
    assert stochastic_transitivity(sb.PreferenceMatrix.from_scores(scores)).strong.holds


def test_moderate_without_strong_and_weak_without_moderate() -> None:
    def transitive(p_ac: float) -> list[bool]:
        P = sb.PreferenceMatrix([[0.5, 0.6, p_ac], [0.4, 0.5, 0.8], [1 - p_ac, 0.2, 0.5]])
        answer = stochastic_transitivity(P)
        return [answer.weak.holds, answer.moderate.holds, answer.strong.holds]

    assert transitive(0.8) == [True, True, True]
    assert transitive(0.7) == [True, True, False]
    assert transitive(0.55) == [True, False, False]
    assert transitive(0.45) == [False, False, False]
