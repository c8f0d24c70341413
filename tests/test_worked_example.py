"""Every row of the worked example in theory.md: three annotator types with shares α."""

import numpy as np
import pytest
from cases import shares
from hypothesis import assume, given

import stackelberg as sb

A, B, C = range(3)
THIRDS = np.full(3, 1 / 3)


def without(first, second):
    sampling = np.ones((3, 3))
    sampling[first, second] = sampling[second, first] = 0
    return sampling


@given(alpha=shares)
def test_pairwise_probabilities(alpha):
    p = sb.PreferenceMatrix.condorcet(alpha).probabilities
    np.testing.assert_allclose([p[A, B], p[B, C], p[C, A]], 1 - alpha[[1, 2, 0]], atol=1e-12)


@given(alpha=shares)
def test_slhf_values_are_the_shares_and_the_leader_plays_the_largest(alpha):
    assume(alpha.max() < 0.4999)
    solution = sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.condorcet(alpha), tau=0))
    np.testing.assert_allclose(solution.values, alpha, atol=1e-12)
    assert solution.value == pytest.approx(alpha.max(), abs=1e-12)
    assert solution.optimal_leaders[alpha.argmax()]


@given(alpha=shares)
def test_slhf_follower_walks_the_cycle(alpha):
    assume(alpha.max() < 0.4999)
    follower = sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.condorcet(alpha), tau=0)).follower
    np.testing.assert_array_equal(follower, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])


@given(alpha=shares)
def test_nlhf_is_the_known_lottery(alpha):
    assume(alpha.max() < 0.4999)
    solution = sb.solve(sb.NashGame(sb.PreferenceMatrix.condorcet(alpha), tau=0))
    np.testing.assert_allclose(solution.policy, 1 - 2 * alpha[[2, 0, 1]], atol=1e-12)
    assert solution.unique


@pytest.mark.parametrize(
    ("sampling", "rewards"),
    [
        (None, [0, 0, 0]),
        (without(A, C), [np.log(2), 0, -np.log(2)]),
        (without(A, B), [-np.log(2), np.log(2), 0]),
        (without(B, C), [0, -np.log(2), np.log(2)]),
    ],
)
def test_rlhf_elects_whom_the_sampling_favours(sampling, rewards):
    solution = sb.solve(sb.RewardGame(sb.PreferenceMatrix.condorcet(THIRDS), tau=0.0, sampling=sampling))
    np.testing.assert_allclose(solution.rewards, rewards, atol=1e-12)
    expected = THIRDS if sampling is None else np.eye(3)[np.argmax(rewards)]
    np.testing.assert_allclose(solution.policy, expected, atol=1e-12)


def test_reaching_a_favourite_within_three_answers():
    P = sb.PreferenceMatrix.condorcet(THIRDS)
    refined = sb.solve(sb.StackelbergGame(P, tau=0)).refine(3)
    lottery = sb.solve(sb.NashGame(P, tau=0)).policy
    np.testing.assert_allclose(refined.coverage(), [1 / 3, 2 / 3, 1], atol=1e-12)
    np.testing.assert_allclose(sb.independent_coverage(lottery, 3), [1 / 3, 5 / 9, 19 / 27], atol=1e-12)
    np.testing.assert_allclose(sb.distinct_coverage(lottery, 3), refined.coverage(), atol=1e-12)


def test_refinement_is_not_monotone():
    refined = sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.condorcet(THIRDS), tau=0)).refine(4)
    np.testing.assert_allclose(refined.win_rate, [1 / 2, 2 / 3, 1 / 3, 1 / 2], atol=1e-12)


def test_the_leader_can_be_a_condorcet_loser():
    """A loses to everyone narrowly; B, C, D beat each other heavily in a cycle: minimax elects the loser A."""
    P = sb.PreferenceMatrix(
        [[0.5, 0.45, 0.45, 0.45], [0.55, 0.5, 0.9, 0.1], [0.55, 0.1, 0.5, 0.9], [0.55, 0.9, 0.1, 0.5]],
        labels=list("ABCD"),
    )
    assert (P.probabilities[A, 1:] < 0.5).all()
    solution = sb.solve(sb.StackelbergGame(P, tau=0))
    np.testing.assert_array_equal(solution.leader, [1, 0, 0, 0])
    assert solution.value == 0.45
