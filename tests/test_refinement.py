"""Refinement chains against direct enumeration."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stackelberg as sb

seeds = st.integers(0, 2**32 - 1)


def paths(first, follower, rounds):
    """Every path of the chain with its probability."""
    n = len(first)
    for path in itertools.product(range(n), repeat=rounds):
        probability = first[path[0]] * np.prod([follower[a, b] for a, b in itertools.pairwise(path)])
        yield path, probability


@given(seed=seeds, n=st.integers(1, 4), rounds=st.integers(1, 5), tau=st.sampled_from([0.0, 0.05, 1.0]))
def test_refinement_is_what_enumerating_every_path_gives(seed, n, rounds, tau):
    P = sb.PreferenceMatrix.random(n, seed)
    start = np.random.default_rng(seed).dirichlet(np.ones(n))
    solution = sb.solve(sb.StackelbergGame(P, tau=tau))
    found = solution.refine(rounds, start)
    last, reached, win = np.zeros(n), np.zeros(n), 0.0
    for path, probability in paths(start, solution.follower, rounds):
        last[path[-1]] += probability
        reached[list(set(path))] += probability
        win += probability * P.probabilities[path[-1], path[0]]
    np.testing.assert_allclose(found.distributions[-1], last, atol=1e-12)
    np.testing.assert_allclose(found.reached[-1], reached, atol=1e-12)
    assert found.win_rate[-1] == pytest.approx(win, abs=1e-12)


def distinct_by_enumeration(pi, rounds):
    """Draws without replacement, every order listed."""
    reached = np.zeros((rounds, len(pi)))
    played = np.flatnonzero(pi)
    for order in itertools.permutations(played):
        left, probability = 1.0, 1.0
        for action in order:
            probability *= pi[action] / left
            left -= pi[action]
        for k in range(rounds):
            reached[k, list(order[: k + 1])] += probability
    return reached


@given(seed=seeds, n=st.integers(1, 5), rounds=st.integers(1, 6), zeros=st.integers(0, 3))
def test_draws_without_replacement_match_enumeration(seed, n, rounds, zeros):
    rng = np.random.default_rng(seed)
    pi = rng.dirichlet(np.full(n, 0.5)) + 1e-3
    pi[rng.permutation(n)[: min(zeros, n - 1)]] = 0
    pi /= pi.sum()
    favourites = rng.dirichlet(np.ones(n))
    expected = distinct_by_enumeration(pi, rounds) @ favourites
    np.testing.assert_allclose(sb.distinct_coverage(pi, rounds, favourites), expected, atol=1e-12)


def test_refinement_keeps_contexts_apart():
    P = sb.PreferenceMatrix.random(4, seed=1, contexts=3)
    together = sb.solve(sb.StackelbergGame(P, tau=0.1)).refine(3)
    assert together.distributions.shape == (3, 3, 4)
    for x in range(3):
        alone = sb.solve(sb.StackelbergGame(P.probabilities[x], tau=0.1)).refine(3)
        np.testing.assert_allclose(together.reached[x], alone.reached, atol=1e-15)
        np.testing.assert_allclose(together.coverage()[x], alone.coverage(), atol=1e-15)


def test_another_models_answers_can_be_refined():
    solution = sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0))
    found = solution.refine(2, start=[0, 1, 0])
    np.testing.assert_array_equal(found.distributions, [[0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(found.win_rate, [0.5, 1.0])


def test_a_chain_with_a_transient_part_and_two_recurrent_classes():
    step = np.array([[0, 0.25, 0.75, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 1, 0, 0.0]])
    walk = sb.chain(step)
    assert sorted(walk.periods) == [1, 3]
    np.testing.assert_allclose(walk.limit([1, 0, 0, 0, 0]), [0, 0.25, 0.25, 0.25, 0.25], atol=1e-12)


@given(seed=seeds, n=st.integers(1, 6))
def test_the_stationary_distribution_is_stationary(seed, n):
    follower = np.random.default_rng(seed).dirichlet(np.ones(n), n)
    walk = sb.chain(follower)
    assert walk.periods == (1,)
    np.testing.assert_allclose(walk.stationary @ follower, walk.stationary, atol=1e-12)


@pytest.mark.parametrize("rounds", [0, -1, 1.5, "3"])
def test_rounds_must_be_a_positive_whole_number(rounds):
    solution = sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0))
    with pytest.raises(ValueError, match="rounds must be a positive whole number"):
        solution.refine(rounds)


def test_favourites_must_fit_the_actions():
    solution = sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0))
    with pytest.raises(ValueError, match="2 entries but there are 3 actions"):
        solution.refine(2).coverage([0.5, 0.5])
    with pytest.raises(ValueError, match="Pass one context"):
        sb.chain(np.ones((2, 1, 1)))
