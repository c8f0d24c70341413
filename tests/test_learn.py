"""What a run says of itself: status, records, averages, refusals."""

import numpy as np
import pytest

import stackelberg as sb
from stackelberg.point import Joint
from stackelberg.policy import Tabular

P = sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2])
STACKELBERG, NASH, REWARD = sb.StackelbergGame(P, 0.3), sb.NashGame(P, 0.3), sb.RewardGame(P, 0.3)
SEVERAL = sb.StackelbergGame(sb.PreferenceMatrix.random(4, contexts=3), 0.3)


ZEROS = {
    "reference": lambda zeros: sb.NashGame(sb.PreferenceMatrix.cycle(3), 0.1, zeros),
    "leader_reference": lambda zeros: sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), 0.1, leader_reference=zeros),
    "follower_reference": lambda zeros: sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), 0.1, follower_reference=zeros),
}


@pytest.mark.parametrize("policy", ["tables", "float32", "networks"])
@pytest.mark.parametrize("name", ZEROS)
def test_a_reference_with_zeros_is_solved_exactly_and_not_learned(name, policy):
    game = ZEROS[name]([0.7, 0.3, 0.0])
    exact = sb.solve(game)
    assert exact.gap < 1e-9
    policies = {"leader_reference": "leader", "follower_reference": "follower"}
    assert (getattr(exact, policies.get(name, "policy"))[..., 2] == 0).all()
    if policy == "networks":
        pytest.importorskip("torch", reason="torch is not installed")
    learner = {"tables": lambda: None, "float32": lambda: sb.Tables("float32"), "networks": sb.Neural}[policy]()
    words = rf"^{name} has zeros, the first for '2', but .*solve exactly: sb.solve\(game\) without a solver"
    with pytest.raises(ValueError, match=words):
        sb.solve(game, sb.GDA(), learner, steps=2)


def test_a_run_that_uses_its_budget_says_so():
    solution = sb.solve(NASH, sb.EGPO(0.01), steps=7)
    assert solution.status is sb.Status.RAN
    assert solution.report.startswith("ran all 7 steps; the gap went from ")
    assert isinstance(solution, sb.NashSolution)


def test_no_steps_is_the_reference():
    solution = sb.solve(STACKELBERG, sb.MirrorDescent(), steps=0)
    np.testing.assert_allclose(solution.leader, 1 / 3)
    np.testing.assert_allclose(solution.follower, 1 / 3)
    assert solution.trajectory.steps.tolist() == [0]
    assert solution.gap == pytest.approx(sb.duality_gap(STACKELBERG, [1 / 3] * 3, [1 / 3] * 3))


@pytest.mark.parametrize("game", [STACKELBERG, NASH, REWARD, SEVERAL], ids=["stackelberg", "nash", "reward", "several"])
def test_a_run_stops_at_a_record_within_the_tolerance(game):
    solution = sb.solve(game, sb.MirrorDescent(0.5), steps=5000, tolerance=1e-6)
    assert solution.status is sb.Status.REACHED
    assert np.max(solution.gap) <= 1e-6 < np.max(solution.trajectory.gap[-2])
    assert solution.report == f"stopped at the tolerance 1e-06 after {solution.trajectory.steps[-1]} steps"


@pytest.mark.parametrize(("rate", "kappa", "blamed"), [(10.0, 1, "first mover's"), (0.1, 90, "Follower's")])
def test_a_divergence_is_reported_with_its_step_and_cause_and_the_last_finite_point(rate, kappa, blamed):
    solution = sb.solve(STACKELBERG, sb.MirrorDescent(rate, kappa), steps=100_000)
    assert solution.status is sb.Status.DIVERGED
    step = int(solution.report.split("diverged at step ")[1].split(":")[0])
    assert 0 < step < 5000
    assert blamed in solution.report
    assert "above 2" in solution.report
    for array in (solution.leader, solution.follower, solution.gap, solution.trajectory.gap):
        assert np.isfinite(array).all()
    np.testing.assert_allclose(solution.leader.sum(), 1)


def test_a_divergence_without_a_pull_blames_the_rate():
    solution = sb.solve(sb.StackelbergGame(P, 0), sb.MirrorDescent(lambda t: 10.0 ** min(40 * t, 308)), steps=50)
    assert solution.status is sb.Status.DIVERGED
    assert "too large. Divide them by ten" in solution.report


def test_large_finite_steps_do_not_overflow():
    solution = sb.solve(sb.NashGame(P, 0), sb.SelfPlay(1e6), steps=20)
    assert solution.status is sb.Status.RAN
    np.testing.assert_allclose(solution.policy.sum(), 1)


