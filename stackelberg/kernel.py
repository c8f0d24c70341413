"""The passes over whole tables, and how they lie in memory: all that is written for speed stands here.

Three things make large tables quick. They are worked on block by block, each block small enough for the
processor's cache to hold what a step needs of it. Short rows lie side by side, so that a pass runs along many of
them rather than up and down each. An array that nobody holds any more is used again. And one number a row is read
where it stands (:func:`along_rows`).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

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

_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


def along_rows(act: Callable[_Given, _Found]) -> Callable[_Given, _Found]:
    """Run ``act`` with a small NumPy buffer.

    A table times one number a row is else computed by way of the buffer: as many copies of the number as a row is
    long are written there first, which takes longer than the product.
    """

    @wraps(act)
    def with_small_buffer(*args: _Given.args, **options: _Given.kwargs) -> _Found:
        before = np.setbufsize(2 * SHORT)
        try:
            return act(*args, **options)
        finally:
            np.setbufsize(before)

    return with_small_buffer


def new(shape: tuple[int, ...], memory: Array | None = None, dtype: Any = np.float64) -> Array:
    """An empty table, in flat ``memory`` where some is given; short rows lie side by side."""
    flat = np.empty(math.prod(shape), dtype) if memory is None else memory
    if side_by_side(shape):
        return flat.reshape(shape[-1], *shape[:-1]).transpose(*range(1, len(shape)), 0)
    return flat.reshape(shape)


def side_by_side(shape: tuple[int, ...]) -> bool:
    """Whether the rows of a table so shaped lie beside each other."""
    return len(shape) > 1 and shape[-1] <= SHORT and math.prod(shape) > MANY


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

    Weights, their logarithms, whether all is finite, the sums of the weights (None for 1), and the *inner* numbers
    ``Σ weight · logarithm`` of every row: that is how a pass answers, and what a :class:`Tabular` is made of. The
    inner numbers are read off while the processor's cache holds the row, and are finite only where all of it is: a
    logarithm of −inf, which leaves no trace in the weights, makes them NaN.

    Example:
        >>> kernel = Kernel()
        >>> weights, logits, finite, total, inner = kernel.soften(Combination((1.0, np.log([[1.0, 3.0]]))))
        >>> weights, np.exp(logits).round(12), finite, inner.round(3)
        (array([[0.25, 0.75]]), array([[0.25, 0.75]]), True, array([-0.562]))
    """

    def __init__(self, dtype: Any = np.float64) -> None:
        self.dtype = np.dtype(dtype)
        self._memory: list[Array] = []
        self._scratch = np.empty(0, dtype)

    @property
    def plain(self) -> bool:
        """Whether its tables are NumPy's float64, as records and solutions are."""
        return bool(self.dtype == np.float64)

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

    @along_rows
    def soften(self, logits: Combination) -> tuple[Array, Array, bool, Array | None, Array | None]:
        """The softmax of every row: weights, their logarithms, whether all are finite, sums, and inner numbers.

        Rows of large tables are left as they come while their sums are near 1, which saves two passes; small tables
        are normalised at once, and their sums, being one, are None.
        """
        logits = logits.up_to_constants()
        shape = logits.shape
        if math.prod(shape) <= SMALL:
            return _soften_small(logits.array)
        table, weights, total, inner = self.take(shape), self.take(shape), self._column(shape), self._column(shape)
        self._exponentiate(logits, table, weights, total, inner)
        if not (total.min() > 1 / NEAR and total.max() < NEAR):  # so for NaN
            for part in blocks(shape):
                total[part] = _normalise(weights[part], table[part])
                inner[part] = self._dot(weights[part], table[part])
        return weights, table, bool(np.isfinite(inner).all()), total, inner[..., 0]

    def _exponentiate(self, logits: Combination, table: Array, weights: Array, total: Array, inner: Array) -> None:
        """Write the logits into ``table``, their exponentials into ``weights``, and both sums of every row."""
        for part in blocks(table.shape):
            rows, exponentials = table[part], weights[part]
            logits.write(rows, part, exponentials)
            np.exp(rows, out=exponentials)
            total[part], inner[part] = row_sums(exponentials), self._dot(exponentials, rows)

    def _column(self, shape: tuple[int, ...]) -> Array:
        """Room for one number a row."""
        return new((*shape[:-1], 1), None, self.dtype)

    @along_rows
    def share(self, weights: Array, total: Array) -> Array:
        """``weights / total``."""
        table = self.take(weights.shape)
        for part in blocks(weights.shape):
            np.multiply(weights[part], 1 / total[part], out=table[part])  # much the quicker division
        return table

    @along_rows
    def lower(self, table: Array, total: Array) -> Array:
        """``table − log total``."""
        lowered = self.take(table.shape)
        for part in blocks(table.shape):
            np.subtract(table[part], np.log(total[part]), out=lowered[part])
        return lowered

    @along_rows
    def accumulate(self, sums: Array, weights: Array, total: Array) -> None:
        """Add ``weights / total`` to ``sums``."""
        shares = 1 / total
        for part in blocks(weights.shape):
            rows = sums[part]
            rows += np.multiply(weights[part], shares[part], out=self.scratch(rows))

    @along_rows
    def project(self, moved: Combination, floor: float) -> tuple[Array, Array, bool, None, Array | None]:
        """Every row projected onto the simplex: as :meth:`soften` answers, with logarithms of ``floor`` or above.

        Args:
            moved: where a step led.
            floor: the smallest probability whose logarithm is told from 0's.
        """
        moved = moved.up_to_constants()
        table, logits, inner = self.take(moved.shape), self.take(moved.shape), self._column(moved.shape)
        least, on = self._least(floor), True
        for part in blocks(moved.shape):
            own, rows = table[part], logits[part]
            moved.write(own, part, rows)
            on = self.is_on_simplex(project(own, out=own)) and on
            np.log(np.maximum(own, least(own), out=rows), out=rows)
            inner[part] = self._dot(own, rows)
        return table, logits, on and bool(np.isfinite(inner).all()), None, inner[..., 0]

    def is_on_simplex(self, table: Any) -> bool:
        """Whether every row sums to one, as far as the numbers that were projected could tell."""
        return bool(np.abs(row_sums(table) - 1).max() < np.sqrt(np.finfo(self.dtype).eps))

    def logarithms(self, table: Array, floor: float) -> tuple[Array, bool, None, Array | None]:
        """``log max(table, floor)``, whether all are finite, no sums, and the inner numbers."""
        logits, inner, least = self.take(table.shape), self._column(table.shape), self._least(floor)
        for part in blocks(table.shape):
            own, rows = table[part], logits[part]
            np.log(np.maximum(own, least(own), out=rows), out=rows)
            inner[part] = self._dot(own, rows)
        return logits, bool(np.isfinite(inner).all()), None, inner[..., 0]

    def _least(self, floor: float) -> Callable[[Array], Array]:
        """Makes tables of the smallest probability that is told from 0: a maximum with one number is much slower."""
        made: dict[tuple[int, ...], Array] = {}

        def like(table: Array) -> Array:
            if table.shape not in made:
                made[table.shape] = np.full_like(table, max(floor, np.finfo(self.dtype).tiny))
            return made[table.shape]

        return like

    def dot(self, weights: Array, values: Array) -> Array:
        """``Σ_y weights(y) values(y)`` of every row, without the last axis."""
        along = weights.strides[-1] == weights.itemsize and weights.shape[-1] > SHORT
        return np.asarray(np.vecdot(weights, values) if along else np.einsum("...n,...n->...", weights, values))

    def _dot(self, weights: Array, values: Array) -> Array:
        return self.dot(weights, values)[..., None]

    @along_rows
    def gradient(self, table: Array, natural: Any, weight: Array | None, total: Array | None) -> Array:
        """``weight · table · (natural − E natural)`` row by row: the policy gradient in softmax parameters.

        Args:
            table: weights of the actions.
            natural: the natural field.
            weight: (…, 1) what the row weighs; None for 1.
            total: (…, 1) the sums of the weights; None for 1.
        """
        force, gradient = Combination.of(natural).up_to_constants(), self.take(table.shape)
        share = np.ones((1,) * table.ndim, self.dtype) if total is None else 1 / total
        weight = share if weight is None else weight * share
        for part in blocks(table.shape):
            rows, own = gradient[part], table[part]
            force.write(rows, part, self.scratch(rows))
            rows -= self._dot(own, rows) * tile(share, part)
            rows *= own
            rows *= tile(weight, part)
        return gradient


def _soften_small(logits: Array) -> tuple[Array, Array, bool, None, Array]:
    """A table too small for its passes to count; the array is taken over."""
    top = logits.max(axis=-1, keepdims=True)
    logits -= top
    weights = np.exp(logits)
    total = weights.sum(axis=-1, keepdims=True)
    weights /= total
    logits -= np.log(total)
    inner = np.vecdot(weights, logits)
    return weights, logits, bool(np.isfinite(inner).all()), None, inner


def _normalise(weights: Array, logits: Array) -> Array:
    """In place, with a shift against overflow where one is needed; the sums of the weights then."""
    total = row_sums(weights)
    if not (total.min() > 1e-30 and total.max() < 1e30):
        logits -= logits.max(axis=-1, keepdims=True)
        np.exp(logits, out=weights)
        total = row_sums(weights)
    weights *= 1 / total
    logits -= np.log(total)
    return row_sums(weights)
