"""What the folder of a run says: the run that was started there, its newest state, and whether it is the one given."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stackelberg.container import check_kind, load_as, read_archive, rebuilt
from stackelberg.validation import shown

RUN, STATE, VERSION = "stackelberg run", "stackelberg state", 1


def stored_run(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the run in ``folder`` is, game, solver and all, and the budget of steps that it was last given.

    Raises:
        ValueError: there is no run, it is damaged or was changed, or it has a class of the user's own.
    """
    place = Path(folder)
    if not (place / "run.json").exists():
        raise ValueError(
            f"{place} holds no run: there is no run.json. "
            f"Start one with sb.solve(..., checkpoint={str(place)!r}), or stackelberg learn FILE --out {place}"
        )
    if (place / "metrics.jsonl").exists():
        raise ValueError(
            f"{place} holds the run of a language model. Go on with the call that began it, sb.solve(..., "
            f"checkpoint={str(place)!r}), or stackelberg train --resume {place}"
        )
    document, identity = described(place)
    own = next(own_classes(document), None)
    if own is not None:
        raise ValueError(
            f"The run in {place} has {own}, a class of your own, which no file can bring back. Go on with the call "
            f"that started it, sb.solve(..., checkpoint={str(place)!r}), and the same fields."
        )
    _, arrays = read_archive(place / "run.npz")
    parts = {name: rebuilt(part, arrays, place / "run.json", RUN) for name, part in document["run"].items()}
    return parts, read_state(place, identity)[1]


def described(folder: Path) -> tuple[dict[str, Any], str]:
    """What ``run.json`` says, and its checksum."""
    path = folder / "run.json"
    data = path.read_bytes()
    try:
        document = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{path} is damaged or was changed: {error}. Use another folder.") from None
    check_kind(document, path, RUN, VERSION)
    if not isinstance(document.get("run"), dict):
        raise ValueError(f"{path} is damaged or was changed: it describes no run. Use another folder.")
    return document, hashlib.blake2b(data, digest_size=16).hexdigest()


def read_state(folder: Path, identity: str) -> tuple[Any, dict[str, Any]]:
    """The newest state of the run with this checksum, and its budget."""
    path = folder / "state.npz"
    if not path.exists():
        raise ValueError(f"{folder} holds a run.json but no state.npz. Delete run.json to start that run again.")
    content, beside = load_as(path, STATE, VERSION)
    if beside.get("run") != identity:
        raise ValueError(f"{folder}: run.json was changed after the run began, or belongs to another state.npz.")
    return content, _checked_budget(beside.get("budget"), path)


def _checked_budget(budget: Any, path: Path) -> dict[str, Any]:
    match budget:
        case {"steps": int(steps), "tolerance": None | int() | float()} if steps >= 0:
            return dict(budget)
    raise ValueError(f"{path} is damaged or was changed: its budget is {shown(budget)}.")


def compare(folder: Path, stored: Any, given: Any) -> None:
    """Refuse another run, naming the first thing that differs."""
    found = next(_differences(stored, given, ""), None)
    if found is not None:
        name, there, here = found
        raise ValueError(
            f"{folder} holds another run: {name} is {shown(there)} there and {shown(here)} here. "
            "Choose another folder, or pass what that run was started with."
        )


def _differences(stored: Any, given: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """Where two packed values differ: the name, what is stored, what is given."""
    plain = ("fields", "dict", "tuple", "float")
    if isinstance(stored, dict) and isinstance(given, dict):
        there, here = _kind(stored), _kind(given)
        if there != here and not (there is stored and here is given):
            yield name.lstrip("."), there, here
        elif "array" in stored or "array" in given:
            if stored | {"array": ""} != given | {"array": ""}:  # whatever its name: the checksum tells the numbers
                yield name.lstrip("."), "one array", "another"
        else:
            for key in stored | given:
                inner = name if key in plain else f"{name}.{key}"
                yield from _differences(stored.get(key), given.get(key), inner)
    elif stored != given:
        yield name.lstrip("."), _kind(stored), _kind(given)


def _kind(document: Any) -> Any:
    """The class that a packed value names; the value itself where it is plain."""
    match document:
        case {"own": str(name), "fields": dict()}:
            return f"{name} (your own)"
        case {"class": name}:
            return name
    return document


def own_classes(document: Any) -> Iterator[str]:
    """The names of the user's own classes in a packed value."""
    match document:
        case {"own": str(name), "fields": dict()}:
            yield name
        case dict():
            for inner in document.values():
                yield from own_classes(inner)
        case list():
            for inner in document:
                yield from own_classes(inner)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Refuse a folder in which another process is running; the system forgets the lock of a process that ends."""
    try:
        import fcntl
    except ImportError:  # Windows has none; two runs of one folder are the user's own care there
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"Another process is running in {folder}. Wait for it, or choose another folder."
            ) from None
        yield
    finally:
        os.close(handle)
