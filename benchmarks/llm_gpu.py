"""Tokens a second, memory and model FLOP utilisation of a step at the sizes that are used, on an accelerator.

    make bench-gpu                                              # every shape, LoRA and all weights
    PYTHONPATH=. python benchmarks/llm_gpu.py --shapes 0.5B     # with whatever torch and transformers are there
    PYTHONPATH=. python benchmarks/llm_gpu.py --device cpu --shapes tiny --rows 4 --new 8     # to try the code

Needs torch, transformers, peft and accelerate, and of this toolkit's own needs NumPy and SciPy. Weights are
random bfloat16 in the shapes of Qwen2.5-0.5B, Qwen2.5-1.5B and Llama-3.1-8B; with all weights learning, AdamW's state
is bfloat16 too, so that more fits than in training for good (float32 master weights). A step is that of
``llm_step.py``: prompts of 32 tokens, y and y' of exactly ``--new`` tokens each, one model in both roles.

Generation is counted in new tokens a second. Training (loss, backward pass, AdamW) is counted in tokens of
[x][y][instruction][y'] a second, and its

    model FLOP utilisation = 6 · N · tokens / (seconds · peak FLOP/s),

with N the weights that multiply (all but an input embedding that is not the output layer too) and the peak of dense
bfloat16 products from the maker's data sheet, written beside it. That counts neither the reference's forward pass nor
what is computed twice, and for LoRA it counts a gradient of W that nobody computes; "work done" counts the first and
not the last: (2 + 2 + 4) N a token for all weights, (2 + 2 + 2) N for LoRA.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NEEDED = ("torch", "transformers", "peft", "accelerate", "numpy", "scipy")
PEAKS = {  # dense bfloat16 FLOP/s as the makers have them, the first name found in the device's
    "B200": 2250e12, "H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "GH200": 989e12,
    "A100": 312e12, "L40S": 362e12, "L40": 181e12, "L4": 121e12, "A10G": 70e12, "A10": 125e12, "RTX 4090": 165e12,
}  # fmt: skip
RESULT = Path(__file__).parent / "results" / "llm_gpu.json"


@dataclass(frozen=True)
class Size:
    """A :class:`_llm.Shape` (whose module needs torch), and whether activations are computed again backwards."""

    layers: int
    width: int
    inner: int
    heads: int
    key_heads: int
    vocabulary: int
    tied: bool = True
    checkpointing: bool = False

    @property
    def shape(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "checkpointing"}

    @property
    def weights(self) -> float:
        """Their number, but for norms and biases."""
        attention = 2 * self.width**2 * (1 + self.key_heads / self.heads)
        ends = self.vocabulary * self.width * (1 if self.tied else 2)
        return self.layers * (attention + 3 * self.width * self.inner) + ends


SIZES = {
    "tiny": Size(2, 64, 128, 4, 2, 512),
    "0.5B": Size(24, 896, 4864, 14, 2, 151936),
    "1.5B": Size(28, 1536, 8960, 12, 2, 151936),
    "8B": Size(32, 4096, 14336, 32, 8, 128256, tied=False, checkpointing=True),
}


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    device: str = "cuda"
    rows: int = 64
    new: int = 128
    backward_tokens: int = 8192
    repeats: int = 3
    peak: float | None = None


def measure(size: Size, lora: bool, plan: Plan) -> dict[str, Any]:
    """Generation and training at one size."""
    import _llm
    import torch

    import llm

    with torch.device(plan.device):
        model = _llm.model_of(_llm.Shape(**size.shape), dtype=torch.bfloat16)
    n = _multiplying(model)
    tokenizer = _llm.tokenizer_of(size.vocabulary)
    policy = llm.TransformerPolicy.of(
        model, tokenizer, lora=llm.LoRA(rank=64) if lora else None, gradient_checkpointing=size.checkpointing,
        dialogue=llm.Dialogue(instruction="w1 w2 w3 w4"),
    )  # fmt: skip
    world = _llm.World(tokenizer, policy, _llm.prompts_of(plan.rows), torch.optim.AdamW(policy.parameters(), lr=1e-6))
    way = _llm.Toolkit(world, new=plan.new, backward_tokens=plan.backward_tokens)
    _llm.Toolkit(world, new=2, backward_tokens=plan.backward_tokens).step(0)  # warms up; the optimizer's state is there
    seconds, memory, episodes = _timed(lambda seed: llm.generate(policy, world.prompts, way.sampling, seed=seed), plan)
    said = sum(len(turn.completion.tokens) for each in episodes for turn in (each.leader, each.follower))
    generation = {"seconds": seconds, "tokens": said, "tokens a second": said / seconds, "peak gigabytes": memory}

    def train(_: int) -> None:
        way.backward(episodes, [0.5 + 0.4 * (-1) ** i for i in range(len(episodes))])
        world.update()

    seconds, memory, _ = _timed(train, plan)
    read = sum(len(each.follower.prompt) + len(each.follower.content) for each in episodes)
    work = 6 * n * read, (6 if lora else 8) * n * read
    training = {"seconds": seconds, "tokens": read, "tokens a second": read / seconds, "peak gigabytes": memory}
    peak = plan.peak or peak_of(device_name(plan.device))
    for name, done in zip(("model FLOP utilisation", "utilisation by work done"), work, strict=True):
        training[name] = None if peak is None else done / (seconds * peak)
    training |= {"formula": "6 · N · tokens / (seconds · peak)", "N": n, "peak FLOP/s": peak}
    learning = sum(weight.numel() for weight in policy.parameters())
    return {"weights that learn": learning, "generation": generation, "training": training}


def _multiplying(model: Any) -> int:
    """Every weight but an input embedding of its own, which is looked up and multiplies nothing."""
    whole = sum(weight.numel() for weight in model.parameters())
    apart = model.get_input_embeddings().weight is not model.get_output_embeddings().weight
    return whole - apart * model.get_input_embeddings().weight.numel()


def _timed(act: Callable[[int], Any], plan: Plan) -> tuple[float, float, Any]:
    """The least seconds of a few runs, the peak of memory in gigabytes, and what the last run answered."""
    import torch

    cuda = plan.device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats(plan.device)
    found = []
    for seed in range(plan.repeats):
        start = time.perf_counter()
        answer = act(seed)
        if cuda:
            torch.cuda.synchronize(plan.device)
        found.append(time.perf_counter() - start)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return min(found), (torch.cuda.max_memory_allocated(plan.device) if cuda else own) / 1e9, answer


def bytes_needed(size: Size, lora: bool) -> float:
    """At least: bfloat16 weights, and with all of them learning the reference, gradients and AdamW's two moments."""
    return 2 * size.weights * (1 if lora else 5)


