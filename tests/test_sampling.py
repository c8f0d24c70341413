"""Sampled fields: unbiased, with every baseline and behaviour; and what a sampled run keeps to."""

import numpy as np
import pytest
from scipy import stats

import stackelberg as sb
from stackelberg.field import Field, natural_field
from stackelberg.point import Joint, Point
from stackelberg.policy import Tabular

BASELINES = [sb.Constant(0.5), sb.LeaveOneOut(), sb.NoBaseline()]
BEHAVIOURS = [sb.OnPolicy(), sb.UniformActions()]
GEOMETRIES = [sb.Natural(), sb.Softmax(), sb.Simplex()]
DRAWS, LOOKS = 5, 4000


def stackelberg():
    rng = np.random.default_rng(0)
    return sb.StackelbergGame(
        sb.PreferenceMatrix.random(3, 1, contexts=2),
        tau_leader=0.3,
        tau_follower=0.6,
        follower_reference=rng.dirichlet(np.ones(3), 3),
    )


GAMES = {
    "stackelberg": stackelberg,
    "published": lambda: sb.PublishedStackelbergGame(sb.PreferenceMatrix.random(3, 1, contexts=2), tau=0.4),
    "nash": lambda: sb.NashGame(sb.PreferenceMatrix.random(4, 2, contexts=2), 0.3),
    "reward": lambda: sb.RewardGame(sb.PreferenceMatrix.random(4, 2, contexts=2), 0.3),
}


def somewhere(game, geometry):
    """A point well inside."""
    rng, pull = np.random.default_rng(7), natural_field(game)
    tables = [rng.dirichlet(np.full(shape[-1], 3.0), shape[:-1]) * 0.7 + 0.3 / shape[-1] for shape in pull.shapes]
    return Point(geometry, tuple(Tabular.from_probabilities(table) for table in tables))


def flat(joint):
    """Each row less its mean: what a rule can feel."""
    return np.concatenate([(part - part.mean(axis=-1, keepdims=True)).ravel() for part in joint.parts])


def significance(found, wanted):
    """The smallest p-value that the mean of the rows is ``wanted``, Bonferroni over the cells."""
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    z = np.abs(found.mean(axis=0) - wanted) / np.where(error > 0, error, 1)
    assert (error[np.abs(wanted) > 1e-12] > 0).any()
    return 2 * stats.norm.sf(z.max()) * len(wanted)


def looks(game, geometry, sampling, opponents=None):
    point = somewhere(game, geometry)
    field = Field(natural_field(game), sampling, np.random.default_rng(1))
    other = field.mixed(point, opponents) if opponents else None
    exact = flat(Field(natural_field(game))(point, other).total)
    return np.array([flat(field(point, other).total) for _ in range(LOOKS)]), exact


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda b: type(b).__name__)
@pytest.mark.parametrize("baseline", BASELINES, ids=lambda b: type(b).__name__)
@pytest.mark.parametrize("game", GAMES)
def test_the_sampled_field_is_unbiased(game, baseline, behaviour):
    found, exact = looks(GAMES[game](), sb.Softmax(), sb.Sample(DRAWS, baseline=baseline, behaviour=behaviour))
    assert significance(found, exact) > 1e-3


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda g: type(g).__name__)
@pytest.mark.parametrize("game", GAMES)
def test_it_is_so_in_every_geometry(game, geometry):
    found, exact = looks(GAMES[game](), geometry, sb.Sample(DRAWS))
    assert significance(found, exact) > 1e-3


def test_payoffs_against_other_opponents_are_unbiased_too():
    found, exact = looks(GAMES["nash"](), sb.Softmax(), sb.Sample(DRAWS), opponents=0.8)
    elsewhere = flat(Field(natural_field(GAMES["nash"]()))(somewhere(GAMES["nash"](), sb.Softmax())).total)
    assert significance(found, exact) > 1e-3
    assert significance(found, elsewhere) < 1e-6


def test_a_bias_of_one_per_cent_would_be_seen():
    """The test has the power: along the gradient itself, with many draws a look."""
    game, point = GAMES["stackelberg"](), somewhere(GAMES["stackelberg"](), sb.Softmax())
    field = Field(natural_field(game), sb.Sample(5000), np.random.default_rng(3))
    exact = flat(Field(natural_field(game))(point).total)
    found = np.array([flat(field(point).total) for _ in range(1500)]) @ exact / (exact @ exact)
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert error < 0.0025  # 1 % is four standard errors
    assert abs(found.mean() - 1) < 3.3 * error


