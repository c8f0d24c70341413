"""exp and log that a compiler can fold into a loop over an array: to one unit in the last place, as NumPy's."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

ROUNDING = 6755399441055744.0
"""1.5 · 2⁵²: what is added to it is rounded to a whole number, which then lies in its lowest bits."""
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""log 2 as a sum; the products of the first with whole numbers up to 2¹¹ are exact."""

exactly = njit(cache=True, error_model="numpy", fastmath={"contract"})
"""Sums are taken in the order written: said aloud, since the loop that calls would else have its way."""


@intrinsic
def _bits(context: Any, number: Any) -> Any:
    """The bits of a float as a whole number."""

    def write(_: Any, builder: Any, __: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.IntType(64))

    return types.int64(types.float64), write


@intrinsic
def _float(context: Any, bits: Any) -> Any:
    """The float of these bits."""

    def write(_: Any, builder: Any, __: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.DoubleType())

    return types.float64(types.int64), write


@exactly
def exp(x: float) -> float:
    """e^x; 0 below −708 and inf above 709, where NumPy goes on for half a unit more.

    ``x = k log 2 + r`` with |r| ≤ ½ log 2, and Taylor's series to r¹³.
    """
    inside = -708.0 if x < -708.0 else 709.0 if x > 709.0 else x  # NaN stays
    shifted = inside * 1.4426950408889634 + ROUNDING
    k = shifted - ROUNDING
    r = (inside - k * LN2_HIGH) - k * LN2_LOW
    p = r * (1 / 6227020800) + 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 1 / 2
    found = (p * r * r + r + 1.0) * _float((_bits(shifted) + 1023) << 52)
    return 0.0 if x < -708.0 else _float(0x7FF0000000000000) if x > 709.0 else found


@exactly
def log(x: float) -> float:
    """The natural logarithm of a normal positive number; NaN stays.

    ``x = 2ᵏ m`` with ½√2 ≤ m < √2, and the series of log(1 + f) in s = f / (2 + f).
    """
    bits = _bits(x)
    k = (bits - 0x3FE6A09E667F3BCD) >> 52
    f = _float(bits - (k << 52)) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * (1 / 21) + 1 / 19
    w = w * z + 1 / 17
    w = w * z + 1 / 15
    w = w * z + 1 / 13
    w = w * z + 1 / 11
    w = w * z + 1 / 9
    w = w * z + 1 / 7
    w = w * z + 1 / 5
    w = w * z + 1 / 3
    half = 0.5 * f * f
    twos = _float(k + 0x4338000000000000) - ROUNDING
    found = twos * LN2_HIGH - ((half - (s * (half + 2.0 * z * w) + twos * LN2_LOW)) - f)
    return found if x == x else x
