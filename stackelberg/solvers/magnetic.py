"""Magnetic mirror descent: mirror descent with the KL to a magnet kept whole in the prox step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, NashGame
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import Solver


@dataclass(frozen=True)
class MagneticMirrorDescent(Solver):
    """``π⁺ ∝ [π π_ref^{ητ} exp(η Pπ)]^{1/(1+ητ)}``, the reference being the magnet (Sokota et al. 2022).

    Guarantee: last iterate, ``KL(π*‖π_T) ≤ (1 + ητ)^{−T} KL(π*‖π_0)`` for η ≤ τ/L², L the smoothness of the
    payoffs from ‖·‖₁ to ‖·‖_∞, here max |P − ½| ≤ ½ (Sokota et al. 2022); checked in
    ``tests/laws/test_rates.py``.

    Args:
        learning_rate: η, a number or a schedule t ↦ η.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.5, reference=[0.5, 0.3, 0.2])
        >>> bool(sb.solve(game, sb.MagneticMirrorDescent(learning_rate=1.0), steps=200).gap < 1e-12)
        True
    """

    games: ClassVar[tuple[type[Game], ...]] = (NashGame,)

    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """``(g + r) / (1 + ητ)``."""
        forces = field(point)
        return forces.total / (1 + self.rates(t, len(point.tables)) * forces.tau), state
