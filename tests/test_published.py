"""The published code's game: another fixed point than SLHF's, in closed form, and where its rules go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import stackelberg as sb
from stackelberg.simplex import kl_divergence, softmax


def games(seed, n=4):
    rng = np.random.default_rng(seed)
    p = sb.PreferenceMatrix.random(n, seed)
    leader, follower = rng.dirichlet(np.full(n, 3.0)), rng.dirichlet(np.ones(n), n) * 0.7 + 0.3 / n
    references = {"leader_reference": leader, "follower_reference": follower}
    taus = {"tau_leader": rng.uniform(0.1, 1), "tau_follower": rng.uniform(0.1, 1)}
    return (kind(p, **taus, **references) for kind in (sb.StackelbergGame, sb.PublishedStackelbergGame))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_follower_is_the_same_and_the_leader_follows_the_win_rate(seed):
    slhf, published = map(sb.solve, games(seed))
    np.testing.assert_allclose(published.follower, slhf.follower, atol=1e-15)
    game, p = published.game, published.game.preference.probabilities
    wins = (published.follower * p).sum(axis=1)
    wanted = softmax(np.log(game.leader_reference[0]) + wins / game.tau_leader[0])
    np.testing.assert_allclose(published.leader, wanted, atol=1e-14)
    np.testing.assert_allclose(published.values, wins, atol=1e-14)
    assert (wins <= slhf.values + 1e-12).all()  # V also counts the KL that the reply costs


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_the_gap_is_what_best_responses_found_by_a_minimiser_gain(seed):
    _, game = games(seed, 3)
    rng = np.random.default_rng(seed)
    leader, follower = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), 3)
    p, tau = game.preference.probabilities, (game.tau_leader[0], game.tau_follower[0])

    def leads(theta):
        pi = softmax(theta)
        return -(pi @ (follower * p).sum(1) - tau[0] * kl_divergence(pi, game.leader_reference[0]))

    def follows(theta):
        omega = softmax(theta.reshape(3, 3))
        return leader @ ((omega * p).sum(1) + tau[1] * kl_divergence(omega, game.follower_reference[0]))

    here = leads(np.log(leader)), follows(np.log(follower).ravel())
    best = minimize(leads, np.zeros(3), tol=1e-10).fun, minimize(follows, np.zeros(9), tol=1e-10).fun
    assert sb.duality_gap(game, leader, follower) == pytest.approx(sum(here) - sum(best), abs=1e-7)


@pytest.mark.parametrize(
    "solver", [sb.MirrorDescent(0.5, 2), sb.StackelbergGDA(3.0, geometry=sb.Softmax()), sb.ExtraGradient(0.5)]
)
def test_its_rules_reach_its_own_fixed_point_and_not_that_of_slhf(solver):
    slhf, published = games(0)
    run = sb.solve(published, solver, steps=6000, tolerance=1e-13)
    assert run.status is sb.Status.REACHED
    np.testing.assert_allclose(run.leader, sb.solve(published).leader, atol=1e-6)
    np.testing.assert_allclose(run.gap, sb.duality_gap(published, run.leader, run.follower), atol=1e-14)
    assert np.abs(run.leader - sb.solve(slhf).leader).max() > 0.01
    assert sb.duality_gap(slhf, run.leader, run.follower) > 1e-4
