"""Bootstrap and noise test: the right draws, the right direction, and false alarms as rare as promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binomtest

import stackelberg as sb
from analysis import bootstrap, bradley_terry, noise, noise_test, resampling
from analysis.hodge import cyclic_share
from analysis.noise import unbeaten
from analysis.resampling import resampled

CYCLE = sb.PreferenceMatrix.from_counts([[0, 60, 30], [40, 0, 60], [70, 40, 0]], labels=list("ABC"))
TIES = sb.PreferenceMatrix.from_counts(
    [[0, 20, 5, 0], [10, 0, 9, 4], [5, 1, 0, 2], [0, 4, 2, 0]],
    [[0, 10, 0, 0], [10, 0, 0, 2], [0, 0, 0, 0], [0, 2, 0, 0]],
)
BALLOTS = sb.PreferenceMatrix.from_rankings(
    [(30, ["A", "B", "C"]), (20, ["B", "C", "A"]), (20, ["C", ("A", "B")]), (9, ["B"])],
    unranked=sb.Unranked.TIED,
)


def world(rng: np.random.Generator, rewards: np.ndarray, comparisons: int) -> sb.PreferenceMatrix:
    """Counts from a Bradley–Terry world."""
    wins = np.triu(rng.binomial(comparisons, expit(rewards[:, None] - rewards[None, :])), 1)
    return sb.PreferenceMatrix.from_counts(wins + np.tril(comparisons - wins.T, -1))


def together(P: sb.PreferenceMatrix, draws: int, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(resampled(P.evidence, np.random.default_rng(seed), draws)))


# --- the draws -------------------------------------------------------------------------------------


@pytest.mark.parametrize("P", [CYCLE, TIES, BALLOTS], ids=["counts", "ties", "ballots"])
def test_batches_are_distributed_as_single_redraws(P: sb.PreferenceMatrix) -> None:
    rng = np.random.default_rng(1)
    upper = np.triu_indices(P.n, 1)
    single = np.array([P.resample(rng).probabilities for _ in range(4000)])[:, *upper]
    batch = together(P, 40_000)[:, *upper]
    error = single.std(axis=0) / np.sqrt(4000)
    assert (np.abs(batch.mean(axis=0) - single.mean(axis=0)) <= 5 * error + 1e-12).all()
    np.testing.assert_allclose(batch.std(axis=0), single.std(axis=0), rtol=0.07)
    np.testing.assert_allclose(np.cov(batch.T), np.cov(single.T), atol=0.1 * batch.var(axis=0).max())


def test_counts_are_redrawn_with_binomial_noise_and_ballots_keep_their_dependence() -> None:
    p, comparisons = np.array(CYCLE), CYCLE.comparisons
    draws = together(CYCLE, 20_000)
    off = ~np.eye(3, dtype=bool)
    np.testing.assert_allclose(draws.var(axis=0)[off], (p * (1 - p))[off] / comparisons[off], rtol=0.05)
    assert abs(np.corrcoef(draws[:, 0, 1], draws[:, 1, 2])[0, 1]) < 0.03
    strict = sb.PreferenceMatrix.from_rankings([(50, ["A", "B", "C"]), (50, ["C", "B", "A"])])
    assert np.corrcoef(*together(strict, 500)[:, [0, 1], [1, 2]].T)[0, 1] == pytest.approx(1.0)


def test_what_was_never_compared_stays_a_half_and_certainty_stays_certain() -> None:
    assert (together(TIES, 300)[:, 0, 3] == 0.5).all()
    sure = bootstrap(sb.PreferenceMatrix.from_counts([[0, 5, 5], [0, 0, 5], [0, 0, 0]]), draws=50)
    assert (sure.cyclic_share.low, sure.cyclic_share.high, sure.cyclic_share.bias) == (
        pytest.approx(sure.cyclic_share.estimate),
        pytest.approx(sure.cyclic_share.estimate),
        pytest.approx(0.0, abs=1e-15),
    )
    assert sure.condorcet_winner == sure.smith_set == sure.minimax_leader == {"0": 1.0, "1": 0.0, "2": 0.0}


@pytest.mark.parametrize("P", [TIES, BALLOTS], ids=["ties", "ballots"])
def test_the_seed_decides_and_the_size_of_a_batch_does_not(P: sb.PreferenceMatrix, monkeypatch) -> None:
    whole = together(P, 250)
    assert (whole != together(P, 250, seed=1)).any()
    monkeypatch.setattr(resampling, "BATCH_CELLS", 7 * P.n**2)
    np.testing.assert_array_equal(together(P, 250), whole)
    assert bootstrap(P, draws=50) == bootstrap(P, draws=50)
    monkeypatch.setattr(resampling, "BATCH_CELLS", 1)  # one draw, one ballot at a time
    np.testing.assert_array_equal(together(P, 250), whole)


# --- the bootstrap ---------------------------------------------------------------------------------


def test_chances_add_up_and_intervals_hold_the_quantiles() -> None:
    sure = bootstrap(CYCLE, draws=2000, level=0.9)
    assert sum(sure.condorcet_winner.values()) + sure.no_condorcet_winner == pytest.approx(1.0)
    assert sure.no_condorcet_winner > 0.9
    shares = cyclic_share(together(CYCLE, 2000))
    assert sure.cyclic_share.estimate == float(cyclic_share(CYCLE))
    assert np.mean(shares < sure.cyclic_share.low) <= 0.05 <= np.mean(shares <= sure.cyclic_share.low)
    assert np.mean(shares > sure.cyclic_share.high) <= 0.05 <= np.mean(shares >= sure.cyclic_share.high)
    assert sure.cyclic_share.bias == pytest.approx(shares.mean() - sure.cyclic_share.estimate)
    for label, chance in sure.condorcet_winner.items():
        assert chance <= min(sure.smith_set[label], sure.minimax_leader[label])


def test_intervals_cover_the_truth_of_a_cyclic_world() -> None:
    truth = np.array(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]))
    rng, covered = np.random.default_rng(0), 0
    for _ in range(300):
        wins = np.triu(rng.binomial(200, truth), 1)
        P = sb.PreferenceMatrix.from_counts(wins + np.tril(200 - wins.T, -1))
        interval = bootstrap(P, draws=200, seed=int(rng.integers(10**6))).cyclic_share
        covered += interval.low <= float(cyclic_share(truth)) <= interval.high
    assert 0.88 <= covered / 300 <= 0.99  # nominal 0.95


def test_the_bias_betrays_an_interval_that_noise_has_lifted() -> None:
    rewards = np.linspace(-1, 1, 12)
    P = world(np.random.default_rng(2), rewards, 10)
    interval = bootstrap(P).cyclic_share
    assert interval.low > interval.estimate > float(cyclic_share(sb.PreferenceMatrix.from_scores(rewards)))
    assert interval.bias > (interval.high - interval.low) / 2


# --- the noise test --------------------------------------------------------------------------------


def false_alarms(actions: int, comparisons: int, spread: float, worlds: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    tests = [
        noise_test(world(rng, spread * rng.normal(size=actions), comparisons), draws=99, seed=seed)
        for seed in range(worlds)
    ]
    names = ("cyclic_energy", "cyclic_share", "three_cycles", "shortfall", "no_condorcet_winner")
    return {name: np.array([getattr(test, name).p_value for test in tests]) for name in names}


@pytest.mark.parametrize(("actions", "comparisons", "spread"), [(8, 20, 0.0), (12, 5, 0.4), (6, 100, 0.7)])
def test_p_values_in_bradley_terry_worlds_are_no_smaller_than_they_say(
    actions: int, comparisons: int, spread: float
) -> None:
    found = false_alarms(actions, comparisons, spread, 200)
    for p_values in found.values():
        assert (p_values <= 0.05).mean() <= 0.09  # P(binomial(200, 0.05) > 18) = 0.4 %
        assert (p_values <= 0.25).mean() <= 0.34
    assert 0.35 < np.median(found["cyclic_share"]) < 0.65
    assert found["cyclic_share"].max() > 0.8


def test_without_shrinkage_noise_in_the_rewards_would_raise_false_alarms(monkeypatch) -> None:
    assert (false_alarms(15, 5, 0.0, 60)["cyclic_share"] <= 0.05).mean() <= 0.15
    monkeypatch.setattr(noise, "_shrinkage", lambda *_: 1.0)
    assert (false_alarms(15, 5, 0.0, 60)["cyclic_share"] <= 0.05).mean() > 0.35


def test_a_real_cycle_is_more_than_noise_and_a_strong_order_is_not() -> None:
    answer = noise_test(CYCLE)
    assert answer.cyclic_energy.p_value == 1 / 1001
    assert answer.cyclic_share.p_value < 0.06  # three near-equals: a share alone says little
    assert answer.no_condorcet_winner.observed == answer.three_cycles.observed == 1.0
    assert answer.three_cycles.expected < answer.no_condorcet_winner.expected < 0.35  # ties have no winner either
    assert answer.no_condorcet_winner.p_value == pytest.approx(answer.no_condorcet_winner.expected, abs=2e-3)
    assert answer.shortfall.p_value < 0.01
    assert answer.shortfall.observed == pytest.approx(0.1)
    order = noise_test(world(np.random.default_rng(0), np.array([1.5, 0.5, -0.5, -1.5]), 200))
    assert order.shrinkage > 0.9
    assert order.no_condorcet_winner.p_value == order.shortfall.p_value == 1.0
    assert order.any_winner == order.unbeaten["0"] == 1.0


def test_shrinkage_makes_simulated_scores_spread_as_much_as_observed() -> None:
    P = world(np.random.default_rng(4), np.linspace(-0.5, 0.5, 10), 8)
    fit, counts = bradley_terry(P), P.counts
    total, _, ties = resampling.pair_outcomes(counts)
    factor = noise._shrinkage(P, fit.rewards, total, ties)
    assert 0 < factor < 1
    q, tie = noise._transitive_world(factor * fit.rewards, total, ties)
    rng = np.random.default_rng(0)
    worlds = np.concatenate(list(resampling.simulated(total, q - tie / 2, tie, 10, rng, 20_000)))
    spread = ((worlds - 0.5).mean(axis=2) ** 2).sum(axis=1).mean()
    assert spread == pytest.approx(((np.array(P) - 0.5).mean(axis=1) ** 2).sum(), rel=0.02)


def test_simulated_worlds_have_the_fitted_win_rates_and_the_observed_share_of_ties() -> None:
    total, _, ties = resampling.pair_outcomes(TIES.counts)
    rewards = bradley_terry(TIES).rewards
    q, tie = noise._transitive_world(rewards, total, ties)
    np.testing.assert_allclose(q, expit(rewards[:, None] - rewards[None, :])[np.triu_indices(4, 1)])
    assert ((tie >= 0) & (tie <= 2 * np.minimum(q, 1 - q))).all()
    assert (tie * total).sum() == pytest.approx(ties.sum(), rel=0.2)
    rng, upper = np.random.default_rng(0), np.triu_indices(4, 1)
    worlds = np.concatenate(list(resampling.simulated(total, q - tie / 2, tie, 4, rng, 20_000)))
    np.testing.assert_allclose(worlds.mean(axis=0)[upper], np.where(total > 0, q, 0.5), atol=0.01)


def test_unbeaten_is_the_exact_sign_test_against_the_worst_opponent() -> None:
    wins = CYCLE.counts.wins.astype(int)

    def by_chance(i: int, j: int) -> float:
        return float(binomtest(wins[j, i], wins[i, j] + wins[j, i], alternative="greater").pvalue)

    expected = [min(1.0, 2 * min(by_chance(i, j) for j in range(3) if j != i)) for i in range(3)]
    np.testing.assert_allclose(unbeaten(CYCLE.counts), expected)
    answer = noise_test(CYCLE, draws=10)
    assert answer.any_winner == max(expected)
    assert list(answer.unbeaten.values()) == pytest.approx(expected)
    assert unbeaten(sb.Counts.checked(np.zeros((3, 3)))).tolist() == [1.0, 1.0, 1.0]


def test_minneapolis_has_a_cycle_that_scores_do_not_allow_but_some_winner_might() -> None:
    labels = ["Gordon", "Gaskin", "Worlobah", "Anderson", "Arab"]
    wins = [
        [0, 5355, 3706, 4874, 4096],
        [770, 0, 837, 692, 726],
        [3633, 5118, 0, 4659, 4054],
        [2686, 3425, 2647, 0, 1873],
        [4319, 5799, 4032, 5120, 0],
    ]
    P = sb.PreferenceMatrix.from_counts(wins, labels=labels)
    answer = noise_test(P)
    assert answer.no_condorcet_winner.expected == 0.0  # of 1,000 Bradley–Terry worlds none
    assert answer.cyclic_share.p_value == 1 / 1001
    assert set(bradley_terry(P).worst_pair) == {"Arab", "Anderson"}
    assert bradley_terry(P).deviance == pytest.approx(201.49, abs=0.01)
    # but Worlobah leads Arab by 22 of 8,086 comparisons: so it might look in a world that Arab wins
    assert answer.any_winner == answer.unbeaten["Arab"] == 1.0
    assert answer.unbeaten["Gordon"] < 0.05
    assert 0.4 < bootstrap(P).no_condorcet_winner < 0.6


def test_ballots_say_that_their_comparisons_are_not_independent() -> None:
    assert not noise_test(BALLOTS, draws=20).independent
    assert bradley_terry(BALLOTS).p_value is None
    assert noise_test(CYCLE, draws=20).independent


# --- the fit ---------------------------------------------------------------------------------------


def test_the_deviance_is_the_likelihood_ratio_and_chi_squared_in_a_bradley_terry_world() -> None:
    rng = np.random.default_rng(0)
    fits = [bradley_terry(world(rng, np.linspace(-1, 1, 6), 200)) for _ in range(300)]
    assert {fit.degrees_of_freedom for fit in fits} == {10}
    deviances = np.array([fit.deviance for fit in fits])
    assert deviances.mean() == pytest.approx(10, abs=5 * np.sqrt(20 / 300))
    assert 0.02 <= np.mean([fit.p_value < 0.05 for fit in fits]) <= 0.09
    fit = bradley_terry(CYCLE)
    q, p = fit.probabilities, np.array(CYCLE)
    likelihood = (CYCLE.counts.wins * (np.log(p) - np.log(q))).sum()
    assert fit.deviance == pytest.approx(2 * likelihood)
    np.testing.assert_allclose((CYCLE.comparisons * (p - q)).sum(axis=1), 0, atol=1e-6)  # the score equations
    assert fit.largest_error == pytest.approx(np.abs(p - q).max())


def test_a_perfect_fit_without_counts() -> None:
    fit = bradley_terry(sb.PreferenceMatrix.from_scores([2.0, 0.0, 1.0]))
    np.testing.assert_allclose(fit.rewards, [1, -1, 0], atol=1e-7)
    assert (fit.deviance, fit.degrees_of_freedom, fit.p_value) == (None, None, None)
    assert fit.divergence == pytest.approx(0.0, abs=1e-12)


# --- refusals and the progress bar -----------------------------------------------------------------


@pytest.mark.parametrize("act", [bootstrap, noise_test])
def test_what_cannot_be_redrawn_is_refused(act) -> None:
    with pytest.raises(ValueError, match="Only probabilities are known"):
        act(sb.PreferenceMatrix.cycle(3))
    with pytest.raises(ValueError, match="Only probabilities are known"):
        act(sb.PreferenceMatrix.condorcet([1, 0, 0]))  # shares are no counts, whole or not
    for shares in (
        sb.PreferenceMatrix.from_rankings([(0.6, ["A", "B"]), (0.5, ["B", "A"])]),
        sb.PreferenceMatrix.from_counts([[0, 0.5], [1, 0]]),
    ):
        with pytest.raises(ValueError, match="not whole numbers"):
            act(shares)
    with pytest.raises(ValueError, match="draws must be a whole number"):
        act(CYCLE, draws=0)


@pytest.mark.parametrize("level", [0.0, 1.0, 95, float("nan")])
def test_a_senseless_level_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level is the coverage"):
        bootstrap(CYCLE, level=level)


@pytest.mark.parametrize("act", [bootstrap, noise_test])
def test_progress_is_shown_on_standard_error_and_only_when_asked(act, capsys) -> None:
    act(CYCLE, draws=20)
    assert capsys.readouterr() == ("", "")
    act(CYCLE, draws=20, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "100%" in err
