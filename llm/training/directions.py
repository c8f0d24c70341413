"""Directions that are not computed yet: what a solver handles when a player is too large to be copied.

A solver adds and scales directions and looks at the field from other places; all of that is bookkeeping here. The
trainer then computes the one gradient that is wanted, in one backward pass a look: with shared parameters
``Leader + κ · Follower`` is one loss.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from stackelberg.geometry import Geometry, Softmax
from stackelberg.point import Joint


@dataclass(frozen=True, eq=False)
class Mixture:
    """Opponents: the place's policy mixed with its reference token by token, ``π^{1−weight} π_ref^weight``."""

    place: Place
    weight: float


@dataclass(frozen=True, eq=False)
class Look:
    """One look at the field: where, against whom, and the how-manieth of its step.

    Args:
        place: where the players stand.
        number: within the step, from 0: every look draws rollouts of its own.
        tau_scale: what every τ is multiplied with.
        opponents: in place of the players themselves.
    """

    place: Place
    number: int
    tau_scale: float = 1.0
    opponents: Mixture | None = None


@dataclass(frozen=True, eq=False)
class Way:
    """A linear combination of gradients: how much of each player's at each look.

    Example:
        >>> here = Look(Place(1), 0)
        >>> way = 2 * Way.of(here, 0) - 0.5 * Way.of(here, 1)
        >>> [(player, share) for (_, player), share in way.shares.items()]
        [(0, 2.0), (1, -0.5)]
    """

    shares: Mapping[tuple[Look, int], float]

    @classmethod
    def of(cls, look: Look, player: int) -> Way:
        """The gradient of one player's own payoff."""
        return cls({(look, player): 1.0})

    def __add__(self, other: Any) -> Way:
        if not isinstance(other, Way):
            return NotImplemented
        both = itertools.chain(self.shares.items(), other.shares.items())
        shares: dict[tuple[Look, int], float] = {}
        for key, share in both:
            shares[key] = shares.get(key, 0.0) + share
        return Way(shares)

    def __mul__(self, number: Any) -> Way:
        return Way({key: share * float(number) for key, share in self.shares.items()})

    __rmul__ = __mul__

    def __truediv__(self, number: Any) -> Way:
        return self * (1 / float(number))

    def __sub__(self, other: Way) -> Way:
        return self + -1.0 * other


@dataclass(frozen=True, eq=False)
class Place:
    """Where the players stand: where the weights are now, or a step away from another place.

    Args:
        players: how many there are.
        origin: the place one step back; None for where the weights are now.
        way: what that step followed, one :class:`Way` a player. It went at the rates of the solver's own step.
    """

    players: int
    origin: Place | None = None
    way: Joint | None = None

    geometry: ClassVar[Geometry] = Softmax()

    @property
    def tables(self) -> range:
        """As long as there are players: of texts there are no tables."""
        return range(self.players)

    def step(self, rates: Joint, direction: Joint) -> Place:
        """The place that the optimizer's step along ``rates · direction`` leads to."""
        return Place(self.players, self, direction)


@dataclass(frozen=True, eq=False)
class Forces:
    """The field at a look; the counterpart of :class:`stackelberg.field.Forces`.

    Args:
        look: where it was read.
        unregularised: whether τ is 0, so that payoff and total are one.
    """

    look: Look
    unregularised: bool

    @property
    def total(self) -> Joint:
        """Each player's gradient of its own payoff, KL included."""
        return Joint(tuple(Way.of(self.look, player) for player in range(self.look.place.players)))

    @property
    def payoff(self) -> Joint:
        """The same without the KL part: for games without one."""
        if not self.unregularised:
            raise ValueError("A language model's payoff and KL are one estimate. Use a solver that follows both.")
        return self.total


@dataclass(eq=False)
class Field:
    """What a solver gets in place of a game over texts; the counterpart of :class:`stackelberg.field.Field`.

    Args:
        unregularised: whether τ is 0.
        tau_scale: what every τ is multiplied with.
    """

    unregularised: bool
    tau_scale: float = 1.0
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self, point: Place, opponents: Mixture | None = None) -> Forces:
        """A new look at the field."""
        if opponents is not None and opponents.place is not point:
            raise ValueError("Opponents are mixed where the players stand. Pass field.mixed(point, weight).")
        return Forces(Look(point, next(self._numbers), self.tau_scale, opponents), self.unregularised)

    def mixed(self, point: Place, weight: float) -> Mixture:
        """The opponents ``π^{1−weight} π_ref^weight``, token by token."""
        return Mixture(point, weight)
