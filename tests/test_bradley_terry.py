"""Bradley–Terry fits against the worked example, exact recovery, SciPy's optimiser, and the existence theorem."""

import itertools

import numpy as np
import pytest
from cases import complete, preferences, random_matrices
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, log_expit

import stackelberg.equilibrium.bradley_terry as bradley_terry
from stackelberg.equilibrium.bradley_terry import RESIDUAL_TOLERANCE, fit_bradley_terry, likelihood_residual
from stackelberg.equilibrium.separation import Separation, pair_weights, separated_groups
from stackelberg.errors import CertificateError, NoFiniteMaximiser

ABC = ["A", "B", "C"]
ALL_PAIRS = 1.0 - np.eye(3)


def annotators(a1, a2, a3):
    """theory.md: p(A≻B) = 1 − α₂, p(B≻C) = 1 − α₃, p(C≻A) = 1 − α₁."""
    return complete(np.array([[0, 1 - a2, a1], [0, 0, 1 - a3], [0, 0, 0]]))


def fit(p, sampling, labels=None):
    return fit_bradley_terry(p[None], np.asarray(sampling)[None], labels)[0]


def residual(p, sampling, rewards):
    return likelihood_residual(p[None], sampling[None], rewards[None])[0]


def log_likelihood(p, sampling, rewards):
    """Written once more, pair by pair, straight from the definition."""
    pairs = list(itertools.combinations(range(len(p)), 2))
    weights = np.array([sampling[i, j] + sampling[j, i] for i, j in pairs])
    terms = [
        p[i, j] * log_expit(rewards[i] - rewards[j]) + p[j, i] * log_expit(rewards[j] - rewards[i]) for i, j in pairs
    ]
    return weights @ terms / weights.sum()


def random_tree(n, rng):
    """Sampling weights, 1e-2 to 1, on the n − 1 pairs of a random tree: as few as connect everything."""
    sampling = np.zeros((n, n))
    for child in range(1, n):
        sampling[child, rng.integers(child)] = 10 ** rng.uniform(-2, 0)
    order = rng.permutation(n)
    return sampling[np.ix_(order, order)]


# --- the worked example ----------------------------------------------------------------------------


def test_all_pairs_of_the_even_cycle_tie():
    np.testing.assert_allclose(fit(annotators(1 / 3, 1 / 3, 1 / 3), ALL_PAIRS), 0, atol=1e-15)


@pytest.mark.parametrize(("hidden", "order"), [((0, 2), [0, 1, 2]), ((0, 1), [1, 2, 0]), ((1, 2), [2, 0, 1])])
def test_hiding_a_pair_of_the_cycle_elects_its_loser(hidden, order):
    """Without {A, C}: r = (log 2, 0, −log 2), A wins; without {A, B}: B wins; without {B, C}: C wins."""
    sampling = ALL_PAIRS.copy()
    sampling[hidden] = sampling[hidden[::-1]] = 0
    rewards = fit(annotators(1 / 3, 1 / 3, 1 / 3), sampling)
    np.testing.assert_allclose(rewards[order], [np.log(2), 0, -np.log(2)], atol=1e-14)


@pytest.mark.parametrize("orientation", [np.triu, np.tril])
def test_only_the_sum_of_both_orders_matters(orientation):
    p = annotators(0.3, 0.25, 0.45)
    skewed = orientation(ALL_PAIRS) * 7 + 5 * np.eye(3)
    np.testing.assert_allclose(fit(p, skewed), fit(p, ALL_PAIRS), atol=1e-14)


# --- recovery and other optimisers -----------------------------------------------------------------


@given(n=st.integers(1, 12), scale=st.sampled_from([0.1, 1.0, 4.0]), seed=st.integers(0, 2**16))
def test_true_rewards_are_recovered_under_any_connected_sampling(n, scale, seed):
    rng = np.random.default_rng(seed)
    rewards = scale * rng.normal(size=n)
    sampling = random_tree(n, rng) + rng.random((n, n)) * (rng.random((n, n)) < 0.2)
    found = fit(expit(rewards[:, None] - rewards[None]), sampling)
    np.testing.assert_allclose(found, rewards - rewards.mean(), atol=1e-10)


@pytest.mark.parametrize("n", [100, 300])
def test_hundreds_of_actions(n):
    rng = np.random.default_rng(n)
    rewards = 2 * rng.normal(size=n)
    truth = expit(rewards[:, None] - rewards[None])
    found = fit(truth, rng.random((n, n)))
    np.testing.assert_allclose(found, rewards - rewards.mean(), atol=1e-10)
    p, sampling = complete(rng.random((n, n))), random_tree(n, rng) + random_tree(n, rng)
    assert residual(p, sampling, fit(p, sampling)) <= RESIDUAL_TOLERANCE


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_a_general_optimiser(seed):
    rng = np.random.default_rng(seed)
    p, sampling = complete(rng.uniform(0.02, 0.98, (6, 6))), rng.random((6, 6))
    best = minimize(lambda r: -log_likelihood(p, sampling, r), np.zeros(6), tol=1e-12, method="Powell")
    np.testing.assert_allclose(fit(p, sampling), best.x - best.x.mean(), atol=1e-5)


