"""The program: the fixed JSON keys, the worked example, and one readable line for bad input."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import shares
from hypothesis import HealthCheck, assume, given, settings

import stackelberg as sb
from stackelberg.cli import main

KEYS = {
    "stackelberg": ["labels", "leader", "follower", "values", "value", "gap", "optimal_leaders"],
    "nash": ["labels", "policy", "exploitability", "unique", "value"],
    "reward": ["labels", "policy", "rewards"],
    "structure": ["labels", "condorcet_winner", "condorcet_loser", "smith_set", "three_cycles", "cyclic_share"],
}


@pytest.fixture
def ballots(tmp_path):
    path = tmp_path / "ballots.csv"
    path.write_text("count,ranking\n40,A>B>C\n35,B>C>A\n25,C>A>B\n")
    return str(path)


def run(capsys, *arguments):
    """The program's JSON answer."""
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments):
    """The one line that a refusal prints."""
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


MISSING = {
    "There is no file {folder}/ballot.csv. Did you mean {folder}/ballots.csv?": ["solve", "{folder}/ballot.csv"],
    "There is no file {folder}/xyz.json. Check the name, and the folder": ["structure", "{folder}/xyz.json"],
    "There is no file {folder}/a/b.csv: there is no folder {folder}/a. Check the path.": ["solve", "{folder}/a/b.csv"],
    "{folder}/shut.csv cannot be used: permission denied.": ["solve", "{folder}/shut.csv"],
}


@pytest.mark.parametrize("words", MISSING)
def test_a_file_that_is_not_there_is_said_in_words(capsys, monkeypatch, ballots, tmp_path, words):
    def read_bytes(path, read=Path.read_bytes):
        if path.name == "shut.csv":  # by hand: root reads whatever its permissions
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    said = refused(capsys, *(part.format(folder=tmp_path) for part in MISSING[words]))
    assert said.startswith(f"error: {words.format(folder=tmp_path)}")
    assert "Errno" not in said


@pytest.mark.parametrize("game", ["stackelberg", "nash", "reward"])
def test_solve_prints_the_documented_keys(capsys, ballots, game):
    assert list(run(capsys, "solve", ballots, "--game", game))[: len(KEYS[game])] == KEYS[game]


def test_structure_and_compare_print_the_documented_keys(capsys, ballots):
    assert set(KEYS["structure"]) <= set(run(capsys, "structure", ballots, "--draws", "50"))
    found = run(capsys, "compare", ballots, "--tau", "0")
    for key, game in {"rlhf": "reward", "nash": "nash", "stackelberg": "stackelberg"}.items():
        assert set(KEYS[game]) <= set(found[key])


