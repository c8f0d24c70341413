"""What a run that goes wrong says of itself, on runs that do go wrong; and the best iterate that it keeps."""

import re

import numpy as np
import pytest

import stackelberg as sb
from stackelberg.divergence import stretch
from stackelberg.field import Field, natural_field
from stackelberg.pairing import starting_point
from stackelberg.point import Joint
from stackelberg.saturation import saturation

P = sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2])
R = sb.PreferenceMatrix.random(10, seed=0)
STACKELBERG, NASH, REWARD = sb.StackelbergGame(P, 0.3), sb.NashGame(P, 0.3), sb.RewardGame(P, 0.3)

DIVERGING = {
    "an explicit step": (STACKELBERG, sb.MirrorDescent(10.0), "first mover's learning rate 10 times tau is 3, above 2"),
    "a quick Follower": (
        STACKELBERG,
        sb.MirrorDescent(0.1, kappa=90),
        r"Follower's learning rate 9 \(kappa = 90\) times tau is 2.7, above 2",
    ),
    "Online IPO": (NASH, sb.OnlineIPO(20.0), "first mover's learning rate 20 times tau is 6, above 2"),
    "a reward": (REWARD, sb.MirrorDescent(10.0), "first mover's learning rate 10 times tau is 3, above 2"),
    "EGPO": (NASH, sb.EGPO(8.0), "first mover's learning rate 8 times tau is 2.4, above 2"),
    "extragradient": (NASH, sb.ExtraGradient(5.0), r"5 times the field's measured Lipschitz constant 0.3 is 1.5;"),
    "optimism": (NASH, sb.Optimistic(3.0), r"3 times the field's measured Lipschitz constant 0.3 is 0.9;"),
    "two rates": (
        STACKELBERG,
        sb.Optimistic(0.3, kappa=10),
        r"0.3 and 3 \(kappa = 10\) times the field's measured Lipschitz constant 0.3 is 0.9;",
    ),
    "an annealed tau": (STACKELBERG, sb.MirrorDescent(1.0, tau_scale=10.0), "times tau is 3, above 2"),
    "Online IPO, sampled": (NASH, sb.OnlineIPO(20.0), "learning rate 20 times tau is 6, above 2"),
}


@pytest.mark.parametrize("name", DIVERGING)
def test_a_divergence_names_step_cause_and_numbers(name):
    game, solver, words = DIVERGING[name]
    sampling = sb.Sample(10) if "sampled" in name else sb.Enumerate()
    solution = sb.solve(game, solver, steps=5000, sampling=sampling)
    assert solution.status is sb.Status.DIVERGED
    assert re.match(r"diverged at step \d+: ", solution.report)
    assert re.search(words, solution.report)
    assert solution.report.endswith(".")


@pytest.mark.parametrize(
    ("game", "solver"),
    [
        (sb.StackelbergGame(STACKELBERG.preference, 10.0), sb.GDA(100.0)),
        (sb.NashGame(NASH.preference, 1e3), sb.NashMDPG(1.0)),
        (sb.RewardGame(NASH.preference, 10.0), sb.RLOO(100.0)),
        (sb.StackelbergGame(STACKELBERG.preference, 1e300), sb.MirrorDescent()),
    ],
    ids=["gda", "nash-md-pg", "rloo", "huge tau"],
)
def test_a_run_that_no_longer_moves_is_reported_all_the_same(game, solver):
    assert sb.solve(game, solver, steps=1000).report


@pytest.mark.parametrize("tau", [1e15, 1e17, 1e200])
def test_rows_that_projection_can_no_longer_tell_are_a_divergence(tau):
    """A sum of one is lost in the rounding of 1e15; what is returned is a distribution."""
    solution = sb.solve(sb.StackelbergGame(STACKELBERG.preference, tau), sb.StackelbergGDA(), steps=20)
    assert solution.status is sb.Status.DIVERGED
    np.testing.assert_allclose(solution.leader.sum(), 1, atol=1e-7)
    np.testing.assert_allclose(solution.follower.sum(axis=-1), 1, atol=1e-7)


@pytest.mark.parametrize("name", DIVERGING)
def test_the_advice_helps(name):
    """What the report says to use instead does not diverge."""
    game, solver, _ = DIVERGING[name]
    report = sb.solve(game, solver, steps=5000).report
    below, divided = re.search(r"rate below ([\d.]+)", report), re.search(r"Divide the learning rate by (\d+)", report)
    factor = (
        0.99 * float(below[1]) / solver.rates(0, 2).parts["Follower's" in report] if below else 1 / float(divided[1])
    )
    fields = {"learning_rate": solver.learning_rate * factor, "tau_scale": solver.tau_scale}
    kappa = {"kappa": solver.kappa} if hasattr(solver, "kappa") else {}
    assert sb.solve(game, type(solver)(**fields, **kappa), steps=5000).status is sb.Status.RAN


