"""``stackelberg learn`` and ``stackelberg plot``: what is learned, kept, refused, and with which code they end."""

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from test_saving import assert_same

import stackelberg as sb
from analysis.cli_learning import plot
from stackelberg import specs
from stackelberg.cli import main

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def ballots(tmp_path):
    path = tmp_path / "ballots.csv"
    path.write_text("count,ranking\n40,A>B>C\n35,B>C>A\n25,C>A>B\n")
    return str(path)


@pytest.fixture
def preference(ballots):
    return sb.read_preferences(ballots)


@pytest.fixture
def painters(monkeypatch):
    """The entry points that pyproject.toml declares, whatever an older install knows."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]

    def entry_points(group):
        return [importlib.metadata.EntryPoint(name, value, group) for name, value in declared[group].items()]

    for module in ("stackelberg.commands", "stackelberg.learning_output"):
        monkeypatch.setattr(f"{module}.entry_points", entry_points)


def learned(capsys, *arguments):
    assert main(["learn", *map(str, arguments), "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_it_learns_what_solve_learns(capsys, ballots, preference):
    found = learned(capsys, ballots, "--solver", "mirror-descent", "--kappa", 5, "--tau", 0.2, "--steps", 25)
    wanted = sb.solve(sb.StackelbergGame(preference, 0.2), sb.MirrorDescent(kappa=5), steps=25)
    assert {key: found[key] for key in wanted.as_dict()} == wanted.as_dict()
    assert (found["status"], found["report"]) == ("ran", "ran all 25 steps")
    assert found["trajectory"]["steps"] == [0, 10, 20, 25]
    assert found["trajectory"]["gap"] == wanted.trajectory.gap.tolist()
    assert found["average"]["leader"] == wanted.average.leader.tolist()
    assert found["best"]["gap"] == min(found["trajectory"]["gap"])


def test_every_option_arrives(capsys, ballots, preference):
    options = "--game stackelberg --solver gda --learning-rate inverse-time:2,offset=8 --kappa 3 --seed 4 --every 5"
    more = "--set geometry=softmax --set alternating=true --sampling sample:30,baseline=leave-one-out --distance"
    players = "--tau-leader 0.2 --tau-follower 0.4 --reference A=0.5,B=0.3,C=0.2 --steps 30"
    found = learned(capsys, ballots, *f"{options} {more} {players}".split())
    reference = [0.5, 0.3, 0.2]
    game = sb.StackelbergGame(
        preference, tau_leader=0.2, tau_follower=0.4, leader_reference=reference, follower_reference=reference
    )
    solver = sb.GDA(sb.InverseTime(2, 8), kappa=3, geometry=sb.Softmax(), alternating=True)
    sampling = sb.Sample(30, baseline=sb.LeaveOneOut())
    wanted = sb.solve(game, solver, steps=30, sampling=sampling, seed=4, record=sb.Record(every=5, distance=True))
    assert found["leader"] == wanted.leader.tolist()
    assert found["trajectory"]["distance"] == wanted.trajectory.distance.tolist()


@pytest.mark.parametrize("name", specs.all_solvers())
def test_every_solver_is_learned_by_its_name(capsys, ballots, name):
    solver = specs.all_solvers()[name]()
    for game, kind in {"stackelberg": sb.StackelbergGame, "nash": sb.NashGame, "reward": sb.RewardGame}.items():
        if issubclass(kind, solver.games):
            tau = "0.2" if solver.keeps_regulariser else "0"
            arguments = ["learn", ballots, "--solver", name, "--game", game, "--tau", tau, "--steps", "3"]
            assert main(arguments) == 0
            assert "ran all 3 steps" in capsys.readouterr().out


def test_the_solvers_are_listed_with_their_first_line(capsys):
    assert main(["learn", "--solver", "help"]) == 0
    out = capsys.readouterr().out
    for name, kind in specs.all_solvers().items():
        assert f"{name}  (" in out
        assert kind.__doc__.partition("\n")[0] in out
    assert "inverse-time" in out


def test_a_kept_run_goes_on(capsys, ballots, tmp_path, preference):
    out = tmp_path / "runs" / "a"
    options = [ballots, "--solver", "optimistic", "--tolerance", "1e-12", "--out", out]
    learned(capsys, *options, "--steps", 30)
    assert json.loads((out / "learn.json").read_text())["report"].startswith("ran all 30 steps; the gap went from ")
    more = learned(capsys, "--resume", out, "--steps", 50)
    wanted = sb.solve(sb.StackelbergGame(preference, 0.1), sb.Optimistic(), steps=50, tolerance=1e-12)
    assert more["leader"] == wanted.leader.tolist()
    assert more["trajectory"]["gap"] == wanted.trajectory.gap.tolist()
    assert learned(capsys, *options, "--steps", 50) == learned(capsys, "--resume", out) == more
    assert json.loads((out / "learn.json").read_text()) == more
    assert_same(sb.load(out), sb.resume(out))


def test_the_tables_of_the_three_games(capsys, ballots):
    for game in ("stackelberg", "nash", "reward"):
        assert main(["learn", ballots, "--game", game, "--steps", "40"]) == 0
        captured = capsys.readouterr()
        assert "ran all 40 steps" in captured.out
        assert "average: duality gap" in captured.out
        assert "best: duality gap" in captured.out
        assert "unique" not in captured.out  # learning does not decide that
        assert captured.err == ""


def test_several_contexts(capsys, tmp_path):
    path = tmp_path / "several.npz"
    sb.PreferenceMatrix.random(3, contexts=2).save(path)
    assert np.shape(learned(capsys, path, "--steps", 10)["trajectory"]["gap"]) == (2, 2)
    assert main(["learn", str(path), "--steps", "10"]) == 0
    assert "context 1" in capsys.readouterr().out
    assert main(["learn", str(path), "--figures"]) == 2
    assert "Pass --context 0" in capsys.readouterr().err


def test_a_divergence_ends_with_one_and_its_cause(capsys, ballots):
    assert main(["learn", ballots, "--learning-rate", "50", "--steps", "9000", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["status"] == "diverged"
    assert captured.err.startswith("error: diverged at step ")
    assert captured.err.count("\n") == 1


REFUSED = {
    "no run.json. Start one with sb.solve(..., checkpoint=": ["--resume", "{folder}/file"],
    "There is no folder {folder}/nowhere. Check the name": ["--resume", "{folder}/nowhere"],
    "stackelberg learn FILE --out {folder}/nowhere": ["--resume", "{folder}/nowhere"],
    "There is no folder {folder}/fil. Did you mean {folder}/file?": ["--resume", "{folder}/fil"],
    "There is no file {folder}/balots.csv. Did you mean {folder}/ballots.csv?": ["{folder}/balots.csv"],
    "{folder}/file is a folder, and FILE is a file": ["{folder}/file"],
    "one matrix without contexts. Leave --context out": ["{file}", "--context", "1"],
    "Name a FILE": [],
    "takes everything from the folder, FILE too": ["{file}", "--resume", "{folder}"],
    "takes everything from the folder, --kappa too": ["--resume", "{folder}", "--kappa", "3"],
    "--solver: 'chess' is not known here": ["{file}", "--solver", "chess"],
    "Did you mean mirror-descent?": ["{file}", "--solver", "miror-descent"],
    "Did you mean geometry?": ["{file}", "--solver", "gda", "--set", "geomtry=softmax"],
    "It takes one of: natural, simplex, softmax. Did you mean softmax?\n": [
        *("{file}", "--solver", "gda", "--set", "geometry=softmx"),
    ],
    "--set geometry: 'cosine' does not fit here. It takes one of: natural, simplex, softmax.\n": [
        *("{file}", "--solver", "gda", "--set", "geometry=cosine:1"),
    ],
    "--set geometry: '3' does not fit here": ["{file}", "--solver", "gda", "--set", "geometry=3"],
    "--set alternating: '3' does not fit here. It takes true or false.": ["{file}", "--set", "alternating=3"],
    "--set every: '2.5' does not fit here. It takes a whole number.": [
        *("{file}", "--game", "nash", "--solver", "mpo", "--set", "every=2.5"),
    ],
    "--kappa: 'none' does not fit here. It takes a number or one of: cosine": ["{file}", "--kappa", "none"],
    "--learning-rate scale: 'x' is not known here. It takes a number.": [
        *("{file}", "--learning-rate", "inverse-time:x"),
    ],
    "--sampling baseline: 'softmax' does not fit here. It takes one of: constant, leave-one-out, no-baseline.": [
        *("{file}", "--sampling", "sample:3,baseline=softmax"),
    ],
    "makes no Sample: missing 1 required positional argument: 'n'. Its": ["{file}", "--sampling", "sample"],
    "Pass Sample(100), or --sampling sample:100.": ["{file}", "--sampling", "sample:0"],
    "has no setting 'smell'. It has: learning_rate": ["{file}", "--set", "smell=3"],
    "self-play has no setting 'kappa'": ["{file}", "--solver", "self-play", "--kappa", "3"],
    "is no NAME=VALUE": ["{file}", "--set", "geometry"],
    "--learning-rate: 'fast' is not known here": ["{file}", "--learning-rate", "fast"],
    "learning_rate must be a positive number": ["{file}", "--learning-rate", "-1"],
    "makes no InverseTime": ["{file}", "--learning-rate", "inverse-time:1,2,3"],
    "--sampling: 'softmax' does not fit here. It takes one of: enumerate, sample.": [
        *("{file}", "--sampling", "softmax"),
    ],
    "--solver egpo is for --game nash, not for --game stackelberg. Choose": ["{file}", "--solver", "egpo"],
    "--solver self-play drops the KL part, and tau is 0.1. Pass --tau 0,": [
        *("{file}", "--game", "nash", "--solver", "self-play"),
    ],
    "--kappa is for two players, and --game nash": ["{file}", "--game", "nash", "--kappa", "3"],
    "--set alternating is for two players": ["{file}", "--game", "reward", "--set", "alternating=true"],
    "or stackelberg solve.": ["{file}", "--reference", "A=1"],
    "Invalid value for '--tolerance'": ["{file}", "--tolerance", "-1"],
    "Invalid value for '--steps'": ["{file}", "--steps", "-1"],
    "could not be written": ["{file}", "--out", "{folder}/file"],
}


@pytest.mark.parametrize("words", REFUSED)
def test_bad_input_is_one_readable_line(capsys, ballots, tmp_path, words):
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / ".run.npz.partial").mkdir()  # where the run would be written
    assert main(["learn", *(part.format(file=ballots, folder=tmp_path) for part in REFUSED[words])]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert words.format(folder=tmp_path) in captured.err


def test_a_budget_below_the_steps_taken_names_the_option(capsys, ballots, tmp_path):
    assert main(["learn", ballots, "--out", str(tmp_path / "a"), "--steps", "9"]) == 0
    capsys.readouterr()
    assert main(["learn", "--resume", str(tmp_path / "a"), "--steps", "5"]) == 2
    assert "Pass steps=9 (--steps 9) or more" in capsys.readouterr().err


def test_another_run_in_the_folder_is_refused(capsys, ballots, tmp_path):
    options = ["learn", ballots, "--out", str(tmp_path / "a"), "--steps", "5"]
    assert main(options) == 0
    assert main([*options, "--tau", "0.5"]) == 2
    assert "holds another run: game.tau is 0.1 there and 0.5 here" in capsys.readouterr().err


def test_ctrl_c_says_how_to_go_on(tmp_path, ballots):
    out = tmp_path / "a"
    arguments = ["learn", ballots, "--out", str(out), "--steps", "100000000", "--every", "1000"]
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; from stackelberg.cli import main; sys.exit(main({arguments!r}))"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (out / "run.json").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "error: stopped at step " in said
    assert f"stackelberg learn --resume {out}" in said
    taken = int(said.split("stopped at step ")[1].split(";")[0])
    assert sb.resume(out, steps=taken).report.startswith(f"ran all {taken} steps")


def test_figures_and_plots(capsys, painters, ballots, tmp_path):
    for name, rate in {"slow": "0.1", "quick": "0.8"}.items():
        options = ["--learning-rate", rate, "--steps", "200", "--out", str(tmp_path / "runs" / name)]
        assert main(["learn", ballots, *options, *(["--figures"] if name == "quick" else [])]) == 0
    drawn = {path.name for path in (tmp_path / "runs" / "quick").iterdir()}
    assert {"convergence.png", "convergence.svg", "convergence.csv", "policy.png", "learn.json"} <= drawn
    runs = [str(path) for path in sorted((tmp_path / "runs").iterdir())]
    done = CliRunner().invoke(plot, [*runs, "--out", str(tmp_path / "all")], catch_exceptions=False)
    assert done.exit_code == 0
    table = (tmp_path / "all" / "convergence.csv").read_text()
    assert "slow" in table
    assert "quick" in table
    again = sb.load(tmp_path / "runs" / "slow").save(tmp_path / "other" / "slow.npz")
    with_clash = CliRunner().invoke(plot, [runs[1], str(again), "--out", str(tmp_path / "two")], catch_exceptions=False)
    assert with_clash.exit_code == 0
    assert "other" in (tmp_path / "two" / "convergence.csv").read_text()


def test_an_unfinished_run_is_not_plotted(tmp_path):
    sb.solve(sb.NashGame(sb.PreferenceMatrix.cycle(3)), sb.EGPO(), steps=5, checkpoint=tmp_path)
    (tmp_path / "solution.npz").unlink()
    with pytest.raises(ValueError, match="unfinished run"):
        CliRunner().invoke(plot, [str(tmp_path)], catch_exceptions=False)


NO_RUNS = {
    "There is no run {folder}/nowhere. Check the name": "nowhere",
    "There is no run {folder}/ballots.cvs. Did you mean {folder}/ballots.csv?": "ballots.cvs",
    "ballots.csv is no run, and plot draws runs. Learn one first: stackelberg learn ": "ballots.csv",
    "is a folder without a run. Name those that stackelberg learn --out wrote.": "",
    "exact.npz has no trajectory to draw: it was solved exactly": "exact.npz",
}


@pytest.mark.parametrize("words", NO_RUNS)
def test_what_is_no_run_is_not_plotted(ballots, tmp_path, words):
    sb.solve(sb.NashGame(sb.PreferenceMatrix.cycle(3))).save(tmp_path / "exact.npz")
    with pytest.raises(ValueError, match=re.escape(words.format(folder=tmp_path))):
        CliRunner().invoke(plot, [str(tmp_path / NO_RUNS[words])], catch_exceptions=False)


def test_values_are_numbers_words_or_objects():
    assert specs.parse_value("3", "x") == 3
    assert type(specs.parse_value("3", "x")) is int
    assert specs.parse_value("true", "x") is True
    assert specs.parse_value("cosine:1,final=0.1,steps=50", "x") == sb.Cosine(1, 0.1, 50)
    assert specs.parse_value("sample:9,behaviour=uniform-actions", "x") == sb.Sample(9, behaviour=sb.UniformActions())
    assert specs.parse_solver("stackelberg-gda", {}) == sb.StackelbergGDA()
