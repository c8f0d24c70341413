"""What the games accept, what they refuse, and what the refusals say."""

import numpy as np
import pytest

import stackelberg as sb

P = sb.PreferenceMatrix.random(3, seed=0)
PX = sb.PreferenceMatrix.random(3, seed=0, contexts=3)


def test_an_array_becomes_a_preference_matrix():
    assert isinstance(sb.NashGame(P.probabilities).preference, sb.PreferenceMatrix)


def test_players_may_have_their_own_tau():
    game = sb.StackelbergGame(P, tau=0.1, tau_follower=0.5)
    assert (game.tau_leader, game.tau_follower) == (0.1, 0.5)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: sb.NashGame(P, tau=-1), "tau must be zero or positive and finite; it is -1"),
        (lambda: sb.NashGame(P, tau=np.nan), "tau must be zero or positive and finite; it is nan"),
        (lambda: sb.NashGame(P, tau="small"), "tau must be an array of real numbers"),
        (lambda: sb.NashGame(PX, tau=[0.1, 0.2]), r"tau has shape \(2,\), which does not fit \(3,\)"),
        (lambda: sb.NashGame(P, reference=[0.5, 0.6, 0.1]), "reference must sum to 1; it sums to 1.2"),
        (lambda: sb.NashGame(P, reference=[0.5, 0.7, -0.2]), r"must not be negative; at \(2,\)"),
        (lambda: sb.NashGame(P, reference=[0.5, 0.5]), r"shape \(2,\), which does not fit"),
        (
            lambda: sb.NashGame(P, tau=0, reference=[0.5, 0.5, 0]),
            "reference gives some action probability 0 where tau = 0",
        ),
        (
            lambda: sb.StackelbergGame(P, tau=0, follower_reference=[0.5, 0.5, 0]),
            "follower_reference gives some action probability 0",
        ),
        (lambda: sb.StackelbergGame(PX, follower_reference=np.full((3, 3), 1 / 3)), "a row a context or a row an"),
        (lambda: sb.RewardGame(P, sampling=-np.ones((3, 3))), "sampling weights must not be negative"),
        (lambda: sb.RewardGame(P, sampling=np.ones((2, 2))), "sampling has shape"),
        (lambda: sb.StackelbergGame(PX, context_weights=[1, 1, 1]), "context_weights must sum to 1"),
        (lambda: sb.leader_gap(sb.StackelbergGame(P), [1, 1, 1]), "leader must sum to 1"),
        (lambda: sb.follower_gap(sb.StackelbergGame(P), [1, 0, 0], [0.5, 0.5]), "follower has shape"),
    ],
)
def test_bad_input_is_refused_with_words_that_help(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_solve_refuses_what_is_no_game():
    with pytest.raises(TypeError, match="Wrap the preferences first"):
        sb.solve(P)
    with pytest.raises(TypeError, match="no game this function knows"):
        sb.duality_gap(P, [1, 0, 0])


def test_a_separated_reward_game_is_explained():
    with pytest.raises(sb.NoFiniteMaximiser, match="wins every"):
        sb.solve(sb.RewardGame(sb.PreferenceMatrix([[0.5, 1.0], [0.0, 0.5]], labels=["up", "down"])))


def test_an_answer_above_its_tolerance_is_never_returned(monkeypatch):
    monkeypatch.setattr("stackelberg.exact.GAP_TOLERANCE", -1.0)
    for game in (sb.StackelbergGame(P), sb.NashGame(P)):
        with pytest.raises(sb.CertificateError, match="could not be certified"):
            sb.solve(game)


def test_diagnostics_of_the_reward_game():
    game = sb.RewardGame(P, tau=0.2, reference=[0.2, 0.3, 0.5])
    solution = sb.solve(game)
    other = np.array([0.5, 0.25, 0.25])
    objective = [
        pi @ solution.rewards - 0.2 * float(sb.kl_divergence(pi, [0.2, 0.3, 0.5])) for pi in (solution.policy, other)
    ]
    assert solution.value == pytest.approx(objective[0], abs=1e-12)
    assert sb.exploitability(game, other) == pytest.approx(objective[0] - objective[1], abs=1e-12)
    assert solution.kl == pytest.approx(float(sb.kl_divergence(solution.policy, [0.2, 0.3, 0.5])), abs=1e-15)


def test_worst_case_win_rate_and_nash_exploitability_agree_without_regularisation():
    policy = [0.2, 0.3, 0.5]
    worst = sb.worst_case_win_rate(P, policy)
    assert sb.exploitability(sb.NashGame(P, tau=0), policy) == pytest.approx(0.5 - worst, abs=1e-15)
    assert sb.worst_case_win_rate(PX, policy).shape == (3,)


def test_playing_what_the_reference_never_plays_is_infinitely_bad():
    game = sb.NashGame(P, tau=0.1, reference=[0.5, 0.5, 0])
    assert sb.exploitability(game, [0, 0, 1]) == np.inf
    game = sb.StackelbergGame(P, tau=0.1, leader_reference=[0.5, 0.5, 0], follower_reference=[0.5, 0.5, 0])
    assert sb.leader_gap(game, [0, 0, 1]) == np.inf
    assert sb.follower_gap(game, [1, 0, 0], [0, 0, 1]) == np.inf
    assert sb.follower_gap(game, [1, 0, 0], [[0.5, 0.5, 0], [0, 0, 1], [0, 0, 1]]) < np.inf


def test_a_reference_may_have_zeros_in_the_contexts_whose_tau_is_positive():
    reference = [[1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0], [1, 0, 0]]
    solution = sb.solve(sb.NashGame(PX, tau=[0, 0.1, 1e3], reference=reference))
    np.testing.assert_array_equal(solution.policy[1:] > 0, np.array(reference)[1:] > 0)
    with pytest.raises(ValueError, match="some action probability 0"):
        sb.NashGame(PX, tau=[0.1, 0, 0.1], reference=reference)


def test_pairs_that_were_never_compared_are_no_observations():
    """A beats B, B beats C, A and C never met: their ½ must not hold the rewards together."""
    wins = sb.PreferenceMatrix.from_counts([[0, 3, 0], [1, 0, 2], [0, 1, 0]], labels=list("ABC"))
    met = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(wins.compared, met)
    default, chosen = sb.solve(sb.RewardGame(wins)), sb.solve(sb.RewardGame(wins, sampling=met))
    np.testing.assert_allclose(default.rewards, chosen.rewards, atol=1e-14)
    np.testing.assert_allclose(np.diff(default.rewards), [-np.log(3), -np.log(2)], atol=1e-12)
    assert default.as_dict()["never_compared"] == [["A", "C"]]
    with pytest.raises(sb.NoFiniteMaximiser):
        sb.solve(sb.RewardGame(sb.PreferenceMatrix.from_counts([[0, 3, 0], [0, 0, 2], [0, 0, 0]])))


def test_a_tau_beyond_double_precision_is_refused():
    with pytest.raises(sb.CertificateError, match="larger tau, or tau = 0"):
        sb.solve(sb.NashGame(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), tau=1e-300))


def test_the_nash_certificate_does_not_grow_with_tau():
    reference = [0.2, 0.3, 0.5]
    for tau in (1e3, 1e6, 1e12):
        assert abs(sb.solve(sb.NashGame(P, tau, reference)).gap) < 1e-15
    references = np.random.default_rng(0).dirichlet(np.ones(8), 200)
    gaps = [_gap_or_refusal(sb.NashGame(sb.PreferenceMatrix.random(8), 1e100, each)) for each in references]
    assert max(gap for gap in gaps if gap is not None) <= 1e-12
    assert None in gaps  # at tau = 1e100 the rounding of a policy can alone be worth 1e67: such a one is refused


def _gap_or_refusal(game):
    try:
        return abs(sb.solve(game).gap)
    except sb.CertificateError:
        return None
