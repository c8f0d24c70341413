"""A mirror step of tables on a CUDA device against the same step in NumPy on the processor.

    make cuda                                     # tests first, then this, with PYTHON's own torch
    python benchmarks/tables_gpu.py --device cpu --small   # to try the code

Needs NumPy, SciPy and torch. One game of 1,000 actions (a Follower of 1,000×1,000) and 10,000 games of 10 actions
(10,000×10×10), float64 and float32. "step" is one step without records, the mean over a run's steps; "with records"
the same with gap, value and KL every 10 steps, for which tables come back to NumPy. That both lead to the same
policies is checked first. Least seconds of a few runs, the device waited for.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "tables_gpu.json"
NEEDED = ("numpy", "scipy", "torch")
TOLERANCE = {"float64": 1e-9, "float32": 1e-4}
STEPS = 50


def sizes(small: bool) -> dict[str, Any]:
    """The games."""
    import stackelberg as sb

    one, many = (50, 100) if small else (1_000, 10_000)
    return {
        f"one game, n = {one:,}": sb.StackelbergGame(sb.PreferenceMatrix.random(one), tau=0.1),
        f"{many:,} games, n = 10": sb.StackelbergGame(sb.PreferenceMatrix.random(10, contexts=many), tau=0.1),
    }


def measure(game: Any, dtype: str, device: str, repeats: int) -> dict[str, Any]:
    """Seconds a step on the device and in NumPy, and their ratios."""
    import numpy as np

    import stackelberg as sb

    solver, here, there = sb.MirrorDescent(0.5, kappa=5), sb.Tables(dtype), sb.Tables(dtype, device)
    ours, theirs = (sb.solve(game, solver, tables, steps=10, record=None) for tables in (here, there))
    np.testing.assert_allclose(theirs.leader, ours.leader, atol=TOLERANCE[dtype])
    np.testing.assert_allclose(theirs.follower, ours.follower, atol=TOLERANCE[dtype])
    found: dict[str, Any] = {}
    for tables, where in ((there, device), (here, "NumPy")):
        found[f"step, {where}"] = min(step(game, solver, tables, device) for _ in range(repeats))
        found[f"step with records, {where}"] = min(recorded(game, solver, tables, device) for _ in range(repeats))
    for name in ("step", "step with records"):
        found[f"{name}: times as fast"] = found[f"{name}, NumPy"] / found[f"{name}, {device}"]
    return found


def step(game: Any, solver: Any, tables: Any, device: str) -> float:
    """Seconds of one step, from the mean of a run's, its preparation left out."""
    from stackelberg.field import Field, natural_field
    from stackelberg.pairing import starting_point

    field = Field(natural_field(game))
    point = starting_point(game, solver, tables, field.pull, None)
    for t in range(2 * STEPS):
        if t == STEPS:
            wait(device)
            begin = time.perf_counter()
        direction, _ = solver.direction(t, point, field, None)
        point = point.step(solver.rates(t, 2), direction)
    wait(device)
    return (time.perf_counter() - begin) / STEPS


def recorded(game: Any, solver: Any, tables: Any, device: str) -> float:
    """The same with records, preparation included."""
    import stackelberg as sb

    wait(device)
    begin = time.perf_counter()
    sb.solve(game, solver, tables, steps=STEPS, record=sb.Record(every=10, average=False))
    wait(device)
    return (time.perf_counter() - begin) / STEPS


def wait(device: str) -> None:
    """Until the device has done what it was told."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def refusal(device: str, needed: tuple[str, ...] = NEEDED) -> str | None:
    """Why nothing can be tested or measured here, in a sentence."""
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} cannot be imported by {sys.executable}; needed are {', '.join(needed)}."
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no CUDA device here; to try the code without: --device cpu --small."
    return None


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="little games, to try the code")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="say only whether tests and measurements can run here")
    parser.add_argument("--out", type=Path, help="by default results/tables_gpu.json for a CUDA device, nowhere else")
    given = parser.parse_args(arguments)
    if why := refusal(given.device, (*NEEDED, "pytest") if given.check else NEEDED):
        sys.exit(why)
    if given.check:
        return {}
    found: dict[str, Any] = {}
    for name, game in sizes(given.small).items():
        for dtype in TOLERANCE:
            found[f"{name}, {dtype}"] = measure(game, dtype, given.device, given.repeats)
            print(f"{name}, {dtype}: {json.dumps(found[f'{name}, {dtype}'])}", flush=True)
    document = {"benchmark": "tables_gpu", "machine": where(given.device), "steps": STEPS, "results": found}
    out = given.out or (RESULT if given.device.startswith("cuda") and not given.small else None)
    if out is not None:
        out.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return document


def where(device: str) -> dict[str, Any]:
    """The machine, the device and torch."""
    import torch
    from _harness import machine

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else machine()["processor"]
    return {**machine(), "device": name, "cuda": torch.version.cuda, "torch": torch.__version__}


if __name__ == "__main__":
    main()