def peak_of(name: str) -> float | None:
    """Of a device by its name; None where it is unknown.

    >>> peak_of("NVIDIA H100 80GB HBM3") / 1e12, peak_of("a processor")
    (989.0, None)
    """
    return next((peak for known, peak in PEAKS.items() if known in name), None)


def device_name(device: str) -> str:
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    from _harness import machine

    return machine()["processor"]


def run(size: str, lora: bool, plan: Plan) -> dict[str, Any]:
    """:func:`measure`, or why it was skipped."""
    import torch

    cuda = plan.device.startswith("cuda")
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
    wanted = bytes_needed(SIZES[size], lora)
    free = torch.cuda.mem_get_info(plan.device)[0] if cuda else float("inf")
    if 1.1 * wanted > free:
        return {"skipped": f"the weights and their state take {wanted / 1e9:.0f} GB and {free / 1e9:.0f} GB are free"}
    try:
        return measure(SIZES[size], lora, plan)
    except torch.OutOfMemoryError as error:
        return {"skipped": f"out of memory: {str(error).splitlines()[0]}"}


def refusal(device: str) -> str | None:
    """Why nothing can be measured here, in a sentence."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} cannot be imported here; this benchmark needs {', '.join(NEEDED)}."
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        return (
            f"torch {torch.__version__} sees no CUDA device here, and these are measurements of one; "
            "to try the code without, pass --device cpu --shapes tiny."
        )
    return None


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shapes", nargs="+", choices=list(SIZES), default=["0.5B", "1.5B", "8B"])
    parser.add_argument("--learn", nargs="+", choices=["lora", "full"], default=["lora", "full"])
    for name, default in (("rows", 64), ("new", 128), ("backward-tokens", 8192), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--peak-tflops", type=float, help="of dense bfloat16 products, for a device not listed")
    parser.add_argument("--out", type=Path, help="by default results/llm_gpu.json for a CUDA device, nowhere else")
    given = parser.parse_args(arguments)
    if why := refusal(given.device):
        sys.exit(why)
    peak = given.peak_tflops and given.peak_tflops * 1e12
    plan = Plan(given.device, given.rows, given.new, given.backward_tokens, given.repeats, peak)
    found: dict[str, Any] = {}
    for shape in given.shapes:
        for learn in given.learn:
            found[f"{shape}, {learn}"] = run(shape, learn == "lora", plan)
            print(f"{shape}, {learn}: {json.dumps(found[f'{shape}, {learn}'])}", flush=True)
    document = {"benchmark": "llm_gpu", "machine": where(given.device), "plan": vars(plan), "results": found}
    out = given.out or (RESULT if given.device.startswith("cuda") else None)
    if out is not None:
        out.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return document


def where(device: str) -> dict[str, Any]:
    """The machine, the device and the libraries."""
    import peft
    import torch
    import transformers
    from _harness import machine

    versions = {each.__name__: each.__version__ for each in (torch, transformers, peft)}
    memory = {"gigabytes": torch.cuda.get_device_properties(device).total_memory / 1e9} if "cuda" in device else {}
    return {**machine(), "device": device_name(device), **memory, "cuda": torch.version.cuda, **versions}


if __name__ == "__main__":
    main()
