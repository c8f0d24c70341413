"""From plain values to objects: every field checked against the type hints of the class that will take it.

A class is described once, by its own fields; a configuration adds no second list of them. What is read is a tree of
:class:`~llm.config.recipes.Made`, so that everything is checked before the first model is loaded.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Union

from llm.config.kinds import Family, family_of, kinds_of
from llm.config.recipes import MISSING, Made, fields_of
from stackelberg.validation import shown


def read(hint: Any, value: Any, where: str) -> Any:
    """A plain value as the type hint wants it.

    Raises:
        ValueError: it is of another type, names an unknown field or kind, or lacks one; with the dotted path.

    Example:
        >>> from llm.lora import LoRA
        >>> read(LoRA | None, {"rank": 8}, "model.lora").build()
        LoRA(rank=8, alpha=None, targets=None)
    """
    family = family_of(hint)
    if family is not None:
        return _one_of(family, value, where)
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(parts, value, where)
    if origin is tuple:
        return _tuple(parts, value, where)
    if origin is Literal:
        return _choice(parts, value, where)
    if hint is Any:
        return value
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(_choice([each.value for each in hint], value, where))
    if dataclasses.is_dataclass(hint):
        return made(typing.cast("Callable[..., Any]", hint), value, where)
    return _plain(origin or hint, value, where)


def made(maker: Callable[..., Any], value: Any, where: str, kind: str | None = None, also: str = "") -> Made:
    """A :class:`Made` from a mapping of its fields, the defaults filled in."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{where} must have fields, and is {shown(value)}. It takes {', '.join(fields_of(maker))}.")
    fields = fields_of(maker)
    for name in value:
        if name not in fields:
            raise ValueError(f"{_under(where, name)}: there is no such field. {nearest(name, fields, 'fields')}{also}")
    arguments = {}
    for name, (hint, default) in fields.items():
        if name in value:
            arguments[name] = read(hint, value[name], _under(where, name))
        elif default is MISSING:
            raise ValueError(f"{_under(where, name)} is missing. Write it; the fields are {', '.join(fields)}.")
        else:
            arguments[name] = default
    return Made(maker, arguments, where, kind)


def _under(where: str, name: Any) -> str:
    return f"{where}.{name}" if where else str(name)


def nearest(name: Any, among: Iterable[str], what: str) -> str:
    """A guess at what was meant, and all there is.

    >>> nearest("promts", ["prompts", "steps"], "fields")
    'Did you mean prompts? The fields are prompts, steps.'
    """
    names = list(among)
    close = difflib.get_close_matches(str(name).replace("-", "_"), [each.replace("-", "_") for each in names], 1, 0.6)
    guess = next((each for each in names if [each.replace("-", "_")] == close), None)
    return f"{f'Did you mean {guess}? ' if guess else ''}The {what} are {', '.join(names)}."


def _one_of(family: Family, value: Any, where: str) -> Any:
    """One of the kinds of a family: by its name, or by its fields and perhaps its kind."""
    kinds = kinds_of(family)
    if isinstance(value, str):
        if value not in kinds and ":" in value and family.compact is not None:
            return family.compact(value, where)
        return made(_found(value, kinds, where), {}, where, value)
    if isinstance(value, Mapping):
        name = value.get("kind", family.default)
        if name is None:
            raise ValueError(f"{_under(where, 'kind')} is missing. The kinds are {', '.join(kinds)}.")
        fields = {key: each for key, each in value.items() if key != "kind"}
        also = "" if "kind" in value else f" Another kind than {name}? The kinds are {', '.join(kinds)}."
        return made(_found(name, kinds, where), fields, where, name, also)
    raise ValueError(f"{where} is {shown(value)}. Name a kind: {', '.join(kinds)}.")


def _found(name: Any, kinds: Mapping[str, Callable[..., Any]], where: str) -> Callable[..., Any]:
    if not isinstance(name, str) or name not in kinds:
        raise ValueError(f"{where}: there is no kind {shown(name)}. {nearest(name, kinds, 'kinds')}")
    return kinds[name]


def _union(parts: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in parts:
        return None
    wanted = [part for part in parts if part is not type(None)]
    if {str, Path} <= set(wanted) and isinstance(value, str):  # a folder, or a name in the hub
        path = Path(value).expanduser()
        return str(path.absolute()) if path.exists() else value
    for part in wanted:
        plain = part in _NAMES
        if not plain or _is(part, value):
            return read(part, value, where)
    return read(wanted[0], value, where)


def _tuple(parts: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{where} must be a list, and is {shown(value)}. Write [{shown(value)}] for a list of one.")
    hints = [parts[0]] * len(value) if len(parts) == 2 and parts[1] is Ellipsis else list(parts)
    if len(hints) != len(value):
        raise ValueError(f"{where} must be a list of {len(hints)}, and has {len(value)}. Write {len(hints)}.")
    return tuple(read(hint, each, f"{where}.{i}") for i, (hint, each) in enumerate(zip(hints, value, strict=True)))


def _choice(parts: Iterable[Any], value: Any, where: str) -> Any:
    choices = list(parts)
    if value not in choices:
        raise ValueError(f"{where} is {shown(value)}. {nearest(value, map(str, choices), 'choices')}")
    return value


_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "the path of a file or folder",
}


def _is(hint: Any, value: Any) -> bool:
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    kinds: Any = {float: (int, float), Path: str}.get(hint, hint)
    return isinstance(value, kinds)


def _plain(hint: Any, value: Any, where: str) -> Any:
    if hint in _NAMES:
        if not _is(hint, value):
            raise ValueError(f"{where} must be {_NAMES[hint]}, and is {shown(value)}.{_hint(hint, value)}")
        return Path(value).expanduser().absolute() if hint is Path else hint(value)
    if isinstance(hint, type) and issubclass(hint, Mapping):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where} must have names and values, and is {shown(value)}. Write {{name: value}}.")
        return dict(value)
    raise ValueError(f"{where} cannot be said in a text: it is an object of Python. Leave it out, or call sb.solve.")


def _hint(hint: Any, value: Any) -> str:
    return f' Write it in quotes: "{value}".' if hint is str and isinstance(value, (int, float)) else ""
