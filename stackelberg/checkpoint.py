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

from stackelberg.container import save_as, write_archive, write_file
from stackelberg.interrupts import Interrupts
from stackelberg.packing import Packer
from stackelberg.run import Run
from stackelberg.saving import save_solution
from stackelberg.solution import Solution
from stackelberg.stored_run import RUN, STATE, VERSION, alone, compare, described, own_classes, read_state
from stackelberg.validation import shown

SHARE = 50
"""By the clock, a save comes at the earliest this many times its own duration after the last."""


@dataclass(frozen=True)
class Checkpoint:
    """The folder of a resumable run, and how often its state is written there.

    A run is its game, solver, policy, sampling, seed, record and start: where one of them differs, the folder is
    refused. Steps and tolerance are its budget, and may be others each time: with more steps or a smaller tolerance
    it goes on to what one run with that budget would have been; with a larger tolerance it stops where it stands, or
    at the next record, though a run of its own would have stopped sooner.

    A solver, schedule or sampling of one's own, a frozen dataclass, is told by its name and its fields, not by its
    code. ``solve`` with the same folder goes on with it; :func:`resume` cannot make it again, and says so.

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
        self.identity, self.own = "", ""
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
        self.own = next(own_classes(document), "")
        if (self.folder / "run.json").exists():
            stored, self.identity = described(self.folder)
            compare(self.folder, stored["run"], document["run"])
            self._go_on()
            return
        self.identity = hashlib.blake2b(text, digest_size=16).hexdigest()
        write_file(self.folder / "run.npz", lambda stream: write_archive(stream, packer.arrays))
        self.save()
        write_file(self.folder / "run.json", lambda stream: stream.write(text))  # last: now it is a run

    def _go_on(self) -> None:
        content, budget = read_state(self.folder, self.identity)
        try:
            self.run.restore(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{self.folder / 'state.npz'} is damaged or was changed: {error}") from None
        if self.run.step > self.budget["steps"]:
            raise ValueError(
                f"The run in {self.folder} has taken {self.run.step} steps already, more than steps = "
                f"{self.budget['steps']}. Pass steps={self.run.step} (--steps {self.run.step}) or more, "
                "or another folder."
            )
        if budget == self.budget:
            self._saved = self.run.step, self.run.divergence is None

    def finish(self, solution: Solution) -> None:
        """Leave the solution in the folder, where :func:`stackelberg.load` finds it."""
        save_solution(solution, self.folder)

    def farewell(self) -> str:
        """How to go on."""
        resume = f"sb.resume({str(self.folder)!r}), or stackelberg learn --resume {self.folder}"
        again = f"the same sb.solve(..., checkpoint={str(self.folder)!r}), which has {self.own}, a class of your own"
        return f"stopped at step {self.run.step}; saved in {self.folder}. Go on with {again if self.own else resume}"


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
    with alone(folder), Interrupts() as interrupts:
        keeper = Keeper(given, run, budget, interrupts)
        keeper.begin(identity)
        yield keeper
        if interrupts.pending is not None:
            interrupts.stop(keeper.farewell())