@given(alpha=shares)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_worked_example_through_the_program(capsys, tmp_path, alpha):
    assume(alpha.max() < 0.4999)
    path = tmp_path / "shares.json"
    sb.PreferenceMatrix.condorcet(alpha).save(path)
    slhf = run(capsys, "solve", str(path), "--tau", "0")
    np.testing.assert_allclose(slhf["values"], alpha, atol=1e-12)
    assert "ABC"[alpha.argmax()] in slhf["optimal_leaders"]
    np.testing.assert_array_equal(slhf["follower"], [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    nash = run(capsys, "solve", str(path), "--tau", "0", "--game", "nash")
    np.testing.assert_allclose(nash["policy"], 1 - 2 * alpha[[2, 0, 1]], atol=1e-12)
    assert nash["unique"] is True


@pytest.mark.parametrize(
    ("pair", "rewards"),
    [
        ((), [0, 0, 0]),
        (("A", "C"), [np.log(2), 0, -np.log(2)]),
        (("A", "B"), [-np.log(2), np.log(2), 0]),
        (("B", "C"), [0, -np.log(2), np.log(2)]),
    ],
)
def test_rlhf_of_the_worked_example_through_the_program(capsys, tmp_path, pair, rewards):
    path = tmp_path / "thirds.json"
    sb.PreferenceMatrix.condorcet([1 / 3] * 3).save(path)
    without = ["--without", *pair] if pair else []
    found = run(capsys, "solve", str(path), "--game", "reward", "--tau", "0", *without)
    np.testing.assert_allclose(found["rewards"], rewards, atol=1e-12)


def test_refinement_of_the_worked_example_through_the_program(capsys, tmp_path):
    path = tmp_path / "thirds.json"
    sb.PreferenceMatrix.condorcet([1 / 3] * 3).save(path)
    found = run(capsys, "refine", str(path), "--tau", "0", "--rounds", "3")
    np.testing.assert_allclose(found["coverage"], [1 / 3, 2 / 3, 1], atol=1e-12)
    np.testing.assert_allclose(found["nash_independent"], [1 / 3, 5 / 9, 19 / 27], atol=1e-12)
    np.testing.assert_allclose(found["nash_distinct"], [1 / 3, 2 / 3, 1], atol=1e-12)
    assert found["periods"] == [3]


def test_references_and_the_players_own_tau(capsys, ballots):
    options = ["--tau-leader", "0.2", "--tau-follower", "0.5", "--reference", "A=0.5,B=0.3,C=0.2"]
    found = run(capsys, "solve", ballots, *options)
    reference = [0.5, 0.3, 0.2]
    P = sb.read_preferences(ballots)
    game = sb.StackelbergGame(
        P, tau_leader=0.2, tau_follower=0.5, leader_reference=reference, follower_reference=reference
    )
    assert found["leader"] == sb.solve(game).leader.tolist()


def test_contexts_print_one_item_each(capsys, tmp_path):
    path = tmp_path / "several.npz"
    sb.PreferenceMatrix.random(3, contexts=2).save(path)
    assert np.shape(run(capsys, "solve", str(path))["leader"]) == (2, 3)
    assert main(["solve", str(path)]) == 0
    assert "context 1" in capsys.readouterr().out


@pytest.mark.parametrize("game", ["stackelberg", "nash", "reward"])
def test_tables_show_every_action_and_the_certificate(capsys, ballots, game):
    assert main(["solve", ballots, "--game", game]) == 0
    out = capsys.readouterr().out
    assert all(label in out for label in "ABC")
    assert "duality gap" in out


@pytest.mark.parametrize("command", [["structure"], ["compare", "--tau", "0"], ["refine"]])
def test_the_other_commands_print_tables(capsys, ballots, command):
    assert main([command[0], ballots, *command[1:]]) == 0
    assert "A" in capsys.readouterr().out


def test_out_keeps_what_json_prints(capsys, ballots, tmp_path):
    found = run(capsys, "solve", ballots, "--out", str(tmp_path / "results"))
    assert json.loads((tmp_path / "results" / "solve-stackelberg.json").read_text()) == found


def test_a_dash_reads_standard_input(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("winner,loser,count\nx,y,3\ny,x,1\n"))
    assert run(capsys, "solve", "-", "--game", "nash", "--tau", "0")["policy"] == [1.0, 0.0]


def test_what_a_partial_ballot_means_is_an_option(capsys, tmp_path):
    path = tmp_path / "partial.csv"
    path.write_text("count,ranking\n3,A\n1,B>C>A\n")
    below, ignored = (
        run(capsys, "solve", str(path), "--unranked", choice, "--tau", "0")["values"] for choice in ("below", "ignored")
    )
    assert below != ignored


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["solve", "missing.csv"], "missing.csv"),
        (["solve", "{file}", "--tau", "-1"], "tau must be zero or positive"),
        (["solve", "{file}", "--tau", "much"], "not a valid float"),
        (["solve", "{file}", "--reference", "A=0.5,D=0.5"], "no action 'D'"),
        (["solve", "{file}", "--reference", "A:0.5"], "--reference"),
        (["solve", "{file}", "--reference", "A=0.5,B=0.2"], "must sum to 1"),
        (["solve", "{file}", "--game", "chess"], "chess"),
        (["solve", "{file}", "--game", "nash", "--tau-leader", "1"], "belong to --game stackelberg"),
        (["solve", "{file}", "--tau", "nan"], "tau must be zero or positive and finite"),
        (["solve", "{file}", "--reference", '{{"A": "x"}}'], "JSON"),
        (["solve", "{file}", "--seed", "-1"], "--seed"),
        (["demo", "--alpha", "0", "0", "0"], "--alpha must be three shares"),
        (["solve", "{file}", "--game", "reward", "--without", "A", "A"], "never compared with itself"),
        (["refine", "{file}", "--start", "A=1", "--figures"], "Leave out --start"),
        (["solve", "{file}", "--context", "0"], "without contexts"),
        (["solve", "{file}", "--without", "A", "B"], "belongs to --game reward"),
        (["solve", "{file}", "--game", "reward", "--without", "A", "B", "--without", "A", "C"], "A"),
        (["solve"], "FILE"),
        (["dance"], "dance"),
        (["refine", "{file}", "--rounds", "0"], "rounds"),
    ],
)
def test_bad_input_is_one_readable_line_and_exit_code_two(capsys, ballots, arguments, words):
    line = refused(capsys, *(argument.format(file=ballots) for argument in arguments))
    assert words in line


def test_a_malformed_file_names_the_line(capsys, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("winner,loser,count\nA,B,3\nB,A,many\n")
    line = refused(capsys, "solve", str(path))
    assert "line 3" in line
    assert "many" in line


def test_the_installed_program_answers_and_teaches():
    found = subprocess.run(
        [sys.executable, "-m", "stackelberg.cli", "--help"], capture_output=True, text=True, check=True
    )
    for command in ("solve", "refine", "structure", "compare", "demo"):
        assert command in found.stdout
    bad = subprocess.run(
        [sys.executable, "-m", "stackelberg.cli", "solve", "nowhere.csv"], capture_output=True, text=True
    )
    assert bad.returncode == 2
    assert bad.stderr.count("\n") == 1


VALID = [
    ("csv", b"row_beats_col,A,B,C\nA,0,5,3\nB,2,0,4\nC,4,1,0\n"),
    ("csv", b"winner,loser,count\nA,B,3\nB,C,2\nC,A,1\nB,A,1\n"),
    ("json", b'{"labels": ["A", "B"], "probabilities": [[0.5, 0.7], [0.3, 0.5]]}'),
    ("soi", b"# FILE NAME: x.soi\n# DATA TYPE: soi\n# NUMBER ALTERNATIVES: 2\n2: 1,2\n1: 2\n"),
]


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files_end_in_an_answer_or_one_readable_line(capsys, tmp_path, seed):
    rng = np.random.default_rng(seed)
    for number in range(25):
        ending, content = VALID[number % len(VALID)]
        damaged = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            damaged[rng.integers(len(damaged))] = rng.choice(list(b'0.5,;\n"{}[]-nA>=#\xff \x00'))
        path = tmp_path / f"{number}.{ending}"
        path.write_bytes(damaged)
        code = main(["solve", str(path), "--json"])
        captured = capsys.readouterr()
        if code == 0:
            assert abs(sum(json.loads(captured.out)["leader"]) - 1) < 1e-9
        else:
            assert (code, captured.out, captured.err.count("\n")) == (2, "", 1)
            assert len(captured.err) > 30
