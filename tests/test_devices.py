"""What runs on a torch device gives what NumPy, or the processor, gives: tables, networks, files, reports.

On the processor in every run; on a CUDA device where there is one (``make cuda``). Where there is none, a device
whose memory NumPy cannot see stands in for it (``far.py``): numbers read behind the device's back fail there too.

Tolerances: 1e-10 in float64 and 5e-5 in float32 for what short runs lead to, ten times that for gaps.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import CONCEPTS, LEARNERS, TAU
from devices import CHOSEN, device

import stackelberg as sb
from stackelberg.combination import Combination
from stackelberg.simplex import project

torch = pytest.importorskip("torch", reason="torch is not installed")

__all__ = ["device"]

PAIRS = [(learner, concept) for learner in LEARNERS for concept in CONCEPTS if concept.name in learner.concepts]
NAMED = pytest.mark.parametrize(("learner", "concept"), PAIRS, ids=[f"{x.name}-{y.name}" for x, y in PAIRS])
DTYPES = pytest.mark.parametrize("dtype", ["float64", "float32"])
TOLERANCE = {"float64": 1e-10, "float32": 5e-5}
REFERENCE = np.array([0.4, 0.3, 0.2, 0.1])
SAMPLINGS = {
    "all actions": sb.Enumerate(),
    "on policy": sb.Sample(20),
    "uniform": sb.Sample(20, sb.LeaveOneOut(), behaviour=sb.UniformActions()),
}


def made(learner, concept):
    p = 0.05 + 0.9 * sb.PreferenceMatrix.random(4, 3, contexts=3).probabilities
    return concept.game(p, np.array([TAU, TAU, 0.7]) if learner.regularised else 0, REFERENCE)


def policies(solution):
    return (solution.leader, solution.follower) if isinstance(solution, sb.StackelbergSolution) else (solution.policy,)


def assert_near(found, wanted, atol):
    for one, other in zip(policies(found), policies(wanted), strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, atol=atol, rtol=0)


def assert_equal(found, wanted):
    for one, other in zip(policies(found), policies(wanted), strict=True):
        np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------------ tables


@pytest.mark.parametrize("sampling", SAMPLINGS)
@DTYPES
@NAMED
def test_tables_walk_numpys_way(learner, concept, dtype, sampling, device):
    """Equal seeds draw equal actions, so that the trajectories differ by rounding alone."""
    game, atol = made(learner, concept), TOLERANCE[dtype]
    options = {"steps": 20, "record": sb.Record(every=5), "sampling": SAMPLINGS[sampling], "seed": 3}
    ours = sb.solve(game, learner.solver, **options)
    theirs = sb.solve(game, learner.solver, sb.Tables(dtype, device), **options)
    assert_near(theirs, ours, atol)
    for name in ("gap", "value", "kl", "average_gap"):
        wanted = getattr(ours.trajectory, name)
        np.testing.assert_allclose(getattr(theirs.trajectory, name), wanted, atol=10 * atol, rtol=0, err_msg=name)
    if dtype == "float32":  # else it was not that precision that walked
        assert any(np.abs(a - b).max() > 1e-12 for a, b in zip(policies(ours), policies(theirs), strict=True))


@DTYPES
def test_tables_reach_the_solution(dtype, device):
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(40, 1), 0.2)
    run, exact = sb.solve(game, sb.MirrorDescent(1.0, kappa=5), sb.Tables(dtype, device), steps=120), sb.solve(game)
    assert abs(run.gap) < (1e-12 if dtype == "float64" else 1e-6)
    assert_near(run, exact, TOLERANCE[dtype])


@DTYPES
def test_many_games_at_once(dtype, device):
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(10, contexts=200), 0.1)
    for solver in (sb.MirrorDescent(0.5, 5), sb.StackelbergGDA(0.02), sb.StackelbergGDA(0.5, geometry=sb.Softmax())):
        found, wanted = (sb.solve(game, solver, tables, steps=10) for tables in (sb.Tables(dtype, device), None))
        assert_near(found, wanted, TOLERANCE[dtype])


@DTYPES
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_projections_onto_the_simplex_are_numpys(scale, dtype, device):
    """Rows that stay inside, that lose some of their actions, and that end in a corner."""
    kernel, values = sb.Tables(dtype, device).kernel(), scale * np.random.default_rng(0).normal(size=(3, 50, 8))
    values += np.where(np.arange(8) == 2, scale, 0) + 1 / 8
    wanted = project(values)
    table, logits, finite, _, _ = kernel.project(Combination((1.0, kernel.native(values))), 1e-12)
    assert finite
    np.testing.assert_allclose(kernel.exact(table), wanted, atol=1e-12 if dtype == "float64" else 1e-5)
    logarithms = np.log(np.maximum(kernel.exact(table), 1e-12))
    np.testing.assert_allclose(kernel.exact(logits), logarithms, atol=1e-12 if dtype == "float64" else 1e-5)
    played = (wanted > 0).sum(axis=-1)
    assert (played.max() == 8) if scale < 1 else (played.min() == 1)


@DTYPES
@pytest.mark.parametrize("solver", [sb.MirrorDescent(0.5), sb.NashMDPG(0.5)])
def test_an_annealed_tau_reaches_the_device(solver, dtype, device):
    scaled = dataclasses.replace(solver, tau_scale=sb.Linear(1.0, 0.1, 15))
    game = sb.NashGame(sb.PreferenceMatrix.random(4, 3), 0.4, REFERENCE)
    found, wanted = (sb.solve(game, scaled, tables, steps=20) for tables in (sb.Tables(dtype, device), None))
    assert_near(found, wanted, TOLERANCE[dtype])
    plain = sb.solve(game, dataclasses.replace(scaled, tau_scale=1.0), steps=20)
    assert np.abs(plain.policy - wanted.policy).max() > 0.01


REMEMBERING = [row for row in PAIRS if row[0].name in ("mirror", "optimistic on the simplex", "gda in softmax", "mpo")]


@DTYPES
@pytest.mark.parametrize("sampling", ["all actions", "on policy"])
@pytest.mark.parametrize(("learner", "concept"), REMEMBERING, ids=[f"{x.name}-{y.name}" for x, y in REMEMBERING])
def test_a_run_of_tables_that_stopped_goes_on_as_if_it_had_not(tmp_path, learner, concept, dtype, sampling, device):
    game, solver, tables = made(learner, concept), learner.solver, sb.Tables(dtype, device)
    options = {"sampling": SAMPLINGS[sampling], "seed": 2, "record": sb.Record(every=3)}
    whole = sb.solve(game, solver, tables, steps=14, **options)
    sb.solve(game, solver, tables, steps=5, checkpoint=sb.Checkpoint(tmp_path, every=2), **options)
    again = sb.resume(tmp_path, steps=14)
    assert_equal(again, whole)
    np.testing.assert_array_equal(again.trajectory.gap, whole.trajectory.gap)
    assert_equal(sb.load(tmp_path / "solution.npz"), whole)


DIVERGING = {
    "too steep a pull": (sb.NashGame(sb.PreferenceMatrix.cycle(3), 0.5, [0.5, 0.3, 0.2]), sb.OnlineIPO(5.0)),
    "jumping": (
        sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2]), 0.1),
        sb.StackelbergGDA(0.5, kappa=20),
    ),
    "circling": (sb.NashGame(sb.PreferenceMatrix.cycle(3), 0.01, [0.5, 0.3, 0.2]), sb.OnlineIPO(2.0)),
}


@pytest.mark.parametrize("name", DIVERGING)
def test_a_run_that_does_not_settle_is_told_alike(name, device):
    game, solver = DIVERGING[name]
    options = {"steps": 200, "record": sb.Record(every=5)}
    found, wanted = (sb.solve(game, solver, tables, **options) for tables in (sb.Tables(device=device), None))
    assert found.status is wanted.status
    assert found.report.split(" is ")[0] == wanted.report.split(" is ")[0]
    assert "learning rate" in wanted.report or "keeps jumping" in wanted.report


# ------------------------------------------------------------------ networks

MIXTURE = sb.AnnotatorMixture.random(3, types=4, features=2, seed=0)
FEATURES = MIXTURE.draw(5, seed=1)
SB, NASH = sb.StackelbergGame(MIXTURE, 0.2, contexts=FEATURES), sb.NashGame(MIXTURE, 0.2, contexts=FEATURES)
STEPS = [
    (SB, sb.StackelbergGDA(3.0), {}),
    (SB, sb.StackelbergGDA(0.03), {"optimizer": sb.Adam()}),
    (SB, sb.StackelbergGDA(1.0), {"shared": True}),
    (SB, sb.StackelbergGDA(0.03), {"shared": True, "optimizer": sb.Adam()}),
    (SB, sb.MirrorDescent(1.0), {}),
    (SB, sb.MirrorDescent(1.0), {"shared": True}),
    (NASH, sb.NashMDPG(5.0), {}),
    (NASH, sb.EGPO(1.0), {"activation": sb.Activation.GELU}),
]


@pytest.mark.parametrize("sampling", ["all actions", "on policy"])
@DTYPES
@pytest.mark.parametrize(("game", "solver", "options"), STEPS)
def test_networks_walk_the_processors_way(game, solver, options, dtype, sampling, device):
    runs = {"steps": 3, "sampling": SAMPLINGS[sampling], "seed": 4}
    spec = sb.Neural(hidden=(8,), embedding=4, dtype=dtype, **options)
    found = sb.solve(game, solver, dataclasses.replace(spec, device=device), **runs)
    wanted = sb.solve(game, solver, spec, **runs)
    atol = 1e-9 if dtype == "float64" else 2e-4  # regressions amplify the rounding
    assert_near(found, wanted, atol)
    assert np.abs(policies(wanted)[0] - 1 / 3).max() > 10 * atol
    for one, other in zip(found.model.parameters, wanted.model.parameters, strict=True):
        assert one.dtype == other.dtype == np.dtype(dtype)


SPEAKING = {
    "all actions": sb.Enumerate(),
    "to go": sb.Sample(32, sb.LeaveOneOut(), sb.RewardToGo()),
    "Rao–Blackwell": sb.Sample(32, kl=sb.RaoBlackwell()),
    "whole sequences, uniform": sb.Sample(32, kl=sb.SequenceLevel(), behaviour=sb.UniformActions()),
}


def spoken(solver, **options):
    policy = sb.SequencePolicy(vocabulary=3, length=2, hidden=4, **options)
    reference = policy.game_reference(2)
    preference = sb.PreferenceMatrix.random(len(policy.language), 1, contexts=2)
    if solver in (NASH_MD, EGPO):
        return policy, sb.NashGame(preference, 0.3, reference["leader_reference"])
    return policy, sb.StackelbergGame(preference, 0.3, **reference)


NASH_MD, EGPO = sb.NashMDPG(0.3), sb.EGPO(0.3)
SPEAKERS = [
    (sb.StackelbergGDA(0.3, geometry=sb.Softmax()), {}),
    (sb.StackelbergGDA(0.05, geometry=sb.Softmax()), {"shared": True, "optimizer": sb.Adam()}),
    (NASH_MD, {}),
]


@pytest.mark.parametrize("sampling", SPEAKING)
@DTYPES
@pytest.mark.parametrize(("solver", "options"), SPEAKERS)
def test_speakers_walk_the_processors_way(solver, options, dtype, sampling, device):
    policy, game = spoken(solver, dtype=dtype, **options)
    runs = {"steps": 4, "sampling": SPEAKING[sampling], "seed": 4}
    found = sb.solve(game, solver, dataclasses.replace(policy, device=device), **runs)
    wanted = sb.solve(game, solver, policy, **runs)
    assert_near(found, wanted, 1e-9 if dtype == "float64" else 5e-4)
    assert np.abs(policies(wanted)[0] - policies(sb.solve(game, solver, policy, steps=0))[0]).max() > 1e-2


@pytest.mark.parametrize("solver", [sb.MirrorDescent(0.2), EGPO], ids=["Stackelberg", "Nash"])
def test_speakers_are_regressed_as_on_the_processor(solver, device):
    policy, game = spoken(solver)
    found, wanted = (sb.solve(game, solver, dataclasses.replace(policy, device=on), steps=2) for on in (device, "cpu"))
    assert_near(found, wanted, 1e-7)


@pytest.mark.parametrize("kind", ["network", "speaker"])
def test_a_run_of_networks_that_stopped_goes_on_as_if_it_had_not(tmp_path, kind, device):
    solver = sb.StackelbergGDA(0.05, geometry=sb.Softmax())
    game, policy = SB, sb.Neural(hidden=(8,), optimizer=sb.Adam(), device=device)
    if kind == "speaker":
        policy, game = spoken(solver, optimizer=sb.Adam(), device=device)
    options = {"sampling": sb.Sample(16), "seed": 2}
    whole = sb.solve(game, solver, policy, steps=8, **options)
    sb.solve(game, solver, policy, steps=3, checkpoint=tmp_path, **options)
    assert_near(sb.resume(tmp_path, steps=8), whole, 0 if device != "cuda" else 1e-12)  # CUDA adds in any order


@pytest.mark.parametrize("kind", ["network", "speaker"])
def test_what_was_trained_on_the_device_is_read_on_the_processor(tmp_path, kind, device):
    solver = sb.StackelbergGDA(0.05, geometry=sb.Softmax())
    game, policy = SB, sb.Neural(hidden=(8,), device=device)
    if kind == "speaker":
        policy, game = spoken(solver, device=device)
    solution = sb.solve(game, solver, policy, steps=3)
    again = sb.load(solution.save(tmp_path / "solution.npz"))
    assert_equal(again, solution)
    model = again.model.on("cpu")
    assert (again.model.spec.device, model.spec.device) == (device, "cpu")
    assert_near(sb.evaluate(game, model), solution, 1e-12)
    features = game.features[0]
    np.testing.assert_allclose(again.model.leader(features), model.leader(features), atol=1e-12)
    assert isinstance(model.sample(features, np.random.default_rng(0), observed=1), int)


@pytest.mark.parametrize("policy", [sb.Neural(hidden=(4,)), sb.SequencePolicy(2, 2)], ids=["network", "speaker"])
def test_a_model_is_read_where_its_device_is_not(tmp_path, policy):
    """Saved on a machine with the device, loaded on one without; nothing is moved silently."""
    game = sb.NashGame(sb.PreferenceMatrix.cycle(3), 0.1)
    solution = sb.solve(game, sb.GDA(0.1), policy, steps=1)
    elsewhere = dataclasses.replace(solution, model=solution.model.on("cuda:99"))
    again = sb.load(elsewhere.save(tmp_path / "solution.npz"))
    np.testing.assert_array_equal(again.policy, solution.policy)
    with pytest.raises(ValueError, match=r"'cuda:99' cannot be used here.*model\.on\('cpu'\)"):
        again.model.policy([1.0])
    np.testing.assert_allclose(again.model.on("cpu").policy([1.0]), solution.policy)


@pytest.mark.parametrize("kind", ["network", "speaker"])
def test_networks_refuse_a_device_that_is_not_there(kind):
    policy = {"network": sb.Neural, "speaker": sb.SequencePolicy}[kind](device="cuda:99")
    with pytest.raises(ValueError, match="'cuda:99' cannot be used here"):
        sb.solve(sb.NashGame(sb.PreferenceMatrix.random(3 if kind == "network" else 15)), sb.GDA(0.1), policy, steps=1)


# ------------------------------------------------------------------ torch's own settings


def test_fresh_networks_are_the_same_whatever_torchs_default_device(device):
    plain = [*sb.Neural(hidden=(4,)).model(NASH).parameters, *sb.SequencePolicy(2, 2).start(2)]
    reference = sb.SequencePolicy(2, 2).game_reference(2)
    run = sb.solve(NASH, sb.GDA(0.1), sb.Neural(hidden=(4,)), steps=2)
    with torch.device(device):
        here = [*sb.Neural(hidden=(4,)).model(NASH).parameters, *sb.SequencePolicy(2, 2).start(2)]
        again = sb.SequencePolicy(2, 2).game_reference(2)
        assert_equal(sb.solve(NASH, sb.GDA(0.1), sb.Neural(hidden=(4,)), steps=2), run)
    for one, other in zip(plain, here, strict=True):
        np.testing.assert_array_equal(one, other)
    for name, values in reference.items():
        np.testing.assert_array_equal(again[name], values)


def test_fresh_networks_leave_torchs_generators_alone(monkeypatch, device):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)  # what torch.manual_seed does beside its own
    before = torch.get_rng_state()
    sb.solve(NASH, sb.GDA(0.1), sb.Neural(hidden=(4,), seed=5, device=device), steps=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert seeded == []


def test_preferences_on_another_device_are_refused_with_the_way_out(device):
    p = torch.tensor([[0.5, 0.9], [0.1, 0.5]], dtype=torch.float64, device=device)
    if device == "cpu":
        np.testing.assert_array_equal(sb.PreferenceMatrix(p).probabilities, p.numpy())
        return
    with pytest.raises(ValueError, match=r"P .*(Tensor\.cpu\(\)|numpy)"):
        sb.PreferenceMatrix(p)


def test_the_benchmark_runs_and_checks_what_it_measures(monkeypatch, tmp_path, capsys, device):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    import tables_gpu

    monkeypatch.setattr(tables_gpu, "STEPS", 3)
    out = tmp_path / "found.json"
    found = tables_gpu.main(["--device", device, "--small", "--repeats", "1", "--out", str(out)])
    assert json.loads(out.read_text(encoding="utf-8"))["results"] == found["results"]
    assert len(found["results"]) == 4
    for each in found["results"].values():
        assert each["step: times as fast"] == each["step, NumPy"] / each[f"step, {device}"]
    monkeypatch.setitem(tables_gpu.TOLERANCE, "float32", 1e-12)  # float32 does not come so near
    with pytest.raises(AssertionError):
        tables_gpu.main(["--device", device, "--small", "--repeats", "1"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_device_the_benchmark_says_so_in_one_sentence(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    import tables_gpu

    with pytest.raises(SystemExit, match="sees no CUDA device here"):
        tables_gpu.main(["--check"])
    assert "no_such_module cannot be imported" in tables_gpu.refusal("cpu", ("numpy", "no_such_module"))


# ------------------------------------------------------------------ where there is no CUDA device


@pytest.mark.skipif(bool(CHOSEN), reason="one device is tested")
def test_all_of_this_holds_on_a_device_whose_memory_numpy_cannot_see():
    """In a process of its own, for the device is registered for good; float32 is no other way to go wrong there."""
    tests = Path(__file__)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--noconftest", "-p", "no:cacheprovider", str(tests)]
    command += ["-k", "not float32 and not uniform"]
    environment = os.environ | {"STACKELBERG_DEVICE": "far"}
    run = subprocess.run(command, cwd=tests.parent.parent, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
