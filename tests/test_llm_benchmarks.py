"""The benchmarks of language models: what is compared does the same, and the accelerator's code runs without one."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.mark.parametrize("game", [(1, True), (2, False), (4, False)], ids=["StackelbergGDA", "RLOO-2", "RLOO-4"])
def test_every_way_has_the_same_gradients(benchmark, game):
    assert benchmark("_llm").gradient_gap(*game) < 1e-5


def test_another_gradient_would_be_seen(benchmark, monkeypatch):
    ways = benchmark("_llm")
    plain = ways.Straightforward.loss
    monkeypatch.setattr(ways.Straightforward, "loss", lambda self, said, p: plain(self, said, p + 0.01))
    assert ways.gradient_gap() > 1e-4


def test_every_way_says_all_tokens(benchmark):
    ways = benchmark("_llm")
    world = ways.World.of(ways.SMALL, prompts=3)
    plain, toolkit = (way(world, new=12) for way in (ways.Straightforward, ways.Toolkit))
    first, second = plain.rollouts()
    (episode, *_) = world.policy.generate(world.prompts, toolkit.sampling)
    assert (first.shown, first.ids.shape[1]) == (32, 44)
    assert (second.shown, second.ids.shape[1]) == (len(episode.follower.prompt), len(episode.follower.prompt) + 12)
    assert len(episode.leader.completion.tokens) == len(episode.follower.completion.tokens) == 12


def test_the_accelerators_benchmark_runs_on_a_processor(benchmark, tmp_path, capsys):
    gpu, out = benchmark("llm_gpu"), tmp_path / "found.json"
    options = "--device cpu --shapes tiny --rows 2 --new 4 --repeats 1 --peak-tflops 0.5"
    gpu.main([*options.split(), "--out", str(out)])
    found = json.loads(out.read_text(encoding="utf-8"))["results"]
    assert set(found) == {"tiny, lora", "tiny, full"}
    for name, each in found.items():
        generation, training = each["generation"], each["training"]
        assert generation["tokens"] == 2 * 2 * 4
        assert training["tokens"] == 2 * (32 + 4 + 8 + 4)  # x, y, the instruction in its marks, y'
        assert each["weights that learn"] == training["N"] or "lora" in name
        wanted = 6 * training["N"] * training["tokens"] / (training["seconds"] * 0.5e12)
        assert training["model FLOP utilisation"] == pytest.approx(wanted)
    assert "tiny, full" in capsys.readouterr().out


def test_sizes_are_what_they_are_called(benchmark):
    sizes = benchmark("llm_gpu").SIZES
    wanted = {"0.5B": 0.494e9, "1.5B": 1.54e9, "8B": 8.03e9}
    for name, count in wanted.items():
        assert sizes[name].weights == pytest.approx(count, rel=0.01)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_device_there_is_one_sentence(benchmark):
    with pytest.raises(SystemExit, match="sees no CUDA device"):
        benchmark("llm_gpu").main([])
