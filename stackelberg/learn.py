"""The one loop: a point, a field, a solver that says where to go, and a record of the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from stackelberg.diagnostics import diagnostics
from stackelberg.expectation import Expectation
from stackelberg.field import Field, natural_field
from stackelberg.game import Game
from stackelberg.pairing import check_pairing, starting_point
from stackelberg.point import Joint, Point
from stackelberg.record import Record
from stackelberg.recorder import Recorder
from stackelberg.solution import Solution, Status
from stackelberg.solvers.base import Solver
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
    progress: bool,
) -> Solution:
    """Run ``solver`` on ``game``; see :func:`stackelberg.solve`."""
    check_pairing(game, solver)
    _check_budget(steps, record, tolerance)
    _check_sampling(sampling, seed)
    field, look = Field(natural_field(game), sampling, np.random.default_rng(seed)), diagnostics(game)
    recorder = Recorder(record, look, field, tolerance)
    point = starting_point(game, solver, policy, field.pull, start)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"), _bar(steps, progress) as tick:
        point, status, t = _run(solver, field, point, recorder, steps, tick)
        average = None
        if recorder.seen:
            mean = recorder.mean()
            words = f"the mean of {recorder.seen} iterates"
            average = look.solution(mean, field.pull.at(mean), status=status, report=words)
        return look.solution(
            point.tables,
            field.natural(point),
            status=status,
            report=_report(status, t, solver, field.pull.tau, tolerance) + _missed(point),
            trajectory=recorder.trajectory(game),
            average=average,
            model=point.model,
        )


def _run(
    solver: Solver, field: Field, point: Point, recorder: Recorder, steps: int, tick: Callable[[], None]
) -> tuple[Point, Status, int]:
    """The last finite point, how the run ended, and after how many steps."""
    state = solver.init(point)
    for t in range(steps):
        if recorder.see(t, point, last=False):
            return point, Status.REACHED, t
        direction, state = solver.direction(t, point, field.at_scale(solver.scale(t)), state)
        moved = point.step(solver.rates(t, len(point.tables)), direction)
        if not moved.finite:
            return point, Status.DIVERGED, t
        point = moved
        tick()
    reached = recorder.see(steps, point, last=True)
    return point, Status.REACHED if reached else Status.RAN, steps


def _report(status: Status, t: int, solver: Solver, tau: Joint, tolerance: float | None) -> str:
    match status:
        case Status.DIVERGED:
            return f"diverged at step {t}: {_likely_cause(solver.rates(t, len(tau)), tau)}"
        case Status.REACHED:
            return f"stopped at the tolerance {tolerance:g} after {t} steps"
        case _:
            return f"ran all {t} steps"


def _missed(point: Point) -> str:
    """How far a network is from the policy that the rule asked for."""
    if point.residual is None:
        return ""
    return f"; the last regression missed its target by {np.max(point.residual):.1g} nats"


def _likely_cause(rates: Joint, tau: Joint) -> str:
    """An explicit step multiplies the log-error by 1 − ητ, and grows it where ητ > 2."""
    pulls = [float(np.max(part)) for part in (rates * tau).parts]
    for who, pull, rate in zip(("first mover's", "Follower's"), pulls, rates.parts, strict=False):
        if pull > 2:
            return (
                f"the {who} learning rate {rate:g} times tau is {pull:.3g}, above 2, so that each step overshoots "
                f"the reference further. Use a learning rate below {2 * rate / pull:.3g} for it."
            )
    return f"the learning rates {', '.join(f'{rate:g}' for rate in rates.parts)} are too large. Divide them by ten."


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


@contextmanager
def _bar(steps: int, wanted: bool) -> Iterator[Callable[[], None]]:
    if not wanted:
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress() as progress:
        task = progress.add_task("learning", total=steps)
        yield lambda: progress.advance(task)
