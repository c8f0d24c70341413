"""From plain values to objects: every field checked against the type hints of the class that will take it.

A class is described once, by its own fields; a configuration adds no second list of them. What is read is a tree of
:class:`Made`, so that everything is checked before the first model is loaded.
"""

from __future__ import annotations

import dataclasses
import difflib
import enum
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union

from llm.config.kinds import Family, family_of, kind_of, kinds_of
from stackelberg.validation import shown

MISSING = inspect.Parameter.empty
NOT_IN_TEXT = {"callbacks", "key", "sleep"}
"""Fields that hold what no text should or can say: functions, and secrets."""


@dataclass(frozen=True)
class Made:
    """Something to be made: what makes it, with which arguments, and where the configuration says so.

    Args:
        maker: a class or a function.
        arguments: by name, each a plain value, an object or another :class:`Made`.
        where: the dotted path.
        kind: its name, where there is a choice.
    """

    maker: Callable[..., Any]
    arguments: Mapping[str, Any]
    where: str
    kind: str | None = None

    def build(self, stand_in: Mapping[Callable[..., Any], Any] | None = None) -> Any:
        """Make it.

        Args:
            stand_in: what stands, while a configuration is only checked, for things that are slow to make.

        Raises:
            ValueError: an argument is refused; with the path.
        """
        if stand_in is not None and self.maker in stand_in:
            return stand_in[self.maker]
        arguments = {name: _built(value, stand_in) for name, value in self.arguments.items()}
        try:
            return self.maker(**arguments)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.where}: {error}" if self.where else str(error)) from error


def _built(value: Any, stand_in: Mapping[Callable[..., Any], Any] | None) -> Any:
    if isinstance(value, Made):
        return value.build(stand_in)
    return tuple(_built(each, stand_in) for each in value) if isinstance(value, tuple) else value


def fields_of(maker: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """What a class or function takes: type hint and default of each argument that a text can give.

    Example:
        >>> from llm.lora import LoRA
        >>> fields_of(LoRA)["rank"]
        (<class 'int'>, 64)
    """
    if dataclasses.is_dataclass(maker):
        hints = typing.get_type_hints(maker)
        own = [each for each in dataclasses.fields(maker) if each.init]
        found = {each.name: (hints[each.name], _default(each)) for each in own}
    else:
        hints = typing.get_type_hints(maker)
        found = {
            name: (hints[name], each.default)
            for name, each in inspect.signature(maker).parameters.items()
            if each.kind is not inspect.Parameter.VAR_KEYWORD
        }
    return {name: each for name, each in found.items() if name not in NOT_IN_TEXT and not name.startswith("_")}


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return MISSING if field.default is dataclasses.MISSING else field.default


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


_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "the path of a file or folder",
}


def _is(hint: Any, value: Any) -> bool:
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    return isinstance(value, {float: (int, float), Path: str}.get(hint, hint))


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


def plain(value: Any) -> Any:
    """What :func:`read` reads back as this: names, numbers, lists and fields.

    Example:
        >>> from stackelberg.gradient import RewardToGo
        >>> plain(RewardToGo())
        'reward-to-go'
    """
    if isinstance(value, Made):
        return _with_kind(value.kind, {name: plain(each) for name, each in value.arguments.items()})
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _with_kind(kind_of(value), {name: plain(getattr(value, name)) for name in fields_of(type(value))})
    return value


def kind_named(value: Any) -> str | None:
    """The kind of something read or made; None where there is no choice."""
    return value.kind if isinstance(value, Made) else kind_of(value)


def _with_kind(kind: str | None, fields: dict[str, Any]) -> Any:
    if kind is None:
        return fields
    return {"kind": kind, **fields} if fields else kind