def test_leave_one_out_lowers_the_variance_where_payoffs_are_far_from_zero():
    game = GAMES["stackelberg"]()
    spread = {type(b): looks(game, sb.Softmax(), sb.Sample(20, baseline=b))[0].var(axis=0).sum() for b in BASELINES}
    assert spread[sb.LeaveOneOut] < 0.6 * spread[sb.NoBaseline]


def test_a_sampled_run_is_reproducible_from_its_seed_and_its_gap_is_exact():
    game = GAMES["stackelberg"]()
    runs = [
        sb.solve(game, sb.StackelbergGDA(0.1, geometry=sb.Softmax()), steps=50, sampling=sb.Sample(10), seed=seed)
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(runs[0].leader, runs[1].leader)
    assert np.abs(runs[0].leader - runs[2].leader).max() > 1e-6
    np.testing.assert_allclose(runs[0].gap, sb.duality_gap(game, runs[0].leader, runs[0].follower), atol=1e-14)


@pytest.mark.parametrize("game", GAMES)
def test_a_falling_rate_averages_the_noise_away(game):
    """Both start at a rate of 0.2; one stays there."""
    made, sampling = GAMES[game](), sb.Sample(50, behaviour=sb.UniformActions())
    constant, falling = (
        np.mean([sb.solve(made, sb.MirrorDescent(rate), steps=2000, sampling=sampling, seed=s).gap for s in range(4)])
        for rate in (0.2, sb.InverseTime(8, 40))
    )
    assert falling < constant / 4


def test_what_is_never_played_is_never_drawn():
    game = sb.NashGame(sb.PreferenceMatrix.random(4, 2), 0)
    point = Point(sb.Simplex(), (Tabular.from_probabilities(np.array([[0.5, 0.0, 0.5, 0.0]])),))
    field = Field(natural_field(game), sb.Sample(100), np.random.default_rng(0))
    payoff = field(point).payoff[0][0]
    assert (payoff[[1, 3]] == 0).all()
    assert np.isfinite(payoff).all()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [({"n": 0}, "n is a number of draws"), ({"n": 5, "baseline": 0.5}, "baseline must be a Baseline")],
)
def test_bad_samplings_are_refused(wrong, says):
    with pytest.raises((ValueError, TypeError), match=says):
        sb.Sample(**wrong)


def test_a_sampling_that_is_none_and_a_bad_seed_are_refused():
    game = GAMES["nash"]()
    with pytest.raises(TypeError, match="Enumerate"):
        sb.solve(game, sb.EGPO(), sampling=100)
    with pytest.raises(ValueError, match="seed must be"):
        sb.solve(game, sb.EGPO(), seed=-1)
    with pytest.raises(ValueError, match="for a solver"):
        sb.solve(game, sampling=sb.Sample(10))


# ---------------------------------------------------------------- payoffs as estimates


@pytest.mark.parametrize("game", GAMES)
def test_a_sampled_payoff_is_the_exact_one_within_its_error(game):
    made = GAMES[game]()
    policies = [table.probabilities for table in somewhere(made, sb.Natural()).tables]
    exact = sb.payoff(made, *policies)
    assert exact.kind is sb.Kind.EXACT
    draws = [sb.payoff(made, *policies, sampling=sb.Sample(400), seed=seed) for seed in range(200)]
    z = (np.array([float(draw) for draw in draws]) - exact.value) / [draw.stderr for draw in draws]
    assert abs(z.mean()) < 4 / np.sqrt(len(z))
    assert 0.8 < z.std() < 1.2  # the errors are as large as they say


def test_at_the_equilibrium_every_rollout_earns_the_value():
    """p + τ_F ℓ_F is V(y) for every reply, and V − τ_L ℓ_L the value for every answer: no variance is left."""
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(5, 2), tau_leader=0.3, tau_follower=0.2)
    solution = sb.solve(game)
    drawn = sb.payoff(game, solution.leader, solution.follower, sampling=sb.Sample(50))
    assert drawn.value == pytest.approx(solution.value, abs=1e-13)
    assert drawn.stderr < 1e-14


def test_a_nash_policy_may_meet_another():
    game = sb.NashGame(sb.PreferenceMatrix.random(4, 1), 0.3)
    own, other, p = sb.solve(game).policy, np.array([0.7, 0.1, 0.1, 0.1]), game.preference.probabilities
    wanted = own @ p @ other - 0.3 * sb.kl_divergence(own, game.reference[0])
    assert float(sb.payoff(game, own, other)) == pytest.approx(wanted, abs=1e-14)
    with pytest.raises(ValueError, match="takes 1 policies, not 3"):
        sb.payoff(game, own, other, own)


