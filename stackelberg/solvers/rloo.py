"""RLOO: policy gradient on a fitted reward, each sample held against the mean of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, RewardGame
from stackelberg.geometry import Geometry, Softmax
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import Solver


@dataclass(frozen=True)
class RLOO(Solver):
    """``θ⁺ = θ + η Σ_i (r(y_i) − mean of the other r(y_j)) ∇ log π(y_i) / n − η τ ∇KL`` (Ahmadian et al. 2024).

    REINFORCE with the leave-one-out baseline of :class:`stackelberg.Sample`. On the exact field the baseline has
    no effect, and the rule is exact gradient ascent on the fitted reward.

    Guarantee: exact, softmax parameters: linear last iterate at τ > 0 (Mei et al. 2020); measured in
    ``tests/laws/test_learning_laws.py``. Sampled: unbiased gradients.

    Args:
        learning_rate: η, a number or a schedule t ↦ η.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.RewardGame(sb.PreferenceMatrix.from_scores([0.0, 1.0, 2.0]), tau=0.5)
        >>> bool(sb.solve(game, sb.RLOO(learning_rate=1.0), steps=1000).gap < 1e-9)
        True
    """

    games: ClassVar[tuple[type[Game], ...]] = (RewardGame,)

    @property
    def moves_in(self) -> Geometry:
        """Logits, or the parameters of a network."""
        return Softmax()

    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """The gradient."""
        return field(point).total, state
