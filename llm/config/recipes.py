"""What a configuration was read into: recipes, that can be checked, printed and made, in this order."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm.config.kinds import kind_of

MISSING = inspect.Parameter.empty
NOT_IN_TEXT = {"callbacks", "config", "sleep"}
"""Fields that hold objects which no text can say."""


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


def plain(value: Any) -> Any:
    """What :func:`llm.config.typed.read` reads back as this: names, numbers, lists and fields.

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
