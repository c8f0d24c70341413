"""The coordinates a solver moves in, free of what changes nothing: the constant of each row."""

from __future__ import annotations

import numpy as np

from stackelberg.field import Pull
from stackelberg.geometry import Geometry, Simplex
from stackelberg.point import Joint
from stackelberg.policy import Tabular
from stackelberg.validation import Array


def coordinates(geometry: Geometry, tables: tuple[Tabular, ...]) -> Joint:
    """Probabilities on the simplex; elsewhere logits, centred in each row.

    Example:
        >>> from stackelberg.geometry import Natural
        >>> coordinates(Natural(), (Tabular.from_logits([[0.0, 2.0]]),)).parts
        (array([[-1.,  1.]]),)
    """
    if isinstance(geometry, Simplex):
        return Joint(tuple(table.probabilities for table in tables))
    return Joint(tuple(centred(table.logits) for table in tables))


def velocity(geometry: Geometry, tables: tuple[Tabular, ...], natural: Joint, pull: Pull) -> Joint:
    """The field in these coordinates: each player's gradient, less the mean of its row."""
    rows = zip(tables, natural.parts, pull.weights(tables), strict=True)
    return Joint(tuple(centred(geometry.direction(*row)) for row in rows))


def centred(part: Array) -> Array:
    """Every row less its mean."""
    return np.asarray(part - part.mean(axis=-1, keepdims=True))


def norms(vector: Joint) -> Array:
    """The Euclidean norm of all players' parts together, one a context.

    >>> norms(Joint((np.array([[3.0], [0.0]]), np.array([[[4.0]], [[1.0]]]))))
    array([5., 1.])
    """
    squares = (np.square(part).reshape(len(part), -1).sum(axis=-1) for part in vector.parts)
    return np.asarray(np.sqrt(sum(squares)))
