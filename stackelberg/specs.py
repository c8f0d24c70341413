"""Solvers, schedules, geometries and samplings as the command line names them: ``egpo``, ``inverse-time:2,8``.

The names are those of the classes. Nothing is listed by hand, so that a new class is a new name.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

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
    return {kebab(each.__name__): each for each in classes if issubclass(each, KINDS) and not inspect.isabstract(each)}


def settings(kind: type) -> dict[str, Any]:
    """The fields of a dataclass with their defaults."""
    return {field.name: field.default for field in dataclasses.fields(kind) if field.init}


def parse_value(text: str, option: str) -> Any:
    """A number, ``true``, ``false``, ``none``, or an object ``name`` or ``name:value,key=value``.

    >>> parse_value("0.1", "--learning-rate"), parse_value("inverse-time:2,offset=8", "--learning-rate")
    (0.1, InverseTime(scale=2, offset=8))
    """
    if text in WORDS:
        return WORDS[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    name, _, rest = text.partition(":")
    kind = _found(name, all_objects(), option)
    return _made(kind, [part for part in rest.split(",") if part], text, option)


def parse_solver(name: str, given: dict[str, str]) -> Solver:
    """The learning rule with its settings, each from its text.

    >>> parse_solver("stackelberg-gda", {"kappa": "3", "geometry": "softmax"}).geometry
    Softmax()
    """
    kind = _found(name, all_solvers(), "--solver")
    known = settings(kind)
    for key in given:
        if key not in known:
            raise ValueError(f"{name} has no setting {key!r}. It has: {', '.join(known)}.")
    own = {"learning_rate": "--learning-rate", "kappa": "--kappa"}
    values = {key: parse_value(text, own.get(key, f"--set {key}")) for key, text in given.items()}
    return _called(kind, (), values, name)


def _made(kind: type, parts: list[str], text: str, option: str) -> Any:
    positional = [parse_value(part, option) for part in parts if "=" not in part]
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    return _called(kind, positional, {key: parse_value(value, option) for key, value in named.items()}, text)


def _called(kind: type, positional: Any, named: dict[str, Any], text: str) -> Any:
    try:
        return kind(*positional, **named)
    except TypeError as error:
        fields = ", ".join(settings(kind))
        raise ValueError(f"{text} makes no {kind.__name__}: {error}. Its settings are: {fields or 'none'}.") from None


def _found(name: str, among: dict[str, type], option: str) -> type:
    if name not in among:
        raise ValueError(f"{option}: {name!r} is not known here. The names are: {', '.join(sorted(among))}.")
    return among[name]
