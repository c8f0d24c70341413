"""Self-play: multiplicative weights against oneself, with no KL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, NashGame
from stackelberg.geometry import Geometry, Natural
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import Solver


@dataclass(frozen=True)
class SelfPlay(Solver):
    """``π⁺ ∝ π exp(η Pπ)``, for the game at τ = 0 (SPO, Swamy et al. 2024; SPPO, Wu et al. 2024).

    Guarantee: the average iterate's exploitability is at most ``log n/(ηT) + η/8``, hence O(1/√T) at
    η = √(8 log n/T) (Freund and Schapire 1999); the last iterate cycles. Both are seen in
    ``tests/laws/test_averages.py``; read ``solution.average``.

    Args:
        learning_rate: η, a number or a schedule t ↦ η.
        geometry: ``Natural()``, multiplicative weights; or ``Softmax()``, the policy gradient of the same game in
            logits or parameters, as language models take it.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0)
        >>> solution = sb.solve(game, sb.SelfPlay(learning_rate=0.05), steps=2000, start=[0.5, 0.3, 0.2])
        >>> round(solution.gap, 1), bool(solution.average.gap < 0.05)
        (0.3, True)
    """

    geometry: Geometry = Natural()  # noqa: RUF009  # frozen

    games: ClassVar[tuple[type[Game], ...]] = (NashGame,)
    keeps_regulariser: ClassVar[bool] = False

    @property
    def moves_in(self) -> Geometry:
        """The geometry that was asked for."""
        return self.geometry

    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """The payoff g alone."""
        return field(point).payoff, state
