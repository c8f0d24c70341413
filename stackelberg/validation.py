"""Checks on input arrays: each refusal says what is wrong with the value received and what to do instead."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
COMPLEMENT_TOLERANCE = 1e-9
SHORT = reprlib.Repr()  # bounded in depth too: lists may be nested deeper than repr can go
SHORT.maxstring, SHORT.maxother, SHORT.maxlevel, SHORT.maxlist, SHORT.maxtuple = 60, 60, 3, 4, 4


def shown(value: object) -> str:
    """``value`` as Python would write it, shortened and on one line, for an error message.

    >>> shown("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaa...aaaaaaaaaaaaaaaaaaaaaaaaaaaa'"
    """
    text = SHORT.repr(value)
    return " ".join(text.split()) if "\n" in text else text


def as_floats(values: ArrayLike, name: str) -> Array:
    """A finite float64 copy of ``values``, or a ``ValueError`` that names the array and the first bad cell."""
    array = as_numbers(values, name)
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        cell = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"{name} must be finite; at {cell} it is {array[cell]}. Remove or fill the missing entries first."
        )
    return array


def as_numbers(values: ArrayLike, name: str) -> Array:
    """A float64 copy of ``values``, or a ``ValueError`` that says what else they are."""
    if hasattr(values, "columns") and hasattr(values, "to_numpy"):
        raise ValueError(
            f"{name} is a data frame, whose labels would be lost. "
            "Pass frame.to_numpy() and labels=list(frame.columns), rows and columns in the same order."
        )
    try:
        raw = np.asarray(values)
        if np.iscomplexobj(raw) or raw.dtype.kind in "mMSTUV":
            raise TypeError(f"its entries are of type {raw.dtype}")
        if raw.dtype.kind == "O" and any(isinstance(entry, (str, bytes)) for entry in raw.flat):
            raise TypeError("some of its entries are texts")
        if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
            raise TypeError("some of its entries are masked")
        with np.errstate(over="ignore"):  # a long double may; the infinity is refused below
            array = np.array(raw, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} must be an array of real numbers, but {error}. Pass numbers only.") from None
    return array


def check_square(array: Array, name: str) -> None:
    """Refuse anything but a non-empty (n, n) or (contexts, n, n) array."""
    if array.ndim in (2, 3) and array.shape[-1] == array.shape[-2] and array.size:
        return
    hint = "Pass one square matrix, or a stack of them with the context first."
    if array.ndim == 3 and array.size and array.shape[0] == array.shape[1]:
        hint = "The context comes first: np.moveaxis(array, -1, 0) puts it there."
    raise ValueError(f"{name} must have shape (n, n) or (contexts, n, n), not {array.shape}. {hint}")


def check_preferences(p: Array) -> None:
    """Refuse what is no preference matrix: entries in [0, 1], ``P + Pᵀ = 1`` to 1e-9, diagonal ½."""
    check_square(p, "P")
    transposed = np.swapaxes(p, -1, -2)
    outside = (p < 0) | (p > 1)
    if outside.any():
        cell = _first(outside)
        raise ValueError(f"P must lie in [0, 1]; at {cell} it is {p[cell]:.6g}. {_likely_cause(p)}")
    diagonal = np.diagonal(p, axis1=-2, axis2=-1)
    if (np.abs(diagonal - 0.5) > COMPLEMENT_TOLERANCE / 2).any():
        *context, y = _first(np.abs(diagonal - 0.5) > COMPLEMENT_TOLERANCE / 2)
        cell = (*context, y, y)
        raise ValueError(
            f"An action ties with itself: the diagonal of P must be 1/2, at {cell} it is {p[cell]:.12g}. "
            f"{_likely_cause(p)}"
        )
    wrong = np.abs(p + transposed - 1) > COMPLEMENT_TOLERANCE
    if wrong.any():
        cell = _first(wrong)
        mirrored = (*cell[:-2], cell[-1], cell[-2])
        letters = "[x, y, y'] + P[x, y', y]" if p.ndim == 3 else "[y, y'] + P[y', y]"
        raise ValueError(
            f"P{letters} must be 1; at {cell} it is {p[cell]:.6g} + {p[mirrored]:.6g} = "
            f"{p[cell] + p[mirrored]:.12g}. {_likely_cause(p)}"
        )


def _first(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])


@np.errstate(over="ignore", invalid="ignore")  # a hint about huge entries must not fail on them
def _likely_cause(p: Array) -> str:
    """The most likely mistake behind an array that is not a preference matrix, and its mend."""
    transposed = np.swapaxes(p, -1, -2)
    n = p.shape[-1]
    off = p[..., ~np.eye(n, dtype=bool)]
    if (p >= 0).all() and np.abs(p + transposed - 1).max() < 1e-5:
        return "Were these float32? Compute P[y', y] = 1 - P[y, y'] in float64."
    if (p < 0).any() and np.allclose(p + transposed, 0):
        return "P is skew-symmetric: are these margins? Use PreferenceMatrix.from_margins."
    if off.size and (off >= 0).all() and (off > 1).any():
        if off.max() <= 100 and np.allclose(off + transposed[..., ~np.eye(n, dtype=bool)], 100):
            return "Are these percentages? Divide by 100."
        return "Are these numbers of wins? Use PreferenceMatrix.from_counts."
    if (p >= 0).all() and np.allclose(p.sum(axis=-1), 1) and n > 2:
        return "Every row sums to 1: were wins divided by row totals? Pass the wins to PreferenceMatrix.from_counts."
    if np.allclose(off + transposed[..., ~np.eye(n, dtype=bool)], 1):
        return "Set the diagonal to 1/2."
    if (p >= 0).all():
        return "Pass wins to PreferenceMatrix.from_counts instead?"
    return "P[y, y'] is the probability that y is preferred to y'."


def check_labels(labels: Sequence[Any] | None, n: int | None) -> tuple[str, ...]:
    """``n`` distinct non-empty names (any number of them for ``n=None``); no labels give "0", "1", ….

    >>> check_labels(None, 3)
    ('0', '1', '2')
    """
    if labels is None:
        return tuple(str(i) for i in range(n or 0))
    if isinstance(labels, (str, bytes)):
        raise ValueError(f"labels must be a sequence of names, not the one string {shown(labels)}. Use list(...).")
    try:
        if isinstance(labels, (set, frozenset)):
            raise TypeError
        names = tuple(str(label) for label in labels)
    except TypeError:
        raise ValueError(f"labels must be a sequence of names, not {shown(labels)}. Pass a list.") from None
    if n is not None and len(names) != n:
        raise ValueError(f"There are {n} actions but {len(names)} labels. Give one label an action.")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"The label {shown(twice)} is used more than once. Labels must be distinct.")
    if "" in names:
        raise ValueError(f"Label {names.index('')} is empty. Give every action a name.")
    return names


def check_distribution(values: ArrayLike, name: str) -> Array:
    """Rows (last axis) that are probabilities and sum to 1 to 1e-9; returned as they are, never rescaled."""
    array = as_floats(values, name)
    if array.ndim == 0 or not array.size:
        raise ValueError(f"{name} must be an array of probabilities, not of shape {array.shape}.")
    if (array < 0).any():
        cell = _first(array < 0)
        raise ValueError(f"{name} must not be negative; at {cell} it is {array[cell]:.6g}.")
    total = array.sum(axis=-1)
    wrong = np.abs(total - 1) > COMPLEMENT_TOLERANCE
    if wrong.any():
        raise ValueError(f"{name} must sum to 1; it sums to {total[wrong][0]:.9g}. Divide by the sum first.")
    return array


def check_features(values: ArrayLike) -> Array:
    """Features of contexts, (contexts, d), finite; a read-only copy."""
    features = as_floats(values, "contexts")
    if features.ndim != 2 or not features.size:
        raise ValueError(
            f"contexts must be features of shape (contexts, d), not {features.shape}. "
            "Write one feature a context as features[:, None]; prompts are texts."
        )
    features.flags.writeable = False
    return features


def check_shape(array: Array, shape: tuple[int, ...], name: str) -> Array:
    """``array`` broadcast to ``shape`` (a view), or a ``ValueError`` with both shapes."""
    if array.ndim <= len(shape):
        try:
            return np.broadcast_to(array, shape)
        except ValueError:
            pass
    raise ValueError(f"{name} has shape {array.shape}, which does not fit {shape}.")
