"""Runs that can be killed at any moment and go on from where they were, to the identical trajectory.

The folder of a run holds ``run.json`` with ``run.npz``, what the run is, written once; and ``state.npz``, its newest
state, replaced whole; in the end ``solution.npz``. All are plain JSON and NumPy arrays.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stackelberg.container import check_kind, load_as, read_archive, rebuilt, save_as, write_archive, write_file
from stackelberg.interrupts import Interrupts
from stackelberg.packing import Packer
from stackelberg.run import Run
from stackelberg.saving import save_solution
from stackelberg.solution import Solution
from stackelberg.validation import shown

RUN, STATE, VERSION = "stackelberg run", "stackelberg state", 1
SHARE = 50
"""By the clock, a save comes at the earliest this many times its own duration after the last."""


@dataclass(frozen=True)
class Checkpoint:
    """The folder of a resumable run, and how often its state is written there.

    Args:
        folder: made where it does not exist.
        every: steps between two saves; None saves by the clock.
        seconds: between two saves by the clock. Large states are saved less often: saving takes 2 % of the time
            at the most.

    Example:
        >>> import tempfile
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), reference=[0.5, 0.3, 0.2])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     half = sb.solve(game, sb.EGPO(), steps=50, checkpoint=sb.Checkpoint(folder, every=20))
        ...     both = sb.resume(folder, steps=100)
        >>> bool((both.policy == sb.solve(game, sb.EGPO(), steps=100).policy).all())
        True
    """

    folder: str | os.PathLike[str]
    every: int | None = None
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if not isinstance(self.folder, (str, os.PathLike)):
            raise TypeError(f"checkpoint is the folder of the run, not {shown(self.folder)}. Pass 'runs/a'.")
        if self.every is not None and (
            isinstance(self.every, bool) or not isinstance(self.every, (int, np.integer)) or self.every < 1
        ):
            raise ValueError(f"every must be a positive number of steps or None, not {shown(self.every)}. Pass 1000.")
        if not (isinstance(self.seconds, (int, float)) and self.seconds >= 0):
            raise ValueError(f"seconds must be a number, zero or more, not {shown(self.seconds)}. Pass 5.0.")


class Keeper:
    """Saves one run: called between any two steps, it saves where a save is due."""

    def __init__(self, checkpoint: Checkpoint, run: Run, budget: dict[str, Any], interrupts: Interrupts) -> None:
        self.folder, self.every, self.seconds = Path(checkpoint.folder), checkpoint.every, checkpoint.seconds
        self.run, self.budget, self.interrupts = run, budget, interrupts
        self.identity = ""
        self._due = time.monotonic() + self.seconds
        self._saved: tuple[int, bool] | None = None

    def __call__(self) -> None:
        """Save where it is time to, or where somebody wants to stop, and then stop."""
        if self.interrupts.pending is not None:
            self.save()
            self.interrupts.stop(self.farewell())
        elif (time.monotonic() >= self._due) if self.every is None else self.run.step % self.every == 0:
            self.save()

    def save(self) -> None:
        """Write the state as it is now, unless it is written already."""
        here = self.run.step, self.run.divergence is None
        if here == self._saved:
            return
        began = time.monotonic()
        save_as(self.folder / "state.npz", STATE, VERSION, self.run.content(), run=self.identity, budget=self.budget)
        ended = time.monotonic()
        self._saved, self._due = here, ended + max(self.seconds, SHARE * (ended - began))

    def begin(self, identity: dict[str, Any]) -> None:
        """Go on with the run that the folder holds, or make it this run's.

        Raises:
            ValueError: the folder holds another run, a damaged one, or one that is further than this one's steps.
        """
        packer = Packer()
        document = {"format": RUN, "version": VERSION, "run": {k: packer.pack(v, k) for k, v in identity.items()}}
        text = json.dumps(document, indent=2, allow_nan=False).encode()
        if (self.folder / "run.json").exists():
            stored, self.identity = _described(self.folder)
            _compare(self.folder, stored["run"], document["run"])
            self._go_on()
            return
        self.identity = hashlib.blake2b(text, digest_size=16).hexdigest()
        write_file(self.folder / "run.npz", lambda stream: write_archive(stream, packer.arrays))
        self.save()
        write_file(self.folder / "run.json", lambda stream: stream.write(text))  # last: now it is a run

    def _go_on(self) -> None:
        content, budget = _state(self.folder, self.identity)
        try:
            self.run.restore(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{self.folder / 'state.npz'} is damaged or was changed: {error}") from None
        if self.run.step > self.budget["steps"]:
            raise ValueError(
                f"The run in {self.folder} has taken {self.run.step} steps already, more than steps = "
                f"{self.budget['steps']}. Pass steps={self.run.step} or more, or another folder."
            )
        if budget == self.budget:
            self._saved = self.run.step, self.run.divergence is None

    def finish(self, solution: Solution) -> None:
        """Leave the solution in the folder, where :func:`stackelberg.load` finds it."""
        save_solution(solution, self.folder)

    def farewell(self) -> str:
        """How to go on."""
        return (
            f"stopped at step {self.run.step}; saved in {self.folder}. Go on with sb.resume({str(self.folder)!r}), "
            f"or stackelberg learn --resume {self.folder}"
        )


@contextmanager
def keeping(
    checkpoint: Checkpoint | str | os.PathLike[str] | None, identity: dict[str, Any], run: Run, budget: dict[str, Any]
) -> Iterator[Keeper | None]:
    """The keeper of a run, which then stands where the folder's run stands; None without a checkpoint.

    While it lasts, an interrupt or a request to terminate waits until the state is saved between two steps; a second
    one does not wait.
    """
    if checkpoint is None:
        yield None
        return
    given = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    folder = Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder), Interrupts() as interrupts:
        keeper = Keeper(given, run, budget, interrupts)
        keeper.begin(identity)
        yield keeper
        if interrupts.pending is not None:
            interrupts.stop(keeper.farewell())


def stored_run(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the run in ``folder`` is, game, solver and all, and the budget of steps that it was last given.

    Raises:
        ValueError: there is no run, or it is damaged or was changed.
    """
    place = Path(folder)
    if not (place / "run.json").exists():
        raise ValueError(f"{place} holds no run: there is no run.json. Start one with sb.solve(..., checkpoint=...).")
    document, identity = _described(place)
    _, arrays = read_archive(place / "run.npz")
    parts = {name: rebuilt(part, arrays, place / "run.json", RUN) for name, part in document["run"].items()}
    return parts, _state(place, identity)[1]


def _described(folder: Path) -> tuple[dict[str, Any], str]:
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


def _state(folder: Path, identity: str) -> tuple[Any, dict[str, Any]]:
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


def _compare(folder: Path, stored: Any, given: Any) -> None:
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
        if stored.get("class") != given.get("class"):
            yield name.lstrip("."), stored.get("class", stored), given.get("class", given)
        elif "array" in stored or "array" in given:
            if stored | {"array": ""} != given | {"array": ""}:  # whatever its name: the checksum tells the numbers
                yield name.lstrip("."), "one array", "another"
        else:
            for key in stored | given:
                inner = name if key in plain else f"{name}.{key}"
                yield from _differences(stored.get(key), given.get(key), inner)
    elif stored != given:
        yield (
            name.lstrip("."),
            *(each["class"] if isinstance(each, dict) and "class" in each else each for each in (stored, given)),
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
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
