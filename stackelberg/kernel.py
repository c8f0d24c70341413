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

from stackelberg.combination import SMALL, Combination, Part, tile
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

NEAR = 1e3
"""Weights are left as they are while their sum is below this and above its inverse."""

KEPT = 8
"""Arrays that a kernel keeps at hand."""


def new(shape: tuple[int, ...], memory: Array | None = None, dtype: Any = np.float64) -> Array:
    """An empty table, in flat ``memory`` where some is given; short rows lie side by side."""
    flat = np.empty(math.prod(shape), dtype) if memory is None else memory
    if len(shape) > 1 and shape[-1] <= SHORT and flat.size > MANY:
        return flat.reshape(shape[-1], *shape[:-1]).transpose(*range(1, len(shape)), 0)
    return flat.reshape(shape)


def laid_out(values: Array, dtype: Any = np.float64) -> Array:
    """A copy of the values, lying as :func:`new` lays tables."""
    table = new(values.shape, None, dtype)
    table[...] = values
    return table


def blocks(shape: tuple[int, ...]) -> Iterator[Part]:
    """Slices that tile a table whose rows, along the last axis, stay whole."""
    cells, row = math.prod(shape), shape[-1]
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
        >>> weights, logits, finite, total = kernel.soften(Combination((1.0, np.log([[1.0, 3.0]]))))
        >>> weights, np.exp(logits).round(12), finite
        (array([[0.25, 0.75]]), array([[0.25, 0.75]]), True)
    """

    def __init__(self, dtype: Any = np.float64) -> None:
        self.dtype = np.dtype(dtype)
        self._memory: list[Array] = []
        self._scratch = np.empty(0, dtype)

    def native(self, values: Any) -> Any:
        """A copy of the values as this kernel has tables."""
        return laid_out(np.asarray(values), self.dtype)

    def exact(self, table: Any) -> Array:
        """The table in NumPy's float64."""
        return np.asarray(table, dtype=np.float64)

    def take(self, shape: tuple[int, ...]) -> Array:
        """An empty table, in memory that was handed out before if no array holds it or a view of it any more."""
        size = math.prod(shape)
        if size <= BLOCK:
            return new(shape, None, self.dtype)
        for k in range(len(self._memory)):
            if self._memory[k].size == size and sys.getrefcount(self._memory[k]) == _ALONE:
                return new(shape, self._memory[k])
        memory = np.empty(size, self.dtype)
        self._memory = [memory, *self._memory[: KEPT - 1]]
        return new(shape, memory)

    def scratch(self, like: Array) -> Array:
        """Room for one block to work in, the same at every call."""
        if self._scratch.size < like.size:
            self._scratch = np.empty(like.size, self.dtype)
        flat = self._scratch[: like.size]
        return flat.reshape(like.shape) if like.flags.c_contiguous else new(like.shape, flat)

    def soften(self, logits: Combination) -> tuple[Array, Array, bool, Array | None]:
        """The softmax of every row: weights, their logarithms, whether all are finite, and the sums of the weights.

        Rows of large tables are left as they come while their sums are near 1, which saves two passes; small tables
        are normalised at once, and their sums, being one, are None.
        """
        logits = logits.up_to_constants()
        shape = logits.shape
        if math.prod(shape) <= SMALL:
            return _soften_small(logits.array)
        table, weights, total = self.take(shape), self.take(shape), new((*shape[:-1], 1), None, self.dtype)
        finite = True
        for part in blocks(shape):
            rows, exponentials = table[part], weights[part]
            logits.write(rows, part, exponentials)
            finite = finite and bool(np.isfinite(row_sums(rows)).all())  # a logarithm of −inf leaves no trace in exp
            np.exp(rows, out=exponentials)
            total[part] = row_sums(exponentials)
        if total.min() > 1 / NEAR and total.max() < NEAR:  # false for NaN
            return weights, table, finite, total
        for part in blocks(shape):
            _normalise(weights[part], table[part])
            finite = finite and bool(np.isfinite(row_sums(table[part])).all())
            total[part] = row_sums(weights[part])
        return weights, table, finite and bool(np.isfinite(total).all()), total

    def share(self, weights: Array, total: Array) -> Array:
        """``weights / total``."""
        table = self.take(weights.shape)
        for part in blocks(weights.shape):
            np.multiply(weights[part], 1 / total[part], out=table[part])  # much the quicker division
        return table

    def lower(self, table: Array, total: Array) -> Array:
        """``table − log total``."""
        lowered = self.take(table.shape)
        for part in blocks(table.shape):
            np.subtract(table[part], np.log(total[part]), out=lowered[part])
        return lowered

    def accumulate(self, sums: Array, weights: Array, total: Array) -> None:
        """Add ``weights / total`` to ``sums``."""
        shares = 1 / total
        for part in blocks(weights.shape):
            rows = sums[part]
            rows += np.multiply(weights[part], shares[part], out=self.scratch(rows))

    def project(self, moved: Combination, floor: float) -> tuple[Array, Array, bool]:
        """Every row projected onto the simplex, its logarithms, read at ``floor`` or above, and whether all are finite.

        Args:
            moved: where a step led.
            floor: the smallest probability whose logarithm is told from 0's.
        """
        moved = moved.up_to_constants()
        shape = moved.shape
        table, logits = self.take(shape), self.take(shape)
        for part in blocks(shape):
            rows = table[part]
            moved.write(rows, part, logits[part])
            project(rows, out=rows)
        logits, finite = self.logarithms(table, floor, logits)
        return table, logits, finite and self.is_on_simplex(table)

    def is_on_simplex(self, table: Any) -> bool:
        """Whether every row sums to one, as far as the numbers that were projected could tell."""
        return bool(np.abs(row_sums(table) - 1).max() < np.sqrt(np.finfo(self.dtype).eps))

    def logarithms(self, table: Array, floor: float, out: Array | None = None) -> tuple[Array, bool]:
        """``log max(table, floor)``, and whether every row has a finite sum."""
        logits, finite = self.take(table.shape) if out is None else out, True
        for part in blocks(table.shape):
            rows = logits[part]
            finite = finite and bool(np.isfinite(row_sums(table[part])).all())
            np.log(
                np.maximum(table[part], np.full_like(rows, max(floor, np.finfo(self.dtype).tiny)), out=rows), out=rows
            )
        return logits, finite

    def dot(self, weights: Array, values: Array) -> Array:
        """``Σ_y weights(y) values(y)`` of every row, without the last axis."""
        along = weights.strides[-1] == weights.itemsize and weights.shape[-1] > SHORT
        return np.asarray(np.vecdot(weights, values) if along else np.einsum("...n,...n->...", weights, values))

    def gradient(self, table: Array, natural: Any, weight: Array | None, total: Array | None) -> Array:
        """``weight · table · (natural − E natural)`` row by row: the policy gradient in softmax parameters.

        Args:
            table: weights of the actions.
            natural: the natural field.
            weight: (…, 1) what the row weighs; None for 1.
            total: (…, 1) the sums of the weights; None for 1.
        """
        weight = np.ones((1,) * table.ndim, self.dtype) if weight is None else weight
        weight = weight if total is None else weight / total
        force, gradient = Combination.of(natural).up_to_constants(), self.take(table.shape)
        for part in blocks(table.shape):
            rows, own = gradient[part], table[part]
            force.write(rows, part, self.scratch(rows))
            rows -= self.dot(own, rows)[..., None] / row_sums(own)
            rows *= own
            rows *= tile(weight, part)
        return gradient


def _soften_small(logits: Array) -> tuple[Array, Array, bool, None]:
    """A table too small for its passes to count; the array is taken over."""
    top = logits.max(axis=-1, keepdims=True)
    logits -= top
    weights = np.exp(logits)
    total = weights.sum(axis=-1, keepdims=True)
    weights /= total
    logits -= np.log(total)
    return weights, logits, bool(np.isfinite(logits.sum())), None


def _normalise(weights: Array, logits: Array) -> None:
    """In place, with a shift against overflow where one is needed."""
    total = row_sums(weights)
    if not (total.min() > 1e-30 and total.max() < 1e30):
        logits -= logits.max(axis=-1, keepdims=True)
        np.exp(logits, out=weights)
        total = row_sums(weights)
    weights *= 1 / total
    logits -= np.log(total)
