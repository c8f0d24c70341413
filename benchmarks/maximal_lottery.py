"""Maximal lotteries by the central path against HiGHS, simplex and interior point, and 10,000 games in one call.

    python benchmarks/maximal_lottery.py [--quick]

The same random game (margins uniform, one equilibrium) is solved in turn by us and by
``scipy.optimize.linprog``; a ratio of 10 means that HiGHS takes ten times as long. Ours comes with its
certificate, support and dimension; theirs is the plain linear programme: least t with A x ≤ t. ``--quick`` leaves
out HiGHS at n = 1,000, which takes seconds to minutes. The batches are measured against one batched
``numpy.linalg.solve`` over the same array; in the second, margins are small integers, so that many games have
faces of equilibria, which are solved one by one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from _harness import compare, record
from scipy.optimize import linprog

from stackelberg.equilibrium.lottery import maximal_lottery


def skew(upper: np.ndarray) -> np.ndarray:
    part = np.triu(upper, 1)
    return part - np.swapaxes(part, -1, -2)


def uniform_margins(batch: int, n: int) -> np.ndarray:
    return skew(np.random.default_rng(0).uniform(-0.5, 0.5, (batch, n, n)))


def integer_margins(batch: int, n: int) -> np.ndarray:
    return skew(np.random.default_rng(0).integers(-2, 3, (batch, n, n)) / 4)


def by_highs(margin: np.ndarray, method: str) -> np.ndarray:
    n = len(margin)
    found = linprog(
        np.append(np.zeros(n), 1.0),
        A_ub=np.hstack([margin, -np.ones((n, 1))]),
        b_ub=np.zeros(n),
        A_eq=np.append(np.ones(n), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
        method=method,
    )
    return found.x[:n]


def ours(margins: np.ndarray) -> Callable[[], object]:
    reference = np.full(margins.shape[:2], 1 / margins.shape[1])
    return lambda: maximal_lottery(margins, reference)


def against_highs(n: int, method: str, repeats: int) -> dict:
    margins = uniform_margins(1, n)
    measured = compare(lambda: by_highs(margins[0], method), ours(margins), repeats=repeats)
    policy = ours(margins)().policy[0]
    return {
        "seconds": measured["floor_seconds"],
        "highs_seconds": measured["seconds"],
        "highs_over_ours": measured["ratio"],
        "highs_over_ours_range": measured["ratio_range"],
        "exploitability": float((margins[0] @ policy).max()),
        "highs_exploitability": float((margins[0] @ by_highs(margins[0], method)).max()),
    }


def batched(margins: np.ndarray, repeats: int) -> dict:
    batch, n, _ = margins.shape
    dense, right = margins + np.eye(n), np.ones((batch, n, 1))
    measured = compare(ours(margins), lambda: np.linalg.solve(dense, right), repeats=repeats)
    lottery = ours(margins)()
    return {
        **measured,
        "floor": "one batched dense solve",
        "games_with_a_face": int((lottery.dimension > 0).sum()),
        "largest_exploitability": float(lottery.exploitability.max()),
    }


if __name__ == "__main__":
    sizes = {10: 25, 100: 15, 300: 5} if "--quick" in sys.argv else {10: 25, 100: 15, 300: 5, 1_000: 1}
    results = {
        f"n = {n:,}, {method}": against_highs(n, method, repeats)
        for n, repeats in sizes.items()
        for method in ("highs-ds", "highs-ipm")
    }
    results["10,000 games, n = 10, one equilibrium each"] = batched(uniform_margins(10_000, 10), 5)
    results["10,000 games, n = 10, margins of few integers"] = batched(integer_margins(10_000, 10), 1)
    record("maximal_lottery", results)
