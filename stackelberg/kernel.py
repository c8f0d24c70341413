"""The passes over whole tables, and how they lie in memory: all that is written for speed stands here.

Three things make large tables quick. They are worked on block by block, each block small enough for the
processor's cache to hold what a step needs of it. Short rows lie side by side, so that a pass runs along many of
them rather than up and down each. And an array that nobody holds any more is used again.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from stackelberg.combination import Combination, Part, tile
from stackelberg.simplex import project, row_sums
from stackelberg.validation import Array

BLOCK = 1 << 15
"""Cells of a block; four blocks of float64 fill a mebibyte."""

WHOLE = 1 << 17
"""Tables up to this many cells are one block."""

SHORT, MANY = 64, 1 << 10
"""Rows up to SHORT long lie side by side in tables of more than MANY cells."""

_SOLITARY = [np.empty(0)]
_ALONE = sys.getrefcount(_SOLITARY[0])

KEPT = 8
"""Arrays that a kernel keeps at hand."""


def new(shape: tuple[int, ...], memory: Array | None = None) -> Array:
    """An empty table, in flat ``memory`` where some is given; short rows lie side by side."""
    flat = np.empty(math.prod(shape)) if memory is None else memory
    if len(shape) > 1 and shape[-1] <= SHORT and flat.size > MANY:
        return np.moveaxis(flat.reshape(shape[-1], *shape[:-1]), 0, -1)
    return flat.reshape(shape)


def laid_out(values: Array) -> Array:
    """A copy of the values, lying as :func:`new` lays tables."""
    table = new(values.shape)
    table[...] = values
    return table


def blocks(shape: tuple[int, ...]) -> Iterator[Part]:
    """Slices that tile a table whose rows, along the last axis, stay whole."""
    cells, row = int(np.prod(shape)), shape[-1]
    if cells <= WHOLE or len(shape) == 1:
        yield (slice(None),) * len(shape)
        return
    behind = cells // shape[0]
    if behind <= BLOCK or len(shape) == 2:
        size = max(1, BLOCK // behind)
        yield from ((slice(k, k + size), *(slice(None),) * (len(shape) - 1)) for k in range(0, shape[0], size))
        return
    size = max(1, BLOCK // row)
    for first in range(shape[0]):
        yield from ((slice(first, first + 1), slice(k, k + size), slice(None)) for k in range(0, shape[1], size))


class Kernel:
    """The passes over tables, and the arrays that they fill: a run has one, and every step takes it on.

    Example:
        >>> kernel = Kernel()
        >>> kernel.soften(Combination((1.0, np.log([[1.0, 3.0]]))))[0]
        array([[0.25, 0.75]])
    """

    def __init__(self) -> None:
        self._memory: list[Array] = []

    def take(self, shape: tuple[int, ...]) -> Array:
        """An empty table, in memory that was handed out before if no array holds it or a view of it any more."""
        size = math.prod(shape)
        if size <= BLOCK:
            return new(shape)
        for k in range(len(self._memory)):
            if self._memory[k].size == size and sys.getrefcount(self._memory[k]) == _ALONE:
                return new(shape, self._memory[k])
        memory = np.empty(size)
        self._memory = [memory, *self._memory[: KEPT - 1]]
        return new(shape, memory)

    def soften(self, logits: Combination) -> tuple[Array, Array, bool]:
        """The softmax of every row, its normalised logits, and whether all are finite.

        Logits that were normalised a small step ago mostly need no shift against overflow.
        """
        shape, finite = logits.shape, True
        table, weights = self.take(shape), self.take(shape)
        for part in blocks(shape):
            rows, exponentials = table[part], weights[part]
            logits.write(rows, part, exponentials)
            np.exp(rows, out=exponentials)
            total = row_sums(exponentials)
            low, high = total.min(), total.max()
            if not (low > 1e-100 and high < 1e100):  # NaN too
                rows -= rows.max(axis=-1, keepdims=True)
                np.exp(rows, out=exponentials)
                total = row_sums(exponentials)
                finite = finite and bool(np.isfinite(total).all())
            exponentials *= 1 / total  # much the quicker division
            rows -= np.log(total)
        return weights, table, finite

    def project(self, moved: Combination, floor: float) -> tuple[Array, Array, bool]:
        """Every row projected onto the simplex, its logarithms, read at ``floor`` or above, and whether all are finite.

        Args:
            moved: where a step led.
            floor: the smallest probability whose logarithm is told from 0's.
        """
        shape = moved.shape
        table, logits = self.take(shape), self.take(shape)
        for part in blocks(shape):
            rows = table[part]
            moved.write(rows, part, logits[part])
            project(rows, out=rows)
        return table, *self.logarithms(table, floor, logits)

    def logarithms(self, table: Array, floor: float, out: Array | None = None) -> tuple[Array, bool]:
        """``log max(table, floor)``, and whether every row has a finite sum."""
        logits, finite = self.take(table.shape) if out is None else out, True
        for part in blocks(table.shape):
            rows = logits[part]
            finite = finite and bool(np.isfinite(row_sums(table[part])).all())
            np.log(np.maximum(table[part], np.full_like(rows, floor), out=rows), out=rows)
        return logits, finite

    def expect(self, table: Array, values: Array) -> Array:
        """``Σ_y table(y) values(y)`` of every row, without the last axis."""
        if isinstance(values, Combination):
            terms = ((np.asarray(factor)[..., 0] if np.ndim(factor) else factor, array) for factor, array in values.terms)
            return sum(factor * self.expect(table, array) for factor, array in terms)
        if values.shape[-1] == 1:
            return values[..., 0]
        act = np.vecdot if table.strides[-1] == table.itemsize and table.shape[-1] > SHORT else _dot
        return np.asarray(act(table, values))

    def gradient(self, table: Array, natural: Any, weight: Array | None) -> Array:
        """``weight · table · (natural − E natural)``: the policy gradient in softmax parameters, row by row."""
        force, gradient, scratch = Combination.of(natural), self.take(table.shape), self.take(table.shape)
        for part in blocks(table.shape):
            rows, own = gradient[part], table[part]
            force.write(rows, part, scratch[part])
            rows -= self.expect(own, rows)[..., None]
            rows *= own
            if weight is not None:
                rows *= tile(weight, part)
        return gradient


def _dot(one: Array, other: Array) -> Array:
    return np.asarray(np.einsum("...n,...n->...", one, other))
