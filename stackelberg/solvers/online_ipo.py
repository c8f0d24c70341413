"""Online IPO: mirror descent of one policy against itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, NashGame
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import Solver


@dataclass(frozen=True)
class OnlineIPO(Solver):
    """``θ⁺ = (1 − ητ) θ + ητ θ_ref + η Pπ``: online mirror descent in the regularised Nash game.

    Guarantee: the average iterate, from regret. The last one is linear near the equilibrium where
    ``η (τ² + λ²) < 2τ``, λ the fastest rotation of the field there, and leaves it above (predicted from the
    spectrum and measured in ``tests/laws/test_rates.py``).

    Args:
        learning_rate: η, a number or a schedule t ↦ η.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.5, reference=[0.5, 0.3, 0.2])
        >>> bool(sb.solve(game, sb.OnlineIPO(learning_rate=0.5), steps=500).gap < 1e-12)
        True
    """

    games: ClassVar[tuple[type[Game], ...]] = (NashGame,)

    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """``g + r``."""
        return field(point).total, state
