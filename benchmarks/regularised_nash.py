"""The regularised Nash equilibrium against dense linear solves of the same size, and how it grows.

    python benchmarks/regularised_nash.py

The floor of one game is 50 runs of ``numpy.linalg.solve``, n × n, one right-hand side; of a batch, one such
solve a game. Gaps are certificates of the answers that were timed. Target: ratio ≤ 1 for n = 100 at
tau = 0.1 to gap 1e-12; a gap of 1e-10 for n = 1,000.
"""

from __future__ import annotations

import numpy as np
from _harness import compare, record

from stackelberg.equilibrium.quantal import regularised_gap, regularised_nash


def random_games(batch: int, n: int, seed: int = 0) -> np.ndarray:
    upper = np.triu(np.random.default_rng(seed).random((batch, n, n)) - 0.5, 1)
    return upper - np.swapaxes(upper, -1, -2)


def against_solves(n: int, tau: float, *, batch: int = 1, solves: int = 50, repeats: int = 15) -> dict:
    margins, reference, taus = random_games(batch, n), np.zeros((batch, n)), np.full(batch, tau)
    dense = np.eye(n) + margins
    right = np.ones((batch, n, 1))

    def floor() -> None:
        for _ in range(solves):
            np.linalg.solve(dense, right)

    result = compare(lambda: regularised_nash(margins, reference, taus), floor, repeats=repeats)
    gaps = regularised_gap(margins, reference, taus, regularised_nash(margins, reference, taus))
    return {**result, "floor": f"{solves} dense solves", "largest_gap": float(gaps.max())}


if __name__ == "__main__":
    record(
        "regularised_nash",
        {
            "one game, n = 100, tau = 0.1 (target 1)": against_solves(100, 0.1),
            "one game, n = 100, tau = 0.0001": against_solves(100, 1e-4),
            "one game, n = 1,000, tau = 0.1": against_solves(1_000, 0.1, repeats=3),
            "one game, n = 1,000, tau = 0.0001": against_solves(1_000, 1e-4, repeats=3),
            "one game, n = 2,000, tau = 0.0001": against_solves(2_000, 1e-4, solves=5, repeats=1),
            "10,000 games, n = 10, tau = 0.1": against_solves(10, 0.1, batch=10_000, solves=1, repeats=5),
            "10,000 games, n = 10, tau = 0.001": against_solves(10, 1e-3, batch=10_000, solves=1, repeats=3),
        },
    )
