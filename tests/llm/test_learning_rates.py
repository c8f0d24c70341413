"""A model learns at the rates of its solver's schedule, as written in Python or in a configuration."""

from __future__ import annotations

import pytest
from llm_runs import solve

import stackelberg as sb
from llm.config.running import kept
from llm.config.running import run as run_config
from llm.config.sections import checked


def test_a_language_model_warms_up():
    solver = sb.StackelbergGDA(learning_rate=sb.Warmup(2, then=sb.Linear(0.03, 0.0, steps=3)), kappa=5)
    found = solve(4, solver=solver)
    assert found.trajectory["learning_rate"] == pytest.approx([0.01, 0.02, 0.03, 0.02])


WARM = {"kind": "warmup", "steps": 2}
WRITTEN = [
    "warmup:2,(linear:0.03,0,3)",
    "warmup:2,then=(linear:0.03,0,steps=3)",
    WARM | {"then": "linear:0.03,0,3"},
    WARM | {"then": {"kind": "linear", "initial": 0.03, "final": 0.0, "steps": 3}},
]


@pytest.mark.parametrize("written", WRITTEN, ids=str)
def test_a_configuration_warms_up(tmp_path, written):
    (tmp_path / "prompts.txt").write_text("Why?\nHow?\n")
    values = {
        "model": {"kind": "tiny"},
        "prompts": {"file": str(tmp_path / "prompts.txt")},
        "judge": {"kind": "patterns", "found": ["e"]},
        "solver": {"kind": "stackelberg-gda", "learning_rate": written},
        "rollouts": {"prompts": 1, "max_new_tokens": 2},
        "steps": 1,
        "out": str(tmp_path / "run"),
    }
    found = checked(values).build()
    assert found.solver.learning_rate == sb.Warmup(2, then=sb.Linear(0.03, 0, 3))
    if isinstance(written, dict):
        return
    done = run_config(values)
    assert done.solution.trajectory["learning_rate"] == pytest.approx([0.01])
    again = run_config(kept(tmp_path / "run", steps=2))
    assert again.solution.trajectory["learning_rate"] == pytest.approx([0.01, 0.02])
    assert repr(again.config.solver) == repr(found.solver)  # by which a run is known: 0 or 0.0
