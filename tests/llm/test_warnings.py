"""What a run warns of is said once, by a resumed run too."""

from __future__ import annotations

import functools

from llm_runs import HELD_OUT, solve, told

import llm
from llm.training import run as running
from llm.training.monitors import Drift


class Scripted(llm.Evaluation):
    """Finds at each evaluation in turn what it was told."""

    def run(self, policy, game, sampling=None):
        return told(next(self._kept["script"]))


def scripted(*script):
    found = Scripted(HELD_OUT, every=1)
    found._kept["script"] = iter(script)
    return found


def test_length_is_blamed_once_and_again_only_after_it_went_away(tmp_path):
    script = (False, True, True, False, True, True)
    whole = solve(5, record=scripted(*script))
    assert [each.split(":")[0] for each in whole.warnings] == ["step 1", "step 4"]
    assert all("length alone explains" in each for each in whole.warnings)
    for cut in (1, 3, 4):
        record, folder = scripted(*script), tmp_path / str(cut)
        solve(cut, record=record, checkpoint=folder)
        assert solve(5, record=record, checkpoint=folder).warnings == whole.warnings


def test_what_drifted_is_not_said_again_by_a_resumed_run(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(running, "Drift", functools.partial(Drift, most_kl=-1.0))
    first = solve(1, checkpoint=tmp_path)
    assert [each.split(": KL")[0] for each in first.warnings] == ["step 1: leader", "step 1: follower"]
    caplog.clear()
    assert solve(3, checkpoint=tmp_path).warnings == first.warnings
    assert "KL" not in caplog.text
    (tmp_path / "checkpoint-3" / "said.json").unlink()  # as earlier versions left it
    assert len(solve(4, checkpoint=tmp_path).warnings) == 2
