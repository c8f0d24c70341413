"""Values put together again from plain JSON and arrays, exactly as :mod:`stackelberg.packing` took them apart.

Every class comes from this package by a name in its public list, and nothing is ever unpickled or imported.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from stackelberg.game import Game
from stackelberg.packable import known, saved
from stackelberg.packing import Arrays, Document, checksum
from stackelberg.validation import shown


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
            case {"tensor": dict(array), "device": str(device)}:
                import torch

                return torch.from_numpy(np.array(self.unpack(array, path))).to(device)
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
        kind = known(name)
        if kind is None or issubclass(kind, enum.Enum):
            raise ValueError(f"{path} names the class {shown(name)}, which stackelberg does not have.")
        names = set(saved(kind))
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


def _member(name: str, member: str) -> enum.Enum:
    kind = known(name)
    if kind is None or not issubclass(kind, enum.Enum) or member not in kind.__members__:
        raise ValueError(f"{shown(f'{name}.{member}')} is no choice that stackelberg has.")
    return kind[member]
