"""Three ways for a table to move: what its parameters are, what a step is, what the gradient is there.

All start from the *natural* field u of a player, the payoff of each action less τ(log π − log π_ref), and from
the weight w its row has in f: 1 for who moves first, π(y) for the Follower's row y. Contexts are games of
their own: f is taken context by context, without ρ(x).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from stackelberg.policy import Tabular
from stackelberg.validation import Array


class Geometry(ABC):
    """What a solver says that it moves in."""

    @abstractmethod
    def direction(self, table: Tabular, natural: Any, weight: Array | None) -> Any:
        """The gradient of the player's payoff here, from the natural field and the weights of the rows.

        Args:
            table: the player's policy.
            natural: the natural field, shaped as the policy.
            weight: one number a row, with a last axis of length 1; None for 1.
        """

    @abstractmethod
    def step(self, table: Tabular, direction: Any, rate: float) -> Tabular:
        """Where ``rate · direction`` leads."""


@dataclass(frozen=True)
class Natural(Geometry):
    """Mirror descent, the natural gradient: logits move by u itself, row by row, ``π⁺ ∝ π exp(η u)``."""

    def direction(self, table: Tabular, natural: Any, weight: Array | None) -> Any:
        """The natural field u as it is; a row's weight plays no part."""
        return natural

    def step(self, table: Tabular, direction: Any, rate: float) -> Tabular:
        """Logits move."""
        return table.shifted(direction, rate)


@dataclass(frozen=True)
class Softmax(Geometry):
    """The policy gradient: logits move by ∇_θ f, ``∂f/∂θ(y) = w π(y) (u(y) − E_π u)``."""

    def direction(self, table: Tabular, natural: Any, weight: Array | None) -> Any:
        """``w π (u − E_π u)``."""
        return table.gradient(natural, weight)

    def step(self, table: Tabular, direction: Any, rate: float) -> Tabular:
        """Logits move."""
        return table.shifted(direction, rate)


@dataclass(frozen=True)
class Simplex(Geometry):
    """Projected gradient: probabilities move by ∇_π f = w u + constant, and are projected back (Euclidean).

    ∇KL is unbounded where a probability reaches 0. Logarithms are therefore read at ``floor`` or above: the KL
    part of the gradient stays below τ log(1/floor), and leads back inside.

    Args:
        floor: the probability below which the gradient grows no more.
    """

    floor: float = 1e-12

    def direction(self, table: Tabular, natural: Any, weight: Array | None) -> Any:
        """``w u``; the constant that is missing is orthogonal to the simplex."""
        return natural if weight is None else natural * weight

    def step(self, table: Tabular, direction: Any, rate: float) -> Tabular:
        """Probabilities move, and are projected onto the simplex."""
        return table.projected(direction, rate, self.floor)
