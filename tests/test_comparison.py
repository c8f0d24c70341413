"""Comparison and sensitivity: the worked example, definitions written out, and laws."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cases import shares
from hypothesis import assume, given
from scipy.stats import binomtest

import stackelberg as sb
from analysis.comparison import BORDA, CHOSEN, FOLLOWER, LEADER, NLHF, RLHF, compare
from analysis.pair_sampling import leave_one_out, random_samplings, wilson
from analysis.scoring import borda_scores, reward_answers, winners
from analysis.sensitivity import sensitivity
from stackelberg.io import minneapolis

THIRDS = sb.PreferenceMatrix.condorcet([1 / 3] * 3)
SWEEP = sb.PreferenceMatrix([[0.5, 1.0, 1.0], [0.0, 0.5, 0.7], [0.0, 0.3, 0.5]])  # the first is never beaten


def without(n, *pair):
    sampling = np.ones((n, n)) - np.eye(n)
    sampling[pair] = sampling[pair[::-1]] = 0
    return sampling


# --- the worked example ----------------------------------------------------------------------------


@given(shares)
def test_worked_example(alpha):
    assume(alpha.max() < 0.5 - 1e-6 and np.diff(np.sort(alpha)).min() > 1e-6)
    table = compare(sb.PreferenceMatrix.condorcet(alpha), tau=0)
    leader, follower, nash = table.row(LEADER), table.row(FOLLOWER), table.row(NLHF)
    best = int(alpha.argmax())
    np.testing.assert_allclose(leader.policy, np.eye(3)[best], atol=1e-12)
    np.testing.assert_allclose(leader.worst_case, alpha.max(), atol=1e-12)
    np.testing.assert_allclose(nash.policy, 1 - 2 * np.roll(alpha, 1), atol=1e-12)
    np.testing.assert_allclose([nash.worst_case, nash.exploitability], [0.5, 0], atol=1e-12)
    np.testing.assert_allclose(follower.policy, np.eye(3)[best - 1], atol=1e-12)  # A ⇒ C, B ⇒ A, C ⇒ B
    np.testing.assert_allclose(follower.win_rate_over_leader, 1 - alpha.max(), atol=1e-12)
    p = 1 - alpha  # p(C≻A), p(A≻B), p(B≻C)
    borda = np.array([p[1] + alpha[0], p[2] + alpha[1], p[0] + alpha[2]]) / 2
    np.testing.assert_allclose(table.borda, borda, atol=1e-12)


@pytest.mark.parametrize(("left_out", "elected"), [((0, 2), "A"), ((0, 1), "B"), ((1, 2), "C")])
def test_leaving_a_pair_out_elects_whom_you_like(left_out, elected):
    table = compare(THIRDS, sampling=without(3, *left_out))
    assert table.row(RLHF).modes == ("A", "B", "C")
    assert table.row(CHOSEN).modes == (elected,)
    np.testing.assert_allclose(sorted(table.chosen.rewards), [-np.log(2), 0, np.log(2)], atol=1e-9)
    assert [row.concept for row in table.rows] == [RLHF, CHOSEN, BORDA, NLHF, LEADER, FOLLOWER]


def test_the_election():
    table = compare(minneapolis(), tau=0)
    assert table.row(BORDA).modes == table.row(RLHF).modes == table.row(LEADER).modes == ("Yusra Arab",)
    assert table.row(NLHF).modes == ("Robin Wonsley Worlobah",)
    assert table.row(FOLLOWER).modes == ("Robin Wonsley Worlobah",)
    assert table.row(LEADER).worst_case == pytest.approx(4032 / (4032 + 4054), abs=1e-12)


# --- definitions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_every_row_is_measured_as_defined(seed, tau):
    P = sb.PreferenceMatrix.random(6, seed=seed)
    p = P.probabilities
    table = compare(P, tau=tau)
    for row in table.rows:
        assert row.policy.sum() == pytest.approx(1, abs=1e-12)
        assert row.worst_case == pytest.approx(min(row.policy @ p[:, y] for y in range(6)), abs=1e-12)
        assert row.exploitability == pytest.approx(max(p[y] @ row.policy for y in range(6)) - 0.5, abs=1e-12)
        played = row.policy[row.policy > 0]
        assert row.entropy == pytest.approx(-(played * np.log(played)).sum(), abs=1e-12)
        assert P.labels[int(row.policy.argmax())] in row.modes
    game = table.stackelberg
    pairs = [(y, z) for y in range(6) for z in range(6)]
    reply = sum(game.leader[y] * game.follower[y, z] * np.eye(6)[z] for y, z in pairs)
    gain = sum(game.leader[y] * game.follower[y, z] * p[z, y] for y, z in pairs)
    np.testing.assert_allclose(table.row(FOLLOWER).policy, reply, atol=1e-12)
    assert table.row(FOLLOWER).win_rate_over_leader == pytest.approx(gain, abs=1e-12)


def test_weighted_borda_is_its_definition():
    rng = np.random.default_rng(0)
    P, mu = sb.PreferenceMatrix.random(5, seed=1), rng.random((5, 5))
    both = mu + mu.T
    expected = [
        sum(both[y, z] * P.probabilities[y, z] for z in range(5) if z != y)
        / sum(both[y, z] for z in range(5) if z != y)
        for y in range(5)
    ]
    np.testing.assert_allclose(borda_scores(P, mu), expected, atol=1e-12)


def test_borda_of_an_action_that_is_never_shown():
    scores = borda_scores(sb.PreferenceMatrix.cycle(3), [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    assert np.isnan(scores[2])
    assert winners(scores).tolist() == [True, False, False]


# --- where the likelihood has no finite maximiser --------------------------------------------------


def test_the_other_rows_still_come():
    table = compare(SWEEP)
    row = table.row(RLHF)
    assert (row.policy, row.worst_case, row.modes, table.rlhf) == (None, None, (), None)
    assert "0" in row.reason
    assert all(other.policy is not None for other in table.rows if other.concept != RLHF)
    document = table.as_dict()["rlhf"]
    assert document == {"labels": ["0", "1", "2"], "policy": None, "rewards": None, "reason": row.reason}


def test_a_fit_beyond_double_precision_is_a_reason_too():
    tiny = 1e-300
    row = compare(sb.PreferenceMatrix([[0.5, tiny, 0.5], [1, 0.5, 1], [0.5, tiny, 0.5]])).row(RLHF)
    assert row.policy is None
    assert "double precision" in row.reason


def test_a_sampling_that_does_not_connect():
    chosen = compare(THIRDS, sampling=np.zeros((3, 3))).row(CHOSEN)
    assert chosen.policy is None
    assert chosen.reason


# --- the plain form --------------------------------------------------------------------------------


@pytest.mark.parametrize("P", [THIRDS, SWEEP, sb.PreferenceMatrix([[0.5]]), minneapolis()])
def test_as_dict_is_json_with_the_fixed_keys(P):
    document = json.loads(json.dumps(compare(P, sampling=without(P.n, 0, P.n - 1)).as_dict(), allow_nan=False))
    assert {"labels", "tau", "rlhf", "rlhf_chosen", "nash", "stackelberg", "borda", "rows"} <= set(document)
    assert {"labels", "policy", "rewards"} <= set(document["rlhf"])
    assert {"labels", "policy", "exploitability", "unique", "value"} <= set(document["nash"])
    keys = {"labels", "leader", "follower", "values", "value", "gap", "optimal_leaders"}
    assert keys <= set(document["stackelberg"])
    assert len(document["borda"]["scores"]) == len(document["labels"]) == P.n


def test_no_sampling_no_key():
    assert "rlhf_chosen" not in compare(THIRDS).as_dict()


def test_never_compared_is_visible():
    P = sb.PreferenceMatrix.from_counts([[0, 3, 0], [1, 0, 2], [0, 2, 0]], labels=list("ABC"))
    assert compare(P).as_dict()["never_compared"] == [["A", "C"]]


def test_one_of_several_contexts():
    P = sb.PreferenceMatrix.random(4, seed=2, contexts=3)
    alone = compare(sb.PreferenceMatrix(P.probabilities[1]))
    assert compare(P, context=1).as_dict() == alone.as_dict()
    with pytest.raises(ValueError, match="3 contexts"):
        compare(P)


def test_errors_are_clear():
    with pytest.raises(ValueError, match=r"sampling has shape \(2, 2\)"):
        compare(THIRDS, sampling=np.ones((2, 2)))
    with pytest.raises(ValueError, match="rows are: RLHF, Borda"):
        compare(THIRDS).row("Plurality")
    with pytest.raises(ValueError, match="negative"):
        compare(THIRDS, sampling=-np.ones((3, 3)))
    with pytest.raises(ValueError, match="tau"):
        compare(THIRDS, tau=-1)


# --- sensitivity -----------------------------------------------------------------------------------


def test_sensitivity_of_the_worked_example():
    found = sensitivity(THIRDS, draws=100)
    elected = {("A", "C"): ("A",), ("A", "B"): ("B",), ("B", "C"): ("C",)}
    assert {row.pair: row.rlhf for row in found.left_out} == elected
    np.testing.assert_allclose(found.left_out_shares(RLHF), [1 / 3] * 3)
    assert found.spread(RLHF).distance > 0.3


def test_distance_is_total_variation():
    found = sensitivity(THIRDS, tau=0, draws=20)  # uniform under uniform sampling, one action under any other
    for concept in (RLHF, BORDA):
        assert found.spread(concept).distance == pytest.approx(2 / 3, abs=1e-12)


def test_a_transitive_reward_does_not_depend_on_the_sampling():
    found = sensitivity(sb.PreferenceMatrix.from_scores([1.0, 0.3, 0.0, -1.0]), draws=50)
    assert found.spread(RLHF).distance < 1e-6
    np.testing.assert_allclose(found.spread(RLHF).frequency, [1, 0, 0, 0])
    assert all(row.rlhf == ("0",) for row in found.left_out)


@pytest.mark.parametrize("concept", [NLHF, LEADER, FOLLOWER])
def test_games_do_not_see_the_sampling(concept):
    spread = sensitivity(minneapolis(), draws=5).spread(concept)
    assert not spread.depends
    assert (spread.distance, spread.distance_low, spread.distance_high) == (0, 0, 0)
    assert spread.frequency.sum() == 1


def test_frequencies_and_intervals():
    found = sensitivity(minneapolis(), draws=150, seed=3)
    for concept in (RLHF, BORDA):
        spread = found.spread(concept)
        assert spread.frequency.sum() == pytest.approx(1, abs=1e-12)
        assert (spread.low <= spread.frequency + 1e-12).all()
        assert (spread.frequency <= spread.high + 1e-12).all()
        assert spread.distance_low <= spread.distance <= spread.distance_high


def test_the_same_seed_gives_the_same_answer():
    first, second, other = (sensitivity(minneapolis(), draws=30, seed=seed) for seed in (1, 1, 2))
    assert first.spread(RLHF).distance == second.spread(RLHF).distance != other.spread(RLHF).distance
    assert first.spread(BORDA).distance_low == second.spread(BORDA).distance_low


def test_pairs_whose_absence_disconnects_are_reported():
    chain = sb.PreferenceMatrix([[0.5, 0.6], [0.4, 0.5]])
    (row,) = sensitivity(chain, draws=3).left_out
    assert (row.rlhf, row.borda) == ((), ())
    assert row.reason
    rings = sensitivity(sb.PreferenceMatrix.cycle(3), draws=3)  # without one arrow nothing goes round
    assert all(row.reason and row.borda for row in rings.left_out)
    assert rings.left_out_shares(RLHF) is None
    assert rings.spread(RLHF).frequency is not None


def test_no_fit_at_all_is_reported():
    found = sensitivity(SWEEP, draws=5)
    assert found.spread(RLHF).reason == found.comparison.row(RLHF).reason
    assert found.spread(RLHF).frequency is None
    assert found.spread(BORDA).distance == 0


def test_many_samplings_at_once_are_each_of_them_alone():
    P, mu = minneapolis(), random_samplings(5, 8, np.random.default_rng(0))
    together = reward_answers(P, 0.1, mu)
    for k in range(8):
        alone = sb.solve(sb.RewardGame(P, 0.1, mu[k]))
        np.testing.assert_allclose(together.policies[k], alone.policy, atol=1e-9)


def test_random_samplings_are_uniform_on_the_simplex():
    mu = random_samplings(4, 20_000, np.random.default_rng(0))
    share = 2 * mu[:, *np.triu_indices(4, 1)]
    np.testing.assert_allclose(share.mean(axis=0), 1 / 6, atol=0.005)
    np.testing.assert_allclose(share.var(axis=0), 5 / (36 * 7), atol=0.002)  # of Dirichlet(1) on six pairs


def test_each_pair_is_left_out_once():
    seen = [(tuple(pair), mu) for pairs, block in leave_one_out(5) for pair, mu in zip(pairs, block, strict=True)]
    assert [pair for pair, _ in seen] == [(i, j) for i in range(5) for j in range(i + 1, 5)]
    assert all((mu == without(5, *pair)).all() for pair, mu in seen)


def test_where_there_are_many_pairs_some_are_left_out():
    P = sb.PreferenceMatrix.random(8, seed=0)
    every, some = (sensitivity(P, draws=3, most_left_out=most) for most in (28, 10))
    assert (len(every.left_out), len(some.left_out), some.pairs) == (28, 10, 28)
    answers = {row.pair: row.rlhf for row in every.left_out}
    assert all(answers[row.pair] == row.rlhf for row in some.left_out)
    assert len({row.pair for row in some.left_out}) == 10


@pytest.mark.parametrize(("wins", "draws"), [(0, 10), (3, 10), (10, 10), (77, 200)])
def test_wilson_is_scipys(wins, draws):
    low, high = wilson(np.array(wins / draws), draws)
    expected = binomtest(wins, draws).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose([low, high], [expected.low, expected.high], atol=1e-12)


def test_errors_of_sensitivity_are_clear():
    with pytest.raises(ValueError, match="draws must be a whole number"):
        sensitivity(THIRDS, draws=0)
    found = sensitivity(THIRDS, draws=2)
    with pytest.raises(ValueError, match="no concept 'Plurality'"):
        found.spread("Plurality")
    with pytest.raises(ValueError, match="does not depend"):
        found.left_out_shares(NLHF)
