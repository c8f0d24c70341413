"""The order structure of 1,000 actions against one matrix product of that size, and 1,000 bootstrap draws.

    python benchmarks/structure.py

The floor is one n×n float32 product, the least that counting 3-cycles with ties can cost.
"""

from collections.abc import Callable

import numpy as np
from _harness import compare, record, seconds_of

import stackelberg as sb
from analysis import bootstrap, hodge, noise_test, stochastic_transitivity, top_cycles
from analysis.cycles import three_cycles
from analysis.tournament import majority, schwartz_set, smith_set


def one_large(n: int) -> dict:
    """Each question about one matrix of n actions, with and without ties."""
    P = sb.PreferenceMatrix.random(n)
    with_ties = sb.PreferenceMatrix(np.round(np.array(P), 1))
    edges = majority(P).astype(np.float32)
    acts: dict[str, Callable[[], object]] = {
        "majority relation": lambda: majority(P),
        "3-cycles, no ties": lambda: three_cycles(majority(P)),
        "3-cycles, ties": lambda: three_cycles(majority(with_ties)),
        "Smith set": lambda: smith_set(majority(P)),
        "Schwartz set, ties": lambda: schwartz_set(majority(with_ties)),
        "Hodge, equal weights": lambda: hodge(P),
        "1,000 top cycles": lambda: top_cycles(P),
        "stochastic transitivity": lambda: stochastic_transitivity(P),
    }
    return {name: compare(act, lambda: edges @ edges, repeats=3) for name, act in acts.items()}


def thousand_draws(n: int, comparisons: int = 50) -> dict[str, float]:
    """Seconds of 1,000 bootstrap draws and of 1,000 simulated worlds, n actions compared pair by pair."""
    rng = np.random.default_rng(0)
    wins = np.triu(rng.integers(5, comparisons - 5, (n, n)), 1)
    wins = wins + np.tril(comparisons - wins.T, -1)
    P = sb.PreferenceMatrix.from_counts(wins)
    seconds = {"bootstrap": lambda: bootstrap(P), "noise test": lambda: noise_test(P)}
    return {name: min(seconds_of(act) for _ in range(3)) for name, act in seconds.items()}


if __name__ == "__main__":
    three = sb.PreferenceMatrix.random(1_000)
    record(
        "structure",
        {
            "one matrix, n = 1,000 (floor: one product)": one_large(1_000),
            "three-cycles found": int(three_cycles(majority(three))),
            "members of the Smith set": int(smith_set(majority(three)).sum()),
            "seconds of 1,000 draws, by n": {str(n): thousand_draws(n) for n in (5, 10, 20, 40)},
        },
    )
