"""Two processes end together, with the error of the one that failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TWO = """
import os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import stackelberg as sb, llm
from llm.testing import tiny_policy
assert os.environ["WORLD_SIZE"] == "2"
out, rank = Path(sys.argv[1]), os.environ["RANK"]
class Lost(Exception):
    "Cannot be sent: it wants two arguments."
    def __init__(self, one, two):
        super().__init__(one)
def fails(on, error):
    def judge(prompts, first, second):
        if rank == on:
            raise error
        return [0.5] * len(prompts)
    return judge
def tried(name, judge, **options):
    game = sb.StackelbergGame(judge, contexts=["Why?", "How?"], tau=0.1)
    solver = sb.StackelbergGDA(learning_rate=options.pop("rate", 1e-2))
    try:
        found = sb.solve(game, solver, tiny_policy(), steps=2, sampling=llm.Rollouts(prompts=2, max_new_tokens=3),
                         **options)
        said = found.status.name
    except Exception as error:
        said = " ".join([type(error).__name__, str(error), *getattr(error, "__notes__", [])])
    (out / f"{name}.{rank}").write_text(said)
tried("second", fails("1", ValueError("the judge is out")))
tried("lost", fails("1", Lost("cannot be sent", 2)))
tried("evaluated", fails("none", None), record=llm.Evaluation(["Who?"], judge=fails("0", KeyError("held out"))))
tried("fine", fails("none", None), checkpoint=out / "run")
tried("claimed", fails("none", None), checkpoint=out / "run", rate=0.5)
"""


@pytest.mark.parametrize("how", [["--multi_gpu"], ["--use_fsdp", "--fsdp_version", "2"]], ids=["plain", "fsdp"])
def test_every_process_ends_with_the_error_of_the_one_that_failed(tmp_path, how):
    script = tmp_path / "two.py"
    script.write_text(TWO)
    launch = [sys.executable, "-m", "accelerate.commands.launch", *how, "--num_processes", "2", "--main_process_port",
              "0", "--mixed_precision", "no", "--dynamo_backend", "no", "--num_machines", "1", str(script),
              str(tmp_path), str(ROOT)]  # fmt: skip
    done = subprocess.run(launch, cwd=ROOT, capture_output=True, text=True, check=False, timeout=90,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = {path.name: path.read_text() for path in tmp_path.iterdir() if path.suffix in (".0", ".1")}
    assert said["second.1"] == "ValueError the judge is out"
    assert said["second.0"] == "ValueError the judge is out This was raised on process 1, and ends all of them."
    assert said["lost.1"] == "Lost cannot be sent"
    assert said["lost.0"].startswith("RuntimeError Lost: cannot be sent This was raised on process 1")
    assert said["evaluated.0"] == "KeyError 'held out'"
    assert said["evaluated.1"].startswith("KeyError 'held out' This was raised on process 0")
    assert said["fine.0"] == said["fine.1"] == "RAN"
    assert all("was started otherwise: solver" in said[f"claimed.{rank}"] for rank in (0, 1))
