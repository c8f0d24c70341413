"""A kernel whose passes over large tables are compiled into one loop each, by numba."""

from __future__ import annotations

import math
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from stackelberg.combination import SMALL, Combination
from stackelberg.kernel import Kernel, laid_out, side_by_side
from stackelberg.validation import Array


class CompiledKernel(Kernel):
    """The passes of :class:`~stackelberg.kernel.Kernel`, rounded otherwise: nothing is written that is not kept.

    NumPy makes one pass for every product and sum; these loops read every cell of a step once or twice. They are
    compiled when they are first called, which takes seconds, and kept on disk for the next time. Tables of up to 1,024
    cells are NumPy's still.

    Raises:
        ValueError: numba is not installed.

    Example:
        >>> logits = np.log(np.tile([1.0, 3.0], (1000, 1)))
        >>> weights, _, finite, total, _ = CompiledKernel().soften(Combination((1.0, logits), (0.0, logits)))
        >>> (weights / total)[0], finite
        (array([0.25, 0.75]), True)
    """

    def __init__(self, dtype: Any = np.float64) -> None:
        super().__init__(dtype)
        self.loops = _loops()

    def _exponentiate(self, logits: Combination, table: Array, weights: Array, total: Array, inner: Array) -> None:
        across, flat, row = _views(table.shape)
        loop = self.loops.soften_across if across else self.loops.soften_along
        loop(*_terms(logits, 2), flat(table), flat(weights), row(total), row(inner))

    def project(self, moved: Combination, floor: float) -> tuple[Array, Array, bool, None, Array | None]:
        """As the kernel for NumPy."""
        moved = moved.up_to_constants()
        if math.prod(moved.shape) <= SMALL:
            return super().project(moved, floor)
        table, logits = self.take(moved.shape), self.take(moved.shape)
        total, inner = self._column(moved.shape), self._column(moved.shape)
        across, flat, row = _views(moved.shape)
        loop = self.loops.project_across if across else self.loops.project_along
        least = float(max(floor, np.finfo(self.dtype).tiny))
        loop(*_terms(moved, 3), least, flat(table), flat(logits), row(total), row(inner))
        on = bool(np.abs(total - 1).max() < np.sqrt(np.finfo(self.dtype).eps))
        return table, logits, on and bool(np.isfinite(inner).all()), None, inner[..., 0]

    def dot(self, weights: Array, values: Array) -> Array:
        """As the kernel for NumPy."""
        if weights.size <= SMALL or weights.shape != values.shape:
            return super().dot(weights, values)
        sums = self._column(weights.shape)
        across, flat, row = _views(weights.shape)
        loop = self.loops.dot_across if across else self.loops.dot_along
        loop(flat(weights), flat(values), row(sums))
        return sums[..., 0]

    def accumulate(self, sums: Array, weights: Array, total: Array) -> None:
        """As the kernel for NumPy."""
        if weights.size <= SMALL:
            super().accumulate(sums, weights, total)
            return
        across, flat, row = _views(weights.shape)
        loop = self.loops.add_across if across else self.loops.add_along
        loop(flat(sums), flat(weights), row(1 / total))

    def gradient(self, table: Array, natural: Any, weight: Array | None, total: Array | None) -> Array:
        """As the kernel for NumPy."""
        force = Combination.of(natural).up_to_constants()
        if table.size <= SMALL:
            return super().gradient(table, natural, weight, total)
        gradient, (across, flat, row) = self.take(table.shape), _views(table.shape)
        share = np.ones((1,) * table.ndim) if total is None else 1 / total
        heavy = share if weight is None else weight * share
        loop = self.loops.pull_across if across else self.loops.pull_along
        loop(*_terms(force, 2), flat(table), row(share), row(heavy), flat(gradient))
        return gradient


def _loops() -> ModuleType:
    try:
        return import_module("stackelberg.loops")
    except ImportError:
        raise ValueError(
            "compiled tables need numba, which is not installed. Install stackelberg[fast], or leave compiled out."
        ) from None
    except RuntimeError as error:
        raise ValueError(
            f"numba finds no place to keep what it compiles ({error}). Name a folder in NUMBA_CACHE_DIR that can be "
            "written, or leave compiled out."
        ) from None


@lru_cache
def _views(shape: tuple[int, ...]) -> tuple[bool, Any, Any]:
    """Whether rows of such tables lie side by side; what makes tables flat, and what makes numbers a row so."""
    across, n, last = side_by_side(shape), shape[-1], len(shape) - 1
    column = (*shape[:-1], 1)

    def flat(table: Array) -> Array:
        return table.transpose(last, *range(last)).reshape(n, -1) if across else table.reshape(-1, n)

    def row(numbers: Any) -> Array:
        if isinstance(numbers, np.ndarray) and numbers.shape == column:
            return numbers.reshape(-1)
        spread = np.empty(column)
        spread[...] = numbers
        return spread.reshape(-1)

    return across, flat, row


def _terms(force: Combination, count: int) -> list[Array]:
    """The combination as ``count`` pairs of a number a row and a whole table, both flat.

    What goes beyond them is added up before; where there are fewer, the last is told in halves.
    """
    _, flat, row = _views(force.shape)
    terms = sorted(force.terms, key=lambda term: term[1].shape != force.shape)
    if len(terms) > count or terms[-1][1].shape != force.shape:
        whole = sum(array.shape == force.shape for _, array in terms)
        kept = min(whole, count - 1)
        rest = np.broadcast_to(Combination(*terms[kept:]).array, force.shape)
        terms = [*terms[:kept], (1.0, laid_out(rest, terms[0][1].dtype))]
    while len(terms) < count:
        factor, array = terms.pop()
        terms += [(0.5 * factor, array)] * 2
    return [each for factor, array in terms for each in (row(factor), flat(array))]
