"""The papers' folders: every script's quick run holds, and a wrong claim, a missing one or a bad word is refused."""

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from analysis.cli_papers import paper
from analysis.paper import Claim, Study, scripts_of
from stackelberg import CertificateError

ROOT = Path(__file__).resolve().parent.parent
PAPERS = [ROOT / "papers" / name for name in ("slhf", "egpo", "nash_md", "guarantees", "humour")]
SCRIPTS = [script for folder in PAPERS for script in scripts_of(folder)]


def run(script, out, monkeypatch, *words):
    """The exit status of a script run as a program, in this process."""
    monkeypatch.setattr(sys, "argv", [str(script), "--out", str(out), *words])
    monkeypatch.syspath_prepend(str(script.parent))
    monkeypatch.delitem(sys.modules, "settings", raising=False)
    try:
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.modules.pop("settings", None)
    return left.value.code


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_quick_run_of_every_script_holds(script, tmp_path, monkeypatch, request):
    if script.stem in ("neural", "networks", "language", "humour"):
        pytest.importorskip("torch", reason="torch is not installed")
    if script.stem == "humour":
        request.getfixturevalue("shared_data")
    assert run(script, tmp_path, monkeypatch, "--quick") == 0
    found = json.loads((tmp_path / f"{script.stem}.checks.json").read_text(encoding="utf-8"))
    assert found["failed"] == 0
    assert found["found"]
    for drawn in tmp_path.glob("*.png"):
        assert {drawn.with_suffix(end).exists() for end in (".svg", ".csv", ".provenance.json")} == {True}


@pytest.mark.parametrize("folder", PAPERS, ids=lambda path: path.name)
def test_expected_json_and_readme_name_every_script(folder):
    written = {path.stem for path in folder.glob("*.py")} - {"settings"}
    assert {script.stem for script in scripts_of(folder)} == written
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in written if f"{name}.py" not in readme] == []


def copied(tmp_path, change):
    """A copy of a small folder with its claims changed."""
    folder = tmp_path / "slhf"
    shutil.copytree(ROOT / "papers" / "slhf", folder, ignore=shutil.ignore_patterns("__pycache__"))
    claims = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    change(claims["table1"])
    (folder / "expected.json").write_text(json.dumps(claims), encoding="utf-8")
    return folder / "table1.py"


def test_a_value_that_is_not_as_published_fails(tmp_path, monkeypatch):
    script = copied(tmp_path, lambda claims: claims["NLHF"].update(expected=[0.5, 0.3, 0.2]))
    assert run(script, tmp_path / "out", monkeypatch) == 1


def test_a_claim_that_nobody_checks_fails(tmp_path, monkeypatch):
    script = copied(tmp_path, lambda claims: claims.update(more={"at_most": 1, "source": "nobody"}))
    assert run(script, tmp_path / "out", monkeypatch) == 1


def study(tmp_path, **claims):
    claims = {name: Claim.read(entry) for name, entry in claims.items()}
    return Study(folder=tmp_path, name="one", quick=False, out=tmp_path, claims=claims)


def test_claims(tmp_path, capsys):
    near, bound = {"expected": 1, "tolerance": 0.1, "source": "x"}, {"at_least": 0, "at_most": 2, "source": "x"}
    held = study(tmp_path, near=near, bound=bound)
    held.check("near", 1.05)
    held.check("bound", [0, 2])
    assert held.finish() == 0
    for name, value in (("near", 1.2), ("near", float("nan")), ("near", [1, 1]), ("bound", 2.1), ("bound", [-1, 1])):
        failing = study(tmp_path, **{name: near if name == "near" else bound})
        failing.check(name, value)
        assert failing.finish() == 1
    assert "FAILS" in capsys.readouterr().out


def test_quick_runs_leave_out_only_what_is_for_full_ones(tmp_path):
    one = study(tmp_path, full={"at_most": 1, "source": "x", "full": True}, both={"at_most": 1, "source": "x"})
    one.quick = True
    one.check("full", 5)
    one.check("both", 1)
    assert one.finish() == 0
    one.found["both"] = 5
    assert one.finish() == 1


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"expected": 1, "source": "x"}, "with 'tolerance'"),
        ({"expected": 1, "tolerance": 1, "at_most": 1, "source": "x"}, "with 'tolerance'"),
        ({"source": "x"}, "with 'tolerance'"),
        ({"at_most": 1}, "needs a source"),
        ({"at_most": 1, "source": "x", "atleast": 1}, "atleast"),
    ],
)
def test_claims_that_say_nothing_are_refused(entry, words):
    with pytest.raises(ValueError, match=words):
        Claim.read(entry)


def test_unknown_and_repeated_checks_are_refused(tmp_path):
    one = study(tmp_path, a={"at_most": 1, "source": "x"})
    with pytest.raises(ValueError, match="no claim 'b'"):
        one.check("b", 1)
    one.check("a", 1)
    with pytest.raises(ValueError, match="already"):
        one.check("a", 1)


def command(monkeypatch, *words):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return CliRunner().invoke(paper, list(words))


def test_the_command_runs_a_folder(tmp_path, monkeypatch):
    words = ("slhf", "--folder", str(PAPERS[0]), "--only", "table1", "--quick", "--out", str(tmp_path))
    done = command(monkeypatch, *words)
    assert done.exit_code == 0, done.output
    assert "holds" in done.output
    assert (tmp_path / "simplex.png").exists()


def test_the_command_fails_where_a_script_does(tmp_path, monkeypatch):
    script = copied(tmp_path, lambda claims: claims["NLHF"].update(expected=[0.5, 0.3, 0.2]))
    words = ("slhf", "--folder", str(script.parent), "--only", "table1", "--out", str(tmp_path / "out"))
    done = command(monkeypatch, *words)
    assert isinstance(done.exception, CertificateError)
    assert "FAILS" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "no folder"),
        (["slhf", "--folder", str(ROOT / "tests")], "no expected.json"),
        (["slhf", "--folder", str(PAPERS[0]), "--only", "table9"], "has no script 'table9'"),
    ],
)
def test_the_command_refuses(words, said, monkeypatch):
    done = command(monkeypatch, *words)
    assert isinstance(done.exception, ValueError)
    assert said in str(done.exception)


def test_a_script_runs_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    words = [sys.executable, "papers/slhf/table1.py", "--quick", "--out", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
