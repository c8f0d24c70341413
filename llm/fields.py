"""What is given to an option, held against its type hint: one check for every dataclass and function of this floor.

Each refusal says what is wrong with the value received and what to pass: a ``TypeError`` where it is of another type,
a ``ValueError`` where a number is out of its bounds or not finite.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import functools
import inspect
import math
import numbers
import os
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union

from stackelberg.validation import shown

_WORDS: dict[Any, tuple[str, str]] = {
    int: ("a whole number", "8"),
    float: ("a finite number", "0.5"),
    bool: ("True or False", "True"),
    str: ("a text", "a text in quotes"),
    Path: ("a Path", "the path of a file or folder"),
}


_WIDER: dict[Any, Any] = {int: numbers.Integral, float: numbers.Real, Path: (str, os.PathLike), None: type(None)}


def check_fields(option: Any, above: Mapping[str, float] | None = None, **least: float) -> None:
    """Hold every field of a dataclass against its type hint, and its numbers against their bounds.

    Args:
        option: the object under way, in its ``__post_init__``.
        above: fields with a number that each must be larger than.
        least: the smallest number that a field may be, by name; None passes where the hint allows it.

    Raises:
        TypeError: if a field is of another type.
        ValueError: if a number is not finite or out of its bounds.

    Example:
        >>> import llm
        >>> llm.LoRA(rank="64")
        Traceback (most recent call last):
            ...
        TypeError: LoRA(rank=...) must be a whole number, not '64'. Pass rank=64, without the quotes.
        >>> llm.LoRA(rank=0)
        Traceback (most recent call last):
            ...
        ValueError: rank must be 1 or more; it is 0. Pass for example rank=64.
    """
    kind: Any = type(option)
    known = _fields(kind)
    for name, (hint, default) in known.items():
        value = getattr(option, name)
        if not fits(value, hint):
            _refuse(f"{kind.__name__}({name}=...)", name, value, hint, default)
    for bounds, strict in ((least, False), (above or {}, True)):
        for name, bound in bounds.items():
            _check_bound(name, getattr(option, name), bound, strict, known[name][1])


def check_kind(value: Any, hint: Any, name: str, default: Any = None) -> None:
    """Hold one value against a type hint.

    Args:
        value: what was given.
        hint: of a type, a union, a tuple or sequence of one type, a callable or a protocol.
        name: of the argument.
        default: what may be passed, for the message.

    Raises:
        TypeError: if the value is of another type.
        ValueError: if it is a number, and not finite.

    Example:
        >>> check_kind("wandb", tuple[str, ...], "trackers")
        Traceback (most recent call last):
            ...
        TypeError: trackers must be a tuple, each a text, not 'wandb'. Pass trackers=('wandb',).
    """
    if not fits(value, hint):
        _refuse(name, name, value, hint, default)


def _refuse(said: str, name: str, value: Any, hint: Any, default: Any) -> None:
    kind = ValueError if isinstance(value, numbers.Real) and not math.isfinite(value) else TypeError
    raise kind(f"{said} must be {words(hint)}, not {_seen(value)}. {_advice(name, value, hint, default)}")


def check_count(name: str, value: Any, *, least: int = 1) -> None:
    """Refuse what is no whole number, or one below ``least``.

    Example:
        >>> check_count("batch", 0)
        Traceback (most recent call last):
            ...
        ValueError: batch must be 1 or more; it is 0. Pass for example batch=1.
    """
    check_kind(value, int, name, least)
    _check_bound(name, value, least, False, least)


def check_speaks(policy: Any) -> None:
    """Refuse what cannot answer prompts."""
    if isinstance(policy, type) or not hasattr(policy, "speaker"):
        raise TypeError(
            f"policy must be a TransformerPolicy, not {_seen(policy)}. TransformerPolicy.from_pretrained makes one."
        )


def check_tokenizer(value: Any) -> None:
    """Refuse what is no tokenizer of transformers.

    Example:
        >>> check_tokenizer("some/model")
        Traceback (most recent call last):
            ...
        TypeError: tokenizer must be a tokenizer of transformers, not 'some/model'. AutoTokenizer.from_pretr...
    """
    if isinstance(value, type) or not (callable(value) and hasattr(value, "eos_token_id")):
        raise TypeError(
            f"tokenizer must be a tokenizer of transformers, not {_seen(value)}. AutoTokenizer.from_pretrained has one."
        )


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what a type hint says: True is no number, a text no list. Lists serve for tuples.

    Example:
        >>> fits(1, float), fits(True, int), fits("wandb", tuple[str, ...]), fits(["wandb"], tuple[str, ...])
        (True, False, False, True)
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if _listed(hint):
        fixed = origin is tuple and parts[-1] is not Ellipsis
        return (
            _is_list(value, origin)
            and (not fixed or len(value) == len(parts))
            and (parts[0] is Any or all(fits(each, parts[0]) for each in value))
        )
    if isinstance(hint, type) and getattr(hint, "_is_protocol", False):
        return not isinstance(value, type) and all(callable(getattr(value, each, None)) for each in _members(hint))
    return _is(origin or hint, value)


def _is(kind: Any, value: Any) -> bool:
    """Whether a value is of a plain kind or a class."""
    if kind in (bool, int, float) and isinstance(value, bool):
        return kind is bool
    if kind is float and isinstance(value, numbers.Real) and not math.isfinite(value):
        return False
    return isinstance(value, _WIDER.get(kind, kind))


def _is_list(value: Any, origin: Any) -> bool:
    if origin is tuple:
        return isinstance(value, (tuple, list))
    return not isinstance(value, (str, bytes, Mapping)) and hasattr(value, "__len__") and hasattr(value, "__getitem__")


def words(hint: Any) -> str:
    """A type hint as a message says it.

    Example:
        >>> words(int | None), words(tuple[str, ...]), words(Path | str)
        ('a whole number or None', 'a tuple, each a text', 'a Path or a text')
    """
    if hint is type(None) or hint is None:
        return "None"
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(words(part) for part in parts))
    if origin is Literal:
        return " or ".join(repr(part) for part in parts)
    if _listed(hint):
        many = f" of {len(parts)}" if origin is tuple and parts[-1] is not Ellipsis else ""
        kind = ("tuple" if origin is tuple else "list") + many
        return f"a {kind}" if parts[0] is Any else f"a {kind}, each {words(parts[0])}"
    if origin is collections.abc.Callable or hint is collections.abc.Callable:
        return "a callable"
    if isinstance(origin or hint, type) and issubclass(origin or hint, Mapping):
        return "a dict"
    return _WORDS[hint][0] if hint in _WORDS else f"{'an' if hint.__name__[0] in 'AEIO' else 'a'} {hint.__name__}"


def _seen(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else shown(value)


def _advice(name: str, value: Any, hint: Any, default: Any) -> str:
    """What to do: the value as it was probably meant, else what may stand there."""
    wanted = [part for part in _parts(hint) if part is not type(None)]
    number = _number_in(value)
    if number is not None and fits(number, hint):
        return f"Pass {name}={number!r}, without the quotes."
    lists = [part for part in wanted if _listed(part)]
    if lists and fits((value,), lists[0]):
        meant = f"({shown(value)},)" if typing.get_origin(lists[0]) is tuple else f"[{shown(value)}]"
        return f"Pass {name}={meant}."
    if lists and default == ():
        return f"Pass {name}=() for none."
    if isinstance(value, type) and any(isinstance(part, type) and issubclass(value, part) for part in wanted):
        return f"Pass an object, with brackets: {name}={value.__name__}(...)."
    if default is not None and wanted[0] in _WORDS and not isinstance(default, Path):
        return f"Pass for example {name}={default!r}."
    return f"Pass {_instead(wanted)}{', or leave it out' if type(None) in _parts(hint) else ''}."


def _instead(wanted: list[Any]) -> str:
    """What may be passed, by the names of classes where there are some."""
    found: list[str] = []
    for part in wanted:
        if part in _WORDS:
            found.append(_WORDS[part][1])
        elif getattr(part, "_is_protocol", False):
            calls = "(prompts, answers)" if part.__name__ == "Scores" else "(prompts, first, second)"
            own = [each for each in _members(part) if each != "__call__"]
            found.append(f"an object with {' and '.join(own)}(...)" if own else f"a callable {calls}")
        elif isinstance(part, type) and not issubclass(part, (Mapping, enum.Enum)):
            found += [f"{each.__name__}(...)" for each in _concrete(part)]
        elif isinstance(part, type) and issubclass(part, enum.Enum):
            found += [str(each) for each in part]
        else:
            found.append(f"{words(part).partition(',')[0]}{' of them' if _listed(part) else ''}")
    *others, last = found
    return f"{', '.join(others)} or {last}" if others else last


def _concrete(base: type) -> list[type]:
    """A class, or those of ours below it that can be made."""
    if not inspect.isabstract(base):
        return [base]
    kinds: list[type] = base.__subclasses__()
    below = [each for kind in kinds for each in _concrete(kind)]
    return [each for each in below if each.__module__.partition(".")[0] in ("llm", "stackelberg")] or [base]


def _check_bound(name: str, value: Any, bound: float, strict: bool, default: Any) -> None:
    if value is None or (math.isfinite(value) and (value > bound or (value == bound and not strict))):
        return
    wanted = f"above {bound:g}" if strict else f"{bound:g} or more"
    example = "Leave it out, or pass more" if default is None else f"Pass for example {name}={default!r}"
    raise ValueError(f"{name} must be {wanted}; it is {value!r}. {example}.")


def _number_in(value: Any) -> int | float | None:
    """The number that a text spells."""
    if isinstance(value, str):
        for read in (int, float):
            try:
                return read(value)
            except ValueError:
                continue
    return None


def _parts(hint: Any) -> tuple[Any, ...]:
    union = typing.get_origin(hint) in (Union, types.UnionType)
    return typing.get_args(hint) if union else (hint,)


def _listed(hint: Any) -> bool:
    return typing.get_origin(hint) in (tuple, collections.abc.Sequence)


@functools.cache
def _fields(kind: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Type hint and default of each field that is given."""
    hints, own = typing.get_type_hints(kind), dataclasses.fields(typing.cast(Any, kind))
    return {
        each.name: (hints[each.name], None if each.default is dataclasses.MISSING else each.default)
        for each in own
        if each.init
    }


@functools.cache
def _members(protocol: type) -> tuple[str, ...]:
    """The methods that a protocol asks for."""
    own = (name for name, value in vars(protocol).items() if inspect.isfunction(value))
    return tuple(name for name in own if not name.startswith("_") or name == "__call__")
