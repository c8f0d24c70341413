"""How a direction in parameters becomes a step: plain, or Adam. What is remembered is a value apart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from stackelberg.validation import Array, shown

Memory = tuple[Array, ...]
"""What an optimizer remembers of one vector of parameters."""


class Optimizer(ABC):
    """A rule from directions to updates; the parameters move by the learning rate times the update."""

    @abstractmethod
    def init(self, parameters: Array) -> Memory:
        """What is remembered before the first step."""

    @abstractmethod
    def update(self, direction: Array, memory: Memory) -> tuple[Array, Memory]:
        """The update for this direction, and what is remembered next. Nothing is changed in place."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """The direction itself: ``θ⁺ = θ + η d``.

    Example:
        >>> import stackelberg as sb
        >>> sb.SGD().update(np.array([1.0, -2.0]), ())
        (array([ 1., -2.]), ())
    """

    def init(self, parameters: Array) -> Memory:
        """Nothing."""
        return ()

    def update(self, direction: Array, memory: Memory) -> tuple[Array, Memory]:
        """The direction."""
        return direction, memory


@dataclass(frozen=True, kw_only=True)
class Adam(Optimizer):
    """``m ← β₁m + (1−β₁)d``, ``v ← β₂v + (1−β₂)d²``, ``θ⁺ = θ + η m̂/(√v̂ + ε)`` (Kingma and Ba 2015).

    The size of the directions cancels, so where the players have separate networks, κ as a weight of the
    Follower's loss would change nothing: there κ multiplies the Follower's learning rate. Players who share
    one network have one direction, (Leader's part) + κ (Follower's part), and κ weighs *before* Adam.

    Args:
        beta1, beta2: how slowly the mean and the square of the directions are forgotten, in [0, 1).
        epsilon: ε > 0, in units of the direction.

    Example:
        >>> import stackelberg as sb
        >>> adam = sb.Adam()
        >>> small, large = (adam.update(size * np.ones(2), adam.init(np.zeros(2)))[0] for size in (0.01, 100))
        >>> small.round(5), large.round(5)
        (array([1., 1.]), array([1., 1.]))
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), not {shown(getattr(self, name))}. Pass for example 0.9.")
        if not self.epsilon > 0:
            raise ValueError(f"epsilon must be positive, not {shown(self.epsilon)}. Pass for example 1e-8.")

    def init(self, parameters: Array) -> Memory:
        """No steps, and both moments zero."""
        return np.zeros(()), np.zeros_like(parameters), np.zeros_like(parameters)

    def update(self, direction: Array, memory: Memory) -> tuple[Array, Memory]:
        """``m̂/(√v̂ + ε)``, both moments corrected for their start at zero."""
        steps, mean, square = memory
        steps = steps + 1
        mean = self.beta1 * mean + (1 - self.beta1) * direction
        square = self.beta2 * square + (1 - self.beta2) * direction**2
        scale = np.sqrt(square / (1 - self.beta2**steps)) + self.epsilon
        return mean / (1 - self.beta1**steps) / scale, (steps, mean, square)


def check_optimizer(optimizer: Any) -> None:
    """Refuse what is no optimizer, with a sentence."""
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer must be an Optimizer or None, not {shown(optimizer)}. Pass sb.Adam().")
