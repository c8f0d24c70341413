"""Optimism: guess that the field changes once more as it has just changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, NashGame
from stackelberg.geometry import Geometry, Natural
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import Solver, TwoPlayerSolver


@dataclass(frozen=True)
class Optimistic(TwoPlayerSolver):
    """``θ⁺ = θ + η (2 v_t − v_{t−1})`` with v = g + r, and v_{−1} = v_0 (Popov 1980; Rakhlin and Sridharan 2013).

    Guarantee: in the natural geometry the last iterate converges at τ > 0 (measured, linear, in
    ``tests/laws/test_rates.py``).

    Args:
        learning_rate: η of who moves first, a number or a schedule t ↦ η.
        kappa: η_F/η_L.
        geometry: ``Natural()``, ``Simplex()`` or ``Softmax()``.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.1, reference=[0.5, 0.3, 0.2])
        >>> bool(sb.solve(game, sb.Optimistic(learning_rate=0.5), steps=500).gap < 1e-12)
        True
    """

    geometry: Geometry = Natural()  # noqa: RUF009  # frozen

    @property
    def moves_in(self) -> Geometry:
        """The geometry that was asked for."""
        return self.geometry

    def direction(self, t: int, point: Point, field: Field, state: Joint | None) -> tuple[Joint, Any]:
        """``2 v_t − v_{t−1}``; the state is v_t."""
        now = field(point).total
        return (now if state is None else 2 * now - state), now


@dataclass(frozen=True)
class OptimisticMWU(Solver):
    """Optimistic multiplicative weights, ``π⁺ ∝ π exp(η (2Pπ_t − Pπ_{t−1}))``, for the game at τ = 0 (ONPO).

    Guarantee: the last iterate converges for a unique equilibrium and η small enough (Daskalakis and Panageas
    2019; linearly, Wei et al. 2021); measured under full support in ``tests/laws/test_averages.py``.

    Args:
        learning_rate: η, a number or a schedule t ↦ η.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), tau=0)
        >>> sb.solve(game, sb.OptimisticMWU(learning_rate=1.0), steps=5000).policy.round(6)
        array([0.5, 0.2, 0.3])
    """

    games: ClassVar[tuple[type[Game], ...]] = (NashGame,)
    keeps_regulariser: ClassVar[bool] = False

    def direction(self, t: int, point: Point, field: Field, state: Joint | None) -> tuple[Joint, Any]:
        """``2 g_t − g_{t−1}``; the state is g_t."""
        now = field(point).payoff
        return (now if state is None else 2 * now - state), now
