"""Extragradient: look ahead one step, come back, and go where the field points there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackelberg.field import Field
from stackelberg.geometry import Geometry, Natural
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import TwoPlayerSolver


@dataclass(frozen=True)
class ExtraGradient(TwoPlayerSolver):
    """``θ½ = θ + η (g + r)(θ)``, then ``θ⁺ = θ + η (g + r)(θ½)`` (Korpelevich 1976).

    Guarantee: in the natural geometry the last iterate converges at τ > 0 (measured, linear, in
    ``tests/laws/test_rates.py``); the same rule may move in probabilities or softmax parameters.

    Args:
        learning_rate: η of who moves first, a number or a schedule t ↦ η.
        kappa: η_F/η_L.
        geometry: ``Natural()``, ``Simplex()`` or ``Softmax()``.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.1, reference=[0.5, 0.3, 0.2])
        >>> bool(sb.solve(game, sb.ExtraGradient(learning_rate=0.5), steps=500).gap < 1e-12)
        True
    """

    geometry: Geometry = Natural()  # noqa: RUF009  # frozen

    @property
    def moves_in(self) -> Geometry:
        """The geometry that was asked for."""
        return self.geometry

    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """``(g + r)(θ½)``."""
        ahead = point.step(self.rates(t, len(point.tables)), field(point).total)
        return field(ahead).total, state
