"""Every key of a configuration with its default and its meaning, from the classes themselves."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Iterator
from typing import Any

from llm.config.kinds import families, family_of, kind_of, kinds_of
from llm.config.recipes import MISSING, fields_of, plain
from llm.config.sections import Config

CHOICES = {
    "Judge": "judge",
    "Scores": "scores",
    "ModelSource": "model",
    "Game": "game",
    "Solver": "solver (those that move in policies are refused)",
    "Schedule": "schedule",
    "Baseline": "baseline",
    "KL": "kl",
    "Geometry": "geometry",
    "Roles": "roles",
    "Template": "template",
    "Overlong": "overlong",
    "Generator": "generator",
}
"""The choices by the name of their base, and as they are titled."""


def described() -> str:
    """The text of ``stackelberg train --keys``.

    Example:
        >>> text = described()
        >>> [line for line in text.splitlines() if line.startswith(("steps", "  kappa"))][0]
        'steps                        the budget.'
    """
    return "\n".join(_all()) + "\n"


def _all() -> Iterator[str]:
    meanings = meanings_of(Config)
    for name, (hint, default) in fields_of(Config).items():
        yield _line(name, default, meanings, "")
        section = next((each for each in (hint, *typing.get_args(hint)) if _has_fields(each)), None)
        if section is not None:
            yield from _fields(section, "  ")
    for name, title in CHOICES.items():
        family = next(found for hint, found in families().items() if getattr(hint, "__name__", "") == name)
        yield f"\nkinds of {title}{f' (by default {family.default})' if family.default else ''}:"
        for kind, maker in kinds_of(family).items():
            yield f"  {kind:<26} {_first(maker)}"
            yield from _fields(maker, "    ") if name != "Solver" else _names(maker)


def _has_fields(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint) and family_of(hint) is None


def _names(maker: Callable[..., Any]) -> Iterator[str]:
    yield "    " + ", ".join(f"{name} {_shown(default)}".strip() for name, (_, default) in fields_of(maker).items())


def _fields(maker: Callable[..., Any], indent: str) -> Iterator[str]:
    meanings = meanings_of(maker)
    for name, (_, default) in fields_of(maker).items():
        yield _line(name, default, meanings, indent)


def _line(name: str, default: Any, meanings: dict[str, str], indent: str) -> str:
    return (f"{indent}{name} {_shown(default)}".ljust(28) + f" {meanings.get(name, '')}").rstrip()


def _shown(default: Any) -> str:
    if default is MISSING:
        return ""
    value = plain(default)
    if isinstance(value, dict):
        return f"[{kind_of(default)}]" if kind_of(default) else ""
    return f"[{'null' if value is None else str(value).lower() if isinstance(value, bool) else value}]"


def _first(maker: Callable[..., Any]) -> str:
    return _unmarked((inspect.getdoc(maker) or "").partition("\n")[0])


def _unmarked(text: str) -> str:
    """Without the marks of documentation."""
    return re.sub(r":\w+:`~?([^`]+)`", r"\1", text).replace("``", "")


def meanings_of(maker: Callable[..., Any]) -> dict[str, str]:
    """The first sentence on each argument in a docstring, those of the classes it inherits from among them.

    Example:
        >>> from llm.rollouts import Rollouts
        >>> meanings_of(Rollouts)["temperature"]
        'T > 0 draws from softmax(logits / T); 0 takes the likeliest token (probability 1).'
    """
    found: dict[str, str] = {}
    for each in reversed(maker.__mro__ if isinstance(maker, type) else (maker,)):
        text = inspect.cleandoc(each.__doc__ or "")
        arguments = re.search(r"^Args:\n((?:    .*\n?|\n)+)", text, re.M)
        for names, words in re.findall(
            r"^    ([\w, ]+):((?:.*\n?(?:      .*\n?)*))", arguments[1] if arguments else "", re.M
        ):
            sentence = re.split(r"(?<=[.])\s", _unmarked(" ".join(words.split())))[0]
            found |= {name.strip(): sentence for name in names.split(",")}
    return found