@given(p=random_matrices, seed=st.integers(0, 99))
def test_the_residual_is_the_largest_partial_derivative(p, seed):
    rng = np.random.default_rng(seed)
    sampling, rewards = rng.random((len(p), len(p))) + 0.1, rng.normal(size=len(p))
    if len(p) > 1:
        slopes = approx_fprime(rewards, lambda r: log_likelihood(p, sampling, r), 1e-7)
        assert residual(p, sampling, rewards) == pytest.approx(np.abs(slopes).max(), abs=1e-6)


@given(p=preferences, seed=st.integers(0, 99))
@settings(max_examples=100)
def test_no_other_rewards_are_likelier(p, seed):
    rng = np.random.default_rng(seed)
    sampling = rng.random(p.shape) * (rng.random(p.shape) < 0.7)
    try:
        rewards = fit(p, sampling)
    except NoFiniteMaximiser:
        return
    except CertificateError:
        assert p[p > 0].min() < 1e-12  # ties that double precision does not see
        return
    assert rewards.sum() == pytest.approx(0, abs=1e-9)
    assert residual(p, sampling, rewards) <= RESIDUAL_TOLERANCE
    if len(p) > 1:
        best = log_likelihood(p, sampling, rewards)
        for size in (1e-4, 1e-2, 1.0):
            assert log_likelihood(p, sampling, rewards + size * rng.normal(size=len(p))) <= best + 1e-15


def test_full_sampling_orders_a_cycle_by_borda():
    """The gradient at r = 0 is the Borda score; with equal weights the fitted order is Borda's here."""
    p = annotators(0.3, 0.25, 0.45)
    assert (np.argsort(fit(p, ALL_PAIRS)) == np.argsort(p.sum(axis=1))).all()


# --- batches and labels ----------------------------------------------------------------------------


def test_a_batch_is_a_loop_over_its_contexts():
    rng = np.random.default_rng(1)
    p = np.stack([complete(rng.uniform(0.01, 0.99, (5, 5))) for _ in range(30)])
    p[3] = complete(np.full((5, 5), 1 - 1e-9))  # takes many more steps than the others
    sampling = rng.random((30, 5, 5))
    batch = fit_bradley_terry(p, sampling)
    for game in range(30):
        np.testing.assert_allclose(batch[game], fit(p[game], sampling[game]), atol=1e-9)
    np.testing.assert_array_equal(fit_bradley_terry(p, np.ones((5, 5))), fit_bradley_terry(p, np.ones(p.shape)))


@given(p=random_matrices, seed=st.integers(0, 99))
def test_relabelling_actions_relabels_the_rewards(p, seed):
    rng = np.random.default_rng(seed)
    order, sampling = rng.permutation(len(p)), rng.random(p.shape) + 0.1
    p = 0.01 + 0.98 * p
    relabelled = fit(p[np.ix_(order, order)], sampling[np.ix_(order, order)])
    np.testing.assert_allclose(relabelled, fit(p, sampling)[order], atol=1e-9)


# --- existence -------------------------------------------------------------------------------------


def test_a_group_that_never_loses_is_named():
    p = annotators(0.3, 0.25, 0.45)
    p[0, 1:], p[1:, 0] = 1, 0
    with pytest.raises(NoFiniteMaximiser, match=r"no finite maximiser: \{A\} wins every .* against \{B, C\}"):
        fit(p, ALL_PAIRS, ABC)


def test_a_group_that_never_wins_makes_winners_of_the_rest():
    p = annotators(0.3, 0.25, 0.45)
    p[2, :2], p[:2, 2] = 0, 1
    with pytest.raises(NoFiniteMaximiser, match=r"\{A, B\} wins every sampled comparison against \{C\}"):
        fit(p, ALL_PAIRS, ABC)


def test_unconnected_groups_are_named_with_their_context():
    p = np.stack([annotators(0.3, 0.25, 0.45)] * 2)
    sampling = np.stack([ALL_PAIRS, np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]])])
    words = r"likelihood of context 1 has no unique maximiser: no sampled pair joins the groups \{\{A, C\}, \{B\}\}"
    with pytest.raises(NoFiniteMaximiser, match=words):
        fit_bradley_terry(p, sampling, ABC)


def test_labels_default_to_numbers_and_long_lists_are_cut():
    with pytest.raises(NoFiniteMaximiser, match=r"\{\{0\}, \{1\}, .*, \{7\}, and 12 more\}"):
        fit(np.full((20, 20), 0.5), np.zeros((20, 20)))


