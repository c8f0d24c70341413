"""The regularised Nash equilibrium against closed forms, other solvers, and laws over every kind of game."""

import numpy as np
import pytest
from cases import complete, preferences, random_matrices
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import root
from scipy.special import expit, log_softmax, logsumexp, softmax

import stackelberg.equilibrium.quantal as quantal
from stackelberg.equilibrium.quantal import GAP_TOLERANCE, regularised_gap, regularised_nash
from stackelberg.errors import CertificateError

ROCK_PAPER_SCISSORS = np.array([[0, 0.5, -0.5], [-0.5, 0, 0.5], [0.5, -0.5, 0]])
REFERENCES = {
    "uniform": lambda rng, n: np.zeros(n),
    "normal": lambda rng, n: rng.normal(size=n),
    "thirty": lambda rng, n: rng.uniform(-30, 30, n),
    "steep": lambda rng, n: 5 * rng.normal(size=n),
    "masked": lambda rng, n: np.where(np.arange(n) == rng.integers(n), 0.0, rng.choice([0.0, -np.inf, 3.0], n)),
}


def skew(matrix):
    return (matrix - np.swapaxes(matrix, -1, -2)) / 2


def solve(margins, log_reference, tau):
    """One game through the batched door."""
    return regularised_nash(margins[None], np.asarray(log_reference)[None], np.array([float(tau)]))[0]


def gap(margins, log_reference, tau, log_policy):
    return regularised_gap(margins[None], log_reference[None], np.array([float(tau)]), log_policy[None])[0]


def assert_equilibrium(margins, log_reference, tau, log_policy):
    """π ∝ π_ref exp(Aπ/τ), normalised, within its reference, and with a certificate."""
    barred = np.isneginf(log_reference)
    np.testing.assert_array_equal(np.isneginf(log_policy), barred)
    assert logsumexp(log_policy) == pytest.approx(0, abs=1e-13)
    assert 0 <= gap(margins, log_reference, tau, log_policy) <= GAP_TOLERANCE * max(1, tau)
    best_response = softmax(log_reference + margins @ np.exp(log_policy) / tau)
    distance = np.abs(best_response - np.exp(log_policy)).sum()  # Pinsker: distance² ≤ 2 KL = gap / τ
    assert distance**2 <= GAP_TOLERANCE * max(1, 1 / tau) + 1e-24


