"""PreferenceMatrix, its constructors and its evidence: known answers, and what is refused in which words."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import stackelberg as sb
from stackelberg import Ballots, Counts, PreferenceMatrix, Unranked

HALF = [[0.5, 0.9], [0.1, 0.5]]


# --- the matrix itself -----------------------------------------------------------------------------


def test_a_matrix_keeps_a_copy_that_nobody_can_change() -> None:
    array = np.array(HALF)
    P = PreferenceMatrix(array, labels=["tea", "coffee"])
    array[0, 1] = 0.2
    assert P.probabilities[0, 1] == 0.9
    with pytest.raises(ValueError, match="read-only"):
        P.probabilities[0, 1] = 0.3


def test_views_of_one_matrix_and_of_several_contexts() -> None:
    one = PreferenceMatrix(HALF)
    assert (one.n, one.contexts, one.labels, one.stacked.shape) == (2, None, ("0", "1"), (1, 2, 2))
    two = PreferenceMatrix([HALF, np.transpose(HALF)], labels=["ab", "c"])
    assert (two.n, two.contexts, two.stacked.shape) == (2, 2, (2, 2, 2))
    assert_array_equal(np.asarray(one), HALF)
    assert repr(two) == "PreferenceMatrix(n=2, contexts=2, labels=(ab, c))"


def test_probabilities_alone_have_no_counts() -> None:
    P = PreferenceMatrix(HALF)
    assert (P.counts, P.comparisons, P.never_compared) == (None, None, ())
    with pytest.raises(ValueError, match="nothing can be resampled"):
        P.resample(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        ([[0, 5], [3, 0]], r"\[0, 1\]; at \(0, 1\) it is 5\. Are these numbers of wins\?"),
        ([[0, 0.2], [-0.2, 0]], r"at \(1, 0\) it is -0\.2\. .*from_margins"),
        ([[50, 70], [30, 50]], r"Are these percentages\? Divide by 100"),
        ([[0, 0.7], [0.3, 0]], r"diagonal of P must be 1/2, at \(0, 0\) it is 0\. Set the diagonal"),
        (
            [[0.5, 0.7], [0.4, 0.5]],
            r"P\[y, y'\] \+ P\[y', y\] must be 1; at \(0, 1\) it is 0\.7 \+ 0\.4 = 1\.1",
        ),
        ([[0.5, 0.7], [0.30000001, 0.5]], r"= 1\.00000001\."),
        ([[0.5, 0.7, 0.3]], r"must have shape \(n, n\)"),
        ([0.5], r"must have shape \(n, n\)"),
        ([], r"must have shape \(n, n\)"),
        (np.zeros((0, 0)), r"must have shape \(n, n\)"),
        (np.full((3, 3, 2), 0.5), r"The context comes first"),
        ([[0.5, np.nan], [0.5, 0.5]], r"must be finite; at \(0, 1\) it is nan"),
        ([["0.5"]], r"Pass numbers only"),
        (np.array([["0.5"]], dtype=object), r"Pass numbers only"),
        ([[0.5 + 0j]], r"Pass numbers only"),
        ([[0.5], [0.5, 0.5]], r"Pass numbers only"),
        ([[None]], r"must be finite|Pass numbers only"),
        ([[10**400]], r"Pass numbers only"),
        (np.ma.array(HALF, mask=[[0, 1], [0, 0]]), r"masked"),
    ],
)
def test_what_is_no_preference_matrix_is_refused_with_the_likely_cause(array: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreferenceMatrix(array)


def test_a_fault_in_a_context_is_named_with_its_context() -> None:
    stack = np.full((3, 2, 2), 0.5)
    stack[2, 1, 0] = 0.6
    with pytest.raises(ValueError, match=r"P\[x, y, y'\] .* at \(2, 0, 1\) it is 0\.5 \+ 0\.6 = 1\.1"):
        PreferenceMatrix(stack)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"], "2 actions but 1 labels"),
        (["a", "a"], "'a' is used more than once"),
        (["a", ""], "Label 1 is empty"),
        ("ab", "not the one string 'ab'"),
        ({"a", "b"}, "must be a sequence of names"),
        (5, "must be a sequence of names"),
    ],
)
def test_labels_are_names_one_an_action(labels: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreferenceMatrix(HALF, labels=labels)


@pytest.mark.parametrize("evidence", ["wins", Counts.checked(np.zeros((3, 3))), [[0, 9], [1, 0]]])
def test_evidence_of_the_wrong_kind_or_shape_is_refused(evidence: object) -> None:
    with pytest.raises(ValueError, match="evidence"):
        PreferenceMatrix(HALF, evidence=evidence)


# --- constructors ----------------------------------------------------------------------------------


def test_from_counts_divides_and_flags_pairs_never_compared() -> None:
    P = PreferenceMatrix.from_counts([[0, 3, 0], [1, 0, 2], [0, 0, 0]], labels=list("ABC"))
    assert_array_equal(P.probabilities, [[0.5, 0.75, 0.5], [0.25, 0.5, 1], [0.5, 0, 0.5]])
    assert P.never_compared == (("A", "C"),)
    assert_array_equal(P.comparisons, [[0, 4, 0], [4, 0, 2], [0, 2, 0]])


def test_a_tie_is_half_a_win_each() -> None:
    P = PreferenceMatrix.from_counts([[0, 1], [0, 0]], ties=[[0, 2], [2, 0]])
    assert P.probabilities[0, 1] == pytest.approx(2 / 3, abs=1e-15)


def test_counts_may_have_contexts() -> None:
    P = PreferenceMatrix.from_counts([[[0, 1], [1, 0]], [[0, 0], [0, 0]]])
    assert (P.contexts, P.never_compared) == (2, (("0", "1"),))


@pytest.mark.parametrize(
    ("wins", "ties", "message"),
    [
        ([[0, -1], [1, 0]], None, r"at \(0, 1\) it is -1\. Are these margins"),
        ([[1, 0], [0, 0]], None, "diagonal of wins must be 0"),
        ([[0, 1], [1, 0]], [[0, 1], [2, 0]], "ties must be symmetric"),
        ([[0, 1], [1, 0]], [[1, 0], [0, 0]], "ties must be symmetric, with diagonal 0"),
        ([[0, 1], [1, 0]], [[0]], "ties has shape"),
        ([[0, 1e308], [1e308, 0]], None, "sum overflows"),
        ([[0, "many"], [1, 0]], None, "Pass numbers only"),
    ],
)
def test_what_are_no_counts_is_refused(wins: object, ties: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreferenceMatrix.from_counts(wins, ties)


@pytest.mark.parametrize(
    ("unranked", "wins", "ties"),
    [
        (Unranked.BELOW, [[0, 5, 5], [0, 0, 2], [0, 0, 0]], 0),
        (Unranked.TIED, [[0, 5, 5], [0, 0, 2], [0, 0, 0]], 3),
        (Unranked.IGNORED, [[0, 2, 0], [0, 0, 0], [0, 0, 0]], 0),
    ],
)
def test_what_a_partial_ballot_says(unranked: Unranked, wins: list[list[int]], ties: int) -> None:
    rankings = [(2, ["A", "B"]), (3, ["A"])]
    P = PreferenceMatrix.from_rankings(rankings, labels=list("ABC"), unranked=unranked)
    assert_array_equal(P.counts.wins, wins)
    assert P.counts.ties[1, 2] == P.counts.ties[2, 1] == ties


def test_the_default_for_unranked_candidates_is_below() -> None:
    assert PreferenceMatrix.from_rankings([(1, ["A"])], labels=["A", "B"]).evidence.unranked is Unranked.BELOW


def test_rankings_with_ties_and_labels_in_order_of_appearance() -> None:
    P = PreferenceMatrix.from_rankings([(2, ["A", "B", "C"]), (1, ["C", {"B", "A"}])])
    assert P.labels == ("A", "B", "C")
    assert_array_equal(P.counts.wins, [[0, 2, 2], [0, 0, 2], [1, 1, 0]])
    assert_array_equal(P.counts.ties, [[0, 1, 0], [1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("rankings", "message"),
    [
        ([], "There are no rankings"),
        (5, "rankings must be rows"),
        ([5], r"Ranking 0 must be a pair \(count, ranking\), not 5"),
        ([(1, ["A"]), (0, ["B"])], "Ranking 1 has count 0"),
        ([(np.nan, ["A"])], "counts must be positive and finite"),
        ([("1_000", ["A"])], "must be a pair"),
        ([(True, ["A"])], "must be a pair"),
        ([(10**400, ["A"])], "must be a pair"),
        ([(1, "AB")], "must be a list of names, best first, not 'AB'"),
        ([(1, {"A", "B"})], "must be a list of names, best first"),
        ([(1, ["A", ("B", "A")])], "names 'A' twice"),
        ([(1e308, ["A"]), (1e308, ["B"])], "sum overflows"),
        ([(1, [])], "There are no rankings"),
    ],
)
def test_what_are_no_rankings_is_refused(rankings: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PreferenceMatrix.from_rankings(rankings)


def test_rankings_outside_the_labels_and_a_string_for_unranked_are_refused() -> None:
    with pytest.raises(ValueError, match="names 'B', not among the labels"):
        PreferenceMatrix.from_rankings([(1, ["A", "B"])], labels=["A"])
    with pytest.raises(ValueError, match="unranked must be one of"):
        PreferenceMatrix.from_rankings([(1, ["A", "B"])], unranked="below")


def test_from_scores_is_bradley_terry_even_far_out() -> None:
    P = PreferenceMatrix.from_scores([[0, np.log(3)], [1e308, -1e308]])
    assert P.probabilities[0, 1, 0] == pytest.approx(0.75, abs=1e-15)
    assert_array_equal(P.probabilities[1], [[0.5, 1], [0, 0.5]])
    with pytest.raises(ValueError, match=r"shape \(n,\)"):
        PreferenceMatrix.from_scores(3.0)


def test_from_attributes_is_the_share_of_attributes_won() -> None:
    P = PreferenceMatrix.from_attributes([[1, 2, 5], [0, 2, 9], [1e308, -1e308, 5]])
    assert P.probabilities[0] == pytest.approx([0.5, 0.5, 0.5])
    assert P.probabilities[1] == pytest.approx([0.5, 0.5, 2 / 3])
    with pytest.raises(ValueError, match="attributes"):
        PreferenceMatrix.from_attributes([1.0, 2.0])


def test_from_margins() -> None:
    assert_array_equal(PreferenceMatrix.from_margins([[0, 0.5], [-0.5, 0]]).probabilities[0], [0.5, 0.75])
    with pytest.raises(ValueError, match=r"lie in \[-1, 1\]"):
        PreferenceMatrix.from_margins([[0, 2], [-2, 0]])
    with pytest.raises(ValueError, match="skew-symmetric"):
        PreferenceMatrix.from_margins([[0, 0.5], [0.5, 0]])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 10])
def test_in_a_cycle_everyone_wins_and_loses_equally(n: int) -> None:
    P = PreferenceMatrix.cycle(n, strength=0.9)
    assert P.probabilities.sum(axis=1) == pytest.approx(np.full(n, n / 2))
    assert set(P.probabilities.round(12).ravel()) <= {0.1, 0.5, 0.9}
    assert n < 3 or P.probabilities[0, 1] == 0.9


def test_random_is_reproducible_and_not_always_the_same() -> None:
    first, again = (PreferenceMatrix.random(4, seed=7, contexts=2) for _ in range(2))
    assert_array_equal(first.probabilities, again.probabilities)
    assert not np.array_equal(first.probabilities, PreferenceMatrix.random(4, seed=8, contexts=2).probabilities)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PreferenceMatrix.cycle(0),
        lambda: PreferenceMatrix.cycle(3, strength=1.1),
        lambda: PreferenceMatrix.cycle(3, strength="strong"),
        lambda: PreferenceMatrix.random(2.5),
        lambda: PreferenceMatrix.random(3, seed="a"),
        lambda: PreferenceMatrix.random(3, contexts=0),
        lambda: PreferenceMatrix.condorcet(3),
        lambda: PreferenceMatrix.condorcet([0.5, -0.5]),
        lambda: PreferenceMatrix.condorcet([]),
    ],
)
def test_wrong_arguments_of_the_named_examples_are_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"must be|counts must|no rankings"):
        make()


@given(st.lists(st.fractions(0, 1), min_size=3, max_size=3).filter(lambda shares: sum(shares) > 0))
def test_the_condorcet_paradox_as_in_the_theory(shares: list[Fraction]) -> None:
    """p(A≻B) = 1 − α₂, p(B≻C) = 1 − α₃, p(C≻A) = 1 − α₁."""
    total = sum(shares)
    first, second, third = (float(share / total) for share in shares)
    P = PreferenceMatrix.condorcet([first, second, third])
    cyclic = P.probabilities[[0, 1, 2], [1, 2, 0]]
    assert cyclic == pytest.approx([1 - second, 1 - third, 1 - first], abs=1e-12)


def test_a_large_paradox_has_labels_too() -> None:
    P = PreferenceMatrix.condorcet(np.full(30, 1 / 30))
    assert P.labels[:2] == ("y0", "y1")
    assert P.probabilities[0, 1] == pytest.approx(29 / 30)


# --- resampling ------------------------------------------------------------------------------------


def test_resampled_counts_keep_the_number_of_comparisons_and_their_mean() -> None:
    P = PreferenceMatrix.from_counts([[0, 30, 0], [10, 0, 5], [0, 5, 0]], ties=[[0, 20, 0], [20, 0, 0], [0, 0, 0]])
    rng = np.random.default_rng(1)
    draws = [P.resample(rng) for _ in range(400)]
    assert all(np.array_equal(draw.comparisons, P.comparisons) for draw in draws)
    mean = np.mean([draw.counts.wins for draw in draws], axis=0)
    # binomial: a standard error of sqrt(60/4)/20 = 0.19
    assert mean == pytest.approx(P.counts.wins, abs=1)


def test_resampled_ballots_stay_whole_ballots() -> None:
    P = PreferenceMatrix.from_rankings([(40, ["A", "B", "C"]), (60, ["C", "B", "A"])])
    draw = P.resample(np.random.default_rng(2))
    assert draw.evidence.weights.sum() == 100
    # only two kinds of ballots: whoever puts A above B puts B above C
    assert draw.counts.wins[0, 1] == draw.counts.wins[1, 2] == draw.counts.wins[0, 2]


@pytest.mark.parametrize(
    "P",
    [PreferenceMatrix.from_counts([[0, 0.5], [1, 0]]), PreferenceMatrix.from_rankings([(0.5, ["A", "B"])])],
)
def test_shares_cannot_be_resampled(P: PreferenceMatrix) -> None:
    with pytest.raises(ValueError, match="not whole numbers"):
        P.resample(np.random.default_rng(0))


def test_ballots_and_counts_agree() -> None:
    rng = np.random.default_rng(3)
    rankings = [(int(rng.integers(1, 9)), list(rng.permutation(list("ABCD")))[: rng.integers(1, 5)]) for _ in range(20)]
    P = PreferenceMatrix.from_rankings(rankings, labels=list("ABCD"))
    assert isinstance(P.evidence, Ballots)
    assert_array_equal(P.probabilities, PreferenceMatrix.from_counts(P.counts.wins, P.counts.ties).probabilities)


def test_errors_have_two_parts_and_fit_on_a_line() -> None:
    with pytest.raises(ValueError, match=re.compile(r"^[^\n]+\. [^\n]+[.?]$")):
        sb.PreferenceMatrix([[0.5, 2], [3, 0.5]])
