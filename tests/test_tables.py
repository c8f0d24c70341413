"""Tables in other precisions: the same solvers, the same trajectories; ``test_devices.py`` has torch's."""

import numpy as np
import pytest
from cases import CONCEPTS, LEARNERS, TAU

import stackelberg as sb
from stackelberg.field import Field, natural_field
from stackelberg.pairing import starting_point
from stackelberg.point import Joint, Point
from stackelberg.policy import Tabular

PAIRS = [(learner, concept) for learner in LEARNERS for concept in CONCEPTS if concept.name in learner.concepts]
NAMED = pytest.mark.parametrize(("learner", "concept"), PAIRS, ids=[f"{x.name}-{y.name}" for x, y in PAIRS])
REFERENCE = np.array([0.4, 0.3, 0.2, 0.1])
RECORD = sb.Record(every=5)


def made(learner, concept):
    p = 0.05 + 0.9 * sb.PreferenceMatrix.random(4, 3, contexts=3).probabilities
    return concept.game(p, np.array([TAU, TAU, 0.7]) if learner.regularised else 0, REFERENCE)


def policies(solution):
    return (solution.leader, solution.follower) if isinstance(solution, sb.StackelbergSolution) else (solution.policy,)


@NAMED
def test_float32_walks_the_same_way_as_far_as_it_can_see(learner, concept):
    game = made(learner, concept)
    tables = sb.Tables(dtype="float32")
    exact, coarse = (sb.solve(game, learner.solver, policy, steps=30, record=RECORD) for policy in (None, tables))
    for one, other in zip(policies(exact), policies(coarse), strict=True):
        assert other.dtype == np.float64
        np.testing.assert_allclose(other, one, atol=5e-5)
        np.testing.assert_allclose(other.sum(axis=-1), 1, atol=1e-12)
    assert any(np.abs(a - b).max() > 1e-12 for a, b in zip(policies(exact), policies(coarse), strict=True))


@pytest.mark.parametrize("device", [None, "cpu"])
def test_float32_reaches_the_solution_to_its_precision(device):
    if device:
        pytest.importorskip("torch")
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(5, 1), 0.2)
    run = sb.solve(game, sb.MirrorDescent(0.5, kappa=5), sb.Tables("float32", device), steps=500)
    exact = sb.solve(game)
    assert 0 <= run.gap + 1e-12 < 1e-6
    np.testing.assert_allclose(run.leader, exact.leader, atol=1e-5)
    np.testing.assert_allclose(run.follower, exact.follower, atol=1e-5)


def test_an_annealed_tau_reaches_tables_in_float32():
    game, solver = sb.StackelbergGame(sb.PreferenceMatrix.random(4, 3), 0.4), sb.MirrorDescent(0.5)
    annealed = sb.MirrorDescent(0.5, tau_scale=sb.Linear(1.0, 0.1, 15))
    found, wanted = (sb.solve(game, annealed, tables, steps=30) for tables in (sb.Tables("float32"), None))
    np.testing.assert_allclose(found.leader, wanted.leader, atol=5e-5)
    assert np.abs(sb.solve(game, solver, steps=30).leader - wanted.leader).max() > 0.05


@pytest.mark.parametrize("geometry", [sb.Natural(), sb.Softmax(), sb.Simplex()])
@pytest.mark.parametrize("n", [4, 40])
def test_a_step_keeps_the_precision_that_was_asked_for(geometry, n):
    kernel = sb.Tables("float32").kernel()
    table = Tabular.from_logits(np.zeros((300, n)), kernel)
    point = Point(geometry, (table,)).step(Joint((0.1,)), Joint((np.eye(300, n),)))
    assert point.own[0].weights.dtype == point.own[0].exponents.dtype == np.float32
    assert point.tables[0].probabilities.dtype == np.float64


def test_a_device_that_is_not_there_is_refused():
    torch = pytest.importorskip("torch")
    game = sb.NashGame(sb.PreferenceMatrix.cycle(3), 0.1)
    missing = "cuda:99" if torch.cuda.is_available() else "cuda"
    with pytest.raises(ValueError, match=r"cannot be used here.*Pass a device that is there"):
        sb.solve(game, sb.EGPO(), sb.Tables(device=missing), steps=1)


@pytest.mark.parametrize("dtype", ["float16", "int64", "nonsense"])
def test_a_precision_is_float64_or_float32(dtype):
    with pytest.raises(ValueError, match="dtype must be float64 or float32"):
        sb.Tables(dtype=dtype)


SAMPLINGS = {
    "on policy": sb.Sample(20),
    "uniform": sb.Sample(20, sb.LeaveOneOut(), behaviour=sb.UniformActions()),
}


@pytest.mark.parametrize("sampling", SAMPLINGS)
@NAMED
def test_a_sampled_run_draws_alike_in_every_precision(learner, concept, sampling):
    """Equal seeds draw equal actions, so that the trajectories differ by rounding alone."""
    game, options = made(learner, concept), {"steps": 20, "record": RECORD, "sampling": SAMPLINGS[sampling], "seed": 3}
    exact = sb.solve(game, learner.solver, **options)
    other = sb.solve(game, learner.solver, sb.Tables("float32"), **options)
    atol = 5e-5
    for one, two in zip(policies(exact), policies(other), strict=True):
        np.testing.assert_allclose(two, one, atol=atol)
    np.testing.assert_allclose(other.trajectory.gap, exact.trajectory.gap, atol=10 * atol)
    enumerated = sb.solve(game, learner.solver, steps=20, record=RECORD)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(policies(exact), policies(enumerated), strict=True))


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("concept", CONCEPTS, ids=lambda concept: concept.name)
def test_draws_are_unbiased_at_tables_in_float32(concept, device):
    if device:
        pytest.importorskip("torch")
    game = concept.game(sb.PreferenceMatrix.random(4, 3).probabilities, 0.3, REFERENCE)
    pull, solver = natural_field(game), sb.GDA(geometry=sb.Softmax())
    point = starting_point(game, solver, sb.Tables("float32", device), pull, None)
    exact = point_arrays(Field(pull)(point).total)
    drawing = Field(pull, sb.Sample(50), np.random.default_rng(0))
    looks = [point_arrays(drawing(point).total) for _ in range(2000)]
    for wanted, found in zip(exact, zip(*looks, strict=True), strict=True):
        mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / len(looks) ** 0.5
        assert (np.abs(mean - wanted) <= 4.5 * error + 1e-6).all()
        assert (error < 0.03 * np.abs(wanted).max()).all()  # a bias of a seventh of the field would be seen


def point_arrays(force):
    return [np.asarray(part.array if hasattr(part, "array") else part, dtype=float) for part in force.parts]


def test_memory_is_used_again_only_when_nobody_holds_it():
    """Points never change, however many steps are taken from them."""
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(200), 0.1)
    table = Tabular.from_logits(np.zeros((1, 200, 200)))
    force = -game.preference.stacked
    kept, copies = [], []
    for k in range(12):
        table = table.shifted(force, 0.1 * k)
        kept.append((table, table.logits[:, 5:7], table.weights))
        copies.append((table.logits[:, 5:7].copy(), table.weights.copy()))
        for _ in range(3):
            table.shifted(force, 1.0)
    for (_, row, weights), (row_then, weights_then) in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(row, row_then)
        np.testing.assert_array_equal(weights, weights_then)
