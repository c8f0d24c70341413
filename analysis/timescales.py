"""Learning rate against timescale ratio: where a solver converges, cycles or diverges."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

import stackelberg as sb
from stackelberg.dynamics import Motion
from stackelberg.solvers import Solver
from stackelberg.validation import Array


class Outcome(enum.Enum):
    """How a run ended, as a sentence."""

    CONVERGES = "converges: the gap came within the tolerance"
    CYCLES = "cycles: the policies go round at the end of the budget"
    DIVERGES = "diverges: the numbers overflow, or the swings grow"
    UNSETTLED = "unsettled: neither there nor in a cycle when the budget ended"


@dataclass(frozen=True, eq=False, kw_only=True)
class Timescales:
    """One run for every learning rate and κ.

    Attributes:
        rates: (rates,) the Leader's learning rates.
        kappas: (kappas,) κ = η_F/η_L.
        outcomes: a row a κ, a column a rate.
        steps: (kappas, rates) steps to the tolerance; NaN where it was not reached.
        gap: (kappas, rates) the last gap.
        budget: steps that every run was given.
        tolerance: on the gap.
        solver: the name of the rule.
    """

    rates: Array
    kappas: Array
    outcomes: tuple[tuple[Outcome, ...], ...]
    steps: Array
    gap: Array
    budget: int
    tolerance: float
    solver: str


def timescales(
    game: sb.StackelbergGame,
    solver_factory: Callable[[float, float], Solver],
    rates: Sequence[float],
    kappas: Sequence[float],
    *,
    steps: int = 2000,
    tolerance: float = 1e-6,
) -> Timescales:
    """Run a solver at every learning rate and κ, and say how each run ends.

    A run converges where its gap comes within the tolerance. Otherwise it diverges where its numbers overflow,
    and where they do not, :func:`stackelberg.detect_cycle` judges the policies of both players. Logits that bounce
    ever further look like a cycle of the policies until they overflow: there a longer budget says diverges.

    Args:
        game: a Stackelberg game without contexts.
        solver_factory: makes the solver from (learning rate, κ), as ``sb.StackelbergGDA`` does.
        rates: the Leader's learning rates, increasing.
        kappas: κ = η_F/η_L, increasing.
        steps: the budget of every run, 64 or more.
        tolerance: on the gap.

    Raises:
        ValueError: the game has contexts, the rates or κ do not increase, or the budget is too small to judge.

    Example:
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2]), tau=0.5)
        >>> found = timescales(game, sb.MirrorDescent, [0.5, 6.0], [1, 2], steps=500)
        >>> [[outcome.name for outcome in row] for row in found.outcomes]
        [['CONVERGES', 'CYCLES'], ['CONVERGES', 'DIVERGES']]
        >>> found.steps
        array([[18., nan],
               [15., nan]])
    """
    across, down = _increasing(rates, "rates"), _increasing(kappas, "kappas")
    if game.preference.contexts is not None:
        raise ValueError("A map is of one game, and this one has contexts. Pass the preferences of one context.")
    if steps < 64:
        raise ValueError(f"A budget of {steps} steps is too small to see a cycle in. Pass 64 or more.")
    runs = [[_run(game, solver_factory(rate, kappa), steps, tolerance) for rate in across] for kappa in down]
    return Timescales(
        rates=across,
        kappas=down,
        outcomes=tuple(tuple(outcome for outcome, _, _ in row) for row in runs),
        steps=np.array([[taken for _, taken, _ in row] for row in runs]),
        gap=np.array([[gap for _, _, gap in row] for row in runs]),
        budget=steps,
        tolerance=tolerance,
        solver=type(solver_factory(float(across[0]), float(down[0]))).__name__,
    )


def _increasing(values: Sequence[float], name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not (array > 0).all() or (np.diff(array) <= 0).any():
        raise ValueError(f"{name} must be positive numbers that increase, not {values!r}. Sort them.")
    return array


def _run(game: sb.StackelbergGame, solver: Solver, steps: int, tolerance: float) -> tuple[Outcome, float, float]:
    """How one run ends, after how many steps, and at which gap."""
    record = sb.Record(every=1, average=False, policies=True)
    solution = sb.solve(game, solver, steps=steps, record=record, tolerance=tolerance)
    seen, gap = solution.trajectory, float(solution.gap)
    assert seen is not None
    assert seen.policies is not None
    if solution.status is sb.Status.REACHED:
        return Outcome.CONVERGES, float(seen.steps[-1]), gap
    if solution.status is sb.Status.DIVERGED:
        return Outcome.DIVERGES, np.nan, gap
    both = np.concatenate([part.reshape(len(seen), -1) for part in seen.policies], axis=1)
    return _of_motion(sb.detect_cycle(both).motion), np.nan, gap


def _of_motion(motion: Motion) -> Outcome:
    found = {Motion.ORBITS: Outcome.CYCLES, Motion.DIVERGES: Outcome.DIVERGES}
    return found.get(motion, Outcome.UNSETTLED)
