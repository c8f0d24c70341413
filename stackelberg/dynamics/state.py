"""A solver's state near a fixed point, as flat coordinates beside those of the policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stackelberg.dynamics.chart import Chart
from stackelberg.field import Field
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import Solver
from stackelberg.validation import Array

REPEATS = 50
"""Steps on the spot after which a state has settled: an optimistic rule needs one."""


def settled(solver: Solver, point: Point, field: Field, step: int) -> Any:
    """The state of a solver that has long stood where it stands."""
    state = solver.init(point)
    for _ in range(REPEATS):
        _, state = solver.direction(step, point, field, state)
        if state is None:
            break
    return state


@dataclass(frozen=True, eq=False)
class StateChart:
    """The arrays of a state as a vector: what is shaped as the policies up to a constant a row, as they are.

    A state is None, a number, an array, a Joint, or a tuple of these; numbers, such as clocks, stay as they are.
    """

    centre: Any
    chart: Chart

    @property
    def size(self) -> int:
        """How many coordinates there are."""
        return len(self.flat(self.centre))

    def flat(self, state: Any) -> Array:
        """How far a state is from the centre."""
        return np.concatenate([np.empty(0), *self._parts(state, self.centre)])

    def state(self, flat: Array) -> Any:
        """The state with these coordinates."""
        return self._moved(self.centre, flat)[0]

    def _shaped_as_policies(self, state: Joint) -> bool:
        shapes = [np.shape(part) for part in state.parts]
        return shapes == [table.probabilities.shape for table in self.chart.centre.tables]

    def _parts(self, state: Any, centre: Any) -> list[Array]:
        if isinstance(state, Joint) and self._shaped_as_policies(state):
            return [self.chart.flat(state - centre)]
        if isinstance(state, (Joint, tuple)):
            pairs = zip(_inside(state), _inside(centre), strict=True)
            return [part for one, middle in pairs for part in self._parts(one, middle)]
        return [np.ravel(state - centre)] if isinstance(state, np.ndarray) else []

    def _moved(self, centre: Any, flat: Array) -> tuple[Any, Array]:
        """The state that the first coordinates say, and the coordinates left over."""
        if isinstance(centre, Joint) and self._shaped_as_policies(centre):
            size = self.chart.size
            return centre + self.chart.full(flat[:size]), flat[size:]
        if isinstance(centre, (Joint, tuple)):
            parts = []
            for one in _inside(centre):
                part, flat = self._moved(one, flat)
                parts.append(part)
            return (Joint(tuple(parts)) if isinstance(centre, Joint) else tuple(parts)), flat
        if isinstance(centre, np.ndarray):
            return centre + flat[: centre.size].reshape(centre.shape), flat[centre.size :]
        return centre, flat


def _inside(state: Any) -> tuple[Any, ...]:
    return state.parts if isinstance(state, Joint) else state
