"""A run's files that were cut or changed: refused by name, and what is said to be done helps."""

from __future__ import annotations

import re
import shutil

import pytest
from llm_refusals import cut, refuses

import llm
import stackelberg as sb
from llm.testing import tiny_policy

SHORT = llm.Rollouts(prompts=1, max_new_tokens=2)


class Shorter:
    """A judge that can be kept and resumed with."""

    identity = "shorter"

    def __call__(self, prompts, first, second):
        return [0.5 + 0.1 * ((len(a) < len(b)) - (len(a) > len(b))) for a, b in zip(first, second, strict=True)]


def run(folder, steps):
    game = sb.StackelbergGame(Shorter(), contexts=["Why?"], tau=0.1)
    return sb.solve(
        game,
        sb.StackelbergGDA(learning_rate=1e-3),
        tiny_policy(),
        steps=steps,
        sampling=SHORT,
        checkpoint=sb.Checkpoint(folder, every=1),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    run(folder, 2)
    return folder


FILES = ["learned.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"]


@pytest.mark.parametrize("name", FILES)
def test_a_cut_checkpoint_names_the_file_and_the_run_goes_on_without_it(trained, tmp_path, name):
    folder = shutil.copytree(trained, tmp_path / "run")
    newest = folder / "checkpoint-2"
    cut(newest / name, 0.5)
    refuses(lambda: run(folder, 3), ValueError, f"checkpoint-2: {name} is damaged", f"Delete {re.escape(str(newest))}")
    shutil.rmtree(newest)  # what it says to do
    assert run(folder, 3).report == "ran all 3 steps"


@pytest.mark.parametrize("text", ["", "[]", '{"game":'])
def test_a_damaged_run_json_is_named(trained, tmp_path, text):
    folder = shutil.copytree(trained, tmp_path / "run")
    (folder / "run.json").write_text(text)
    refuses(lambda: run(folder, 3), ValueError, r"run\.json is damaged", "Put it back")


def test_a_log_that_lost_lines_is_told_of(trained, tmp_path, caplog):
    folder = shutil.copytree(trained, tmp_path / "run")
    cut(folder / "metrics.jsonl", 0.75)
    assert run(folder, 3).report == "ran all 3 steps"
    assert any("whole lines end at step 1, and the run has taken 2" in each.getMessage() for each in caplog.records)


def test_a_cut_solution_names_the_file(tmp_path):
    path = sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0.1), sb.StackelbergGDA(), steps=5).save(
        tmp_path / "solution.npz"
    )
    whole = path.read_bytes()
    for share in (0, 0.3, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        refuses(lambda: sb.load(path), ValueError, re.escape(str(path)), r"\. [A-Z]")