def test_the_lipschitz_constant_of_a_linear_field():
    """A reward's field is −τ(θ − θ_ref) plus a constant: it is τ in the logits, times the rate η τ."""
    game, solver = sb.RewardGame(R, 0.25), sb.MirrorDescent()
    field = Field(natural_field(game))
    point = starting_point(game, solver, None, field.pull, np.random.default_rng(0).dirichlet(np.ones(10)))
    measured = stretch(point, Joint((3.0,)), field)
    # the field is −τ θ + r + τ θ_ref with θ normalised, so that differences of it are those of θ, times τ
    np.testing.assert_allclose(measured, (0.25, 0.75), rtol=1e-9)
    assert stretch(sb.solve(game, solver, steps=0) and point, Joint((1e308 * 10,)), field) is None


RESTLESS = {
    "GDA on the simplex": (STACKELBERG, sb.StackelbergGDA(5.0), "keeps jumping"),
    "GDA, many actions": (
        sb.StackelbergGame(R, 0.01),
        sb.StackelbergGDA(0.5),
        r"5 of the Follower's 10 rows no longer",
    ),
    "Online IPO above its bound": (sb.NashGame(R, 0.01), sb.OnlineIPO(2.0), "keeps jumping"),
    "self-play circles": (sb.NashGame(R, 0), sb.SelfPlay(0.1), "keeps jumping"),
    "slow to overflow": (NASH, sb.OnlineIPO(7.0), "Lipschitz constant 0.3 is 2.1"),
}


@pytest.mark.parametrize("name", RESTLESS)
def test_a_run_that_does_not_settle_says_so_but_has_not_diverged(name):
    game, solver, words = RESTLESS[name]
    solution = sb.solve(game, solver, steps=2000)
    assert solution.status is sb.Status.RAN
    assert re.match(
        r"ran all 2000 steps, but keeps jumping: in their later half the gap stays between ", solution.report
    )
    assert re.search(words, solution.report)
    low, high = map(float, re.search(r"between (\S+) and ([\d.e+-]+\d)", solution.report).groups())
    late = solution.trajectory.gap[-100:]
    assert low == pytest.approx(late.min(), rel=0.05)
    assert high == pytest.approx(late.max(), rel=0.05)
    assert solution.best.gap <= solution.trajectory.gap.min() + 1e-12


SETTLED = [
    (STACKELBERG, sb.MirrorDescent(0.5, kappa=5)),
    (STACKELBERG, sb.MirrorDescent(1e-4)),  # hardly moves, but jumps nowhere
    (STACKELBERG, sb.StackelbergGDA(0.02)),
    (NASH, sb.NashMD(0.5)),  # settles beside the equilibrium
    (NASH, sb.EGPO(0.5)),
    (REWARD, sb.MirrorProx(5.0)),
]


@pytest.mark.parametrize(("game", "solver"), SETTLED)
def test_nothing_is_said_of_a_run_that_settles(game, solver):
    assert sb.solve(game, solver, steps=1500).report == "ran all 1500 steps"


def test_nothing_is_said_of_a_sampled_run():
    assert sb.solve(NASH, sb.OnlineIPO(0.5), steps=1500, sampling=sb.Sample(5)).report == "ran all 1500 steps"


# --- too few records, and networks that saturate ----------------------------------------------------


@pytest.mark.parametrize(("steps", "every", "records"), [(3, 10, 2), (40, 10, 5), (900, 50, 19)])
def test_too_few_records_to_tell_is_said_where_the_gap_did_not_halve(steps, every, records):
    solution = sb.solve(NASH, sb.OnlineIPO(1e-4), steps=steps, record=sb.Record(every=every))
    gaps = solution.trajectory.gap
    assert len(gaps) == records
    assert solution.report == (
        f"ran all {steps} steps; the gap went from {gaps[0]:.1e} to {gaps[-1]:.1e} in {records} records, "
        "too few to tell whether it settles"
    )


def test_nothing_is_said_of_few_records_that_improve_or_of_draws_or_of_none():
    assert sb.solve(NASH, sb.OnlineIPO(1.0), steps=40).report == "ran all 40 steps"
    assert sb.solve(NASH, sb.OnlineIPO(1e-4), steps=40, sampling=sb.Sample(5)).report == "ran all 40 steps"
    for record in (None, sb.Record(gap=False)):
        assert sb.solve(NASH, sb.OnlineIPO(1e-4), steps=40, record=record).report == "ran all 40 steps"