@pytest.mark.parametrize("geometry", [sb.Simplex(), sb.Softmax()], ids=["simplex", "softmax"])
def test_gda_carries_the_weight_of_the_row(geometry):
    """A row that the Leader never plays does not learn; mirror descent, which divides π(y) out, teaches it."""
    start = (np.array([1 - 2e-12, 1e-12, 1e-12]), None)
    moved = sb.solve(STACKELBERG, sb.StackelbergGDA(0.1, geometry=geometry), steps=1, start=start).follower
    assert np.abs(moved[0] - 1 / 3).max() > 5e-3
    np.testing.assert_allclose(moved[1:], 1 / 3, atol=1e-10)
    assert np.abs(sb.solve(STACKELBERG, sb.MirrorDescent(0.1), steps=1, start=start).follower[1:] - 1 / 3).min() > 1e-3


def test_published_gda_by_hand():
    """One step written out, from uniform references, where the KL part is constant along the simplex."""
    solution = sb.solve(STACKELBERG, sb.StackelbergGDA(0.03, kappa=5), steps=1)
    gradient = -P.probabilities / 3  # the factor π(y)
    np.testing.assert_allclose(
        solution.follower, 1 / 3 + 0.15 * (gradient - gradient.mean(axis=1, keepdims=True)), atol=1e-12
    )
    pull = P.probabilities.mean(axis=1)
    np.testing.assert_allclose(solution.leader, 1 / 3 + 0.03 * (pull - pull.mean()), atol=1e-12)


def test_records_come_every_so_often_and_last():
    run = sb.solve(SEVERAL, sb.MirrorDescent(), steps=25, record=sb.Record(every=10, distance=True)).trajectory
    assert run.steps.tolist() == [0, 10, 20, 25]
    assert len(run) == 4
    for array in (run.gap, run.value, run.kl, run.average_gap, run.distance):
        assert array.shape == (4, 3)
    assert (np.diff(run.distance, axis=0) < 0).all()


def test_the_distance_is_the_kl_of_the_pairs_that_are_played():
    run = sb.solve(SEVERAL, sb.MirrorDescent(0.3), steps=4, record=sb.Record(every=4, distance=True))
    exact = sb.solve(SEVERAL)
    joint, target = (each.leader[..., None] * each.follower for each in (run, exact))
    divergence = sb.kl_divergence(target.reshape(3, -1), joint.reshape(3, -1))
    np.testing.assert_allclose(run.trajectory.distance[-1], divergence, atol=1e-12)
    one = sb.solve(REWARD, sb.MirrorDescent(0.3), steps=4, record=sb.Record(distance=True))
    wanted = float(sb.kl_divergence(sb.solve(REWARD).policy, one.policy))
    assert one.trajectory.distance[-1] == pytest.approx(wanted, abs=1e-12)
    assert one.trajectory.kl[-1] == pytest.approx(one.kl)


def test_recording_does_not_change_the_run():
    plain = sb.solve(SEVERAL, sb.MirrorDescent(), steps=25, record=None)
    assert plain.trajectory is None
    assert plain.average is None
    for record in (sb.Record(), sb.Record(every=3, gap=False, distance=True, average=False)):
        np.testing.assert_array_equal(
            sb.solve(SEVERAL, sb.MirrorDescent(), steps=25, record=record).leader, plain.leader
        )


def test_what_is_not_recorded_is_none():
    solution = sb.solve(NASH, sb.EGPO(), steps=5, record=sb.Record(gap=False, average=False))
    assert solution.trajectory.gap is None
    assert solution.trajectory.average_gap is None
    assert solution.trajectory.distance is None
    assert solution.average is None
    assert solution.gap > 0


def test_the_average_is_the_mean_of_all_iterates_with_its_own_gap():
    runs = [sb.solve(SEVERAL, sb.MirrorDescent(0.3), steps=t, record=None) for t in range(6)]
    average = sb.solve(SEVERAL, sb.MirrorDescent(0.3), steps=5, record=sb.Record(every=2)).average
    assert isinstance(average, sb.StackelbergSolution)
    np.testing.assert_allclose(average.leader, np.mean([run.leader for run in runs], axis=0), atol=1e-14)
    np.testing.assert_allclose(average.follower, np.mean([run.follower for run in runs], axis=0), atol=1e-14)
    np.testing.assert_allclose(average.gap, sb.duality_gap(SEVERAL, average.leader, average.follower), atol=1e-12)
    assert average.report == "the mean of 6 iterates"


