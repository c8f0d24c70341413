"""Laws every solution concept obeys, on every kind of preference matrix."""

import numpy as np
import pytest
from cases import CONCEPTS, GAMES, TAUS, interior, preferences, relabelled
from hypothesis import assume, given
from hypothesis import strategies as st

import stackelberg as sb

every_concept = pytest.mark.parametrize("concept", CONCEPTS, ids=lambda concept: concept.name)
every_game = pytest.mark.parametrize("concept", GAMES, ids=lambda concept: concept.name)
seeds = st.integers(0, 2**32 - 1)


def solve_or_assume(concept, p, tau, reference=None):
    """Solve; without a finite Bradley–Terry fit, or one that double precision can tell, there is no reward game."""
    try:
        return sb.solve(concept.game(p, tau, reference))
    except (sb.NoFiniteMaximiser, sb.CertificateError):
        assume(concept.condorcet_consistent)  # the two games are always solved: for them this is an error
        raise


@every_concept
@given(p=preferences, tau=st.sampled_from([0.0, *TAUS[1:]]))
def test_the_answer_is_a_distribution_with_a_certificate(concept, p, tau):
    solution = solve_or_assume(concept, p, tau)
    policy = concept.policy(solution)
    assert (policy >= 0).all()
    assert abs(policy.sum() - 1) < 1e-12
    assert abs(solution.gap) <= 1e-9


@every_concept
@given(p=preferences, tau=st.sampled_from([0.0, 1e-2, 0.1, 1.0, 30.0]), seed=seeds)
def test_relabelling_the_actions_relabels_the_solution(concept, p, tau, seed):
    order = np.random.default_rng(seed).permutation(len(p))
    policy = concept.policy(solve_or_assume(concept, p, tau))
    moved = concept.policy(solve_or_assume(concept, relabelled(p, order), tau))
    np.testing.assert_allclose(moved, policy[order], atol=2e-6)


@every_concept
@given(p=preferences, seed=seeds)
def test_the_answer_tends_to_the_reference_as_tau_grows(concept, p, seed):
    reference = np.random.default_rng(seed).dirichlet(np.ones(len(p)))
    near = concept.policy(solve_or_assume(concept, p, 1e3, reference))
    nearer = concept.policy(solve_or_assume(concept, p, 1e6, reference))
    scale = 1.0 if concept.condorcet_consistent else 60.0  # rewards may be large, payoffs lie in [0, 1]
    np.testing.assert_allclose(near, reference, atol=1e-3 * scale)
    np.testing.assert_allclose(nearer, reference, atol=1e-6 * scale)


@every_concept
@given(seed=seeds, n=st.integers(1, 6), contexts=st.integers(1, 4))
def test_contexts_solved_together_are_contexts_solved_alone(concept, seed, n, contexts):
    p = sb.PreferenceMatrix.random(n, seed, contexts).probabilities
    tau = np.random.default_rng(seed).choice([0.0, 0.05, 1.0], contexts)
    together = concept.policy(sb.solve(concept.game(p, tau)))
    alone = [concept.policy(sb.solve(concept.game(p[x], tau[x]))) for x in range(contexts)]
    np.testing.assert_allclose(together, alone, atol=1e-9)


@every_game
@given(p=preferences, winner=st.integers(0, 6), tau=st.sampled_from([0.0, 1e-6]))
def test_a_condorcet_winner_is_the_answer_as_tau_vanishes(concept, p, winner, tau):
    p, winner = p.copy(), winner % len(p)
    p[winner] = np.maximum(p[winner], 0.51)
    p[:, winner] = 1 - p[winner]
    p[winner, winner] = 0.5
    policy = concept.policy(sb.solve(concept.game(p, tau)))
    assert policy[winner] == pytest.approx(1, abs=1e-6)


@given(p=interior, seed=seeds, tau=st.floats(0.01, 10))
def test_a_reference_is_a_shift_of_the_preferences(p, seed, tau):
    """Reference r at τ is the uniform game on P + τ(log r_i − log r_j): checked as the fixed point it implies."""
    reference = np.random.default_rng(seed).dirichlet(np.ones(len(p))) * 0.9 + 0.1 / len(p)
    policy = sb.solve(sb.NashGame(p, tau, reference)).policy
    shifted = p + tau * (np.log(reference)[:, None] - np.log(reference)[None, :])
    logits = shifted @ policy / tau
    logits -= logits.max()
    np.testing.assert_allclose(policy, np.exp(logits) / np.exp(logits).sum(), atol=1e-5)


@given(p=preferences, tau=st.sampled_from([0.0, 1e-3, 0.1, 1.0]))
def test_the_follower_never_does_worse_for_seeing_the_answer(p, tau):
    """Seen, its payoff is E V(y); unseen, the best fixed answer to the same Leader. Jensen: seeing is no worse."""
    game = sb.StackelbergGame(p, tau=tau)
    solution = sb.solve(game)
    seen = solution.leader @ solution.values
    average = solution.leader @ p
    least = average.min()
    unseen = least if tau == 0 else least - tau * np.log(np.exp((least - average) / tau).mean())
    assert seen <= unseen + 1e-12


@given(p=preferences)
def test_the_unregularised_leader_guarantees_at_most_one_half(p):
    assert sb.solve(sb.StackelbergGame(p, tau=0)).value <= 0.5
