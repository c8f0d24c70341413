"""The exact Stackelberg solution against the least it could cost: one exp and one row sum over the same array.

    python benchmarks/stackelberg_exact.py

Each solve returns Leader, Follower (n×n), values, optimal face and the certificate of the answer.
Targets: ratio ≤ 4 for one game of 2,000 actions, ≤ 10 for 10,000 games of 10 actions.
"""

import numpy as np
from _harness import compare, record

import stackelberg as sb


def ratio(preference: sb.PreferenceMatrix, repeats: int) -> dict:
    game = sb.StackelbergGame(preference, tau=0.1)
    array = np.array(preference.probabilities)
    return compare(lambda: sb.solve(game), lambda: np.exp(array).sum(axis=-1), repeats=repeats)


if __name__ == "__main__":
    record(
        "stackelberg_exact",
        {
            "one game, n = 2,000 (target 4)": ratio(sb.PreferenceMatrix.random(2_000), 15),
            "10,000 games, n = 10 (target 10)": ratio(sb.PreferenceMatrix.random(10, contexts=10_000), 15),
            "one game, n = 10,000, Follower not kept": ratio(sb.PreferenceMatrix.random(10_000), 3),
        },
    )
