"""The spectrum of one step: how fast a solver converges near a solution, or why it does not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackelberg.dynamics.local import jacobian, place, velocity_near
from stackelberg.dynamics.state import StateChart, settled
from stackelberg.game import Game
from stackelberg.solvers.base import Solver
from stackelberg.validation import Array

ONE = 1e-9
"""A spectral radius this close to 1 is 1: the differences that the Jacobian is made of tell no more."""
STILL = 1e-6
"""A point is taken for a fixed point where a step leads at most this far from it, per unit of learning rate."""


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
        drift: the residual per unit of learning rate, so that small steps do not look like rest.
    """

    solver: Solver
    eigenvalues: NDArray[np.complex128]
    field_eigenvalues: NDArray[np.complex128]
    residual: float
    drift: float

    @cached_property
    def radius(self) -> float:
        """The spectral radius: below 1 the fixed point attracts, above it repels; 0 where nothing can move."""
        return float(np.abs(self.eigenvalues).max(initial=0.0))

    @property
    def is_fixed(self) -> bool:
        """Whether the point is a fixed point, to 1e-6 per unit of learning rate."""
        return self.drift <= STILL

    @property
    def report(self) -> str:
        """What the eigenvalues say of a run that comes near the point, or that they say nothing."""
        if not self.is_fixed:
            return (
                f"no fixed point: a step leads {self.residual:.2g} away, {self.drift:.2g} per unit of learning rate, "
                "so that the eigenvalues do not say where a run goes. Pass at= what the rule has settled at"
            )
        turning = f", turning once in {self.period:.4g} steps" if self.period < np.inf else ""
        if self.radius < 1 - ONE:
            return f"attracts: a step multiplies the error by {self.factor:.6g}{turning}"
        if self.radius > 1 + ONE:
            return f"repels: a step multiplies the error by {self.factor:.6g}{turning}"
        return f"neither attracts nor repels: the spectral radius is 1{turning}"

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

    Warns:
        UserWarning: the point is no fixed point of the rule; ``report`` says so too.

    Example:
        Regularised rock-paper-scissors pulls by τ and turns by √3/6:

        >>> import stackelberg as sb
        >>> found = sb.spectrum(sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.3), sb.OnlineIPO(learning_rate=0.5))
        >>> found.field_eigenvalues.round(6)
        array([-0.3+0.288675j, -0.3-0.288675j])
        >>> round(found.factor, 6), round(abs(1 - 0.5 * 0.3 + 0.5j * 3**0.5 / 6), 6)
        (0.862168, 0.862168)
        >>> found.report
        'attracts: a step multiplies the error by 0.862168, turning once in 37.35 steps'
    """
    field, chart = place(game, solver, at, context)
    rates = solver.rates(step, len(chart.centre.tables))
    seen = field.at_scale(solver.scale(step))
    states = StateChart(settled(solver, chart.centre, seen, step), chart)
    size = chart.size + states.size

    def update(flat: Array) -> Array:
        point = chart.point(flat[: chart.size])
        direction, after = solver.direction(step, point, seen, states.state(flat[chart.size :]))
        return np.concatenate([chart.coordinates(point.step(rates, direction)), states.flat(after)])

    here = update(np.zeros(size))
    residual = float(np.linalg.norm(here[: chart.size]))
    found = Spectrum(
        solver=solver,
        eigenvalues=_sorted(jacobian(update, size, chart.width), np.abs),
        field_eigenvalues=_sorted(jacobian(velocity_near(field, chart), chart.size, chart.width), np.real),
        residual=residual,
        drift=residual / max(max(float(np.max(rate)) for rate in rates.parts), np.finfo(float).tiny),
    )
    if not found.is_fixed:
        warnings.warn(f"This is {found.report}.", stacklevel=2)
    return found


def _sorted(jacobian: Array, size: Callable[[Any], Any]) -> NDArray[np.complex128]:
    """The eigenvalues, the largest first; of a conjugate pair the one above the axis."""
    values = np.linalg.eigvals(jacobian).astype(np.complex128)
    return values[np.lexsort((-values.imag, -size(values).round(12)))]
