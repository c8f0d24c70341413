"""Are the fields of an option what its annotations say? Asked by every option when it is made."""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from typing import Any, Union

from stackelberg.validation import shown

_WORDS: dict[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "a text",
    type(None): "None",
}


def check_fields(option: Any, **bounds: float) -> None:
    """Refuse an option, a dataclass, one of whose fields is not what its annotation says.

    Args:
        option: whatever was just made.
        bounds: the smallest value of a field, by name; None passes where the annotation allows it.

    Raises:
        TypeError: naming the field, what it must be, and what it was.
        ValueError: if a number is below its bound.

    Example:
        >>> import llm
        >>> llm.LoRA(rank="64")
        Traceback (most recent call last):
        TypeError: LoRA(rank=...) must be a whole number, not '64'.
        >>> llm.LoRA(rank=0)
        Traceback (most recent call last):
        ValueError: rank must be 1 or more; it is 0.
    """
    kind: Any = type(option)
    for name, hint in _hints(kind).items():
        check_kind(getattr(option, name), hint, f"{kind.__name__}({name}=...)")
    for name, least in bounds.items():
        value = getattr(option, name)
        if value is not None and value < least:
            raise ValueError(f"{name} must be {least} or more; it is {value}.")


def check_kind(value: Any, hint: Any, name: str) -> None:
    """Refuse a value that is not what ``hint`` says, under a name that its author knows."""
    if not fits(value, hint):
        made = " Pass an object, with brackets." if isinstance(value, type) else ""
        kind = ValueError if isinstance(value, Real) and not math.isfinite(value) else TypeError
        raise kind(f"{name} must be {words(hint)}, not {shown(value)}.{made}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what an annotation says: True is no number, a text no sequence of texts.

    >>> fits(3, float), fits(True, int), fits("ab", tuple[str, ...]), fits(None, int | None)
    (True, False, False, True)
    """
    inside, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if inside in (Union, types.UnionType):
        return any(fits(value, each) for each in arguments)
    if inside in (tuple, Sequence):
        listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        return listed and all(fits(each, arguments[0]) for each in value)
    if hint is int or hint is float:
        number = isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
        return number and math.isfinite(value)
    if getattr(hint, "_is_protocol", False):
        return not isinstance(value, type) and all(callable(getattr(value, each, None)) for each in _methods(hint))
    return isinstance(value, inside or hint)


def words(hint: Any) -> str:
    """What an annotation asks for, in words.

    >>> words(int | None), words(tuple[str, ...])
    ('a whole number or None', 'a tuple, each a text')
    """
    inside, arguments = typing.get_origin(hint), typing.get_args(hint)
    if inside in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(words(each) for each in arguments))
    if inside in (tuple, Sequence):
        kind = "tuple" if inside is tuple else "list"
        return f"a {kind}" if arguments[0] is Any else f"a {kind}, each {words(arguments[0])}"
    if inside is Mapping:
        return "a dict"
    return _WORDS.get(hint) or f"a {hint.__name__}"


def _methods(protocol: type) -> list[str]:
    own = (name for name, value in vars(protocol).items() if callable(value))
    return [name for name in own if name == "__call__" or name[0] != "_"]


@cache
def _hints(kind: Any) -> dict[str, Any]:
    found = typing.get_type_hints(kind)
    return {each.name: found[each.name] for each in fields(kind) if each.init}