SIX = sb.PreferenceMatrix.random(6, seed=0)
SATURATING = {
    "gda": (sb.NashGame(SIX, 0.05), sb.GDA(50.0), {}, "1 of 1"),
    "relu": (sb.NashGame(SIX, 0.05), sb.GDA(1e3), {"activation": "RELU"}, "1 of 1"),
    "two players": (sb.StackelbergGame(SIX, 0.05), sb.StackelbergGDA(200.0), {}, "7 of 7"),
    "adam": (sb.StackelbergGame(SIX, 0.05), sb.StackelbergGDA(5.0), {"optimizer": "Adam"}, "7 of 7"),
    "reward": (sb.RewardGame(SIX, 0.05), sb.RLOO(1e3), {}, "1 of 1"),
    "sampled": (sb.NashGame(SIX, 0.05), sb.GDA(50.0), {}, "1 of 1"),
    "few records": (sb.NashGame(SIX, 0.05), sb.GDA(50.0), {}, "1 of 1"),
}


def network(activation=None, optimizer=None):
    return sb.Neural(
        hidden=(16,),
        activation=sb.Activation[activation] if activation else sb.Activation.TANH,
        optimizer=getattr(sb, optimizer)() if optimizer else None,
    )


@pytest.mark.parametrize("name", SATURATING)
def test_networks_that_saturate_say_so(name):
    pytest.importorskip("torch", reason="torch is not installed")
    game, solver, options, rows = SATURATING[name]
    sampling = sb.Sample(20) if name == "sampled" else sb.Enumerate()
    steps = 30 if name == "few records" else 300
    solution = sb.solve(game, solver, network(**options), steps=steps, sampling=sampling)
    assert solution.status is sb.Status.RAN
    assert solution.report.startswith(f"ran all {steps} steps; the networks saturate: in {rows} rows one action has")
    players = [solution.leader, solution.follower] if rows == "7 of 7" else [solution.policy]
    assert all((policy.max(axis=-1) > 1 - 1e-6).all() for policy in players)
    assert solution.gap > 1e-3
    after = sb.solve(game, solver, solution.model, steps=20)
    assert after.gap == pytest.approx(solution.gap, rel=1e-6)  # it is true: nothing moves them any more


def test_networks_that_are_rightly_certain_or_go_on_do_not_saturate():
    pytest.importorskip("torch", reason="torch is not installed")
    worse = sb.PreferenceMatrix([[0.5, 1.0], [0.0, 0.5]])  # at tau = 0.02 the first is played but for e⁻⁵⁰
    sure = sb.solve(sb.NashGame(worse, 0.02), sb.GDA(10.0), network(), steps=300)
    assert sure.policy[0] > 1 - 1e-6
    assert "saturate" not in sure.report
    for game, at in ((sb.NashGame(worse, 0.02), sure.model), (sb.NashGame(SIX, 0.05), network())):
        point = (at if at is sure.model else at.model(game)).point(game, sb.Softmax())
        assert saturation(point, Field(natural_field(game))) == ""  # the one certain and right, the other neither
    regressed = sb.solve(sb.StackelbergGame(SIX, 0.05), sb.MirrorDescent(5.0), network(), steps=5)
    assert "saturate" not in regressed.report


# --- the best iterate ------------------------------------------------------------------------------


def test_the_best_iterate_is_the_recorded_one_of_smallest_gap():
    game = sb.NashGame(R, 0.01)
    solution = sb.solve(game, sb.OnlineIPO(2.0), steps=300)
    at = int(solution.trajectory.steps[solution.trajectory.gap.argmin()])
    assert 0 < at < 300
    again = sb.solve(game, sb.OnlineIPO(2.0), steps=at)
    np.testing.assert_array_equal(solution.best.policy, again.policy)
    assert solution.best.gap == again.gap == solution.trajectory.gap.min()
    assert solution.best.report == f"the iterate after {at} steps, of smallest gap among the 31 recorded"
    assert solution.best.gap < solution.gap


def test_over_contexts_the_weighted_gap_decides():
    several = sb.PreferenceMatrix.random(6, seed=5, contexts=3)
    found = []
    for weights in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]):
        game = sb.NashGame(several, 0.01, context_weights=weights)
        solution = sb.solve(game, sb.OnlineIPO(0.3), steps=300)
        gaps = solution.trajectory.gap @ np.array(weights)
        np.testing.assert_array_equal(solution.best.gap, solution.trajectory.gap[gaps.argmin()])
        found.append(solution.best.report)
    assert found[0] != found[1]


@pytest.mark.parametrize("record", [None, sb.Record(best=False), sb.Record(gap=False)])
def test_no_best_iterate_where_none_is_kept(record):
    assert sb.solve(NASH, sb.EGPO(), steps=20, record=record).best is None
