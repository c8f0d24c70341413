"""What every solver is: a frozen value with hyperparameters, a geometry, and a rule for the direction."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, NashGame, RewardGame, StackelbergGame
from stackelberg.geometry import Geometry, Natural
from stackelberg.point import Joint, Point
from stackelberg.validation import shown

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Solver(ABC):
    """A learning rule. It never sees the game: it gets a point, the field to call there or elsewhere, its state.

    Attributes:
        games: the games it is for.
        keeps_regulariser: False where its rule drops the KL part, so that it is for τ = 0 only.
    """

    learning_rate: float | Schedule = 0.1

    games: ClassVar[tuple[type[Game], ...]] = (StackelbergGame, NashGame, RewardGame)
    keeps_regulariser: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not callable(self.learning_rate):
            _check_positive(self.learning_rate, "learning_rate")

    @property
    def rate_factors(self) -> tuple[float, float]:
        """The learning rate of each mover in turn, in units of η: (1, κ)."""
        return 1.0, 1.0

    @property
    def moves_in(self) -> Geometry:
        """The geometry it needs."""
        return Natural()

    def rates(self, t: int, players: int) -> Joint:
        """η_t for who moves first, κ η_t for the Follower."""
        rate = self.learning_rate(t) if callable(self.learning_rate) else self.learning_rate
        _check_positive(rate, f"learning_rate({t})")
        return Joint(tuple(rate * factor for factor in self.rate_factors[:players]))

    def init(self, point: Point) -> Any:
        """The state before the first step; None where there is none."""
        return None

    @abstractmethod
    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """The direction in which to move from ``point`` at step t (times the rates), and the next state."""


@dataclass(frozen=True)
class TwoPlayerSolver(Solver):
    """A rule that also serves two players who learn at different rates, κ = η_F/η_L."""

    kappa: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_positive(self.kappa, "kappa")

    @property
    def rate_factors(self) -> tuple[float, float]:
        """(1, κ)."""
        return 1.0, float(self.kappa)


def _check_positive(value: Any, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise ValueError(f"{name} must be a positive number, not {shown(value)}. Pass for example 0.1.")
