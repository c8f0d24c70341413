"""Linear combinations of arrays that are added up only when somebody looks, and then in one go."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from stackelberg.validation import Array

Part = tuple[slice, ...]
SMALL = 1 << 10
"""Sums of up to so many cells are computed in the plainest way."""


class Combination(NDArrayOperatorsMixin):
    """``Σ coefficient · array``, kept as its terms: sums and products with numbers or arrays stay combinations.

    To NumPy it is the array it stands for, computed when first looked at. Who writes it block by block
    (:meth:`write`) never holds the whole of it.

    Args:
        terms: pairs (coefficient, array); each coefficient a number or an array that broadcasts, and at least one
            array of the full shape.

    Example:
        >>> ones = np.ones(2)
        >>> both = 3 * Combination((2.0, ones)) + ones
        >>> len(both.terms), np.asarray(both)
        (1, array([7., 7.]))
    """

    def __init__(self, *terms: tuple[Any, Array]) -> None:
        self.terms = terms
        shape = terms[0][1].shape
        for _, array in terms[1:]:
            if array.shape != shape and math.prod(array.shape) > math.prod(shape):
                shape = array.shape
        self.shape = shape

    @classmethod
    def of(cls, value: Any) -> Combination:
        """The value itself as a combination of one term."""
        return value if isinstance(value, Combination) else cls((1.0, value))

    @property
    def ndim(self) -> int:
        """Of the sum."""
        return len(self.shape)

    @cached_property
    def array(self) -> Array:
        """The sum."""
        if not isinstance(self.terms[0][1], np.ndarray):  # torch tensors
            return sum(factor * array for factor, array in self.terms)
        if math.prod(self.shape) <= SMALL:
            return reduce(np.add, (array * factor for factor, array in self.terms))
        out = np.empty_like(self._plan[0][1])
        self.write(out, (slice(None),) * out.ndim, np.empty_like(out))
        return out

    @cached_property
    def _plan(self) -> list[tuple[Any, Array, bool]]:
        """The terms and whether each is a whole array: these first, and one with a factor of its own before all."""
        rows = [(factor, array, array.shape == self.shape) for factor, array in self.terms]
        return sorted(rows, key=lambda row: (not row[2], type(row[0]) is float and row[0] == 1.0))

    def write(self, out: Array, part: Part, scratch: Array) -> None:
        """Write the part of the sum that ``part`` selects into ``out``, with ``scratch`` of its shape to work in."""
        for k, (coefficient, array, whole) in enumerate(self._plan):
            values = array[part] if whole else tile(array, part)
            factor = coefficient if type(coefficient) is float else tile(coefficient, part)
            if k == 0:
                np.multiply(values, factor, out=out)
            elif type(factor) is float and factor == 1.0:
                np.add(out, values, out=out)
            elif whole:
                np.add(out, np.multiply(values, factor, out=scratch), out=out)
            else:
                np.add(out, values * factor, out=out)

    def up_to_constants(self) -> Combination:
        """Without the terms that are the same all along a row: softmax and projection do not see them."""
        kept = [term for term in self.terms if term[1].shape[-1] > 1]
        return Combination(*kept) if 0 < len(kept) < len(self.terms) else self

    def __add__(self, other: Any) -> Any:
        return _added(self, other)  # straight to it: by way of NumPy's ufuncs it takes three times as long

    def __radd__(self, other: Any) -> Any:
        return _added(other, self)

    def __sub__(self, other: Any) -> Any:
        return _added(self, other, -1.0)

    def __mul__(self, factor: Any) -> Any:
        return _scaled(self, factor)

    __rmul__ = __mul__

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.array, dtype=dtype, copy=copy)

    def __getitem__(self, key: Any) -> Any:
        return self.array[key]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.array, name)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        act = _LINEAR.get(ufunc)
        found = act(*inputs) if act and method == "__call__" and not options else NotImplemented
        if found is not NotImplemented:
            return found
        return getattr(ufunc, method)(*(x.array if isinstance(x, Combination) else x for x in inputs), **options)


def tile(value: Any, part: Part) -> Any:
    """The part of ``value`` that belongs to ``part`` of an array that it broadcasts with."""
    if np.ndim(value) == 0:
        return value
    return value[tuple(each if size > 1 else slice(None) for each, size in zip(part, value.shape, strict=True))]


def _scaled(one: Any, factor: Any) -> Any:
    if isinstance(factor, Combination):
        return NotImplemented if isinstance(one, Combination) else _scaled(factor, one)
    return Combination(*((coefficient * factor, array) for coefficient, array in one.terms))


def _added(one: Any, other: Any, sign: float = 1.0) -> Any:
    """Terms over the same array are merged."""
    if not (getattr(one, "ndim", 0) and getattr(other, "ndim", 0)):
        return NotImplemented
    terms = {id(term[1]): term for term in Combination.of(one).terms}
    for coefficient, array in Combination.of(other).terms:
        here = sign * coefficient
        before = terms.get(id(array))
        terms[id(array)] = (here if before is None else before[0] + here, array)
    return Combination(*terms.values())


_LINEAR: dict[Any, Callable[[Any, Any], Any]] = {
    np.add: _added,
    np.subtract: lambda one, other: _added(one, other, -1.0),
    np.multiply: _scaled,
    np.true_divide: lambda one, by: NotImplemented if isinstance(by, Combination) else _scaled(one, 1 / by),
}
