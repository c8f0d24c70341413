"""Solvers, schedules, geometries and samplings as the command line names them: ``egpo``, ``inverse-time:2,8``.

The names are those of the classes. Nothing is listed by hand, so that a new class is a new name.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, get_args, get_origin, get_type_hints

import stackelberg as sb
from stackelberg import gradient, solvers
from stackelberg.expectation import Behaviour, Expectation
from stackelberg.geometry import Geometry
from stackelberg.schedules import Schedule
from stackelberg.solvers.base import Solver

KINDS = (Geometry, Schedule, Expectation, Behaviour, gradient.Baseline, gradient.KL)
WORDS = {"true": True, "false": False, "none": None}


def kebab(name: str) -> str:
    """A class's name as an option's value.

    >>> [kebab(name) for name in ("MirrorDescent", "OptimisticMWU", "EGPO", "StackelbergGDA")]
    ['mirror-descent', 'optimistic-mwu', 'egpo', 'stackelberg-gda']
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def all_solvers() -> dict[str, type[Solver]]:
    """The learning rules by name."""
    classes = [getattr(solvers, name) for name in solvers.__all__]
    return {kebab(each.__name__): each for each in classes if not inspect.isabstract(each)}


def all_objects() -> dict[str, type]:
    """What may stand as the value of a setting: geometries, schedules, samplings and their parts, by name."""
    classes = [value for name, value in vars(sb).items() if name in sb.__all__ and inspect.isclass(value)]
    return {kebab(each.__name__): each for each in classes if issubclass(each, KINDS) and _writable(each)}


def _writable(kind: type) -> bool:
    """Whether every setting has one value; ``Piecewise`` takes rows of numbers."""
    types = get_type_hints(kind)
    return not inspect.isabstract(kind) and all(get_origin(types[name]) is not tuple for name in settings(kind))


def settings(kind: type) -> dict[str, Any]:
    """The fields of a dataclass with their defaults."""
    return {field.name: field.default for field in dataclasses.fields(kind) if field.init}


def fitting(wanted: Any) -> dict[str, type]:
    """The objects, by name, that a setting of this type takes.

    >>> from stackelberg.solvers.base import Scheduled
    >>> sorted(fitting(Geometry)), "inverse-time" in fitting(Scheduled), fitting(int)
    (['natural', 'simplex', 'softmax'], True, {})
    """
    types = tuple(filter(None, map(_class, get_args(wanted) or (wanted,))))
    return all_objects() if wanted is Any else {k: v for k, v in all_objects().items() if issubclass(v, types)}


def parse_value(text: str, option: str, wanted: Any = Any) -> Any:
    """A number, ``true``, ``false``, ``none``, or an object ``name`` or ``name:value,key=value``.

    An object within another stands in brackets: ``warmup:100,then=(cosine:1,0,900)``.

    Args:
        text: what was written.
        option: where, for the error.
        wanted: the type that the setting has; anything by default.

    >>> parse_value("0.1", "--learning-rate"), parse_value("inverse-time:2,offset=8", "--learning-rate")
    (0.1, InverseTime(scale=2, offset=8))
    >>> parse_value("warmup:100,(linear:1,0,900)", "--learning-rate")
    Warmup(steps=100, then=Linear(initial=1, final=0, steps=900))
    """
    text = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    plain = _plain(text)
    if plain is not _OBJECT:
        if not _takes(wanted, plain):
            raise ValueError(f"{option}: {text!r} does not fit here. {_choices(fitting(wanted), wanted)}")
        return plain
    name, _, rest = text.partition(":")
    among = fitting(wanted)
    if name not in among:
        known = "does not fit here" if name in all_objects() else "is not known here"
        raise ValueError(f"{option}: {name!r} {known}. {_choices(among, wanted)}{_nearest(name, among)}")
    return _made(among[name], list(_parts(rest)), text, option)


def parse_solver(name: str, given: dict[str, str]) -> Solver:
    """The learning rule with its settings, each from its text.

    >>> parse_solver("stackelberg-gda", {"kappa": "3", "geometry": "softmax"}).geometry
    Softmax()
    """
    among = all_solvers()
    if name not in among:
        names = ", ".join(sorted(among))
        raise ValueError(f"--solver: {name!r} is not known here. The names are: {names}.{_nearest(name, among)}")
    kind = among[name]
    known, types = settings(kind), get_type_hints(kind)
    for key in given:
        if key not in known:
            raise ValueError(f"{name} has no setting {key!r}. It has: {', '.join(known)}.{_nearest(key, known)}")
    own = {"learning_rate": "--learning-rate", "kappa": "--kappa"}
    values = {key: parse_value(text, own.get(key, f"--set {key}"), types[key]) for key, text in given.items()}
    return _called(kind, (), values, name)


def _made(kind: type, parts: list[str], text: str, option: str) -> Any:
    types, fields = get_type_hints(kind), list(settings(kind))
    positional = [part for part in parts if not _named(part)]
    values = [
        parse_value(part, f"{option} {field}", types[field]) for part, field in zip(positional, fields, strict=False)
    ]
    values += positional[len(fields) :]  # one too many, for the constructor to refuse
    named = dict(part.split("=", 1) for part in parts if _named(part))
    settled = {key: parse_value(value, f"{option} {key}", types.get(key, Any)) for key, value in named.items()}
    return _called(kind, values, settled, text)


def _called(kind: type, positional: Any, named: dict[str, Any], text: str) -> Any:
    try:
        return kind(*positional, **named)
    except TypeError as error:
        fields, reason = ", ".join(settings(kind)), str(error).removeprefix(f"{kind.__name__}.__init__() ").rstrip(".")
        raise ValueError(f"{text} makes no {kind.__name__}: {reason}. Its settings are: {fields or 'none'}.") from None


def _parts(text: str) -> Iterator[str]:
    """What stands between the commas that are in no brackets."""
    part, depth = "", 0
    for letter in f"{text},":
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth <= 0:
            yield from [part] if part else []
            part = ""
        else:
            part += letter
    yield from [part] if part else []  # a bracket was left open; what it names is refused by its name


def _named(part: str) -> bool:
    return "=" in part.partition("(")[0]


_OBJECT = object()
"""What no text is: the mark of a name that stands for an object."""


def _plain(text: str) -> Any:
    """The number or word that a text is."""
    if text in WORDS:
        return WORDS[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return _OBJECT


def _class(wanted: Any) -> type | None:
    """What an object must be to fit one part of a type; functions of the step are schedules here."""
    if get_origin(wanted) is Callable:
        return Schedule
    return wanted if inspect.isclass(wanted) and issubclass(wanted, KINDS) else None


def _takes(wanted: Any, value: Any) -> bool:
    """Whether a number or word fits a type; ``1`` is a float too, and ``true`` no number."""
    types = get_args(wanted) or (wanted,)
    return wanted is Any or type(value) in types or (type(value) is int and float in types)


def _choices(among: dict[str, type], wanted: Any) -> str:
    types = get_args(wanted) or (wanted,)
    plain = (("a number", float), ("a whole number", int), ("none", type(None)))
    words = [word for word, each in plain if each in types]
    words += ["true or false"] if bool in types else []
    words += [f"one of: {', '.join(sorted(among))}"] if among else []
    return f"It takes {' or '.join(words) or 'no value that can be written here'}."


def _nearest(name: str, among: Iterable[str]) -> str:
    """The name that was probably meant."""
    found = difflib.get_close_matches(name, among, n=1)
    return f" Did you mean {found[0]}?" if found else ""
