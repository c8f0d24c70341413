"""A tabular learning step against the least it could cost: one exp and one multiply-add over the same arrays.

    python benchmarks/tabular_step.py

The arrays are the Follower's: n×n for one game of 1,000 actions, 1,000×10×10 for 1,000 games of 10 actions.
A run is 200 steps, its preparation included, with a record every 10: gap, value and KL; "with average" also
keeps the running mean of all iterates and its gap, which is what ``sb.solve`` does by default. "By hand" is the same
rule in plain NumPy (``_by_hand.py``), without records, averages or checks;
that the first steps of both lead to the same place is checked.

Target: ratio ≤ 3. Mirror descent meets it at n = 1,000; the others do not, and the results say by how much.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
from _by_hand import mirror, policy_gradient, projected
from _harness import compare, record

import stackelberg as sb

STEPS, TAU, KAPPA = 200, 0.1, 5.0
SOLVERS = {
    "mirror": (sb.MirrorDescent(learning_rate=0.5, kappa=KAPPA), mirror),
    "GDA on the simplex": (sb.StackelbergGDA(learning_rate=0.02, kappa=KAPPA), projected),
    "GDA in softmax parameters": (
        sb.StackelbergGDA(learning_rate=0.5, kappa=KAPPA, geometry=sb.Softmax()),
        policy_gradient,
    ),
}


def floor(preference: sb.PreferenceMatrix) -> Callable[[], None]:
    """The same number of passes over arrays of the same size."""
    array, other, out = (np.array(preference.probabilities) for _ in range(3))

    def act() -> None:
        for _ in range(STEPS):
            np.exp(array, out=out)
            np.multiply(out, 0.9, out=out)
            np.add(out, other, out=out)

    return act


def measured(size: str, preference: sb.PreferenceMatrix, repeats: int) -> dict[str, dict]:
    """All ratios of one size."""
    game, costs, least = sb.StackelbergGame(preference, tau=TAU), -preference.probabilities, floor(preference)
    found = {}
    for name, (solver, by_hand) in SOLVERS.items():
        for compiled, average in itertools.product((False, True), repeat=2):
            keep, tables = sb.Record(every=10, average=average), sb.Tables(compiled=compiled)

            def run(solver: sb.Solver = solver, tables: sb.Tables = tables, keep: sb.Record = keep) -> sb.Solution:
                return sb.solve(game, solver, tables, steps=STEPS, record=keep)

            title = f"{size}: {name}{', compiled' * compiled}{', with average' * average} (target 3)"
            found[title] = compare(run, least, repeats=repeats)

        def plain(solver: sb.Solver = solver, by_hand: Callable = by_hand) -> np.ndarray:
            return by_hand(costs, TAU, solver.learning_rate, KAPPA, STEPS)

        few = by_hand(costs, TAU, solver.learning_rate, KAPPA, 10)  # later GDA on the simplex jumps, and rounding tells
        for tables in (None, sb.Tables(compiled=True)):
            np.testing.assert_allclose(few, sb.solve(game, solver, tables, steps=10).leader, rtol=1e-9, atol=1e-12)
        found[f"{size}: {name}, by hand"] = compare(plain, least, repeats=repeats)
    return found


if __name__ == "__main__":
    one = measured("one game, n = 1,000", sb.PreferenceMatrix.random(1_000), 5)
    record("tabular_step", one | measured("1,000 games, n = 10", sb.PreferenceMatrix.random(10, contexts=1_000), 15))
