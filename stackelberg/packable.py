"""What a file can hold: the public classes by name, their fields, and the words for what no file can hold."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from functools import cached_property
from typing import Any

from stackelberg.expectation import Behaviour, Expectation
from stackelberg.geometry import Geometry
from stackelberg.gradient import KL, Baseline
from stackelberg.point import Joint
from stackelberg.policy import Tabular
from stackelberg.schedules import Schedule
from stackelberg.solvers.base import Solver

INTERNAL: dict[str, type] = {"Joint": Joint, "Tabular": Tabular}
RULES = (Solver, Schedule, Geometry, Expectation, Behaviour, Baseline, KL)
"""What users write of their own: frozen values that decide how a run goes, and are no part of its result."""


def known(name: str) -> Any:
    """The public dataclass or enumeration of this name, or None.

    >>> known("EGPO").__name__, known("os")
    ('EGPO', None)
    """
    import stackelberg as sb

    kind = getattr(sb, name) if name in (*sb.__all__, *sb.NEURAL) else INTERNAL.get(name)
    fitting = isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, enum.Enum))
    return kind if fitting else None


def saved(kind: Any) -> list[str]:
    """The fields of a dataclass that make it, but for those marked as not worth keeping.

    >>> saved(known("Sample"))
    ['n', 'baseline', 'kl', 'behaviour']
    """
    return [each.name for each in dataclasses.fields(kind) if each.init and each.metadata.get("saved", True)]


def is_own_rule(value: Any, path: str) -> bool:
    """Whether a value is a rule of the user's own, such as a solver, and is told by its fields alone.

    Raises:
        ValueError: it keeps something beside its fields, so that equal fields would not be an equal rule.
    """
    if not isinstance(value, RULES) or not dataclasses.is_dataclass(value):
        return False
    kind, fields = type(value), {each.name for each in dataclasses.fields(value)}
    beside = [name for name in vars(value) if name not in fields and not _computed(kind, name)]
    if beside:
        raise ValueError(
            f"{path} is a {kind.__name__} that keeps {beside[0]!r} outside its fields, where no checkpoint sees it. "
            f"Make {beside[0]} a field of the frozen dataclass."
        )
    return True


def _computed(kind: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(kind, name, None), cached_property)


def unsaveable(value: Any, path: str) -> str:
    """Why a value cannot be saved, and what to use instead."""
    if callable(value) and not isinstance(value, (type, *RULES)) and not dataclasses.is_dataclass(value):
        return f"{path} is a function, and a function cannot be saved. Use {_instead(path)}."
    own = " Write it as a frozen dataclass." if isinstance(value, RULES) else " Use the classes of stackelberg."
    return f"{path} is a {type(value).__name__}, which cannot be saved.{own}"


def _instead(path: str) -> str:
    """The values with names that stand for the functions wanted there."""
    if path.rpartition(".")[2] != "activation":
        return f"a schedule object such as {', '.join(f'sb.{name}' for name in schedules())}"
    import stackelberg as sb

    members: Any = sb.Activation
    return f"one of {', '.join(f'sb.Activation.{each.name}' for each in members)}"


def schedules() -> list[str]:
    """The public schedules by name."""
    import stackelberg as sb

    return [
        name
        for name, value in vars(sb).items()
        if getattr(value, "__module__", "") == "stackelberg.schedules" and not inspect.isabstract(value)
    ]
