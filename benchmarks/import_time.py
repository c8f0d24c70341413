"""What `import stackelberg` costs beyond the parts of NumPy and SciPy that it stands on. Target: under 0.3 s.

python benchmarks/import_time.py
"""

import statistics
import subprocess
import sys

from _harness import record

GROUND = "import numpy, scipy.special, scipy.sparse.csgraph"
TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def seconds(before: str, act: str) -> float:
    """Median seconds of `act` in fresh interpreters that have run `before`."""
    code = f"{before}; {TIMED.format(act)}"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(7)]
    return statistics.median(float(run.stdout) for run in runs)


if __name__ == "__main__":
    record(
        "import_time",
        {
            "numpy and scipy, seconds": seconds("pass", GROUND),
            "stackelberg beyond them, seconds (target 0.3)": seconds(GROUND, "import stackelberg"),
        },
    )
