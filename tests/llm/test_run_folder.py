"""What a run's folder and trajectory hold, what may be changed when it goes on, and when it gives way to another."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from llm_runs import HELD_OUT, SHORT, early, game_of, later, solve

import llm
import stackelberg as sb
from llm.run_folder import begun
from stackelberg.gradient import RaoBlackwell

CHANGED = {
    "prompts": {"prompts": ["When?", "Whom?"]},
    "judge": {"judge": later},
    "second judge": {"second_judge": later},
    "sampling": {"sampling": replace(SHORT, temperature=0.5)},
    "replies": {"replies": 2},
    "seed": {"seed": 1},
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_resumed_run_keeps_its_evaluation(tmp_path, name):
    options = {"prompts": HELD_OUT, "every": 1}
    solve(1, record=llm.Evaluation(**options), checkpoint=tmp_path)
    other = llm.Evaluation(**options | CHANGED[name])
    with pytest.raises(ValueError, match=rf"started otherwise: evaluation {name} \(") as found:
        solve(2, record=other, checkpoint=tmp_path)
    assert str(found.value).count("before") == 1


def test_an_evaluation_may_be_added_once_and_looked_at_more_often(tmp_path):
    solve(1, checkpoint=tmp_path)
    assert solve(1, record=llm.Evaluation(HELD_OUT), checkpoint=tmp_path).evaluation is not None
    with pytest.raises(ValueError, match="evaluation prompts"):
        solve(2, record=llm.Evaluation(["Whom?"]), checkpoint=tmp_path)
    assert solve(2, checkpoint=tmp_path).evaluation is None
    with pytest.raises(ValueError, match=r"evaluation prompts \(2 prompts, hash \w+ before, 1 prompts, hash \w+ now\)"):
        solve(2, record=llm.Evaluation(["Whom?"]), checkpoint=tmp_path)
    more = llm.Evaluation(HELD_OUT, every=1, samples=1)
    assert np.isfinite(solve(4, record=more, checkpoint=tmp_path).trajectory["eval/follower_gap"][-2:]).all()


@pytest.mark.parametrize("kl", [None, RaoBlackwell()], ids=["to go", "exact"])
def test_no_steps_leave_a_trajectory_of_names(kl):
    sampling = SHORT if kl is None else replace(SHORT, kl=kl)
    none, one = (solve(steps, sampling=sampling).trajectory for steps in (0, 1))
    assert none.names == one.names
    assert none.rows == ()
    assert (none.steps.shape, none.steps.dtype) == ((0,), one.steps.dtype)
    assert (none["leader/kl"].shape, none["leader/kl"].dtype) == ((0,), np.dtype(float))
    with pytest.raises(KeyError, match="was not recorded"):
        none["nonesuch"]


def test_no_steps_hold_the_evaluation_of_the_start(tmp_path):
    record = llm.Evaluation(HELD_OUT, every=1)
    start = solve(0, record=record, checkpoint=tmp_path)
    assert list(start.trajectory.steps) == [0]
    assert start.trajectory["eval/follower_gap"][0] == start.gap.value
    assert np.isnan(start.trajectory["earned"]).all()
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["eval/follower_gap"] == start.gap.value
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 2
    whole = solve(2, record=record)
    assert whole.trajectory.rows[0] == start.trajectory.rows[0]
    found = solve(2, record=record, checkpoint=tmp_path)
    assert list(found.trajectory.steps) == [0, 1, 2]
    again = solve(2, record=record, checkpoint=tmp_path)  # it was over: nothing is written twice
    assert list(again.trajectory.steps) == [0, 1, 2]


def broken(prompts, first, second):
    raise OSError("the judge is out")


def test_a_run_that_took_no_step_gives_way_to_another(tmp_path):
    record = llm.Evaluation(HELD_OUT, judge=early, every=1, replies=1)
    with pytest.raises(OSError, match="the judge is out"):
        solve(2, game=game_of(broken), record=record, checkpoint=tmp_path)
    assert (tmp_path / "metrics.jsonl").exists()  # of the start, which says nothing of a step
    other = sb.StackelbergGDA(learning_rate=0.5)
    options = {"solver": other, "checkpoint": tmp_path, "record": llm.Evaluation(HELD_OUT[:1], every=1)}
    found = solve(1, **options)
    assert list(found.trajectory.steps) == [0, 1]
    with pytest.raises(ValueError, match=r"started otherwise: solver .* evaluation prompts"):
        solve(2, checkpoint=tmp_path, record=record)
    assert list(solve(2, **options).trajectory.steps) == [0, 1, 2]


@pytest.mark.parametrize("left", ["metrics.jsonl", "checkpoint-1", "half a line"])
def test_a_step_or_a_checkpoint_is_never_given_up(tmp_path, left):
    solve(1, checkpoint=tmp_path)
    log = tmp_path / "metrics.jsonl"
    lines = log.read_text()
    if left == "checkpoint-1":
        log.write_text("")
    else:
        (tmp_path / "checkpoint-1").rename(tmp_path.parent / f"{tmp_path.name}-moved")
        log.write_text(lines if left == "metrics.jsonl" else lines[:20])
    assert begun(tmp_path)
    with pytest.raises(ValueError, match="started otherwise: solver"):
        solve(1, solver=sb.StackelbergGDA(learning_rate=0.5), checkpoint=tmp_path)
