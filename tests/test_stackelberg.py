"""The Stackelberg closed form against brute force, linear programmes and exhaustive enumeration."""

import numpy as np
import pytest
from cases import preferences, tournaments
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import stackelberg as sb
from stackelberg.equilibrium import closed_form
from stackelberg.simplex import kl_divergence


def objective(p, pi, omega, tau_leader, tau_follower, pi_ref, omega_ref):
    """f(π, ω), written once more straight from the definition."""
    inner = (omega * p).sum(-1) + tau_follower * kl_divergence(omega, omega_ref)
    return (pi * inner).sum(-1) - tau_leader * kl_divergence(pi, pi_ref)


def sequence_form_value(p):
    """The two-stage tree in sequence form: max Σ v(y) with v(y) ≤ π(y) p(y≻y') for every reply y'."""
    n = len(p)
    cost = np.r_[np.zeros(n), -np.ones(n)]
    rows = [np.r_[-p[y, reply] * np.eye(n)[y], np.eye(n)[y]] for y in range(n) for reply in range(n)]
    plan = np.r_[np.ones(n), np.zeros(n)][None, :]
    bounds = [(0, None)] * n + [(None, None)] * n
    return -linprog(cost, A_ub=rows, b_ub=np.zeros(n * n), A_eq=plan, b_eq=[1], bounds=bounds).fun


@pytest.mark.parametrize("tau", [(0.3, 0.1), (0.01, 0.5), (2.0, 0.02)])
def test_no_deviation_of_either_player_gains(tau):
    rng = np.random.default_rng(3)
    n, (tau_leader, tau_follower) = 4, tau
    P = sb.PreferenceMatrix.random(n, seed=5)
    pi_ref, omega_ref = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n), n)
    game = sb.StackelbergGame(
        P, tau_leader=tau_leader, tau_follower=tau_follower, leader_reference=pi_ref, follower_reference=omega_ref
    )
    solution = sb.solve(game)
    rest = (tau_leader, tau_follower, pi_ref, omega_ref)
    value = objective(P.probabilities, solution.leader, solution.follower, *rest)
    assert value == pytest.approx(solution.value, abs=1e-13)
    leaders = rng.dirichlet(np.full(n, 0.5), 20_000)
    followers = rng.dirichlet(np.full(n, 0.5), (20_000, n))
    near = 0.999 * solution.leader + 0.001 * leaders
    assert (objective(P.probabilities, leaders, solution.follower, *rest) <= value).all()
    assert (objective(P.probabilities, near, solution.follower, *rest) <= value).all()
    assert (objective(P.probabilities, solution.leader, followers, *rest) >= value).all()


@given(p=preferences)
@settings(max_examples=30)
def test_the_value_is_that_of_the_tree_in_sequence_form(p):
    assert sb.solve(sb.StackelbergGame(p, tau=0)).value == pytest.approx(sequence_form_value(p), abs=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_every_tournament_elects_the_simpson_kramer_winners(n):
    p = tournaments(n)
    solution = sb.solve(sb.StackelbergGame(p, tau=0))
    worst_defeat = np.where(np.eye(n, dtype=bool), 0.5, np.swapaxes(p, -1, -2)).max(axis=-1)
    np.testing.assert_array_equal(solution.optimal_leaders, worst_defeat == worst_defeat.min(axis=-1, keepdims=True))
    np.testing.assert_array_equal(solution.leader > 0, solution.optimal_leaders)


@pytest.mark.parametrize("tau", [1e-6, 1e-3, 1e3])
def test_extreme_tau_neither_overflows_nor_loses_the_certificate(tau):
    solution = sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.random(300, seed=1), tau=tau))
    assert np.isfinite(solution.values).all()
    assert abs(solution.gap) < 1e-14


def test_tiny_tau_tends_to_the_tau_zero_answer():
    P = sb.PreferenceMatrix.random(50, seed=2)
    hard, soft = (sb.solve(sb.StackelbergGame(P, tau=tau)) for tau in (0, 1e-6))
    np.testing.assert_allclose(soft.values, hard.values, atol=1e-6 * np.log(50))
    np.testing.assert_allclose(soft.follower, hard.follower, atol=1e-9)


def test_ties_stay_ties():
    P = sb.PreferenceMatrix(np.full((4, 4), 0.5), labels=list("ABCD"))
    solution = sb.solve(sb.StackelbergGame(P, tau=0, leader_reference=[0.1, 0.2, 0.3, 0.4]))
    assert solution.optimal_leaders.all()
    assert solution.best_responses.all()
    np.testing.assert_allclose(solution.leader, [0.1, 0.2, 0.3, 0.4], atol=1e-15)
    np.testing.assert_allclose(solution.follower, 0.25, atol=1e-15)


def test_a_reference_with_zeros_restricts_the_play():
    P = sb.PreferenceMatrix.random(4, seed=3)
    game = sb.StackelbergGame(P, tau=0.1, leader_reference=[0.5, 0.5, 0, 0], follower_reference=[0, 0.2, 0.3, 0.5])
    solution = sb.solve(game)
    assert (solution.leader[2:] == 0).all()
    assert (solution.follower[:, 0] == 0).all()
    assert not solution.optimal_leaders[2:].any()  # what is never played is not optimal, however good
    assert abs(solution.gap) < 1e-14
    replies = P.probabilities[:, 1:].argmin(axis=-1) + 1
    np.testing.assert_array_equal(solution.best_responses.argmax(axis=-1), replies)
    assert solution.as_dict()["best_responses"]["0"] == [P.labels[replies[0]]]


