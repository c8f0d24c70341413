"""Where the players stand and where they go: joint policies, and vectors with one part a player."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from stackelberg.policy import Tabular
from stackelberg.validation import Array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from stackelberg.geometry import Geometry


@dataclass(frozen=True, eq=False)
class Joint:
    """A vector with one part a player, the first mover's first; sums and products go part by part.

    Parts are arrays or numbers. A number beside a Joint counts for every player.

    Example:
        >>> (2 * Joint((1.0, np.array([3.0, 4.0]))) + 1).parts
        (3.0, array([7., 9.]))
        >>> Joint((3.0, np.array([0.0, 4.0]))).norm()
        5.0
    """

    parts: tuple[Any, ...]

    def _with(self, other: Any, act: Callable[[Any, Any], Any]) -> Joint:
        others = other.parts if isinstance(other, Joint) else (other,) * len(self.parts)
        return Joint(tuple(act(a, b) for a, b in zip(self.parts, others, strict=True)))

    def __add__(self, other: Any) -> Joint:
        return self._with(other, lambda a, b: a + b)

    def __sub__(self, other: Any) -> Joint:
        return self._with(other, lambda a, b: a - b)

    def __mul__(self, other: Any) -> Joint:
        return self._with(other, lambda a, b: a * b)

    def __truediv__(self, other: Any) -> Joint:
        return self._with(other, lambda a, b: a / b)

    __radd__ = __add__
    __rmul__ = __mul__

    def __getitem__(self, player: int) -> Any:
        return self.parts[player]

    def __len__(self) -> int:
        return len(self.parts)

    def norm(self) -> float:
        """The Euclidean norm of all parts together."""
        return float(np.sqrt(sum(np.sum(np.square(np.asarray(part))) for part in self.parts)))


@dataclass(frozen=True, eq=False)
class Point:
    """The players' policies and the geometry they move in. A point never changes, so it is its own copy.

    Attributes:
        geometry: what a step is: see :mod:`stackelberg.geometry`.
        own: one policy a player, the first mover's first, in the arrays that they move in.
        model: None; networks have one.
        residual: None; networks miss what they are regressed onto, by so much.
    """

    geometry: Geometry
    own: tuple[Tabular, ...]
    model: ClassVar[None] = None
    residual: ClassVar[Array | None] = None

    @cached_property
    def tables(self) -> tuple[Tabular, ...]:
        """The same policies in NumPy's float64, for whoever looks on."""
        tables = tuple(table.exact() for table in self.own)
        return self.own if all(a is b for a, b in zip(tables, self.own, strict=True)) else tables

    @property
    def logits(self) -> Joint:
        """Normalised log-probabilities of every player."""
        return Joint(tuple(table.logits for table in self.own))

    @property
    def probabilities(self) -> Joint:
        """Probabilities of every player."""
        return Joint(tuple(table.probabilities for table in self.own))

    @property
    def finite(self) -> bool:
        """Whether every player's policy is a distribution still."""
        return all(table.finite for table in self.own)

    def state(self) -> dict[str, Array]:
        """Everything that a checkpoint must keep of the point, as arrays by name."""
        state = {}
        for player, table in enumerate(self.own):
            for part in ("weights", "exponents", "total", "inner"):
                if getattr(table, part) is not None:
                    state[f"{player}.{part}"] = table.kernel.exact(getattr(table, part))
        return state

    def from_state(self, state: dict[str, Array]) -> Point:
        """The point of this kind, geometry and shape that had this :meth:`state`, to the last bit.

        Raises:
            ValueError: the state is another kind of point's.
        """
        return Point(self.geometry, tuple(table.from_state(state, f"{i}.") for i, table in enumerate(self.own)))

    def direction(self, natural: Joint, weights: tuple[Array | None, ...]) -> Joint:
        """The gradient of each player's payoff in this geometry, from its natural field and its rows' weights."""
        rows = zip(self.own, natural.parts, weights, strict=True)
        return Joint(tuple(self.geometry.direction(*row) for row in rows))

    def step(self, rates: Joint, direction: Joint) -> Point:
        """The point that ``rates · direction`` leads to in this geometry; every player its own rate."""
        return Point(self.geometry, tuple(self._moves(rates, direction)))

    def _moves(self, rates: Joint, direction: Joint) -> Iterator[Tabular]:
        for table, rate, part in zip(self.own, rates.parts, direction.parts, strict=True):
            yield self.geometry.step(table, part, rate)
