"""Schedules: numbers that change with the step. A solver takes one wherever it takes a number.

Any function ``t ↦ number`` serves; these are frozen values, so that a run that uses them can be saved and resumed.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from stackelberg.validation import shown


@dataclass(frozen=True)
class Schedule(ABC):
    """A number for each step t = 0, 1, 2 and on."""

    positive: ClassVar[tuple[str, ...]] = ("scale", "offset", "initial", "factor", "steps")
    """What zero would make meaningless."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, Schedule):
                continue  # which has looked at its own
            numbers = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(each, (int, float)) and math.isfinite(each) for each in numbers):
                raise ValueError(f"{name} of {type(self).__name__} must be finite numbers, not {shown(value)}.")
            if min(numbers, default=0) < 0:
                raise ValueError(f"{name} of {type(self).__name__} must not be negative, and is {shown(value)}.")
            if name in self.positive and 0 in numbers:
                raise ValueError(f"{name} of {type(self).__name__} must be positive, not zero.")

    @abstractmethod
    def __call__(self, t: int) -> float:
        """The number at step t."""


@dataclass(frozen=True)
class InverseTime(Schedule):
    """``scale / (t + offset)``: the decay of stochastic approximation.

    Nash-MD's bound is proved for ``InverseTime(2 / tau, 2)`` (Munos et al. 2023).

    Example:
        >>> [InverseTime(1.0, 2)(t) for t in (0, 2)]
        [0.5, 0.25]
    """

    scale: float
    offset: float = 1.0

    def __call__(self, t: int) -> float:
        """``scale / (t + offset)``."""
        return self.scale / (t + self.offset)


@dataclass(frozen=True)
class PowerDecay(Schedule):
    """``initial · (1 + t)^−power``; power ½ is the usual choice for averages.

    Example:
        >>> PowerDecay(1.0, 0.5)(3)
        0.5
    """

    initial: float
    power: float = 0.5

    def __call__(self, t: int) -> float:
        """``initial · (1 + t)^−power``."""
        return float(self.initial * (1 + t) ** -self.power)


@dataclass(frozen=True)
class Geometric(Schedule):
    """``max(initial · factor^t, final)``: τ is annealed by it.

    Example:
        >>> [Geometric(1.0, 0.5, final=0.2)(t) for t in (0, 1, 5)]
        [1.0, 0.5, 0.2]
    """

    initial: float
    factor: float
    final: float = 0.0

    def __call__(self, t: int) -> float:
        """``max(initial · factor^t, final)``."""
        return float(max(self.initial * self.factor**t, self.final))


@dataclass(frozen=True)
class Linear(Schedule):
    """From ``initial`` at step 0 to ``final`` at step ``steps`` along a line, and then constant.

    Example:
        >>> [Linear(1.0, 0.0, steps=4)(t) for t in (0, 1, 9)]
        [1.0, 0.75, 0.0]
    """

    initial: float
    final: float
    steps: int

    def __call__(self, t: int) -> float:
        """The point on the line."""
        done = min(t / self.steps, 1.0)
        return self.initial + (self.final - self.initial) * done


@dataclass(frozen=True)
class Cosine(Schedule):
    """From ``initial`` to ``final`` along half a cosine of ``steps`` steps, and then constant.

    Example:
        >>> [round(Cosine(1.0, 0.0, steps=4)(t), 3) for t in (0, 1, 2, 9)]
        [1.0, 0.854, 0.5, 0.0]
    """

    initial: float
    final: float
    steps: int

    def __call__(self, t: int) -> float:
        """The point on the curve."""
        done = min(t / self.steps, 1.0)
        return self.final + (self.initial - self.final) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Piecewise(Schedule):
    """``values[i]`` between the i-th and the next boundary: one more value than boundaries.

    Example:
        >>> [Piecewise((10, 20), (1.0, 0.5, 0.1))(t) for t in (0, 10, 25)]
        [1.0, 0.5, 0.1]
    """

    boundaries: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.values) != len(self.boundaries) + 1 or list(self.boundaries) != sorted(self.boundaries):
            raise ValueError(
                f"Piecewise needs rising boundaries and one more value than them, not {self.boundaries} with "
                f"{self.values}. Pass for example Piecewise((100,), (0.1, 0.01))."
            )

    def __call__(self, t: int) -> float:
        """The value of the piece that t is in."""
        return self.values[sum(t >= boundary for boundary in self.boundaries)]


@dataclass(frozen=True)
class Warmup(Schedule):
    """Up to ``then`` in equal strides, and on with it: ``then(0) · (t + 1)/(steps + 1)``, then ``then(t − steps)``.

    The first step is a stride, not zero, and is not lost; ``then`` begins at its own start when the warm-up is over.

    Args:
        steps: n, how many it takes.
        then: a number, or a schedule.

    Raises:
        ValueError: if ``then`` is neither.

    Example:
        >>> [Warmup(3, 0.4)(t) for t in (0, 1, 2, 3, 9)]
        [0.1, 0.2, 0.30000000000000004, 0.4, 0.4]
        >>> [Warmup(1, then=Linear(1.0, 0.0, steps=4))(t) for t in (0, 1, 2, 5)]
        [0.5, 1.0, 0.75, 0.0]
    """

    positive: ClassVar[tuple[str, ...]] = ("steps", "then")
    steps: int
    then: float | Schedule

    def __post_init__(self) -> None:
        if not isinstance(self.then, Schedule | int | float) or isinstance(self.then, bool):
            raise ValueError(
                f"then of Warmup must be a number or a schedule, not {shown(self.then)}. "
                "Pass for example Warmup(100, then=Cosine(1e-5, 1e-6, steps=900))."
            )
        super().__post_init__()

    def __call__(self, t: int) -> float:
        """A stride, or what comes after."""
        after = self.then(max(t - self.steps, 0)) if isinstance(self.then, Schedule) else float(self.then)
        return after if t >= self.steps else after * (t + 1) / (self.steps + 1)
