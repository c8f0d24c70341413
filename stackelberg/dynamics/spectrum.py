"""The spectrum of one step: how fast a solver converges near a solution, or why it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackelberg.diagnostics import diagnostics
from stackelberg.dynamics.chart import Chart
from stackelberg.dynamics.coordinates import velocity
from stackelberg.dynamics.state import StateChart, settled
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


@dataclass(frozen=True, eq=False, kw_only=True)
class Spectrum:
    """The eigenvalues of one step of a solver, and of the field it follows, at a point.

    Attributes:
        solver: the rule.
        eigenvalues: of the Jacobian of ``(θ, state) ↦ (θ⁺, state⁺)``, the largest modulus first.
        field_eigenvalues: of the Jacobian of the field v = g + r in the solver's coordinates, without learning
            rates, the slowest (largest real part) first; −τ ± iλ: a pull of strength τ, a rotation of speed λ.
        residual: how far one step leads from the point, in the solver's coordinates; 0 at a fixed point, and only
            there do the eigenvalues say where the run goes.
    """

    solver: Solver
    eigenvalues: NDArray[np.complex128]
    field_eigenvalues: NDArray[np.complex128]
    residual: float

    @cached_property
    def radius(self) -> float:
        """The spectral radius: below 1 the fixed point attracts, above it repels; 0 where nothing can move."""
        return float(np.abs(self.eigenvalues).max(initial=0.0))

    @property
    def factor(self) -> float:
        """What a step multiplies the error of the policies by, in the end: the radius."""
        return self.radius

    @property
    def gap_factor(self) -> float:
        """The same for what is quadratic in the error, the KL and, where every action is played, the gap."""
        return self.radius**2

    @property
    def period(self) -> float:
        """Steps that the slowest mode takes to go round once; infinite where it does not turn."""
        angle = float(np.abs(np.angle(self.eigenvalues[0]))) if len(self.eigenvalues) else 0.0
        return 2 * np.pi / angle if angle > 1e-9 else np.inf


def spectrum(game: Game, solver: Solver, at: Any = None, *, context: int | None = None, step: int = 0) -> Spectrum:
    """The Jacobian's eigenvalues of one step of a solver at the exact solution, or at given policies.

    Near a fixed point ``error⁺ ≈ J error``: the last iterate converges linearly at the spectral radius where that
    is below 1. J is taken by central differences of what a run does, on the tangent space of the simplices (logits
    up to a constant a row; on the simplex the active face), together with the solver's state where it has one; a
    state that stays as it is, such as MPO's magnet between its moves, has the eigenvalue 1.

    Args:
        game: the game.
        solver: the rule; its schedules are read at ``step``.
        at: policies, (leader, follower) in a Stackelberg game; the exact solution by default. Where a rule settles
            beside it, as Nash-MD does, pass what it learned.
        context: which context, where there are several.
        step: the step whose learning rate, κ and scale of τ are meant.

    Raises:
        ValueError: the solver is not for the game, the point is at the boundary where logits have no tangent, or
            there are more than 2,500 coordinates.

    Example:
        Regularised rock-paper-scissors pulls by τ and turns by √3/6:

        >>> import stackelberg as sb
        >>> found = sb.spectrum(sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.3), sb.OnlineIPO(learning_rate=0.5))
        >>> found.field_eigenvalues.round(6)
        array([-0.3+0.288675j, -0.3-0.288675j])
        >>> round(found.factor, 6), round(abs(1 - 0.5 * 0.3 + 0.5j * 3**0.5 / 6), 6)
        (0.862168, 0.862168)
    """
    field, chart = _place(game, solver, at, context)
    rates = solver.rates(step, len(chart.centre.tables))
    seen = field.at_scale(solver.scale(step))
    states = StateChart(settled(solver, chart.centre, seen, step), chart)
    size = chart.size + states.size

    def update(flat: Array) -> Array:
        point = chart.point(flat[: chart.size])
        direction, after = solver.direction(step, point, seen, states.state(flat[chart.size :]))
        return np.concatenate([chart.coordinates(point.step(rates, direction)), states.flat(after)])

    here = update(np.zeros(size))
    return Spectrum(
        solver=solver,
        eigenvalues=_sorted(_jacobian(update, size, chart.width), np.abs),
        field_eigenvalues=_sorted(_jacobian(_velocity(field, chart), chart.size, chart.width), np.real),
        residual=float(np.linalg.norm(here[: chart.size])),
    )


def lipschitz(game: Game, solver: Solver, at: Any = None, *, context: int | None = None) -> float:
    """The field's local Lipschitz constant ``‖∂v/∂θ‖₂`` in the solver's coordinates, at the solution or ``at``.

    Along a run it is ``trajectory.lipschitz``, recorded with ``sb.Record(forces=True)``.

    Args:
        game: the game.
        solver: names the coordinates: probabilities on the simplex, else logits.
        at: policies, as in :func:`spectrum`.
        context: which context, where there are several.

    Raises:
        ValueError: as :func:`spectrum`.

    Example:
        >>> import stackelberg as sb
        >>> from stackelberg.dynamics import lipschitz
        >>> round(lipschitz(sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.4), sb.EGPO()) ** 2, 6)  # τ² + λ²
        0.243333
    """
    field, chart = _place(game, solver, at, context)
    jacobian = _jacobian(_velocity(field, chart), chart.size, chart.width)
    return float(np.linalg.norm(jacobian, 2)) if chart.size else 0.0


def gradient_norm(game: Game, solver: Solver, at: Any = None, *, context: int | None = None) -> float:
    """The norm of the field of all players in the solver's coordinates, up to a constant a row; 0 at the solution.

    Along a run it is ``trajectory.gradient_norm``, recorded with ``sb.Record(forces=True)``.

    Args:
        game: the game.
        solver: names the coordinates: probabilities on the simplex, else logits.
        at: policies, as in :func:`spectrum`.
        context: which context, where there are several.

    Raises:
        ValueError: as :func:`spectrum`.

    Example:
        >>> import stackelberg as sb
        >>> from stackelberg.dynamics import gradient_norm
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0)
        >>> round(gradient_norm(game, sb.SelfPlay(), at=[0.5, 0.25, 0.25]) ** 2, 6)
        0.03125
    """
    field, chart = _place(game, solver, at, context)
    return float(np.linalg.norm(_velocity(field, chart)(np.zeros(chart.size))))


def _place(game: Game, solver: Solver, at: Any, context: int | None) -> tuple[Field, Chart]:
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


def _velocity(field: Field, chart: Chart) -> Callable[[Array], Array]:
    def at(flat: Array) -> Array:
        point = chart.point(flat)
        return chart.flat(velocity(point.geometry, point.tables, field.natural(point).total, field.pull))

    return at


def _jacobian(function: Callable[[Array], Array], size: int, width: float) -> Array:
    """By central differences, column by column."""
    columns = [(function(width * e) - function(-width * e)) / (2 * width) for e in np.eye(size)]
    return np.array(columns).reshape(size, size).T


def _sorted(jacobian: Array, size: Callable[[Any], Any]) -> NDArray[np.complex128]:
    """The eigenvalues, the largest first; of a conjugate pair the one above the axis."""
    values = np.linalg.eigvals(jacobian).astype(np.complex128)
    return values[np.lexsort((-values.imag, -size(values).round(12)))]
