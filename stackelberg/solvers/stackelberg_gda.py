"""StackelbergGDA: the algorithm of the SLHF paper, in probabilities or in softmax parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, StackelbergGame
from stackelberg.geometry import Geometry, Simplex
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import TwoPlayerSolver


@dataclass(frozen=True)
class StackelbergGDA(TwoPlayerSolver):
    """Simultaneous gradient descent–ascent with two timescales, as published (SLHF, arXiv 2512.16626).

    ``π⁺ = Proj(π + η ∇_π f)``, ``ω⁺ = Proj(ω − κη ∇_ω f)``. ∇_ω f carries the factor π(y): rows that the Leader
    rarely plays learn slowly, and stop where π(y) = 0. With ``geometry=Softmax()`` the same gradient steps
    are taken in the logits, as neural policies take them.

    Guarantee: the average iterate (the paper); its gap is measured in ``tests/laws/test_averages.py``. On the
    simplex ∇KL is unbounded at the boundary: near an equilibrium the explicit step settles only where
    about ``κη π(y) τ_F < 2 ω(y'|y)``; a larger one keeps jumping, average and all (shown there too).

    Args:
        learning_rate: η_L, a number or a schedule t ↦ η.
        kappa: η_F/η_L; 5 in the paper.
        geometry: ``Simplex()`` or ``Softmax()``.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2]), tau=0.1)
        >>> solution = sb.solve(game, sb.StackelbergGDA(learning_rate=0.02, kappa=5), steps=3000)
        >>> bool(solution.gap < 1e-6)
        True
    """

    kappa: float = 5.0
    geometry: Geometry = Simplex()  # noqa: RUF009  # frozen

    games: ClassVar[tuple[type[Game], ...]] = (StackelbergGame,)

    @property
    def moves_in(self) -> Geometry:
        """Probabilities, or logits."""
        return self.geometry

    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """The gradient, ``g + r`` in its geometry."""
        return field(point).total, state
