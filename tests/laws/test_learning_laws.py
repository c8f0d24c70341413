"""Laws every learning rule obeys, on every game it is for: where it stays, where it goes, what does not matter."""

import numpy as np
import pytest
from cases import CONCEPTS, LEARNERS, TAU, relabelled
from hypothesis import given, settings
from hypothesis import strategies as st

import stackelberg as sb

PAIRS = [(learner, concept) for learner in LEARNERS for concept in CONCEPTS if concept.name in learner.concepts]
CONVERGENT = [pair for pair in PAIRS if pair[0].converges]


def named(pairs):
    return pytest.mark.parametrize(("learner", "concept"), pairs, ids=[f"{x.name}-{y.name}" for x, y in pairs])


SLOW = {"nash-md": 1e-5}
"""What a schedule for O(1/T) reaches; the law of rates holds it to that."""


def games(learner, concept, contexts=12, n=4):
    """Random games with a solution of full support: regularised, or cycles that everybody must mix over."""
    rng = np.random.default_rng(len(learner.name))
    if learner.regularised:
        p = 0.05 + 0.9 * sb.PreferenceMatrix.random(n, contexts, contexts).probabilities
        reference = rng.dirichlet(np.full(n, 5.0), contexts) * 0.8 + 0.2 / n
        if concept.name != "stackelberg":
            return concept.game(p, TAU, reference)
        return sb.StackelbergGame(
            p, TAU, leader_reference=reference, follower_reference=np.repeat(reference[:, None], n, axis=1)
        )
    shares = [(a, b, 1 - a - b) for a, b in rng.uniform(0.28, 0.38, (contexts, 2))]
    return concept.game([sb.PreferenceMatrix.condorcet(share).probabilities for share in shares], 0)


def elsewhere(game, concept):
    """A start that is nobody's solution."""
    rng = np.random.default_rng(1)
    policy = rng.dirichlet(np.ones(game.preference.n), game.shape[0]) * 0.5 + 0.5 / game.preference.n
    return (policy, None) if concept.name == "stackelberg" else policy


def policies(solution):
    return (solution.leader, solution.follower) if isinstance(solution, sb.StackelbergSolution) else (solution.policy,)


def start_at(solution):
    """The policies as a start, and as they may be in logits: inside."""
    given = policies(solution)
    return given if len(given) > 1 else given[0]


@named([pair for pair in PAIRS if pair[0].stays])
def test_an_exact_solution_is_a_fixed_point(learner, concept):
    game = games(learner, concept)
    exact = sb.solve(game)
    after = sb.solve(game, learner.solver, steps=10, start=start_at(exact), record=None)
    for learned, solved in zip(policies(after), policies(exact), strict=True):
        np.testing.assert_allclose(learned, solved, atol=1e-9)


@named(PAIRS)
def test_what_is_not_the_solution_is_left(learner, concept):
    """Otherwise a rule that never moves would pass the law of fixed points."""
    game = games(learner, concept)
    start = elsewhere(game, concept)
    after = sb.solve(game, learner.solver, steps=1, start=start, record=None)
    first = start[0] if isinstance(start, tuple) else start
    assert np.abs(policies(after)[0] - first).max(axis=-1).min() > 1e-6


@named(CONVERGENT)
def test_the_last_iterate_reaches_the_exact_solution(learner, concept):
    game = games(learner, concept)
    tolerance = SLOW.get(learner.name, 1e-10)
    solution = sb.solve(game, learner.solver, steps=8000, start=elsewhere(game, concept), tolerance=tolerance)
    assert solution.status is sb.Status.REACHED, solution.gap
    np.testing.assert_allclose(solution.gap, sb.duality_gap(game, *policies(solution)), atol=1e-12)
    for learned, solved in zip(policies(solution), policies(sb.solve(game)), strict=True):
        np.testing.assert_allclose(learned, solved, atol=20 * np.sqrt(tolerance))


@named([pair for pair in CONVERGENT if pair[0].regularised])
def test_on_a_cycle_the_last_iterate_reaches_the_exact_solution(learner, concept):
    game = concept.game(sb.PreferenceMatrix.cycle(5, 0.9), TAU, [0.4, 0.25, 0.15, 0.1, 0.1])
    solution = sb.solve(game, learner.solver, steps=4000, tolerance=SLOW.get(learner.name, 1e-10))
    assert solution.status is sb.Status.REACHED


@named(PAIRS)
@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 6))
def test_relabelling_the_actions_relabels_the_run(learner, concept, seed, n):
    rng = np.random.default_rng(seed)
    p = sb.PreferenceMatrix.random(n, seed).probabilities * 0.9 + 0.05
    order, start = rng.permutation(n), rng.dirichlet(np.ones(n)) * 0.9 + 0.1 / n

    def run(matrix, first):
        both = (first, np.tile(first, (n, 1))) if concept.name == "stackelberg" else first
        game = concept.game(matrix, TAU if learner.regularised else 0, first)
        return policies(sb.solve(game, learner.solver, steps=7, start=both, record=None))

    for plain, moved in zip(run(p, start), run(relabelled(p, order), start[order]), strict=True):
        wanted = plain[order] if plain.ndim == 1 else relabelled(plain, order)
        np.testing.assert_allclose(moved, wanted, atol=1e-9)


@named(PAIRS)
def test_contexts_learned_together_are_contexts_learned_alone(learner, concept):
    p = 0.05 + 0.9 * sb.PreferenceMatrix.random(4, 3, contexts=3).probabilities
    taus = np.array([0.3, 0.4, 0.7]) if learner.regularised else np.zeros(3)
    record = sb.Record(every=5, distance=learner.regularised)
    together = sb.solve(concept.game(p, taus), learner.solver, steps=12, record=record)
    assert together.trajectory.gap.shape == (4, 3)
    for x in range(3):
        alone = sb.solve(concept.game(p[x], taus[x]), learner.solver, steps=12, record=record)
        for both, own in zip(policies(together), policies(alone), strict=True):
            np.testing.assert_allclose(both[x], own, atol=1e-12)
        for name in ("gap", "value", "kl", "average_gap", "distance"):
            both, own = getattr(together.trajectory, name), getattr(alone.trajectory, name)
            assert (both is None) == (own is None)
            if both is not None:
                np.testing.assert_allclose(both[:, x], own, atol=1e-12)


@named(PAIRS)
def test_a_run_repeats_itself_and_goes_on_from_where_it_was(learner, concept):
    game = games(learner, concept)
    run, again = (sb.solve(game, learner.solver, steps=9, record=None) for _ in range(2))
    for first, second in zip(policies(run), policies(again), strict=True):
        np.testing.assert_array_equal(first, second)
    if any(word in learner.name for word in ("optimistic", "nash-md", "mpo", "comal")):
        return  # these carry a state or a clock, which a start has not
    half = sb.solve(game, learner.solver, steps=4, record=None)
    rest = sb.solve(game, learner.solver, steps=5, start=start_at(half), record=None)
    for first, second in zip(policies(run), policies(rest), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-12)
