"""EGPO: extragradient on the payoffs, with the pull to the reference from where one stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, NashGame
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import Solver


@dataclass(frozen=True)
class EGPO(Solver):
    """``θ½ = θ + η (g + r)(θ)``, then ``θ⁺ = (1 − ητ) θ + ητ θ_ref + η Pπ½`` (Zhou et al. 2025).

    Guarantee: last iterate, linear at τ > 0 for η small enough (Zhou et al. 2025); measured in
    ``tests/laws/test_rates.py``.

    Args:
        learning_rate: η, a number or a schedule t ↦ η.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.1, reference=[0.5, 0.3, 0.2])
        >>> bool(sb.solve(game, sb.EGPO(learning_rate=0.5), steps=500).gap < 1e-12)
        True
    """

    games: ClassVar[tuple[type[Game], ...]] = (NashGame,)

    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """``g(θ½) + r(θ)``."""
        here = field(point)
        half = point.step(self.rates(t, len(point.tables)), here.total)
        return field(half).payoff + here.regulariser, state
