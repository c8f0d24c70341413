"""Why a run diverged, or why it does not settle: the likely cause, with the numbers that were measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from stackelberg.field import Field
from stackelberg.geometry import Natural, Simplex
from stackelberg.point import Joint, Point
from stackelberg.run import Run
from stackelberg.validation import Array

PROBE = 1e-3
"""The second point that the field is read at lies this part of a step ahead of the first."""
ENOUGH = 20
"""Records below which nothing is said about settling."""
SETTLED = 1e-6
"""A gap below which nothing is said about it either."""
PLAYED = 1e-12
"""The Simplex geometry reads smaller probabilities as this."""


def likely_cause(run: Run, rates: Joint, field: Field) -> str:
    """Why the step from here leaves the finite numbers, in a sentence, and what to do.

    An explicit step multiplies the log-error by 1 − ητ, and grows it where ητ > 2. Where that is not so, the
    learning rate is held against the field's Lipschitz constant as it is measured here.
    """
    tau = field.pull.tau
    pulls = [float(np.max(part)) for part in (rates * tau).parts]
    for who, pull, rate in zip(("first mover's", "Follower's"), pulls, rates.parts, strict=False):
        if pull > 2:
            return (
                f"the {who} learning rate {rate:g}{_kappa(rates, who)} times tau is {pull:.3g}, above 2, so that each "
                f"step overshoots the reference further. Use a learning rate below {2 * rate / pull:.3g} for it."
            )
    measured = stretch(run.point, rates, field)
    if measured is None or measured[1] < 0.5:
        return f"the learning rates {_numbers(rates)} are too large. Divide them by ten."
    return f"{_overshoot(rates, measured)} Divide the learning rate by {np.ceil(2 * measured[1]):g}."


def stretch(point: Point, rates: Joint, field: Field) -> tuple[float, float] | None:
    """The field's Lipschitz constant where a run stands, and the same with every player's part times its rate.

    ``‖v(a) − v(b)‖ / ‖a − b‖`` and ``‖η (v(a) − v(b))‖ / ‖a − b‖``, with b a thousandth of a step ahead of a, the
    exact field v, and a and b in the geometry's own coordinates. None where the numbers are no longer finite.
    """
    exact = Field(field.pull)
    with np.errstate(all="ignore"):
        direction = exact(point).total
        ahead = point.step(PROBE * rates, direction)
        apart = _norm(_coordinates(ahead) - _coordinates(point))
        change = exact(ahead).total - direction
        numbers = _norm(change) / apart, _norm(rates * change) / apart
    return numbers if ahead.finite and np.isfinite(numbers).all() else None


def unsettled(run: Run, rates: Joint, field: Field, weights: Array) -> str:
    """What to say of a run that used its budget while its gap still goes up and down; empty where it does not."""
    gaps = np.array(run.recorder.rows.get("gap", []))
    if len(gaps) < ENOUGH or not _jumps(gaps @ weights):
        return ""
    late = (gaps @ weights)[len(gaps) // 2 :]
    said = f"; it keeps jumping: over the last half of the records the gap went between {late.min():.1e} and "
    said += f"{late.max():.1e}"
    measured = stretch(run.point, rates, field)
    if measured is not None and measured[1] > 1:
        said += f". Likely cause: {_overshoot(rates, measured)} Lower the learning rate."
    return said + _silent_rows(run.point)


def _jumps(gaps: Array) -> bool:
    """Whether the later half brought nothing better, and goes up and down by half and more, again and again."""
    half = len(gaps) // 2
    early, late = gaps[:half], gaps[half:]
    turns = np.count_nonzero(np.diff(np.sign(np.diff(late))))
    return bool(late.max() > SETTLED and late.min() > early.min() / 2 and late.max() > 1.5 * late.min() and turns > 1)


def _silent_rows(point: Point) -> str:
    """The Follower's rows that a gradient with the factor π(y) no longer reaches."""
    if isinstance(point.geometry, Natural) or len(point.tables) < 2:
        return ""
    leader = point.tables[0].probabilities
    count = int((leader <= PLAYED).sum())
    if not count:
        return ""
    return (
        f". {count} of the Follower's {leader.size} rows no longer learn: the Leader plays their answer with "
        "probability 0, and the gradient carries that factor. MirrorDescent has no such factor."
    )


def _overshoot(rates: Joint, measured: tuple[float, float]) -> str:
    kappa = _kappa(rates, "Follower's")
    return (
        f"the learning rate {_numbers(rates)}{kappa} times the field's measured Lipschitz constant {measured[0]:.3g} "
        f"is {measured[1]:.3g}; a step overshoots above 2, one that looks ahead or back above 1."
    )


def _numbers(rates: Joint) -> str:
    return " and ".join(f"{rate:g}" for rate in rates.parts)


def _kappa(rates: Joint, who: str) -> str:
    """κ, where it is the Follower's rate that is meant and not the Leader's own."""
    if who != "Follower's" or len(rates) < 2 or rates[1] == rates[0]:
        return ""
    return f" (kappa = {rates[1] / rates[0]:g})"


def _coordinates(point: Point) -> Joint:
    return point.probabilities if isinstance(point.geometry, Simplex) else point.logits


def _norm(vector: Joint) -> float:
    """The Euclidean norm, of numbers too whose squares overflow."""
    largest: Any = max(float(np.max(np.abs(part))) for part in vector.parts)
    return largest * (vector / largest).norm() if 0 < largest < np.inf else largest
