"""Nash-MD: answer to the mixture with the reference, not to oneself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, NashGame
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import Solver


@dataclass(frozen=True)
class NashMD(Solver):
    """``π^μ ∝ π^{1−ητ} π_ref^{ητ}``, then ``π⁺ ∝ π^μ exp(η Pπ^μ)`` (Munos et al. 2023).

    Guarantee: the last iterate, ``KL(π*‖π_T) ≤ 8/(τ²(T+1))`` with η_t = 2/(τ(t+2)) (Munos et al. 2023,
    Theorem 1); checked in ``tests/laws/test_rates.py``. At a constant η the equilibrium is no fixed point: the
    iterates settle beside it, by an error proportional to η (measured there too).

    Args:
        learning_rate: η, a number or a schedule t ↦ η.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.5, reference=[0.5, 0.3, 0.2])
        >>> solution = sb.solve(game, sb.NashMD(learning_rate=lambda t: 2 / (0.5 * (t + 2))), steps=1000)
        >>> bool(solution.gap < 1e-4)
        True
    """

    games: ClassVar[tuple[type[Game], ...]] = (NashGame,)

    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """``r(θ) + g(θ^μ)`` with θ^μ = θ + η r(θ)."""
        regulariser = field(point).regulariser
        mixture = point.step(self.rates(t, len(point.tables)), regulariser)
        return regulariser + field(mixture).payoff, state
