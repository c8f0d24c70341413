"""The few acts that NumPy arrays and torch tensors spell differently; torch is never imported here."""

from __future__ import annotations

from typing import Any

import numpy as np

Tensor = Any
"""A NumPy array or a torch tensor."""


def is_torch(values: Tensor) -> bool:
    """Whether ``values`` is a torch tensor."""
    return hasattr(values, "detach")


def detached(values: Tensor) -> Tensor:
    """``values`` without their history: no gradient flows through them."""
    return values.detach() if is_torch(values) else values


def where_seen(values: Tensor, mask: Tensor) -> Tensor:
    """``values`` where the mask is on and 0 elsewhere, whatever stood there, NaN and infinity too."""
    if is_torch(values):
        return values.masked_fill(mask == 0, 0)
    return np.where(mask != 0, values, 0)


def to_go(values: Tensor) -> Tensor:
    """``Σ_{s ≥ t} values[:, s]`` for every t.

    >>> to_go(np.array([[1.0, 2.0, 4.0]]))
    array([[7., 6., 4.]])
    """
    if is_torch(values):
        return values.flip(-1).cumsum(-1).flip(-1)
    return values[..., ::-1].cumsum(-1)[..., ::-1]


def first_to_last(mask: Tensor) -> Tensor:
    """The column of each token in turn, then the masked ones: an order along the last axis.

    >>> first_to_last(np.array([[0, 1, 1], [1, 0, 1]]))
    array([[1, 2, 0],
           [0, 2, 1]])
    """
    if is_torch(mask):
        return (mask == 0).byte().argsort(dim=-1, stable=True)
    return np.argsort(mask == 0, axis=-1, kind="stable")


def taken(values: Tensor, order: Tensor) -> Tensor:
    """``values`` (B, T) with the columns of each row in the given order."""
    return values.gather(-1, order) if is_torch(values) else np.take_along_axis(values, order, axis=-1)


def group_index(groups: Tensor) -> tuple[Tensor, int]:
    """The groups renumbered 0, 1, …, and how many there are."""
    if is_torch(groups):
        kinds, index = groups.unique(return_inverse=True)
    else:
        kinds, index = np.unique(groups, return_inverse=True)
    return index, len(kinds)


def group_sums(values: Tensor, index: Tensor, count: int) -> Tensor:
    """``values`` (B, T) summed over the rows of each group: (count, T)."""
    if is_torch(values):
        return values.new_zeros((count, values.shape[1])).index_add(0, index, values)
    return np.stack([np.bincount(index, weights=column, minlength=count) for column in values.T], axis=-1)


def exponential(values: Tensor) -> Tensor:
    """``exp(values)``."""
    return values.exp() if is_torch(values) else np.exp(values)
