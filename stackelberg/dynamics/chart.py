"""Flat coordinates round a point: an orthonormal basis of what a step can change, and maps there and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stackelberg.dynamics.coordinates import coordinates
from stackelberg.geometry import Simplex
from stackelberg.point import Joint, Point
from stackelberg.policy import Tabular
from stackelberg.validation import Array


@dataclass(frozen=True, eq=False)
class Chart:
    """One context's policies near ``centre`` as a vector: what is tangent to the simplices, row by row.

    In logits every row has n − 1 coordinates, for its constant changes nothing. On the simplex a row has as many
    as the actions it plays, less one: the active face.

    Attributes:
        centre: the point in the middle, whose vector is 0.
        context: the one whose rows move; the others stay.
        bases: of each player, for each row (size, n) orthonormal vectors.
    """

    centre: Point
    context: int
    bases: tuple[tuple[Array, ...], ...]

    @classmethod
    def at(cls, centre: Point, context: int) -> Chart:
        """The chart round a point."""
        return cls(centre, context, tuple(_bases(centre, table, context) for table in centre.tables))

    @property
    def size(self) -> int:
        """How many coordinates there are."""
        return sum(len(basis) for bases in self.bases for basis in bases)

    @property
    def width(self) -> float:
        """How far a coordinate may go for a difference: less than the least probability on the simplex."""
        if not isinstance(self.centre.geometry, Simplex):
            return 1e-5
        rows = [table.probabilities[self.context] for table in self.centre.tables]
        return min(1e-5, 1e-2 * min(float(row[row > 0].min()) for row in rows))

    def flat(self, vector: Joint) -> Array:
        """The coordinates of a vector shaped as the policies."""
        parts: list[Array] = []
        for bases, part in zip(self.bases, vector.parts, strict=True):
            rows = np.asarray(part)[self.context].reshape(len(bases), -1)
            parts += [basis @ row for basis, row in zip(bases, rows, strict=True)]
        return np.concatenate(parts) if parts else np.empty(0)

    def full(self, flat: Array) -> Joint:
        """The vector, shaped as the policies, that has these coordinates; 0 in the other contexts."""
        return Joint(tuple(self._full(flat)))

    def _full(self, flat: Array) -> Iterator[Array]:
        for bases, table in zip(self.bases, self.centre.tables, strict=True):
            part = np.zeros(table.probabilities.shape)
            rows = part[self.context].reshape(len(bases), -1)  # a view
            for k, basis in enumerate(bases):
                rows[k] = flat[: len(basis)] @ basis
                flat = flat[len(basis) :]
            yield part

    def point(self, flat: Array) -> Point:
        """The point with these coordinates."""
        moved = zip(self.centre.tables, self.full(flat).parts, strict=True)
        geometry = self.centre.geometry
        if isinstance(geometry, Simplex):
            tables = [Tabular.from_probabilities(table.probabilities + part, geometry.floor) for table, part in moved]
        else:
            tables = [Tabular.from_logits(table.logits + part) for table, part in moved]
        return replace(self.centre, own=tuple(tables))

    def coordinates(self, point: Point) -> Array:
        """The coordinates of a point."""
        here, middle = (coordinates(at.geometry, at.tables) for at in (point, self.centre))
        return self.flat(here - middle)


def _bases(centre: Point, table: Tabular, context: int) -> tuple[Array, ...]:
    rows = table.probabilities[context].reshape(-1, table.probabilities.shape[-1])
    played = rows > 0 if isinstance(centre.geometry, Simplex) else np.ones(rows.shape, dtype=bool)
    return tuple(_tangent(row) for row in played)


def _tangent(played: Any) -> Array:
    """Orthonormal vectors that sum to zero and are zero off the actions played (Helmert's)."""
    k = int(played.sum())
    inside = np.zeros((k - 1, k))
    for i in range(1, k):
        inside[i - 1, :i], inside[i - 1, i] = 1, -i
        inside[i - 1] /= np.sqrt(i * (i + 1))
    basis = np.zeros((k - 1, len(played)))
    basis[:, played] = inside
    return basis
