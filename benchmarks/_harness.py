"""Measure acts against each other in one run, and record the result beside the machine it came from."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import scipy

RESULTS = Path(__file__).parent / "results"


def compare(act: Callable[[], Any], floor: Callable[[], Any], *, repeats: int = 7) -> dict[str, Any]:
    """Two acts in turn, A B A B …, and the median of their ratios: it holds when the machine's speed drifts."""
    act(), floor()
    pairs = []
    for _ in range(repeats):
        first = seconds_of(act)
        pairs.append((first, seconds_of(floor)))
    ratios = [a / b for a, b in pairs]
    return {
        "seconds": float(np.median([a for a, _ in pairs])),
        "floor_seconds": float(np.median([b for _, b in pairs])),
        "ratio": float(np.median(ratios)),
        "ratio_range": [min(ratios), max(ratios)],
    }


def seconds_of(act: Callable[[], Any]) -> float:
    """Seconds of one run."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    threads = {key: os.environ[key] for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS") if key in os.environ}
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "threads": threads,
        "date": date.today().isoformat(),
    }


def record(name: str, results: dict[str, Any]) -> None:
    """Print the results and write them to ``results/name.json``."""
    document = {"benchmark": name, "machine": machine(), "results": results}
    text = json.dumps(document, indent=2)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)
