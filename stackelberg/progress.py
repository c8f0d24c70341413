"""How far a run is: a bar on a terminal, now and then a plain line anywhere else; always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

REFRESH = 0.1
"""Seconds between two looks of the bar."""
FIRST, SLOWER = 10.0, 1.5
"""Seconds until the first plain line, and how much longer each further one takes to come."""


class Underway(Protocol):
    """A run whose progress can be shown."""

    @property
    def step(self) -> int:
        """How many steps were taken."""

    @property
    def note(self) -> str:
        """A word on where it stands, such as its latest gap; empty where there is none."""


class Meter:
    """Steps a second, a note and time left of a run; called at every step, it shows them now and then."""

    def __init__(self, run: Underway, steps: int, pause: float) -> None:
        self.run, self.steps, self.pause = run, steps, pause
        self.first, self.began = run.step, time.monotonic()
        self._next = self.began + pause

    def __call__(self) -> None:
        """Show the numbers where it is time to."""
        if time.monotonic() >= self._next:
            self.show()
            self._next = time.monotonic() + self.pause

    @property
    def rate(self) -> float:
        """Steps a second since this meter began; steps of an earlier process do not count."""
        return (self.run.step - self.first) / max(time.monotonic() - self.began, 1e-9)

    @property
    def numbers(self) -> str:
        """Speed, the run's note, and how long the remaining steps take at this speed."""
        parts = [f"{self.rate:,.0f} steps/s" if self.rate >= 10 else f"{self.rate:.2g} steps/s"]
        parts += [self.run.note] if self.run.note else []
        if self.rate > 0 and self.run.step < self.steps:
            parts.append(f"{duration((self.steps - self.run.step) / self.rate)} left")
        return ", ".join(parts)

    def show(self) -> None:
        """One plain line."""
        sys.stderr.write(f"learning: {self.run.step:,} of {self.steps:,} steps, {self.numbers}\n")
        sys.stderr.flush()
        self.pause *= SLOWER


@contextmanager
def showing(run: Underway, steps: int, wanted: bool) -> Iterator[Meter | None]:
    """The meter of a run; None where no progress is wanted."""
    if not wanted:
        yield None
    elif sys.stderr.isatty():
        yield from _bar(run, steps)
    else:
        meter = Meter(run, steps, FIRST)
        yield meter
        meter.show()


def _bar(run: Underway, steps: int) -> Iterator[Meter]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("learning"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[numbers]}")
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        task = progress.add_task("learning", total=steps, completed=run.step, numbers="")

        class Bar(Meter):
            """The same numbers beside a bar."""

            def show(self) -> None:
                progress.update(task, completed=self.run.step, numbers=self.numbers, refresh=True)

        meter = Bar(run, steps, REFRESH)
        yield meter
        meter.show()


def duration(seconds: float) -> str:
    """A time in its two largest units.

    >>> duration(7.2), duration(95), duration(7500), duration(200_000)
    ('7 s', '1 min 35 s', '2 h 5 min', '2 d 7 h')
    """
    whole = round(seconds)
    for name, size, below, smaller in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // smaller} {below}"
    return f"{whole} s"
