"""The choices in a configuration: what may stand where a solver, a judge or a schedule is wanted, by name.

Solvers, schedules, geometries, baselines and KL estimates have the names that ``stackelberg learn`` gives them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_type_hints

from stackelberg.geometry import Geometry
from stackelberg.gradient import KL, Baseline
from stackelberg.schedules import Schedule
from stackelberg.solvers.base import Solver
from stackelberg.specs import all_objects, all_solvers, kebab, parse_value

Makers = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Family:
    """A choice.

    Args:
        makers: the kinds by name, when they are asked for.
        default: the kind of what names none.
        compact: reads the short form ``name:value,key=value``, where there is one.
    """

    makers: Callable[[], Makers]
    default: str | None = None
    compact: Callable[[str, str], Any] | None = None


def _of_ground(base: type) -> Family:
    """The classes of the ground floor under a base."""

    def compact(text: str, where: str) -> Any:
        found = parse_value(text, where)
        if not isinstance(found, base):
            raise ValueError(f"{where} is {text!r}. Name one of {', '.join(makers())}.")
        return _as_written_out(found)

    def makers() -> Makers:
        return {name: kind for name, kind in all_objects().items() if issubclass(kind, base)}

    return Family(makers, compact=compact)


def _as_written_out(found: Any) -> Any:
    """An object of a short form as its fields one by one would give it: 0 is 0.0 where any number may stand."""
    wanted, changed = get_type_hints(type(found)), {}
    for each in dataclasses.fields(found) if dataclasses.is_dataclass(found) else ():
        value = getattr(found, each.name)
        if type(value) is int and int not in (get_args(wanted[each.name]) or (wanted[each.name],)):
            changed[each.name] = float(value)
        elif isinstance(value, Schedule):
            changed[each.name] = _as_written_out(value)
    return dataclasses.replace(found, **changed) if changed else found


def _named(*kinds: type) -> Makers:
    return {kebab(each.__name__): each for each in kinds}


def _roles() -> Makers:
    from llm.roles import Shared, TwoAdapters, TwoModels

    return _named(Shared, TwoAdapters, TwoModels)


def _templates() -> Makers:
    from llm.dialogue import ChatTemplate, PlainTemplate

    return _named(ChatTemplate, PlainTemplate)


def _overlong() -> Makers:
    from llm.dialogue import Refuse, TruncateLeft

    return _named(Refuse, TruncateLeft)


def _judges() -> Makers:
    from llm.config.judges import JUDGES

    return JUDGES


def _scores() -> Makers:
    from llm.config.judges import SCORES

    return SCORES


def _models() -> Makers:
    from llm.config.models import Pretrained, Tiny

    return _named(Pretrained, Tiny)


def _games() -> Makers:
    from llm.config.sections import Nash, Reward, Stackelberg

    return _named(Stackelberg, Nash, Reward)


def _generators() -> Makers:
    from llm.config.models import server
    from llm.generation import TransformersGenerator
    from llm.generators.continuous import ContinuousBatching

    return {"transformers": TransformersGenerator, "continuous-batching": ContinuousBatching, "server": server}


@cache
def families() -> dict[Any, Family]:
    """Every choice, by the type hint that asks for it."""
    from llm.config.models import ModelSource
    from llm.config.sections import Game, Opinion
    from llm.dialogue import Overlong, Template
    from llm.generation import Generator
    from llm.judges import Judge, Scores
    from llm.roles import Roles

    return {
        Solver: Family(all_solvers),
        **{base: _of_ground(base) for base in (Geometry, Schedule, Baseline, KL)},
        Callable[[int], float]: _of_ground(Schedule),
        Roles: Family(_roles),
        Template: Family(_templates),
        Overlong: Family(_overlong),
        Generator: Family(_generators),
        Judge: Family(_judges, "function"),
        Scores: Family(_scores, "function"),
        Opinion: Family(lambda: {**_scores(), **_judges()}, "function"),
        ModelSource: Family(_models, "pretrained"),
        Game: Family(_games, "stackelberg"),
    }


def family_of(hint: Any) -> Family | None:
    """The choice behind a type hint, if there is one."""
    try:
        return families().get(hint)
    except TypeError:  # a hint that cannot be hashed
        return None


def kinds_of(family: Family) -> Makers:
    """The kinds by name."""
    return family.makers()


def kind_of(value: Any) -> str | None:
    """The name of an object's kind; None where there is no choice.

    Example:
        >>> from llm.roles import TwoModels
        >>> kind_of(TwoModels())
        'two-models'
    """
    for family in families().values():
        for name, maker in family.makers().items():
            if maker is type(value):
                return name
    return None
