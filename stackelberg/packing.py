"""Values as plain JSON and arrays, and back exactly: what checkpoints and saved solutions are made of.

No file can name anything but this package's own public dataclasses and enumerations, and nothing is ever unpickled.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import inspect
import math
from typing import Any

import numpy as np

from stackelberg.game import Game
from stackelberg.point import Joint
from stackelberg.policy import Tabular
from stackelberg.validation import shown

Document = Any
Arrays = dict[str, np.ndarray]
INTERNAL: dict[str, type] = {"Joint": Joint, "Tabular": Tabular}


class Packer:
    """Takes values apart. The arrays gather in :attr:`arrays`, under the path of where they were found.

    A game or an array that is met again is not stored again: all solutions of one run share theirs.

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
            ValueError: something in it is no number, text, array, or dataclass of this package.
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
            case enum.Enum() if _known(type(value).__name__) is type(value):
                return {"enum": type(value).__name__, "member": value.name}
            case _ if dataclasses.is_dataclass(value) and _known(type(value).__name__) is type(value):
                return self._fields(value, path)
        raise ValueError(_unsaveable(value, path))

    def _fields(self, value: Any, path: str) -> Document:
        if isinstance(value, Game):
            if id(value) in self._games:
                return {"same": self._games[id(value)]}
            self._games[id(value)] = path
        names = [field.name for field in dataclasses.fields(value) if field.init]
        return {
            "class": type(value).__name__,
            "fields": {name: self.pack(getattr(value, name), f"{path}.{name}") for name in names},
        }

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


class Unpacker:
    """Puts values together again from a document and its arrays."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self._games: dict[str, Game] = {}

    def unpack(self, document: Document, path: str) -> Any:
        """What :meth:`Packer.pack` took apart.

        Raises:
            ValueError: the document is damaged, changed, or not one of ours.
        """
        match document:
            case None | bool() | str() | int() | float():
                return document
            case list():
                return self._items(document, path)
            case {"tuple": list(items)}:
                return tuple(self._items(items, path))
            case {"float": ("inf" | "-inf" | "nan") as text}:
                return float(text)
            case {"dict": dict(items)}:
                return {key: self.unpack(item, f"{path}.{key}") for key, item in items.items()}
            case {"array": str(name)}:
                return self._array(document, name)
            case {"enum": str(name), "member": str(member)}:
                return _member(name, member)
            case {"class": str(name), "fields": dict(fields)}:
                return self._made(name, fields, path)
            case {"same": str(other)} if other in self._games:
                return self._games[other]
        raise ValueError(f"{path} holds {shown(document)}, which no stackelberg wrote.")

    def _items(self, items: list[Document], path: str) -> list[Any]:
        return [self.unpack(item, f"{path}.{number}") for number, item in enumerate(items)]

    def _array(self, document: Document, name: str) -> Any:
        if name not in self.arrays:
            raise ValueError(f"the array {shown(name)} is missing.")
        dense = self.arrays[name]
        if checksum(dense) != document.get("checksum"):
            raise ValueError(f"the array {shown(name)} is not the one that was written: its checksum differs.")
        if document.get("scalar"):
            return dense[()]
        array = dense.transpose(np.argsort(document["order"])) if "order" in document else dense
        return np.broadcast_to(array, document["shape"]) if "shape" in document else array

    def _made(self, name: str, given: dict[str, Document], path: str) -> Any:
        """The dataclass, checked as its constructor checks, and then with the very arrays that were stored."""
        kind = _known(name)
        if kind is None or issubclass(kind, enum.Enum):
            raise ValueError(f"{path} names the class {shown(name)}, which stackelberg does not have.")
        names = {field.name for field in dataclasses.fields(kind) if field.init}
        if names != given.keys():
            raise ValueError(f"{path} is a {name} with other fields: {', '.join(sorted(names ^ given.keys()))}.")
        fields = {field: self.unpack(value, f"{path}.{field}") for field, value in given.items()}
        made: Any = kind(**fields)
        for field, value in fields.items():
            checked = getattr(made, field)
            if isinstance(value, np.ndarray) and isinstance(checked, np.ndarray):
                value.flags.writeable = checked.flags.writeable and value.flags.writeable
                object.__setattr__(made, field, value)
        if isinstance(made, Game):
            self._games[path] = made
        return made


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


def _known(name: str) -> Any:
    """The public dataclass or enumeration of this name, or None."""
    import stackelberg as sb

    kind = getattr(sb, name) if name in sb.__all__ else INTERNAL.get(name)
    fitting = isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, enum.Enum))
    return kind if fitting else None


def _member(name: str, member: str) -> enum.Enum:
    kind = _known(name)
    if kind is None or not issubclass(kind, enum.Enum) or member not in kind.__members__:
        raise ValueError(f"{shown(f'{name}.{member}')} is no choice that stackelberg has.")
    return kind[member]


def _unsaveable(value: Any, path: str) -> str:
    if callable(value) and not isinstance(value, type) and not dataclasses.is_dataclass(value):
        return (
            f"{path} is a function, and a function cannot be saved. Use a schedule object such as "
            f"{', '.join(f'sb.{name}' for name in schedules())}."
        )
    return f"{path} is a {type(value).__name__}, which cannot be saved. Use the classes of stackelberg."


def schedules() -> list[str]:
    """The public schedules by name."""
    import stackelberg as sb

    return [
        name
        for name, value in vars(sb).items()
        if getattr(value, "__module__", "") == "stackelberg.schedules" and not inspect.isabstract(value)
    ]
