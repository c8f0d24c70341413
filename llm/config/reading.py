"""Configurations as text: YAML without its surprises, and fields set from the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from stackelberg.validation import shown

_PLAIN: tuple[tuple[str, str, str], ...] = (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", "~nN"),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
)
"""What is no text, as in YAML 1.2: 1e-5 is a number, and yes, on and 2026-01-01 are texts."""


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for tag, pattern, starts in _PLAIN:
        for start in (*starts, *([""] if tag.endswith("null") else [])):
            found.setdefault(start, []).append((tag, re.compile(f"^(?:{pattern})$")))
    return found


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _resolvers()

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = key.value
            if key.tag != "tag:yaml.org,2002:merge" and name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name} stands here a second time; write it once", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: Any) -> int:
        return int(self.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _resolvers()

    def ignore_aliases(self, data: Any) -> bool:
        return True


def parse_yaml(text: str, where: str) -> Any:
    r"""A YAML document as plain values.

    Args:
        text: the document.
        where: what an error calls it.

    Raises:
        ValueError: it is no YAML, or a key stands twice; with line and column.

    Example:
        >>> parse_yaml("rate: 1e-5\nanswer: yes", "example")
        {'rate': 1e-05, 'answer': 'yes'}
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        problem = getattr(error, "problem", None) or str(error)
        raise ValueError(f"{where}{place}: this cannot be read as YAML: {problem}.") from None


def read_config(path: str | Path) -> dict[str, Any]:
    """The fields in a YAML file.

    Raises:
        ValueError: the file holds something else.
    """
    found = parse_yaml(Path(path).read_text(encoding="utf-8-sig"), str(path))
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds {shown(found)}, no fields. Write name: value, such as steps: 1000.")
    return found


def as_yaml(values: Mapping[str, Any]) -> str:
    """Plain values as YAML, in their order; :func:`parse_yaml` reads the same values from it.

    Example:
        >>> print(as_yaml({"rate": 1e-5, "stop": ["1e-5", "null"]}), end="")
        rate: 1.0e-05
        stop:
        - '1e-5'
        - 'null'
    """
    return yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def override(values: dict[str, Any], given: str) -> None:
    """Set a field from ``dotted.path=value``, the value read as YAML; a place in a list is a number.

    A thing that stands there by its name alone, such as ``kl: reward-to-go``, becomes one with fields when one of them
    is set; so does an absent one.

    Example:
        >>> values = {"solver": "stackelberg-gda"}
        >>> override(values, "solver.kappa=3")
        >>> override(values, "rollouts.prompts=8")
        >>> values
        {'solver': {'kind': 'stackelberg-gda', 'kappa': 3}, 'rollouts': {'prompts': 8}}
    """
    path, equals, text = given.partition("=")
    names = [name.replace("-", "_") for name in path.strip().split(".")]
    if not equals or not all(names):
        raise ValueError(f"--set {given}: this is no KEY=VALUE. Write for example --set solver.kappa=3.")
    here: Any = values
    for depth, name in enumerate(names[:-1], 1):
        here = _entered(here, name, ".".join(names[:depth]), given)
    _put(here, names[-1], parse_yaml(text, f"--set {path}"), given)


def _entered(here: Any, name: str, where: str, given: str) -> Any:
    """What lies one step down the path, made ready to take a field."""
    if isinstance(here, list):
        return here[_place(here, name, given)]
    inner = here.get(name)
    if isinstance(inner, (dict, list)):
        return inner
    if isinstance(inner, str) and ":" not in inner:
        here[name] = {"kind": inner}
    elif inner is None:
        here[name] = {}
    else:
        raise ValueError(f"--set {given}: {where} is {shown(inner)}, which has no fields. Set {where} as a whole.")
    return here[name]


def _put(here: Any, name: str, value: Any, given: str) -> None:
    if isinstance(here, list):
        here[_place(here, name, given)] = value
    elif name == "kind" and here.get("kind") != value:
        here.clear()  # the fields were of the other kind
        here[name] = value
    else:
        here[name] = value


def _place(here: Sequence[Any], name: str, given: str) -> int:
    if not name.isdigit() or int(name) >= len(here):
        raise ValueError(f"--set {given}: a list of {len(here)} stands there. Name a place from 0 to {len(here) - 1}.")
    return int(name)


def differences(before: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The fields in which two configurations differ: dotted path, value before, value now.

    Example:
        >>> list(differences({"seed": 0, "solver": {"kappa": 5}}, {"seed": 0, "solver": {"kappa": 3}}))
        [('solver.kappa', 5, 3)]
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for name in {**before, **now}:
            yield from differences(before.get(name), now.get(name), f"{path}.{name}" if path else name)
    elif before != now:
        yield path, before, now