@pytest.mark.parametrize("game", [STACKELBERG, NASH, REWARD], ids=["stackelberg", "nash", "reward"])
def test_a_learned_solution_reads_as_an_exact_one(game):
    learned, exact = sb.solve(game, sb.MirrorProx(2.0), steps=200), sb.solve(game)
    assert learned.as_dict().keys() == exact.as_dict().keys()
    assert learned.value == pytest.approx(exact.value, abs=1e-10)
    assert learned.trajectory.value[-1] == pytest.approx(exact.value, abs=1e-10)
    assert exact.trajectory is None
    assert exact.report == sb.Status.SOLVED.value


def test_schedules_are_read_at_every_step():
    seen = []
    sb.solve(NASH, sb.EGPO(lambda t: seen.append(t) or 0.1), steps=3, record=None)
    assert sorted(set(seen)) == [0, 1, 2]


def test_progress_is_shown_on_request(capsys):
    sb.solve(NASH, sb.EGPO(), steps=3)
    assert capsys.readouterr() == ("", "")
    sb.solve(NASH, sb.EGPO(), steps=3, progress=True)
    assert "learning: 3 of 3 steps" in capsys.readouterr().err


ZERO = sb.NashGame(P, 0)
BARRED = sb.NashGame(P, 0.1, [0.5, 0.5, 0.0])
REFUSALS = {
    "EGPO is a rule for a NashGame, not for a RewardGame": lambda: sb.solve(REWARD, sb.EGPO()),
    "StackelbergGDA is a rule for a StackelbergGame": lambda: sb.solve(NASH, sb.StackelbergGDA()),
    "SelfPlay drops the KL part, and this game has tau = 0.3": lambda: sb.solve(NASH, sb.SelfPlay()),
    "kappa = 5 weighs a Follower": lambda: sb.solve(NASH, sb.MirrorDescent(kappa=5)),
    "reference has zeros": lambda: sb.solve(BARRED, sb.EGPO()),
    "start's policy has zeros": lambda: sb.solve(NASH, sb.EGPO(), start=[1.0, 0.0, 0.0]),
    "start's policy must sum to 1": lambda: sb.solve(NASH, sb.EGPO(), start=[1.0, 1.0, 0.0]),
    "is a pair": lambda: sb.solve(STACKELBERG, sb.MirrorDescent(), start=[1.0, 0.0, 0.0]),
    "steps must be a whole number": lambda: sb.solve(NASH, sb.EGPO(), steps=1.5),
    "no gap is recorded": lambda: sb.solve(NASH, sb.EGPO(), tolerance=1e-6, record=None),
    "Pass sb.MirrorDescent": lambda: sb.solve(NASH, steps=10),
    "are for a solver": lambda: sb.solve(NASH, record=sb.Record(every=1)),
    "learning_rate must be a positive": lambda: sb.EGPO(learning_rate=0),
    r"learning_rate\(2\) must be zero or a positive": lambda: sb.solve(NASH, sb.EGPO(lambda t: 1 - t)),
    "kappa must be a positive": lambda: sb.MirrorDescent(kappa=-1),
    "every must be a positive": lambda: sb.Record(every=0),
}


@pytest.mark.parametrize("sentence", REFUSALS)
def test_what_cannot_be_is_refused_with_a_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        REFUSALS[sentence]()


@pytest.mark.parametrize("wrong", ["EGPO", sb.EGPO, 0.1])
def test_a_solver_is_a_solver(wrong):
    with pytest.raises(TypeError, match="second argument is the solver"):
        sb.solve(NASH, wrong)


def test_a_record_is_a_record():
    with pytest.raises(TypeError, match=r"Pass sb.Record\(every=10\)"):
        sb.solve(NASH, sb.EGPO(), record=10)


def test_the_simplex_may_be_started_at_its_boundary():
    start = (np.array([1.0, 0.0, 0.0]), None)
    solution = sb.solve(STACKELBERG, sb.StackelbergGDA(0.02), steps=5000, start=start)
    assert solution.gap < 1e-9


def test_logits_below_the_smallest_float_are_kept():
    table = Tabular.from_logits([0.0, -1000.0])
    assert table.probabilities.tolist() == [1.0, 0.0]
    assert table.logits.tolist() == [0.0, -1000.0]
    assert table.shifted(np.array([0.0, 1.0]), 1000.0).probabilities.tolist() == [0.5, 0.5]


def test_joint_arithmetic_goes_part_by_part():
    one, two = Joint((1.0, 2.0)), Joint((3.0, 5.0))
    assert (one + two).parts == (4.0, 7.0)
    assert (two - one).parts == (2.0, 3.0)
    assert (two / one).parts == (3.0, 2.5)
    assert (1 + 2 * one).parts == (3.0, 5.0)
    assert len(one) == 2
    with pytest.raises(ValueError, match="zip"):
        one + Joint((1.0,))
