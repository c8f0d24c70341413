"""Networks that no gradient moves any more: their policies are certain of the wrong action."""

from __future__ import annotations

import numpy as np

from stackelberg.combination import Combination
from stackelberg.field import Field
from stackelberg.geometry import Natural
from stackelberg.point import Point
from stackelberg.validation import Array

CERTAIN = 1e-6
"""A row is saturated where all actions but one have less than this together: a factor of its gradient."""
WORSE = 1e-3
"""It is wrong where another action is worth more than the one played by this."""


def saturation(point: Point, field: Field) -> str:
    """What to add to the report of networks that saturate, so that gradients in their logits vanish; else empty.

    The gradient of a row is ``ρ w π (u − E_π u)``: where π is 1 at one action and 0 elsewhere, nothing is left of it,
    whatever the worth u of the others. A rule followed by regression has no such factor.

    Example:
        A learning rate of 10,000 throws the network into a corner in which it stays:

        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.1, reference=[0.5, 0.3, 0.2])
        >>> stuck = sb.solve(game, sb.GDA(1e4), sb.Neural(hidden=(4,)), steps=300)
        >>> stuck.report.partition("; ")[2]  # doctest: +ELLIPSIS
        'the networks saturate: in 1 of 1 rows one action has probability 1 to a millionth though another is ...'
    """
    if point.model is None or isinstance(point.geometry, Natural):
        return ""
    rows = [
        _stuck(table.probabilities, _dense(force, table.probabilities.shape))
        for table, force in zip(point.tables, field.natural(point).total.parts, strict=True)
    ]
    stuck, every = sum(int(each.sum()) for each in rows), sum(each.size for each in rows)
    if not stuck:
        return ""
    return (
        f"; the networks saturate: in {stuck} of {every} rows one action has probability 1 to a millionth though "
        "another is worth more, and no gradient reaches them there. Start afresh with a smaller learning rate"
    )


def _stuck(policy: Array, worth: Array) -> Array:
    """(…) mask of the rows that are certain of an action, and wrong by more than :data:`WORSE`."""
    played = np.take_along_axis(worth, policy.argmax(axis=-1, keepdims=True), axis=-1)[..., 0]
    certain: Array = 1 - policy.max(axis=-1) < CERTAIN
    return certain & (worth.max(axis=-1) > played + WORSE)


def _dense(force: Array | Combination, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(force.array if isinstance(force, Combination) else force, shape)
