"""Runs that are killed go on to the identical trajectory, and nothing but their own state is ever taken for it."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from test_saving import assert_same, rewritten

import stackelberg as sb
from stackelberg.cli import main
from stackelberg.container import load_as, save_as, write_file
from stackelberg.point import Joint
from stackelberg.stored_run import STATE, VERSION

ROOT = Path(__file__).resolve().parent.parent
P = sb.PreferenceMatrix.random(5, seed=3)
SEVERAL = sb.PreferenceMatrix.random(4, seed=1, contexts=3)
RUNS = {
    "mirror": (sb.StackelbergGame(P, 0.2), sb.MirrorDescent(0.3, kappa=2)),
    "gda": (sb.StackelbergGame(P, 0.2), sb.StackelbergGDA(0.05)),
    "softmax contexts": (sb.StackelbergGame(SEVERAL, 0.2), sb.StackelbergGDA(0.5, geometry=sb.Softmax())),
    "optimistic contexts": (sb.NashGame(SEVERAL, 0.1), sb.Optimistic(0.3)),
    "omwu": (sb.NashGame(P, 0), sb.OptimisticMWU(0.3)),
    "reward": (sb.RewardGame(P, 0.2), sb.MirrorProx(0.3)),
    "mpo": (sb.NashGame(P, 0), sb.MPO(0.3)),
    "comal": (sb.NashGame(P, 0), sb.COMAL(0.3)),
    "schedules": (sb.StackelbergGame(P, 0.2), sb.MirrorDescent(sb.PowerDecay(0.5), kappa=sb.Linear(1.0, 3.0, 40))),
    "alternating": (
        sb.StackelbergGame(P, 0.2),
        sb.MirrorDescent(0.3, alternating=True, tau_scale=sb.Geometric(4, 0.9, 1)),
    ),
}


SAMPLED = {
    "mirror": sb.MirrorDescent(0.1, kappa=3),
    "optimistic": sb.Optimistic(0.1, kappa=3),
    "extragradient": sb.ExtraGradient(0.1, geometry=sb.Softmax()),
}
SAMPLINGS = {"on policy": sb.Sample(20), "uniform": sb.Sample(5, sb.LeaveOneOut(), behaviour=sb.UniformActions())}


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", SAMPLED)
def test_a_sampled_run_goes_on_with_its_own_random_numbers(tmp_path, name, sampling):
    game, solver = sb.StackelbergGame(SEVERAL, 0.2), SAMPLED[name]
    options = {"sampling": SAMPLINGS[sampling], "seed": 7}
    for steps in (5, 21):
        sb.solve(game, solver, steps=steps, checkpoint=tmp_path, **options)
    whole = sb.solve(game, solver, steps=40, **options)
    assert_same(sb.resume(tmp_path, steps=40), whole)
    other = sb.solve(game, solver, steps=40, sampling=SAMPLINGS[sampling], seed=8)
    assert (other.leader != whole.leader).any()


@pytest.mark.parametrize("name", RUNS)
def test_a_run_in_pieces_is_the_run_in_one(tmp_path, name):
    game, solver = RUNS[name]
    options = {"record": sb.Record(every=7, distance=name not in ("mpo", "comal"), policies=True, forces=True)}
    whole = sb.solve(game, solver, steps=60, **options)
    for steps in (0, 13, 28, 28, 45, 60):
        pieces = sb.solve(game, solver, steps=steps, checkpoint=tmp_path, **options)
        assert_same(pieces, sb.solve(game, solver, steps=steps, **options))
    assert_same(pieces, whole)
    assert_same(sb.resume(tmp_path), whole)
    assert_same(sb.resume(tmp_path, steps=75), sb.solve(game, solver, steps=75, **options))


def test_the_layout_in_memory_survives(tmp_path):
    """Sums depend on it in their last bit: a matrix given by columns must stay one."""
    n = 40
    columns = np.asfortranarray(sb.PreferenceMatrix.random(n, seed=5).probabilities)
    reference = np.asfortranarray(np.random.default_rng(0).dirichlet(np.ones(n), n))
    game = sb.StackelbergGame(sb.PreferenceMatrix(columns), 0.1, follower_reference=reference)
    solver = sb.MirrorDescent(0.4)
    sb.solve(game, solver, steps=11, checkpoint=tmp_path)
    assert_same(sb.resume(tmp_path, steps=30), sb.solve(game, solver, steps=30))


def test_a_finished_run_returns_without_a_step(tmp_path, monkeypatch):
    game, solver = RUNS["mirror"]
    first = sb.solve(game, solver, steps=20, checkpoint=tmp_path)
    monkeypatch.setattr(sb.MirrorDescent, "direction", None)
    before = (tmp_path / "state.npz").read_bytes()
    assert_same(sb.solve(game, solver, steps=20, checkpoint=tmp_path), first)
    assert_same(sb.resume(tmp_path), first)
    assert (tmp_path / "state.npz").read_bytes() == before


def test_a_run_that_reached_its_tolerance_goes_on_to_a_smaller_one(tmp_path):
    game, solver = RUNS["mirror"]
    rough = sb.solve(game, solver, steps=5000, tolerance=1e-3, checkpoint=tmp_path)
    assert rough.status is sb.Status.REACHED
    assert_same(sb.resume(tmp_path), rough)
    fine = sb.solve(game, solver, steps=5000, tolerance=1e-9, checkpoint=tmp_path)
    assert_same(fine, sb.solve(game, solver, steps=5000, tolerance=1e-9))


def test_a_larger_tolerance_stops_where_the_run_stands(tmp_path):
    """The tolerance is part of the budget, as the steps are, and no part of what the run is."""
    game, solver = RUNS["mirror"]
    fine = sb.solve(game, solver, steps=5000, tolerance=1e-6, checkpoint=tmp_path)
    taken = int(fine.trajectory.steps[-1])
    rough = sb.solve(game, solver, steps=5000, tolerance=1e-3, checkpoint=tmp_path)
    assert rough.report == f"stopped at the tolerance 0.001 after {taken} steps"
    np.testing.assert_array_equal(rough.trajectory.gap, fine.trajectory.gap)
    assert sb.solve(game, solver, steps=5000, tolerance=1e-3).trajectory.steps[-1] < taken
    without = sb.solve(game, solver, steps=taken + 30, checkpoint=tmp_path)
    assert_same(without, sb.solve(game, solver, steps=taken + 30))


# --- rules of one's own ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Damped(sb.EGPO):
    """A user's own rule, with a setting and a state of its own."""

    damping: float = 0.5
    shape: object = None

    def init(self, point):
        return Joint(tuple(0 * table.probabilities for table in point.tables))

    def direction(self, t, point, field, state):
        way = field(point).total + self.damping * state
        return way, way