def families(n, rng):
    """Margins that have broken solvers: each kind once, at one size."""
    i = np.arange(n)
    uniform = complete(rng.random((n, n))) - 0.5
    strength = rng.normal(size=n)
    group, place = i // 3, (i[None] - i[:, None]) % 3
    cycles = np.where(place == 1, 0.5, np.where(place == 2, -0.5, 0.0))
    attributes = rng.integers(0, 6, (n, 5))
    below = skew(np.sign(i[None] - i[:, None]))
    copies = rng.integers(0, max(1, n // 3), n)
    return {
        "random": uniform,
        "tournament": complete((rng.random((n, n)) < 0.5).astype(float)) - 0.5,
        "near-deterministic": complete(np.where(rng.random((n, n)) < 0.5, 1e-9, 1 - 1e-9)) - 0.5,
        "cyclic": skew(np.sign((i[None] - i[:, None] + n // 2) % n - n // 2)) / 2,
        "tied": np.zeros((n, n)),
        "quarters": np.round(4 * uniform) / 4,
        "duplicates": uniform[np.ix_(copies, copies)],
        "near duplicates": uniform[np.ix_(copies, copies)] + 1e-9 * skew(rng.normal(size=(n, n))),
        "blocks": np.where(group[:, None] == group[None], cycles, below / 2),
        "Bradley–Terry": expit(strength[:, None] - strength[None]) - 0.5,
        "order": below / 2,
        "attributes": np.sign(attributes[:, None] - attributes[None]).mean(axis=-1) / 2,
        "crowded": 1e-6 * uniform,
        "huge": 1e3 * uniform,
    }


# --- known answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [1e-6, 1e-4, 0.01, 0.1, 1, 30, 1e3])
@pytest.mark.parametrize(("margin", "log_odds"), [(0.5, 0.0), (0.5, 3.0), (0.2, -4.0), (1e-6, 1.0), (0.0, -2.0)])
def test_two_actions_have_a_closed_form(margin, log_odds, tau):
    """The payoff difference is the margin itself, whatever π is: log-odds = log-odds of π_ref + m/τ."""
    log_policy = solve(np.array([[0, margin], [-margin, 0]]), [log_odds, 0.0], tau)
    wanted = log_odds + margin / tau
    assert log_policy[0] - log_policy[1] == pytest.approx(wanted, rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("tau", [1e-6, 1e-3, 0.1, 1e3])
def test_rock_paper_scissors_is_uniform(tau):
    np.testing.assert_allclose(np.exp(solve(ROCK_PAPER_SCISSORS, np.zeros(3), tau)), 1 / 3, rtol=1e-9)


def test_weighted_cycle_tends_to_the_maximal_lottery():
    """theory.md: shares α of the three annotator types; NLHF is (1 − 2α₃, 1 − 2α₁, 1 − 2α₂)."""
    a1, a2, a3 = 0.3, 0.25, 0.45
    margins = np.array([[0, 0.5 - a2, a1 - 0.5], [a2 - 0.5, 0, 0.5 - a3], [0.5 - a1, a3 - 0.5, 0]])
    lottery = [1 - 2 * a3, 1 - 2 * a1, 1 - 2 * a2]
    np.testing.assert_allclose(np.exp(solve(margins, np.zeros(3), 1e-7)), lottery, atol=1e-5)


def test_one_action_and_the_tied_game_answer_the_reference():
    np.testing.assert_array_equal(solve(np.zeros((1, 1)), [-7.0], 0.1), [0.0])
    reference = np.array([1.0, -2.0, -np.inf, 0.5])
    np.testing.assert_allclose(solve(np.zeros((4, 4)), reference, 1e-3), log_softmax(reference), rtol=1e-14)


# --- other solvers ---------------------------------------------------------------------------------


def extragradient(margins, log_reference, tau, steps):
    """EGPO (Zhou et al. 2025), with step 1: log-error shrinks by 1 − τ a step or faster."""
    rate = min(1.0, 0.5 / tau)
    logits = log_softmax(log_reference)
    for _ in range(steps):
        pulled = (1 - rate * tau) * logits + rate * tau * log_reference
        middle = pulled + rate * margins @ softmax(logits)
        logits = pulled + rate * margins @ softmax(middle)
    return log_softmax(logits)


@pytest.mark.parametrize("tau", [0.1, 0.3, 1.0, 20.0])
@pytest.mark.parametrize("n", [3, 8, 25])
def test_agrees_with_extragradient(n, tau):
    rng = np.random.default_rng(n)
    for margins in families(n, rng).values():
        if np.abs(margins).max() <= 0.5:
            reference = rng.normal(size=n)
            wanted = np.exp(extragradient(margins, reference, tau, 600))
            np.testing.assert_allclose(np.exp(solve(margins, reference, tau)), wanted, atol=1e-10)


@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_agrees_with_scipy_root(tau):
    rng = np.random.default_rng(9)
    margins, reference = complete(rng.random((6, 6))) - 0.5, rng.normal(size=6)
    found = root(lambda x: x - softmax(reference + margins @ x / tau), softmax(reference), tol=1e-14)
    np.testing.assert_allclose(np.exp(solve(margins, reference, tau)), found.x, atol=1e-10)


@given(p=random_matrices, tau=st.floats(0.05, 5), seed=st.integers(0, 99))
def test_a_reference_is_a_change_of_the_game(p, tau, seed):
    """Reference r on A is the uniform reference on A + τ(log r_i − log r_j)."""
    reference = np.random.default_rng(seed).normal(size=len(p))
    margins = p - 0.5
    absorbed = margins + tau * (reference[:, None] - reference[None])
    ours, other = solve(margins, reference, tau), solve(absorbed, np.zeros(len(p)), tau)
    np.testing.assert_allclose(np.exp(ours), np.exp(other), atol=1e-11)


# --- laws ------------------------------------------------------------------------------------------


@given(
    p=preferences,
    exponent=st.floats(-4, 3),
    kind=st.sampled_from(sorted(REFERENCES)),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=300)
def test_every_game_is_certified_from_one_in_ten_thousand_up(p, exponent, kind, seed):
    reference = REFERENCES[kind](np.random.default_rng(seed), len(p))
    margins, tau = skew(p), 10**exponent
    assert_equilibrium(margins, reference, tau, solve(margins, reference, tau))


@given(p=preferences, exponent=st.floats(-6, -4), kind=st.sampled_from(sorted(REFERENCES)))
@settings(max_examples=100)
def test_far_below_it_certifies_or_raises(p, exponent, kind):
    reference = REFERENCES[kind](np.random.default_rng(1), len(p))
    margins, tau = skew(p), 10**exponent
    try:
        log_policy = solve(margins, reference, tau)
    except CertificateError:
        return
    assert_equilibrium(margins, reference, tau, log_policy)


@pytest.mark.parametrize("kind", sorted(REFERENCES))
@pytest.mark.parametrize("tau", [1e-4, 1e-3, 0.02, 0.1, 1, 1e3])
@pytest.mark.parametrize("n", [2, 12, 60])
def test_every_family_is_certified_in_one_batch(n, tau, kind):
    rng = np.random.default_rng(n)
    margins = np.stack(list(families(n, rng).values()))
    references = np.stack([REFERENCES[kind](rng, n) for _ in margins])
    for game in zip(
        margins, references, regularised_nash(margins, references, np.full(len(margins), tau)), strict=True
    ):
        assert_equilibrium(game[0], game[1], tau, game[2])


def test_a_batch_is_a_loop_over_its_games():
    rng = np.random.default_rng(4)
    margins = np.stack(list(families(7, rng).values()))
    references = rng.normal(size=(len(margins), 7))
    tau = 10 ** rng.uniform(-3, 2, len(margins))
    batch = regularised_nash(margins, references, tau)
    for game, (a, reference, t) in enumerate(zip(margins, references, tau, strict=True)):
        np.testing.assert_allclose(np.exp(batch[game]), np.exp(solve(a, reference, t)), atol=1e-12)


@given(p=random_matrices, exponent=st.floats(-3, 2), seed=st.integers(0, 99))
def test_relabelling_actions_relabels_the_policy(p, exponent, seed):
    rng = np.random.default_rng(seed)
    order, reference, margins = rng.permutation(len(p)), rng.normal(size=len(p)), p - 0.5
    relabelled = solve(margins[np.ix_(order, order)], reference[order], 10**exponent)
    np.testing.assert_allclose(np.exp(relabelled), np.exp(solve(margins, reference, 10**exponent))[order], atol=1e-9)


@given(p=random_matrices, seed=st.integers(0, 99))
def test_barred_actions_might_as_well_not_exist(p, seed):
    rng = np.random.default_rng(seed)
    barred = rng.random(len(p)) < 0.5
    barred[0] = False
    reference = np.where(barred, -np.inf, rng.normal(size=len(p)))
    margins, open_ = p - 0.5, np.flatnonzero(~barred)
    alone = solve(margins[np.ix_(open_, open_)], reference[open_], 0.05)
    np.testing.assert_allclose(np.exp(solve(margins, reference, 0.05))[open_], np.exp(alone), atol=1e-12)


@given(p=preferences, kind=st.sampled_from(sorted(REFERENCES)))
def test_a_large_tau_returns_the_reference(p, kind):
    reference = REFERENCES[kind](np.random.default_rng(2), len(p))
    np.testing.assert_allclose(np.exp(solve(skew(p), reference, 1e9)), softmax(reference), atol=1e-9)


def test_shares_of_duplicates_add_up_to_the_share_of_one():
    """k copies of an action are one action with k times the reference weight."""
    margins = complete(np.random.default_rng(8).random((4, 4))) - 0.5
    copies = [0, 1, 1, 1, 2, 3]
    many = np.exp(solve(margins[np.ix_(copies, copies)], np.zeros(6), 0.02))
    one = np.exp(solve(margins, np.log([1.0, 3, 1, 1]), 0.02))
    np.testing.assert_allclose(np.bincount(copies, many), one, atol=1e-12)


@pytest.mark.parametrize("n", [300, 700])
def test_hundreds_of_actions(n):
    rng = np.random.default_rng(n)
    margins, reference = complete(rng.random((n, n))) - 0.5, rng.normal(size=n)
    for tau in (0.1, 1e-4):
        assert_equilibrium(margins, reference, tau, solve(margins, reference, tau))


# --- the certificate -------------------------------------------------------------------------------


@given(p=random_matrices, tau=st.floats(0.05, 5), seed=st.integers(0, 99))
def test_the_gap_is_what_the_definition_says(p, tau, seed):
    """max_π' f(π', π) − min_π' f(π, π'), each side by its own log-sum-exp, for any policy."""
    rng = np.random.default_rng(seed)
    reference, log_policy = log_softmax(rng.normal(size=(2, len(p))), axis=-1)
    policy = np.exp(log_policy)
    divergence = policy @ (log_policy - reference)
    best = tau * logsumexp(reference + p @ policy / tau) + tau * divergence
    worst = -tau * logsumexp(reference - policy @ p / tau) - tau * divergence
    assert gap(p - 0.5, reference, tau, log_policy) == pytest.approx(best - worst, rel=1e-9, abs=1e-14)


def test_the_gap_bounds_the_distance_to_the_equilibrium():
    rng = np.random.default_rng(0)
    margins, reference = complete(rng.random((6, 6))) - 0.5, rng.normal(size=6)
    equilibrium = solve(margins, reference, 0.1)
    for policy in rng.dirichlet(np.ones(6), 200):
        divergence = policy @ (np.log(policy) - equilibrium)
        assert divergence <= gap(margins, reference, 0.1, np.log(policy)) / 0.2 * (1 + 1e-12)


def test_the_gap_of_a_policy_outside_the_reference_is_infinite():
    assert gap(np.zeros((2, 2)), np.array([0.0, -np.inf]), 1.0, np.log([0.5, 0.5])) == np.inf


@pytest.mark.parametrize("distance", [1e-3, 1e-6, 1e-9, 1e-12])
def test_the_gap_keeps_its_digits_near_the_equilibrium(distance):
    """In the tied game the gap of π = ½ ± ε is 2τ KL(π‖½) = 4τε² + O(ε⁴)."""
    policy = np.array([0.5 + distance, 0.5 - distance])
    assert gap(np.zeros((2, 2)), np.zeros(2), 3.0, np.log(policy)) == pytest.approx(12 * distance**2, rel=1e-3)


def test_what_cannot_be_certified_is_not_returned(monkeypatch):
    monkeypatch.setattr(quantal, "NEWTON_STEPS", 1)
    monkeypatch.setattr(quantal, "CENTRAL_STEPS", 1)
    margins = complete(np.random.default_rng(0).random((2, 9, 9))[1]) - 0.5
    stack = np.stack([np.zeros((9, 9)), margins])
    with pytest.raises(CertificateError, match=r"game 1 \(9 actions, tau = 0.001\) .* duality gap of \d.*1e-12"):
        regularised_nash(stack, np.zeros((2, 9)), np.array([1e-3, 1e-3]))


def test_margins_that_are_no_numbers_are_never_answered():
    with pytest.raises(CertificateError, match="duality gap of nan"):
        solve(np.full((3, 3), np.nan), np.zeros(3), 0.1)


@pytest.mark.parametrize("tau", [0.0, -1.0, np.nan, np.inf])
def test_tau_must_be_positive(tau):
    with pytest.raises(ValueError, match="tau must be positive and finite"):
        solve(ROCK_PAPER_SCISSORS, np.zeros(3), tau)


def test_a_reference_that_bars_everything_is_refused():
    with pytest.raises(ValueError, match="bars every action"):
        solve(ROCK_PAPER_SCISSORS, np.full(3, -np.inf), 0.1)
