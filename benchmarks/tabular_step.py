"""A tabular learning step against the least it could cost: one exp and one multiply-add over the same arrays.

    python benchmarks/tabular_step.py

The arrays are the Follower's: n×n for one game of 1,000 actions, 1,000×10×10 for 1,000 games of 10 actions.
A run is 200 steps, its preparation included, with a record every 10: gap, value and KL; "with average" also
keeps the running mean of all iterates and its gap, which is what ``sb.solve`` does by default.

Target: ratio ≤ 3, not met: the results say by how much.
"""

from __future__ import annotations

import numpy as np
from _harness import compare, record

import stackelberg as sb

STEPS = 200
SOLVERS = {
    "mirror": sb.MirrorDescent(learning_rate=0.5, kappa=5),
    "GDA on the simplex": sb.StackelbergGDA(learning_rate=0.02, kappa=5),
    "GDA in softmax parameters": sb.StackelbergGDA(learning_rate=0.5, kappa=5, geometry=sb.Softmax()),
}


def ratio(preference: sb.PreferenceMatrix, solver: object, average: bool, repeats: int) -> dict:
    game = sb.StackelbergGame(preference, tau=0.1)
    keep = sb.Record(every=10, average=average)
    array, other, out = (np.array(preference.probabilities) for _ in range(3))

    def floor() -> None:
        for _ in range(STEPS):
            np.exp(array, out=out)
            np.multiply(out, 0.9, out=out)
            np.add(out, other, out=out)

    return compare(lambda: sb.solve(game, solver, steps=STEPS, record=keep), floor, repeats=repeats)


if __name__ == "__main__":
    games = {
        "one game, n = 1,000": (sb.PreferenceMatrix.random(1_000), 5),
        "1,000 games, n = 10": (sb.PreferenceMatrix.random(10, contexts=1_000), 15),
    }
    record(
        "tabular_step",
        {
            f"{size}: {name}{', with average' if average else ''} (target 3)": ratio(p, solver, average, repeats)
            for size, (p, repeats) in games.items()
            for name, solver in SOLVERS.items()
            for average in (False, True)
        },
    )
