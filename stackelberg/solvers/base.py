"""What every solver is: a frozen value with hyperparameters, a geometry, and a rule for the direction."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, NashGame, RewardGame, StackelbergGame
from stackelberg.geometry import Geometry, Natural
from stackelberg.point import Joint, Point
from stackelberg.validation import shown

Scheduled = float | Callable[[int], float]
"""A number, or one for each step: see :mod:`stackelberg.schedules`."""


@dataclass(frozen=True)
class Solver(ABC):
    """A learning rule. It never sees the game: it gets a point, the field to call there or elsewhere, its state.

    Args:
        learning_rate: η, a number or a schedule.
        tau_scale: what the game's τ is multiplied with at each step, a number or a schedule: 1 at the end of an
            annealing. Gaps are always those of the game itself.

    Attributes:
        games: the games it is for.
        keeps_regulariser: False where its rule drops the KL part, so that it is for τ = 0 only.
    """

    learning_rate: Scheduled = 0.1
    tau_scale: Scheduled = field(default=1.0, kw_only=True)

    games: ClassVar[tuple[type[Game], ...]] = (StackelbergGame, NashGame, RewardGame)
    keeps_regulariser: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("learning_rate", "tau_scale"):
            if not callable(getattr(self, name)):
                positive(getattr(self, name), name)

    @property
    def moves_in(self) -> Geometry:
        """The geometry it needs of a table."""
        return Natural()

    @property
    def moves_networks_in(self) -> Geometry:
        """The geometry it needs of a network, where ``Softmax()`` means gradient steps in the parameters."""
        return self.moves_in

    def factors(self, t: int) -> tuple[float, float]:
        """The learning rate of each mover in turn at step t, in units of η_t: (1, κ)."""
        return 1.0, 1.0

    def rates(self, t: int, players: int) -> Joint:
        """η_t for who moves first, κ η_t for the Follower."""
        rate = at_step(self.learning_rate, t, "learning_rate")
        return Joint(tuple(rate * factor for factor in self.factors(t)[:players]))

    def scale(self, t: int) -> float:
        """What τ is multiplied with at step t."""
        return at_step(self.tau_scale, t, "tau_scale")

    def init(self, point: Point) -> Any:
        """The state before the first step: None where there is none, else a Joint or a tuple of Joints and numbers."""
        return None

    @abstractmethod
    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """The direction in which to move from ``point`` at step t (times the rates), and the next state."""


@dataclass(frozen=True)
class TwoPlayerSolver(Solver):
    """A rule that also serves two players who learn at different rates, κ = η_F/η_L, a number or a schedule."""

    kappa: Scheduled = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.kappa):
            positive(self.kappa, "kappa")

    def factors(self, t: int) -> tuple[float, float]:
        """(1, κ)."""
        return 1.0, at_step(self.kappa, t, "kappa")


@dataclass(frozen=True)
class FollowsField(TwoPlayerSolver):
    """The plain rule: everybody moves along g + r in the solver's geometry.

    Args:
        alternating: the Follower moves first in each step, and the Leader answers the moved Follower; by default
            both move at once.
    """

    alternating: bool = field(default=False, kw_only=True)

    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """``g + r``; the Leader's part after the Follower's move where they alternate."""
        here = field(point).total
        if not self.alternating:
            return here, state
        replied = point.step(self.rates(t, len(here)), Joint((0 * here[0], here[1])))
        return Joint((field(replied).total[0], here[1])), state


def at_step(value: Scheduled, t: int, name: str) -> float:
    """The number that holds at step t; a schedule may come down to zero, and is checked at every step."""
    if not callable(value):
        return float(value)
    found = value(t)
    if isinstance(found, bool) or not isinstance(found, Real) or not 0 <= float(found) < math.inf:
        raise ValueError(f"{name}({t}) must be zero or a positive number, not {shown(found)}. Mend the schedule.")
    return float(found)


def positive(value: Any, name: str) -> float:
    """``value`` as a float, refused unless it is a positive number."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise ValueError(f"{name} must be a positive number, not {shown(value)}. Pass for example 0.1.")
    return float(value)
