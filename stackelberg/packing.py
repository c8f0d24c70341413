"""Values as plain JSON and arrays, what checkpoints and saved solutions are made of; see :mod:`stackelberg.unpacking`.

No file can name anything but this package's own public dataclasses and enumerations, and nothing is ever pickled.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import math
from typing import Any

import numpy as np

from stackelberg.game import Game
from stackelberg.gradient.arrays import is_torch
from stackelberg.packable import is_own_rule, known, saved, unsaveable

Document = Any
Arrays = dict[str, np.ndarray]


class Packer:
    """Takes values apart. The arrays gather in :attr:`arrays`, under the path of where they were found.

    A game or an array that is met again is not stored again: all solutions of one run share theirs. A user's own
    solver is written as its name and its fields, which tell whether a run is the same; no file brings it back.

    Example:
        >>> packer = Packer()
        >>> packer.pack({"rate": 0.1, "limits": (1, float("inf"))}, "run")
        {'dict': {'rate': 0.1, 'limits': {'tuple': [1, {'float': 'inf'}]}}}
    """

    def __init__(self) -> None:
        self.arrays: Arrays = {}
        self._games: dict[int, str] = {}
        self._met: dict[int, tuple[Any, Document]] = {}

    def pack(self, value: Any, path: str) -> Document:
        """``value`` as JSON; ``path`` is its name in errors and arrays.

        Raises:
            ValueError: something in it is no number, text, array, or dataclass of this package; or a rule of the
                user's own that is more than its fields.
        """
        match value:
            case None | bool() | str():
                return value
            case np.ndarray() | np.generic():
                return self._array(value, path)
            case int():
                return int(value)
            case float():
                return value if math.isfinite(value) else {"float": repr(value)}
            case tuple() | list():
                items = [self.pack(item, f"{path}.{number}") for number, item in enumerate(value)]
                return {"tuple": items} if isinstance(value, tuple) else items
            case dict() if all(isinstance(key, str) for key in value):
                return {"dict": {key: self.pack(item, f"{path}.{key}") for key, item in value.items()}}
            case _ if is_torch(value):
                return {"tensor": self._array(value.detach().cpu().numpy(), path), "device": str(value.device)}
            case enum.Enum() if known(type(value).__name__) is type(value):
                return {"enum": type(value).__name__, "member": value.name}
            case Game() if known(type(value).__name__) is type(value):
                return self._game(value, path)
            case _ if dataclasses.is_dataclass(value) and known(type(value).__name__) is type(value):
                return {"class": type(value).__name__, "fields": self._fields(value, path)}
            case _ if is_own_rule(value, path):
                return {"own": type(value).__name__, "fields": self._fields(value, path)}
        raise ValueError(unsaveable(value, path))

    def _game(self, value: Game, path: str) -> Document:
        if id(value) in self._games:
            return {"same": self._games[id(value)]}
        self._games[id(value)] = path
        return {"class": type(value).__name__, "fields": self._fields(value, path)}

    def _fields(self, value: Any, path: str) -> Document:
        return {name: self.pack(getattr(value, name), f"{path}.{name}") for name in saved(value)}

    def _array(self, value: Any, path: str) -> Document:
        if id(value) in self._met:
            return self._met[id(value)][1]
        array = np.asarray(value)
        if array.dtype.kind not in "biufU":
            raise ValueError(f"{path} is an array of {array.dtype}, which cannot be saved. Use numbers.")
        dense, order = _dense(array)
        self.arrays[path] = dense
        document: Document = {"array": path, "checksum": checksum(dense)}
        if order != list(range(array.ndim)):
            document["order"] = order
        if dense.size != array.size:
            document["shape"] = list(array.shape)
        if isinstance(value, np.generic):
            document["scalar"] = True
        self._met[id(value)] = value, document  # held, so that no other value takes its id
        return document


def checksum(array: np.ndarray) -> str:
    """Of the array's type, shape and bytes."""
    digest = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def _dense(array: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The array with its slowest axis first, repeated axes of length 1, and the order that its axes then have.

    Sums depend, in their last bit, on the order in memory: a run that goes on must find it as it was.
    """
    steps = [
        np.inf if size == 1 or step == 0 else abs(step) for step, size in zip(array.strides, array.shape, strict=True)
    ]
    order = sorted(range(array.ndim), key=lambda axis: -steps[axis])
    repeated = [
        step == 0 and size > 1 and array.size > 0 for step, size in zip(array.strides, array.shape, strict=True)
    ]
    once = array[tuple(slice(0, 1) if again else slice(None) for again in repeated)]
    dense = np.ascontiguousarray(once.transpose(order))
    return dense.reshape(once.transpose(order).shape), order