@pytest.mark.parametrize("tau", [1e3, 1e6, 1e12, 1e16, 1e100, 1e300])
def test_huge_tau_gives_the_mean_under_the_reference_and_keeps_its_certificate(tau):
    P = sb.PreferenceMatrix.random(40, seed=7)
    reference = np.random.default_rng(0).dirichlet(np.ones(40))
    solution = sb.solve(sb.StackelbergGame(P, tau=tau, leader_reference=reference, follower_reference=reference))
    mean = P.probabilities @ reference
    spread = ((P.probabilities - mean[:, None]) ** 2) @ reference
    np.testing.assert_allclose(solution.values, mean - spread / (2 * tau), atol=2 / tau / tau + 1e-15)
    assert solution.value == pytest.approx(reference @ solution.values, abs=1 / tau + 1e-15)
    assert abs(solution.gap) < 1e-15


@pytest.mark.parametrize("cells", [7, 64, 1 << 16])
def test_blocks_of_any_size_give_the_same_answer(cells, monkeypatch):
    P = sb.PreferenceMatrix.random(9, seed=4, contexts=5)
    omega_ref = np.random.default_rng(0).dirichlet(np.ones(9), (5, 9))
    game = sb.StackelbergGame(P, tau=[0, 0.1, 0, 1, 2], follower_reference=omega_ref)
    expected = sb.solve(game)
    monkeypatch.setattr(closed_form, "BLOCK", cells)
    found = sb.solve(game)
    np.testing.assert_allclose(found.values, expected.values, atol=1e-15)
    np.testing.assert_allclose(found.follower, expected.follower, atol=1e-15)


def test_a_follower_too_large_to_keep_is_computed_when_read(monkeypatch):
    P = sb.PreferenceMatrix.random(20, seed=6)
    kept = sb.solve(sb.StackelbergGame(P, tau=0.2))
    monkeypatch.setattr("stackelberg.exact.FOLLOWER_CELLS", 10)
    lazy = sb.solve(sb.StackelbergGame(P, tau=0.2))
    assert lazy.stored_follower is None
    assert lazy.gap == kept.gap
    np.testing.assert_array_equal(lazy.follower, kept.follower)


@given(p=preferences, tau=st.sampled_from([0.01, 0.5, 10.0]), seed=st.integers(0, 1000))
def test_gaps_agree_with_their_definitions(p, tau, seed):
    """Leader gap + Follower gap is no more than the duality gap; V̂ − V = τ_F KL(ω‖ω*); none is negative."""
    rng = np.random.default_rng(seed)
    n = len(p)
    pi, omega = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n), n)
    game = sb.StackelbergGame(p, tau=tau)
    solution = sb.solve(game)
    excess = sb.leader_payoffs(game, omega) - solution.values
    np.testing.assert_allclose(excess, tau * kl_divergence(omega, solution.follower), atol=1e-12 * max(1, tau))
    rest = (tau, tau, np.full(n, 1 / n), np.full((n, n), 1 / n))
    best_reply = objective(p, pi, solution.follower, *rest)
    assert sb.follower_gap(game, pi, omega) == pytest.approx(objective(p, pi, omega, *rest) - best_reply, abs=1e-11)
    assert sb.leader_gap(game, pi) == pytest.approx(solution.value - best_reply, abs=1e-11)
    assert sb.exploitability(game, pi) == sb.leader_gap(game, pi)
    gap = sb.duality_gap(game, pi, omega)
    assert gap >= max(sb.leader_gap(game, pi), sb.follower_gap(game, pi, omega)) - 1e-11


def test_a_solution_tells_its_own_diagnostics():
    reference = np.array([0.5, 0.3, 0.2])
    game = sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), tau=0.2, leader_reference=reference)
    solution = sb.solve(game)
    assert abs(solution.leader_gap) < 1e-15
    assert abs(solution.follower_gap) < 1e-15
    pi = solution.leader
    assert solution.entropy == pytest.approx(-(pi * np.log(pi)).sum(), abs=1e-15)
    assert solution.kl == pytest.approx((pi * np.log(pi / reference)).sum(), abs=1e-15)
    early = sb.solve(game, sb.MirrorDescent(learning_rate=0.5), steps=3)
    assert early.leader_gap == sb.leader_gap(game, early.leader) > 1e-6
    assert early.follower_gap == sb.follower_gap(game, early.leader, early.follower) > 1e-6


@pytest.mark.parametrize("tau", [(0, 10), (10, 0), (1e-300, 1e300), (1e300, 1e-300), (0.1, 1e6)])
@pytest.mark.parametrize("seed", range(4))
def test_references_with_zeros_and_tau_of_any_size_warn_of_nothing(tau, seed):
    """Warnings are errors here: a face that the reference does not allow must not be divided by."""
    rng = np.random.default_rng(seed)
    P = sb.PreferenceMatrix.random(4, seed, contexts=2)
    leader, follower = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.3, 0.7]]), np.array([0.2, 0, 0.8, 0])
    uniform = np.full(4, 0.25)
    game = sb.StackelbergGame(
        P,
        tau_leader=tau[0],
        tau_follower=tau[1],
        leader_reference=leader if tau[0] else uniform,
        follower_reference=follower if tau[1] else uniform,
    )
    solution = sb.solve(game)
    assert (abs(solution.gap) < 1e-12).all()
    pi, omega = rng.dirichlet(np.ones(4), 2), rng.dirichlet(np.ones(4), (2, 4))
    assert (sb.duality_gap(game, pi, omega) > 0).all()
