"""The one loop: a point, a field, a solver that says where to go, and a record of the way."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stackelberg import divergence
from stackelberg.checkpoint import Checkpoint, keeping
from stackelberg.diagnostics import Diagnostics, diagnostics
from stackelberg.expectation import Expectation
from stackelberg.field import Field, natural_field
from stackelberg.game import Game
from stackelberg.memory import settled
from stackelberg.pairing import check_pairing, starting_point
from stackelberg.point import Point
from stackelberg.progress import showing
from stackelberg.record import Record
from stackelberg.recorder import Recorder
from stackelberg.run import Run
from stackelberg.solution import Solution, Status
from stackelberg.solvers.base import Solver
from stackelberg.stored_run import stored_run
from stackelberg.validation import shown


def learn(
    game: Game,
    solver: Solver,
    *,
    policy: Any,
    steps: int,
    sampling: Expectation,
    seed: int,
    record: Record | None,
    tolerance: float | None,
    start: Any,
    checkpoint: Checkpoint | str | os.PathLike[str] | None,
    progress: bool,
) -> Solution:
    """Run ``solver`` on ``game``; see :func:`stackelberg.solve`."""
    check_pairing(game, solver)
    _check_budget(steps, record, tolerance)
    _check_sampling(sampling, seed)
    generator, look = np.random.default_rng(seed), diagnostics(game)
    field = Field(natural_field(game), sampling, generator)
    weights = game.context_weights  # type: ignore[attr-defined]  # every game sets its own
    recorder = Recorder(record, look, field, tolerance, weights)
    point = starting_point(game, solver, policy, field.pull, start)
    run = Run(point, solver.init(point), recorder, generator)
    identity = {
        "game": game,
        "solver": solver,
        "policy": policy,
        "sampling": sampling,
        "seed": int(seed),
        "record": record,
        "start": start,
    }
    budget = {"steps": int(steps), "tolerance": tolerance}
    with (
        np.errstate(over="ignore", invalid="ignore", divide="ignore"),
        keeping(checkpoint, identity, run, budget) as keeper,
        showing(run, steps, progress) as meter,
    ):
        watchers = [watcher for watcher in (keeper, meter) if watcher is not None]
        status = _advance(run, solver, field, steps, watchers)
        if keeper is not None:
            keeper.save()
        if status is Status.RAN and recorder.see(steps, run.point, last=True):
            status = Status.REACHED
        report = _report(status, run, tolerance) + _missed(run.point)
        if status is Status.RAN and run.step:
            rates = solver.rates(run.step - 1, len(run.point.tables))
            report += divergence.unsettled(run, rates, field.at_scale(solver.scale(run.step - 1)), weights)
        solution = _solution(run, look, game, field, status, report)
        if keeper is not None:
            keeper.finish(solution)
        return solution


def resume(folder: str | os.PathLike[str], *, steps: int | None = None, progress: bool = False) -> Solution:
    """Go on with the run in ``folder``, from the folder alone; see :class:`stackelberg.Checkpoint`.

    The run is rebuilt as it was started: game, solver, policy, sampling, seed, record and start. It goes on to the
    very trajectory that it would have had without a stop, records included. To change the tolerance, call
    ``solve`` again with the same folder.

    Args:
        folder: what was given to ``solve`` as ``checkpoint``.
        steps: the budget in all, steps that were taken already included; by default the one it was last given.
        progress: show a progress bar.

    Raises:
        ValueError: there is no run in the folder, it is damaged or was changed, is further than ``steps``, or has a
            solver of the user's own, which ``solve`` with the same folder goes on with.
        OSError: it cannot be read or written.
    """
    parts, budget = stored_run(folder)
    return learn(
        **parts,
        steps=budget["steps"] if steps is None else steps,
        tolerance=budget["tolerance"],
        checkpoint=folder,
        progress=progress,
    )


def _advance(run: Run, solver: Solver, field: Field, steps: int, watchers: Sequence[Callable[[], None]]) -> Status:
    """Take the steps that are left; how that ended. The run stands at its last finite point then."""
    if run.divergence is not None:
        return Status.DIVERGED
    players = len(run.point.tables)
    while run.step < steps:
        for watcher in watchers:
            watcher()
        if run.recorder.see(run.step, run.point, last=False):
            return Status.REACHED
        here, rates = field.at_scale(solver.scale(run.step)), solver.rates(run.step, players)
        direction, memory = solver.direction(run.step, run.point, here, run.memory)
        moved = run.point.step(rates, direction)
        if not moved.finite:
            run.divergence = divergence.likely_cause(run, rates, here)
            return Status.DIVERGED
        run.point, run.memory, run.step = moved, settled(memory), run.step + 1
    return Status.RAN


def _solution(run: Run, look: Diagnostics, game: Game, field: Field, status: Status, report: str) -> Solution:
    """Where the run stands, with the average and the best of its iterates."""
    recorder, others = run.recorder, {}
    if recorder.seen:
        mean = recorder.mean()
        words = f"the mean of {recorder.seen} iterates"
        others["average"] = look.solution(mean, field.pull.at(mean), status=status, report=words)
    if recorder.best is not None:
        at, _, tables = recorder.best
        words = f"the iterate after {at} steps, of smallest gap among the {len(recorder.steps)} recorded"
        others["best"] = look.solution(tables, field.pull.at(tables), status=status, report=words)
    forces, trajectory = field.natural(run.point), recorder.trajectory(game)
    return look.solution(
        run.point.tables, forces, status=status, report=report, trajectory=trajectory, model=run.point.model, **others
    )


def _report(status: Status, run: Run, tolerance: float | None) -> str:
    match status:
        case Status.DIVERGED:
            return f"diverged at step {run.step}: {run.divergence}"
        case Status.REACHED:
            return f"stopped at the tolerance {tolerance:g} after {run.step} steps"
        case _:
            return f"ran all {run.step} steps"


def _missed(point: Point) -> str:
    """How far a network is from the policy that the rule asked for."""
    if point.residual is None:
        return ""
    return f"; the last regression missed its target by {np.max(point.residual):.1g} nats"


def _check_budget(steps: Any, record: Record | None, tolerance: float | None) -> None:
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise ValueError(f"steps must be a whole number, zero or more, not {shown(steps)}. Pass for example 1000.")
    if record is not None and not isinstance(record, Record):
        raise TypeError(f"record must be a Record or None, not {shown(record)}. Pass sb.Record(every=10).")
    if tolerance is not None and not (isinstance(tolerance, (int, float)) and 0 <= tolerance < np.inf):
        raise ValueError(f"tolerance must be a number, zero or more, not {shown(tolerance)}. Pass for example 1e-9.")
    if tolerance is not None and (record is None or not record.gap):
        raise ValueError("A tolerance is held against the recorded gap, but no gap is recorded. Use sb.Record().")


def _check_sampling(sampling: Any, seed: Any) -> None:
    if not isinstance(sampling, Expectation):
        raise TypeError(f"sampling must be Enumerate() or Sample(n), not {shown(sampling)}. Pass sb.Sample(100).")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be a whole number, zero or more, not {shown(seed)}. Pass for example 0.")
