"""FSDP2: two processes that each keep half of every weight are one process, and go on from where either stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from llm_sharded import CASES, EVALUATION, FIVE, GDA, half, learnt, long_run, policy, solved, stackelberg

import llm
import stackelberg as sb
from llm.training.learner import Learner
from llm.training.processes import Processes
from llm.training.sharding import Cut, cut_up

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def launched(tmp_path_factory):
    """The folder that two launched processes wrote to, once for all of pytest's own."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sharded"
    with FileLock(f"{out}.lock"):
        if not out.exists():
            out.mkdir()
            (out / "said").write_text(launch(out))
    return out


def launch(out):
    script = out / "two.py"
    script.write_text("import sys\nsys.path.insert(0, sys.argv[2])\nimport llm_sharded\nllm_sharded.both()\n")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--use_fsdp", "--fsdp_version", "2",
               "--num_processes", "2", "--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no",
               "--num_machines", "1", str(script), str(out), str(ROOT / "tests")]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
                          env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stderr


def same(weights, others, atol=2e-6):
    assert len(weights) == len(others) > 0
    for one, other in zip(weights, others, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=atol)


def same_rows(found, others, rtol=1e-4):
    assert len(found) == len(others)
    for one, other in zip(found, others, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            np.testing.assert_allclose(value, other[name], rtol=rtol, atol=rtol / 10, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_that_cut_weights_are_one(launched, name):
    torch.manual_seed(0)
    before = learnt(CASES[name][0]())
    torch.manual_seed(0)
    alone, found = solved(name)
    weights, told = torch.load(launched / f"{name}.0.pt")
    others, _ = torch.load(launched / f"{name}.1.pt")
    assert max(float((one - was).abs().max()) for one, was in zip(weights, before, strict=True)) > 1e-5
    same(weights, others, atol=0)
    halves = name == "bfloat16 base"  # rounds sums of another order to numbers 1/256 apart; weights move by 0.05
    same(weights, learnt(alone), atol=1e-4 if halves else 2e-6)
    same_rows(told, found, rtol=1e-2 if halves else 1e-4)


def test_layers_that_stay_whole_between_the_passes_change_nothing(launched):
    same(torch.load(launched / "kept.0.pt"), torch.load(launched / "two adapters, checkpointing.0.pt")[0])


def test_each_process_holds_its_part_of_weights_and_of_the_optimizer(launched):
    parts = [torch.load(launched / f"parts.{rank}.pt") for rank in (0, 1)]
    assert all(each["cut"] for each in parts)
    assert sum(each["held"] for each in parts) == parts[0]["all"]
    assert max(each["held"] for each in parts) < 0.6 * parts[0]["all"]
    assert parts[0]["state"] + parts[1]["state"] == sum(weight.numel() for weight in policy().parameters())


def test_a_run_goes_on_with_as_many_processes_or_with_fewer(launched, tmp_path):
    whole, found = long_run(tmp_path / "alone", 4)
    weights, told = torch.load(launched / "run.0.pt")
    same(weights, learnt(whole))
    same_rows(told, found)
    same(learnt(long_run(launched / "run", 5)[0]), learnt(long_run(tmp_path / "alone", 5)[0]))


def test_the_first_process_evaluates_while_the_others_wait(launched):
    same_rows(torch.load(launched / "evaluated.0.pt"), long_run(None, 1, evaluation=EVALUATION)[1])


def test_master_weights_stay_in_float32(launched):
    before, after = learnt(half(dtype=torch.float32)), torch.load(launched / "halves.0.pt")
    moved = np.mean([float((old != new).float().mean()) for old, new in zip(before, after, strict=True)])
    assert all(each.dtype == torch.float32 for each in after)
    assert moved > 0.95
    assert max(float((old - new).abs().max()) for old, new in zip(before, after, strict=True)) < 1e-4


REFUSED = [
    ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "--fsdp_version 2"),
    ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_OFFLOAD_PARAMS": "true"}, "fsdp_offload_params"),
    ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_ACTIVATION_CHECKPOINTING": "true"}, "adapter was on"),
    ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}, "there is one"),
    ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DeepSpeed computes"),
    ({"ACCELERATE_MIXED_PRECISION": "bf16"}, "--mixed_precision no"),
]


@pytest.mark.parametrize(("environment", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_cannot_be_done_is_refused_at_the_start(monkeypatch, environment, words):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    trained = policy()
    before = learnt(trained)
    with pytest.raises(ValueError, match=words):
        sb.solve(stackelberg(), GDA, trained, steps=1, sampling=FIVE)
    same(learnt(trained), before, atol=0)


def test_a_layer_that_is_not_there_is_refused(launched):
    assert "names Nonesuch" in (launched / "refused.0").read_text()


def test_a_server_is_not_sent_parts_of_adapters():
    sampling = llm.Rollouts(generator=llm.Server("http://127.0.0.1:1", model="base", adapter_folder="adapters"))
    learner = Learner(policy(None, llm.LoRA(rank=2)), stackelberg(), GDA, sampling, processes=Processes(0, 2))
    with pytest.raises(ValueError, match="whole adapters"):
        cut_up(learner, Cut(), torch.device("cpu"))


def test_the_words_of_accelerate_are_read(monkeypatch):
    assert Cut.asked() is None
    for name, value in {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}.items():
        monkeypatch.setenv(name, value)
    assert Cut.asked() == Cut()
    monkeypatch.setenv("FSDP_TRANSFORMER_CLS_TO_WRAP", "LlamaDecoderLayer, Block")
    monkeypatch.setenv("FSDP_RESHARD_AFTER_FORWARD", "false")
    assert Cut.asked() == Cut(("LlamaDecoderLayer", "Block"), reshard=False)