# ---------------------------------------------------------------- schedules, turns, annealing


def test_kappa_may_be_a_schedule():
    game = GAMES["stackelberg"]()
    fixed = sb.solve(game, sb.MirrorDescent(0.1, 4.0), steps=9)
    scheduled = sb.solve(game, sb.MirrorDescent(0.1, sb.Piecewise((5,), (4.0, 4.0))), steps=9)
    falling = sb.solve(game, sb.MirrorDescent(0.1, sb.Piecewise((5,), (4.0, 1.0))), steps=9)
    np.testing.assert_array_equal(fixed.follower, scheduled.follower)
    assert np.abs(fixed.follower - falling.follower).max() > 1e-3


@pytest.mark.parametrize(
    "made",
    [
        lambda: sb.InverseTime(2, 0),
        lambda: sb.InverseTime(-1, 2),
        lambda: sb.PowerDecay(1.0, -5),
        lambda: sb.Geometric(1.0, 0.0),
        lambda: sb.Linear(1.0, 0.0, 0),
        lambda: sb.Piecewise((5,), (1.0, float("nan"))),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused_when_it_is_made(made):
    with pytest.raises(ValueError, match="must"):
        made()


def test_a_rate_may_come_down_to_zero_and_no_further():
    game = GAMES["nash"]()
    ended, longer = (sb.solve(game, sb.EGPO(sb.Linear(0.5, 0.0, 10)), steps=steps) for steps in (10, 20))
    np.testing.assert_array_equal(ended.policy, longer.policy)
    with pytest.raises(ValueError, match=r"learning_rate\(3\) must be zero or a positive number"):
        sb.solve(game, sb.EGPO(lambda t: 0.3 - 0.1001 * t), steps=10)


def test_an_annealed_tau_is_the_field_of_the_scaled_game():
    p = sb.PreferenceMatrix.random(4, 2)
    warm = sb.solve(sb.StackelbergGame(p, tau=0.2), sb.MirrorDescent(0.3, tau_scale=3.0), steps=7)
    scaled = sb.solve(sb.StackelbergGame(p, tau=0.6), sb.MirrorDescent(0.3), steps=7)
    np.testing.assert_allclose(warm.leader, scaled.leader, atol=1e-14)
    np.testing.assert_allclose(warm.gap, sb.duality_gap(warm.game, warm.leader, warm.follower), atol=1e-14)


def test_annealing_that_ends_at_one_reaches_the_game_itself():
    game = sb.NashGame(sb.PreferenceMatrix.random(5, 3), 0.05)
    run = sb.solve(game, sb.EGPO(1.0, tau_scale=sb.Geometric(10.0, 0.98, 1.0)), steps=3000, tolerance=1e-12)
    assert run.status is sb.Status.REACHED


def test_in_turn_the_leader_answers_the_moved_follower():
    game, rate = GAMES["stackelberg"](), 0.3
    both = sb.solve(game, sb.MirrorDescent(rate, 2), steps=1, record=None)
    turn = sb.solve(game, sb.MirrorDescent(rate, 2, alternating=True), steps=1, record=None)
    np.testing.assert_allclose(turn.follower, both.follower, atol=1e-15)
    leader = np.exp(rate * sb.leader_payoffs(game, both.follower))
    np.testing.assert_allclose(turn.leader, leader / leader.sum(axis=-1, keepdims=True), atol=1e-14)
    with pytest.raises(ValueError, match="alternate"):
        sb.solve(GAMES["nash"](), sb.MirrorDescent(0.1, alternating=True))


def test_nash_md_pg_misses_the_equilibrium_by_as_much_as_its_mixture():
    game = sb.NashGame(sb.PreferenceMatrix.random(4, 3), 0.3)
    exact, mixtures = sb.solve(game).policy, np.array([0.4, 0.1, 0.025])
    beside = [np.abs(sb.solve(game, sb.NashMDPG(1.0, m), steps=3000).policy - exact).max() for m in mixtures]
    assert np.polyfit(np.log(mixtures), np.log(beside), 1)[0] == pytest.approx(1, abs=0.1)


def test_a_joint_keeps_its_arithmetic():
    assert (0 * Joint((2.0, 3.0))).parts == (0.0, 0.0)
