"""The field near a point, in coordinates: its Jacobian, how steep it is, and how strong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stackelberg.diagnostics import diagnostics
from stackelberg.dynamics.chart import Chart
from stackelberg.dynamics.coordinates import velocity
from stackelberg.field import Field, natural_field
from stackelberg.game import Game
from stackelberg.geometry import Simplex
from stackelberg.pairing import check_pairing, starting_point
from stackelberg.point import Point
from stackelberg.policy import Tabular
from stackelberg.solvers.base import Solver
from stackelberg.validation import Array, shown

LARGEST = 2500
"""No more coordinates than this: a Jacobian of 50 MB, and some seconds. A Follower of 50 actions has 2,450."""


def lipschitz(game: Game, solver: Solver, at: Any = None, *, context: int | None = None) -> float:
    """The field's local Lipschitz constant ``‖∂v/∂θ‖₂`` in the solver's coordinates, at the solution or ``at``.

    Along a run it is ``trajectory.lipschitz``, recorded with ``sb.Record(forces=True)``.

    Args:
        game: the game.
        solver: names the coordinates: probabilities on the simplex, else logits.
        at: policies, as in :func:`stackelberg.spectrum`.
        context: which context, where there are several.

    Raises:
        ValueError: as :func:`stackelberg.spectrum`.

    Example:
        >>> import stackelberg as sb
        >>> from stackelberg.dynamics import lipschitz
        >>> round(lipschitz(sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.4), sb.EGPO()) ** 2, 6)  # τ² + λ²
        0.243333
    """
    field, chart = place(game, solver, at, context)
    slopes = jacobian(velocity_near(field, chart), chart.size, chart.width)
    return float(np.linalg.norm(slopes, 2)) if chart.size else 0.0


def gradient_norm(game: Game, solver: Solver, at: Any = None, *, context: int | None = None) -> float:
    """The norm of the field of all players in the solver's coordinates, up to a constant a row; 0 at the solution.

    Along a run it is ``trajectory.gradient_norm``, recorded with ``sb.Record(forces=True)``.

    Args:
        game: the game.
        solver: names the coordinates: probabilities on the simplex, else logits.
        at: policies, as in :func:`stackelberg.spectrum`.
        context: which context, where there are several.

    Raises:
        ValueError: as :func:`stackelberg.spectrum`.

    Example:
        >>> import stackelberg as sb
        >>> from stackelberg.dynamics import gradient_norm
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0)
        >>> round(gradient_norm(game, sb.SelfPlay(), at=[0.5, 0.25, 0.25]) ** 2, 6)
        0.03125
    """
    field, chart = place(game, solver, at, context)
    return float(np.linalg.norm(velocity_near(field, chart)(np.zeros(chart.size))))


def place(game: Game, solver: Solver, at: Any, context: int | None) -> tuple[Field, Chart]:
    """The field, and the coordinates round the point of interest."""
    check_pairing(game, solver)
    contexts = game.preference.contexts
    if (contexts is None) != (context is None) or not 0 <= (context or 0) < (contexts or 1):
        wanted = "leave context out" if contexts is None else f"choose one from 0 to {contexts - 1}"
        raise ValueError(f"context is {shown(context)}, and the game has {contexts or 'no'} contexts: {wanted}.")
    field = Field(natural_field(game))
    centre = _exact(game, solver, field) if at is None else starting_point(game, solver, None, field.pull, at)
    chart = Chart.at(centre, context or 0)
    if chart.size > LARGEST:
        raise ValueError(
            f"There are {chart.size:,} coordinates, too many for a spectrum. "
            f"Choose a smaller game: {LARGEST:,} at most."
        )
    return field, chart


def _exact(game: Game, solver: Solver, field: Field) -> Point:
    """The exact solution as a point of the solver's geometry."""
    target, geometry = diagnostics(game).target(), solver.moves_in
    if isinstance(geometry, Simplex):
        return Point(geometry, tuple(Tabular.from_probabilities(policy, geometry.floor) for policy in target))
    if any((policy == 0).any() for policy in target):
        raise ValueError(
            "The exact solution has zeros, and logits have no tangent there. Raise tau, or pass at= inside the simplex."
        )
    return starting_point(game, solver, None, field.pull, target if len(target) > 1 else target[0])


def velocity_near(field: Field, chart: Chart) -> Callable[[Array], Array]:
    """The field as a function of the chart's coordinates."""

    def at(flat: Array) -> Array:
        point = chart.point(flat)
        return chart.flat(velocity(point.geometry, point.tables, field.natural(point).total, field.pull))

    return at


def jacobian(function: Callable[[Array], Array], size: int, width: float) -> Array:
    """By central differences, column by column."""
    columns = [(function(width * e) - function(-width * e)) / (2 * width) for e in np.eye(size)]
    return np.array(columns).reshape(size, size).T
