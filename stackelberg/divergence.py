"""Why a run diverged, or why it does not settle: the likely cause, with the numbers that were measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from stackelberg.expectation import Enumerate
from stackelberg.field import Field
from stackelberg.geometry import Natural, Simplex
from stackelberg.point import Joint, Point
from stackelberg.run import Run
from stackelberg.saturation import saturation
from stackelberg.validation import Array

PROBE = 1e-3
"""The second point that the field is read at lies this part of a step ahead of the first."""
ENOUGH = 20
"""Records below which nobody can tell whether a run settles."""
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
    exact field v, and a and b in the geometry's own coordinates. None where the numbers are no longer finite, and
    for networks, whose steps an optimizer or a regression takes.
    """
    if point.model is not None:
        return None
    exact = Field(field.pull)
    with np.errstate(all="ignore"):
        direction = exact(point).total
        ahead = point.step(PROBE * rates, direction)
        apart = _norm(_coordinates(ahead) - _coordinates(point))
        change = _seen(point, exact(ahead).total - direction)
        numbers = (_norm(change) / apart, _norm(rates * change) / apart) if apart else (np.nan, np.nan)
    return numbers if ahead.finite and np.isfinite(numbers).all() else None


def unsettled(run: Run, rates: Joint, field: Field, weights: Array) -> str:
    """What to add to the report of a run whose gap came to nothing better in its later half; empty for any other.

    That is no divergence: the numbers are finite, and the average may be fine. Networks may saturate, and few records
    do not tell. Of other sampled runs nothing is said, whose gaps go up and down by themselves.
    """
    gaps = np.array(run.recorder.rows.get("gap", []))
    if len(gaps) < 2 or _improves(gaps @ weights):
        return ""
    stuck = saturation(run.point, field)
    if stuck or not isinstance(field.expectation, Enumerate):
        return stuck
    late = (gaps @ weights)[len(gaps) // 2 :]
    if len(gaps) < ENOUGH:
        first = float(gaps[0] @ weights)
        so_far = f"the gap went from {first:.1e} to {late[-1]:.1e} in {len(gaps)} records"
        return f"; {so_far}, too few to tell whether it settles"
    measured = stretch(run.point, rates, field)
    overshoots = measured is not None and measured[1] > 1
    if not overshoots and late.max() < 1.5 * late.min():
        return ""
    said = f", but keeps jumping: in their later half the gap stays between {late.min():.1e} and {late.max():.1e}"
    if measured is not None and overshoots:
        said += f". Likely cause: {_overshoot(rates, measured)} Lower the learning rate"
    return said + _silent_rows(run.point)


def _improves(gaps: Array) -> bool:
    """Whether the gap is small, or the smallest one of the later half at most half the smallest of the earlier."""
    half = len(gaps) // 2
    return bool(gaps[half:].max() <= SETTLED or gaps[half:].min() <= gaps[:half].min() / 2)


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
        "probability 0, a factor of their gradient that MirrorDescent does not have"
    )


def _overshoot(rates: Joint, measured: tuple[float, float]) -> str:
    kappa = _kappa(rates, "Follower's")
    return (
        f"the learning rate {_numbers(rates)}{kappa} times the field's measured Lipschitz constant {measured[0]:.3g} "
        f"is {measured[1]:.3g}; a step overshoots above 2, one that looks ahead above 1, one that looks back above 2/3."
    )


def _numbers(rates: Joint) -> str:
    return " and ".join(dict.fromkeys(f"{rate:g}" for rate in rates.parts))


def _kappa(rates: Joint, who: str) -> str:
    """κ, where it is the Follower's rate that is meant and not the Leader's own."""
    if who != "Follower's" or len(rates) < 2 or rates[1] == rates[0]:
        return ""
    return f" (kappa = {rates[1] / rates[0]:g})"


def _coordinates(point: Point) -> Joint:
    return _seen(point, point.probabilities if isinstance(point.geometry, Simplex) else point.logits)


def _seen(point: Point, vector: Joint) -> Joint:
    """A vector of the point's own arrays in NumPy's float64."""
    return Joint(tuple(table.kernel.exact(part) for table, part in zip(point.own, vector.parts, strict=True)))


def _norm(vector: Joint) -> float:
    """The Euclidean norm, of numbers too whose squares overflow."""
    largest: Any = max(float(np.max(np.abs(part))) for part in vector.parts)
    return largest * (vector / largest).norm() if 0 < largest < np.inf else largest