def test_separation_can_be_asked_for_without_an_exception():
    p = np.stack([annotators(0.3, 0.25, 0.45), complete(np.ones((3, 3)))])
    assert separated_groups(p, ALL_PAIRS) == [None, Separation(((0,), (1, 2)), compared=True)]
    assert separated_groups(p, np.eye(3))[0] == Separation(((0,), (1,), (2,)), compared=False)
    assert separated_groups(np.full((1, 1, 1), 0.5), np.ones((1, 1))) == [None]


@pytest.mark.parametrize("n", [2, 3, 4])
def test_existence_is_what_the_theorem_says_for_every_small_tournament_and_sampling(n):
    """A partition with no win across in one direction is a separation: all wins, all samplings, by brute force."""
    rows, columns = np.triu_indices(n, 1)
    splits = [np.array(split) for split in itertools.product([False, True], repeat=n) if 0 < sum(split) < n]
    for outcome in itertools.product([0.0, 1.0, None] if n == 4 else [0.0, 0.5, 1.0, None], repeat=len(rows)):
        p, sampling = np.full((n, n), 0.5), np.zeros((n, n))
        for i, j, wins in zip(rows, columns, outcome, strict=True):
            sampling[i, j] = wins is not None
            p[i, j], p[j, i] = (0.5, 0.5) if wins is None else (wins, 1 - wins)
        wins = (sampling + sampling.T) * p > 0
        exists = all(wins[np.ix_(~split, split)].any() for split in splits)
        (separation,) = separated_groups(p[None], sampling)
        assert (separation is None) == exists
        if separation is None:
            fit(p, sampling)
        elif separation.compared:
            winners, losers = separation.groups
            assert not wins[np.ix_(losers, winners)].any()
            assert wins[np.ix_(winners, losers)].any()


# --- close to separation ---------------------------------------------------------------------------


@pytest.mark.parametrize("rare", [1e-3, 1e-6, 1e-9, 1e-12, 1e-15, 1e-30])
def test_a_pair_that_is_almost_decided(rare):
    rewards = fit(np.array([[0.5, 1 - rare], [rare, 0.5]]), np.ones((2, 2)))
    assert rewards[0] - rewards[1] == pytest.approx(np.log1p(-rare) - np.log(rare), rel=1e-12)


@pytest.mark.parametrize("rare", [1e-3, 1e-6, 1e-9, 1e-12])
def test_an_order_that_is_almost_decided(rare):
    p = complete(np.full((8, 8), 1 - rare))
    p[np.tril_indices(8, -1)] = rare
    rewards = fit(p, np.ones((8, 8)))
    assert (np.diff(rewards) < 0).all()
    np.testing.assert_allclose(rewards, -rewards[::-1], atol=1e-9)  # the game is its own mirror image


@pytest.mark.parametrize("rare", [1e-3, 1e-9, 1e-12])
def test_two_cycles_that_hardly_meet(rare):
    """Within a group the even cycle ties, so between groups the fit is the log-odds exactly."""
    cycle = annotators(1 / 3, 1 / 3, 1 / 3)
    p = np.block([[cycle, np.full((3, 3), 1 - rare)], [np.full((3, 3), rare), cycle]])
    half = (np.log1p(-rare) - np.log(rare)) / 2
    np.testing.assert_allclose(fit(p, np.ones((6, 6))), np.repeat([half, -half], 3), rtol=1e-8)


def test_groups_tied_by_less_than_rounding_are_refused_by_name():
    cycle = annotators(0.3, 0.25, 0.45)
    p = np.block([[cycle, np.full((3, 3), 1.0)], [np.full((3, 3), 1e-18), cycle]])
    with pytest.raises(CertificateError, match=r"\{a, b, c\} are tied to the others by less than 1e-14"):
        fit(p, np.ones((6, 6)), list("abcdef"))


# --- certificates and refusals ---------------------------------------------------------------------


def test_what_has_not_settled_is_not_returned(monkeypatch):
    monkeypatch.setattr(bradley_terry, "NEWTON_STEPS", 1)
    p = np.stack([np.full((5, 5), 0.5), complete(np.random.default_rng(0).random((5, 5)))])
    with pytest.raises(CertificateError, match=r"context 1 stopped at a residual of \d.* its rewards moving"):
        fit_bradley_terry(p, np.ones((5, 5)))


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_must_be_finite_and_not_negative(bad):
    sampling = ALL_PAIRS.copy()
    sampling[0, 1] = bad
    with pytest.raises(ValueError, match="sampling weights must be finite and not negative"):
        fit(annotators(0.3, 0.25, 0.45), sampling)


def test_weights_of_any_size_are_normalised():
    p = annotators(0.3, 0.25, 0.45)
    for size in (1e-300, 1e308):
        np.testing.assert_allclose(fit(p, size * ALL_PAIRS), fit(p, ALL_PAIRS), atol=1e-14)
    assert pair_weights(p[None], ALL_PAIRS).sum() / 2 == pytest.approx(1)