@dataclass(frozen=True)
class Halving(sb.Schedule):
    """A user's own schedule."""

    initial: float

    def __call__(self, t):
        return self.initial * 0.5 ** (t // 20)


def test_a_rule_of_ones_own_goes_on_where_it_was(tmp_path):
    game, solver = sb.NashGame(P, 0.2), Damped(Halving(0.3), damping=0.4)
    whole = sb.solve(game, solver, steps=50)
    for steps in (11, 30, 50):
        pieces = sb.solve(game, solver, steps=steps, checkpoint=tmp_path)
    assert_same(pieces, whole)
    assert_same(sb.load(tmp_path), whole)
    assert (sb.solve(game, sb.EGPO(Halving(0.3)), steps=50).policy != whole.policy).any()


def test_resume_names_the_class_that_no_file_brings_back(tmp_path, monkeypatch):
    solver = Damped(0.3)
    sb.solve(sb.NashGame(P, 0.2), solver, steps=5, checkpoint=tmp_path)
    words = (
        f"The run in {tmp_path} has Damped, a class of your own, which no file can bring back. Go on with the call "
        f"that started it, sb.solve(..., checkpoint={str(tmp_path)!r}), and the same fields."
    )
    with pytest.raises(ValueError, match=re.escape(words)):
        sb.resume(tmp_path)
    monkeypatch.setattr(sb, "Damped", Damped, raising=False)  # a name in no list of ours is never looked up
    with pytest.raises(ValueError, match="has Damped, a class of your own"):
        sb.resume(tmp_path)
    assert main(["learn", "--resume", str(tmp_path)]) == 2
    rewritten_run = json.loads((tmp_path / "run.json").read_text())
    assert rewritten_run["run"]["solver"]["own"] == "Damped"


OTHER_RULES = {
    "solver.damping is 0.5 there and 0.25 here": Damped(0.3, damping=0.25),
    "solver is 'Damped (your own)' there and 'EGPO' here": sb.EGPO(0.3),
    "solver.learning_rate is 0.3 there and 'Halving (your own)' here": Damped(Halving(0.3)),
}


@pytest.mark.parametrize("words", OTHER_RULES)
def test_another_rule_of_ones_own_is_another_run(tmp_path, words):
    sb.solve(sb.NashGame(P, 0.2), Damped(0.3), steps=5, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=re.escape(words)):
        sb.solve(sb.NashGame(P, 0.2), OTHER_RULES[words], steps=9, checkpoint=tmp_path)


def test_a_class_of_the_same_name_is_another_one(tmp_path):
    sb.solve(sb.NashGame(P, 0.2), sb.EGPO(0.3), steps=5, checkpoint=tmp_path)
    own = dataclass(frozen=True)(type("EGPO", (sb.EGPO,), {}))
    with pytest.raises(ValueError, match=r"solver is 'EGPO' there and 'EGPO \(your own\)' here"):
        sb.solve(sb.NashGame(P, 0.2), own(0.3), steps=9, checkpoint=tmp_path)


class Hiding(sb.EGPO):
    """Keeps a number where no checkpoint sees it."""

    def __post_init__(self):
        object.__setattr__(self, "secret", 3)


UNSAVEABLE = {
    "solver is a Hiding that keeps 'secret' outside its fields": lambda: Hiding(),
    "solver.shape is a function, and a function cannot be saved. Use a schedule object": lambda: Damped(shape=len),
    "solver.shape is a object, which cannot be saved. Use the classes of stackelberg.": lambda: Damped(shape=object()),
}


@pytest.mark.parametrize("words", UNSAVEABLE)
def test_what_no_file_can_hold_is_refused_before_the_first_step(tmp_path, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        sb.solve(sb.NashGame(P, 0.2), UNSAVEABLE[words](), steps=5, checkpoint=tmp_path)
    assert os.listdir(tmp_path) == []


def test_interrupted_a_rule_of_ones_own_says_how_to_go_on(tmp_path):
    waiting = [5]  # a step reads its rate more than once, and a second interrupt does not wait

    @dataclass(frozen=True)
    class Interrupting(sb.Schedule):
        def __call__(self, t):
            if t in waiting:
                waiting.clear()
                signal.raise_signal(signal.SIGINT)
            return 0.1

    with pytest.raises(KeyboardInterrupt, match=r"Go on with the same sb.solve.* which has Interrupting, a class of"):
        sb.solve(sb.NashGame(P), sb.EGPO(Interrupting()), steps=50, checkpoint=tmp_path)


def test_an_activation_of_ones_own_is_told_the_named_ones(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    policy = sb.Neural(hidden=(4,), activation=lambda signal: torch.tanh(signal))
    words = r"policy.activation is a function, .* Use one of sb.Activation.TANH, sb.Activation.RELU, .*.SILU"
    with pytest.raises(ValueError, match=words):
        sb.solve(sb.NashGame(P), sb.GDA(), policy, steps=2, checkpoint=tmp_path)
    for wrong in ("tanh", torch.nn.Tanh):
        with pytest.raises(TypeError, match=r"activation must be a function, not .* Pass one of sb.Activation.TANH, "):
            sb.Neural(activation=wrong)


def test_a_divergence_is_kept(tmp_path):
    game, solver = sb.StackelbergGame(P, 0.3), sb.MirrorDescent(10.0)
    first = sb.solve(game, solver, steps=4000, checkpoint=tmp_path)
    assert first.status is sb.Status.DIVERGED
    assert_same(sb.resume(tmp_path), first)
    assert_same(sb.resume(tmp_path, steps=9000), first)


def test_a_start_and_no_record_are_part_of_the_run(tmp_path):
    game = sb.NashGame(P, 0.1)
    options = {"start": np.random.default_rng(0).dirichlet(np.ones(5)), "record": None}
    sb.solve(game, sb.EGPO(), steps=9, checkpoint=tmp_path, **options)
    assert_same(sb.resume(tmp_path, steps=40), sb.solve(game, sb.EGPO(), steps=40, **options))


def test_every_so_many_steps_means_that(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(
        "stackelberg.checkpoint.save_as", lambda path, kind, version, content, **_: saved.append(content)
    )
    sb.solve(*RUNS["mirror"], steps=10, checkpoint=sb.Checkpoint(tmp_path, every=4))
    assert [content["step"] for content in saved] == [0, 4, 8, 10]
    saved.clear()
    sb.solve(*RUNS["gda"], steps=10, checkpoint=sb.Checkpoint(tmp_path / "clock", seconds=1e6))
    assert [content["step"] for content in saved] == [0, 10]


def test_saving_by_the_clock_takes_a_fiftieth_of_the_time_at_most(tmp_path, monkeypatch):
    """With a clock of our own: a step takes one second, a save twenty."""
    now, saved = [0.0], []
    monkeypatch.setattr("stackelberg.checkpoint.time.monotonic", lambda: now[0])

    def slow(path, kind, version, content, **_):
        now[0] += 20
        saved.append(content["step"])

    def rate(t):
        now[0] += 0.5  # read twice: by the rule, and by the loop
        return 0.1

    monkeypatch.setattr("stackelberg.checkpoint.save_as", slow)
    monkeypatch.setattr("stackelberg.checkpoint.Packer.pack", lambda self, value, path: None)
    sb.solve(sb.NashGame(P), sb.EGPO(rate), steps=2500, checkpoint=tmp_path)
    assert saved == [0, 1000, 2000, 2500]


# --- killed ----------------------------------------------------------------------------------------

PROGRAM = """
import os, signal, sys
import numpy as np
import stackelberg as sb
from stackelberg import container

game = sb.StackelbergGame(sb.PreferenceMatrix.random(12, seed=4), 0.05)
solver = sb.Optimistic(0.05, kappa=3)

def run(folder, **checkpoint):
    return sb.solve(game, solver, steps=1500, record=sb.Record(every=5, distance=True),
                    checkpoint=sb.Checkpoint(folder, **checkpoint))
"""


def scope():
    """The game, the solver and the uninterrupted run of PROGRAM."""
    names = {}
    exec(PROGRAM, names)
    return names["game"], names["solver"]


@pytest.fixture(scope="module")
def uninterrupted():
    game, solver = scope()
    return sb.solve(game, solver, steps=1500, record=sb.Record(every=5, distance=True))


def python(code, *arguments, **options):
    """A process of its own that runs PROGRAM and then ``code``."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def wait_for(path, process):
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)


def test_killed_at_random_moments_it_still_ends_the_same(tmp_path, uninterrupted):
    """Every step is saved, so that most of the time a kill falls into a save."""
    rng = np.random.default_rng()  # new moments each time: whatever they are, the end must be the same
    steps = []
    for _ in range(4):
        process = python("run(sys.argv[1], every=1)", tmp_path)
        wait_for(tmp_path / "run.json", process)
        time.sleep(rng.uniform(0.0, 0.3))
        process.kill()
        process.communicate()
        content, _ = load_as(tmp_path / "state.npz", STATE, VERSION)
        steps.append(content["step"])
    assert steps == sorted(steps)
    assert_same(sb.resume(tmp_path), uninterrupted)


@pytest.mark.parametrize("where", ["half the bytes", "before fsync", "before replace", "after replace"])
@pytest.mark.parametrize("save", [0, 1, 2, 3])
def test_killed_in_the_middle_of_a_save_the_one_before_is_whole(tmp_path, uninterrupted, where, save):
    """The first save has two files before it and one behind it: save 0 is run.npz, 2 is run.json."""
    process = python(
        """
        where, target = sys.argv[2], int(sys.argv[3])
        count, kill = [-1], lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        write, fsync, replace = container.write_file, os.fsync, os.replace

        def counted(path, writer):
            count[0] += 1
            if count[0] != target:
                return write(path, writer)
            if where == "half the bytes":
                def writer(stream, whole=writer):
                    whole(stream)
                    stream.truncate(stream.tell() // 2)
                    stream.flush()
                    kill()
            if where == "before fsync":
                os.fsync = kill
            if where == "before replace":
                os.replace = kill
            if where == "after replace":
                os.replace = lambda *paths: (replace(*paths), kill())
            write(path, writer)

        container.write_file = counted
        import stackelberg.checkpoint
        stackelberg.checkpoint.write_file = counted
        run(sys.argv[1], every=100)
        """,
        tmp_path,
        where,
        save,
    )
    _, said = process.communicate()
    assert process.returncode == -signal.SIGKILL, said
    if (tmp_path / "run.json").exists():
        content, _ = load_as(tmp_path / "state.npz", STATE, VERSION)
        assert content["step"] == (100 if (save, where) == (3, "after replace") else 0)
        assert_same(sb.resume(tmp_path), uninterrupted)
    else:
        assert save < 3
        with pytest.raises(ValueError, match="holds no run"):
            sb.resume(tmp_path)
    game, solver = scope()
    again = sb.solve(game, solver, steps=1500, record=sb.Record(every=5, distance=True), checkpoint=tmp_path)
    assert_same(again, uninterrupted)
    assert sorted(os.listdir(tmp_path)) == ["run.json", "run.npz", "solution.npz", "state.npz"]
    assert_same(sb.load(tmp_path), uninterrupted)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_asked_to_stop_it_saves_and_says_how_to_go_on(tmp_path, uninterrupted, number):
    process = python(
        """
        from stackelberg.solvers import base
        rates = sb.Optimistic.rates
        def slower(self, t, players):
            if t == 321:
                os.kill(os.getpid(), int(sys.argv[2]))
            return rates(self, t, players)
        sb.Optimistic.rates = slower
        run(sys.argv[1], seconds=1e6)
        """,
        tmp_path,
        int(number),
    )
    _, said = process.communicate()
    assert process.returncode == -number
    assert f"stopped at step 322; saved in {tmp_path}. Go on with sb.resume('{tmp_path}')" in said
    content, _ = load_as(tmp_path / "state.npz", STATE, VERSION)
    assert content["step"] == 322
    assert_same(sb.resume(tmp_path), uninterrupted)


def test_an_interrupt_is_the_usual_one_and_the_handlers_are_put_back(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    class Interrupting(sb.EGPO):
        def direction(self, t, point, field, state):
            if t == 5:
                signal.raise_signal(signal.SIGINT)
            return super().direction(t, point, field, state)

    Interrupting.__name__ = "EGPO"
    try:
        sb.EGPO, plain = Interrupting, sb.EGPO
        with pytest.raises(KeyboardInterrupt, match="stopped at step 6; saved in"):
            sb.solve(sb.NashGame(P), Interrupting(), steps=50, checkpoint=tmp_path)
    finally:
        sb.EGPO = plain
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert_same(sb.resume(tmp_path), sb.solve(sb.NashGame(P), sb.EGPO(), steps=50))


def test_a_second_process_in_the_same_folder_is_refused(tmp_path):
    process = python("run(sys.argv[1], every=1)", tmp_path)
    try:
        wait_for(tmp_path / "run.json", process)
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(ValueError, match="Another process is running in"):
            sb.resume(tmp_path)
    finally:
        process.kill()
        process.communicate()


# --- refusals --------------------------------------------------------------------------------------


def test_a_full_disk_is_an_error_and_the_earlier_state_is_whole(tmp_path, uninterrupted):
    """A limit on the size of a file stops the third save in its middle, as a full disk does."""
    process = python(
        """
        import resource
        advance = sb.Optimistic.rates
        def limited(self, t, players):
            if t == 250:
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            return advance(self, t, players)
        sb.Optimistic.rates = limited
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            run(sys.argv[1], every=100)
        except OSError as error:
            print(error)
        """,
        tmp_path,
    )
    out, said = process.communicate()
    assert said == ""
    assert out == f"{tmp_path / 'state.npz'} could not be written: File too large. What was there is untouched.\n"
    assert sorted(os.listdir(tmp_path)) == ["run.json", "run.npz", "state.npz"]
    content, _ = load_as(tmp_path / "state.npz", STATE, VERSION)
    assert content["step"] == 200
    assert_same(sb.resume(tmp_path), uninterrupted)


def test_an_unwritable_place_is_an_error_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OSError, match="file"):
            sb.solve(*RUNS["mirror"], steps=5, checkpoint=place)


def test_what_is_written_beside_is_taken_away_when_writing_fails(tmp_path):
    (tmp_path / "a").write_bytes(b"earlier")

    def failing(stream):
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"a could not be written: No space left on device\. What was there is untouched"):
        write_file(tmp_path / "a", failing)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("a", b"earlier")]


@pytest.fixture
def folder(tmp_path):
    sb.solve(*RUNS["mirror"], steps=20, checkpoint=tmp_path)
    return tmp_path


GAME, SOLVER = RUNS["mirror"]
OTHERS = {
    "solver.learning_rate is 0.3 there and 0.4 here": (GAME, sb.MirrorDescent(0.4, kappa=2), {}),
    "solver.kappa is 2 there and 3": (GAME, sb.MirrorDescent(0.3, kappa=3), {}),
    "solver is 'MirrorDescent' there and 'MirrorProx'": (GAME, sb.MirrorProx(0.3, kappa=2), {}),
    "game is 'StackelbergGame' there and 'NashGame'": (sb.NashGame(P), sb.EGPO(), {}),
    "game.preference.probabilities is 'one array'": (sb.StackelbergGame(P.probabilities.T, 0.2), SOLVER, {}),
    "game.tau is 0.2 there and 0.3": (sb.StackelbergGame(P, 0.3), SOLVER, {}),
    "record.every is 10 there and 5": (GAME, SOLVER, {"record": sb.Record(every=5)}),
    "record is 'Record' there and None": (GAME, SOLVER, {"record": None}),
    "seed is 0 there and 1": (GAME, SOLVER, {"seed": 1}),
    "sampling is 'Enumerate' there and 'Sample'": (GAME, SOLVER, {"sampling": sb.Sample(10)}),
    "start is None there": (GAME, SOLVER, {"start": (np.full(5, 0.2), None)}),
    "taken 20 steps already, more than steps = 10": (GAME, SOLVER, {"steps": 10}),
}


@pytest.mark.parametrize("sentence", OTHERS)
def test_another_run_in_the_same_folder_is_refused_and_named(folder, sentence):
    game, solver, options = OTHERS[sentence]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match=sentence):
        sb.solve(game, solver, **{"steps": 20, **options}, checkpoint=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_lambda_cannot_be_kept(tmp_path):
    with pytest.raises(ValueError, match=r"solver\.learning_rate is a function.* schedule object"):
        sb.solve(GAME, sb.MirrorDescent(lambda t: 0.1), steps=5, checkpoint=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_every_half_written_state_is_refused(folder):
    path = folder / "state.npz"
    data = path.read_bytes()
    for size in range(0, len(data), 211):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"state\.npz is damaged"):
            sb.resume(folder)


def test_a_changed_run_is_refused(folder):
    path = folder / "run.json"
    text = path.read_text()
    path.write_text(text.replace('"learning_rate": 0.3', '"learning_rate": 0.4'))
    with pytest.raises(ValueError, match=r"run\.json was changed after the run began"):
        sb.resume(folder)
    path.write_text(text[:100])
    with pytest.raises(ValueError, match=r"run\.json is damaged"):
        sb.resume(folder)
    path.write_text(json.dumps({"format": "recipe"}))
    with pytest.raises(ValueError, match="is no stackelberg run"):
        sb.resume(folder)


def test_the_state_of_another_run_is_refused(folder, tmp_path):
    sb.solve(GAME, sb.MirrorProx(0.3, kappa=2), steps=20, checkpoint=tmp_path / "other")
    os.replace(tmp_path / "other" / "state.npz", folder / "state.npz")
    with pytest.raises(ValueError, match=r"or belongs to another state\.npz"):
        sb.resume(folder)
    (folder / "state.npz").unlink()
    with pytest.raises(ValueError, match=r"no state\.npz"):
        sb.resume(folder)


def negative_step(content):
    content["step"] = -3


def textual_step(content):
    content["step"] = "many"


def other_shape(content):
    content["point"]["0.exponents"] = np.zeros((1, 3))


def no_policy(content):
    content["point"]["0.weights"] = content["point"]["0.weights"] * 2


def no_numbers(content):
    content["point"]["0.exponents"] = content["point"]["0.exponents"] * np.nan


def no_generator(content):
    content["generator"] = {"bit_generator": "Dice"}


def part_gone(content):
    del content["recorder"]["rows"]


@pytest.mark.parametrize(
    "change",
    [negative_step, textual_step, other_shape, no_policy, no_numbers, no_generator, part_gone],
    ids=lambda change: change.__name__,
)
def test_a_state_that_makes_no_sense_is_refused(folder, change):
    """Written with its checksums right, by a hand that knows how."""
    path = folder / "state.npz"
    content, beside = load_as(path, STATE, VERSION)
    change(content)
    save_as(path, STATE, VERSION, content, run=beside["run"], budget=beside["budget"])
    with pytest.raises(ValueError, match=r"state\.npz is damaged or was changed"):
        sb.resume(folder)


def test_a_budget_that_makes_no_sense_is_refused(folder):
    rewritten(folder / "state.npz", lambda document, members: document.update(budget={"steps": -1}))
    with pytest.raises(ValueError, match=r"state\.npz is damaged or was changed"):
        sb.resume(folder)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: sb.Checkpoint(3), TypeError),
        (lambda: sb.Checkpoint("a", every=0), ValueError),
        (lambda: sb.Checkpoint("a", every=True), ValueError),
        (lambda: sb.Checkpoint("a", seconds=-1), ValueError),
        (lambda: sb.solve(GAME, checkpoint="a"), ValueError),
        (lambda: sb.solve(GAME, SOLVER, checkpoint=3), TypeError),
    ],
)
def test_a_checkpoint_is_a_folder(wrong, error):
    with pytest.raises(error, match=r"checkpoint|every|seconds"):
        wrong()
