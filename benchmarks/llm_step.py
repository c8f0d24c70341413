"""A step of training a language model, against a straightforward implementation of the same step.

    python benchmarks/llm_step.py            # everything, about five minutes
    python benchmarks/llm_step.py --repeats 2 --case "RLOO, 2 leaders, 6.3 M"

A step draws the rollouts (8 of them: 32 tokens of prompt, 128 new ones a turn, no end mark possible), asks a judge
that costs nothing, makes the loss with the KLs to a frozen reference, goes backwards and moves float32 weights by
AdamW. StackelbergGDA has y and y' with one model in both roles, kappa = 5; RLOO has 2 or 4 answers a prompt and no y'.

Straightforward (``_llm.Straightforward``) means: y and y' from two ``generate`` calls with a key-value cache each, a
sequence and a forward pass a role, and a log-softmax over the vocabulary at every position, on plain transformers: its
products are those of torch's BLAS. The toolkit leaves large ones to oneDNN (``llm/products.py``), in its last way not:
the difference is the processor's affair, and large on AMD's. Both ways' gradients on
the same rollouts are compared first; the run stops if they differ by more than 1e-4 of the largest.

Every way runs in a process of its own with one thread, all in turn, A B C A B C ...: seconds are wall-clock, with the
processor's own beside them, which other programs disturb less. Memory is the process's peak (``ru_maxrss``) less what
it held just before the first step, when the libraries are loaded and warm and the weights, the reference and the
optimizer's state lie there: "above the state". Less what it held before those were made it is "above the libraries".

Targets at 10 M: half the step time, and half the memory, of the straightforward way, or less. The published trainer's
mark at 6.3 M: StackelbergGDA 6.1 s and 1.48 GB, RLOO 2.7 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from _harness import record

ROOT = Path(__file__).resolve().parent.parent
PLAIN = "straightforward"
ROWS = 8
CASES: dict[str, dict[str, Any]] = {
    "StackelbergGDA, 6.3 M": {"shape": "PUBLISHED", "leaders": 1, "followers": True},
    "StackelbergGDA, 10 M": {"shape": "TEN", "leaders": 1, "followers": True},
    "RLOO, 2 leaders, 6.3 M": {"shape": "PUBLISHED", "leaders": 2, "followers": False},
    "RLOO, 4 leaders, 6.3 M": {"shape": "PUBLISHED", "leaders": 4, "followers": False},
}


class Process:
    """A way of taking a step, alive in a process of its own."""

    def __init__(self, case: dict[str, Any], way: str) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.pipe = subprocess.Popen(
            [sys.executable, __file__, "--serve", json.dumps({**case, "way": way})],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **threads, "PYTHONPATH": path},
        )  # fmt: skip
        self.about = self._answer()

    def step(self) -> dict[str, float]:
        self.pipe.stdin.write("step\n")
        self.pipe.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self.pipe.stdin.close()
        self.pipe.wait()

    def _answer(self) -> dict[str, float]:
        line = self.pipe.stdout.readline()
        if not line:
            raise RuntimeError(f"A measured process ended with code {self.pipe.wait()}; its words are above.")
        return json.loads(line)


def serve(way: str, shape: str, leaders: int, followers: bool) -> None:
    """Take a step for every line that comes in."""
    import _llm
    import torch
    import transformers

    torch.set_num_threads(1)
    gap = _llm.gradient_gap(leaders, followers)  # loads and warms the libraries too
    if not gap < 1e-4:
        raise SystemExit(f"The ways' gradients differ by {gap:.2g} of the largest: their times cannot be compared.")
    libraries = resident()
    world = _llm.World.of(getattr(_llm, shape), ROWS // leaders)
    taker = _llm.WAYS[way](world, leaders, followers)
    state = resident()
    parameters = sum(weight.numel() for weight in world.policy.parameters())
    versions = {each.__name__: each.__version__ for each in (torch, transformers)}
    print(json.dumps({"parameters": parameters, "gradient_gap": gap, **versions}), flush=True)
    for seed, _ in enumerate(sys.stdin):
        wall, processor = time.perf_counter(), time.process_time()
        taker.step(seed)
        taken = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        print(json.dumps({**taken, "state": peak - state, "libraries": peak - libraries}), flush=True)


def resident() -> int:
    """Bytes of memory held now (Linux), else at most so far."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measure(case: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Every way in turn; the first round warms up and counts for memory alone."""
    processes = {way: Process(case, way) for way in ways()}
    rounds = [{way: process.step() for way, process in processes.items()} for _ in range(repeats + 1)]
    about = next(iter(processes.values())).about
    for process in processes.values():
        process.close()
    found = {way: summary([each[way] for each in rounds]) for way in processes}
    plain = found[PLAIN]
    for each in found.values():
        each["time over the straightforward"] = each["seconds"] / plain["seconds"]
        each["processor time over the straightforward"] = each["processor_seconds"] / plain["processor_seconds"]
        for over in ("above the state", "above the libraries"):
            each[f"memory over the straightforward, {over}"] = each[f"megabytes {over}"] / plain[f"megabytes {over}"]
    return {**about, "repeats": repeats, **found}


def summary(steps: list[dict[str, float]]) -> dict[str, Any]:
    """Minima and the spread."""
    timed = steps[1:]
    return {
        "seconds": min(each["wall"] for each in timed),
        "seconds_range": [min(each["wall"] for each in timed), max(each["wall"] for each in timed)],
        "processor_seconds": min(each["processor"] for each in timed),
        "processor_seconds_range": [min(each["processor"] for each in timed), max(each["processor"] for each in timed)],
        "megabytes above the state": steps[-1]["state"] / 1e6,
        "megabytes above the libraries": steps[-1]["libraries"] / 1e6,
    }


def ways() -> list[str]:
    import _llm

    return list(_llm.WAYS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--case", action="append", choices=list(CASES), help="again for several; all by default")
    parser.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(**given.serve)
    else:
        found = {name: measure(CASES[name], given.repeats) for name in given.case or CASES}
        record("llm_step", found) if given.case is None else print(json.dumps(found, indent=2))
