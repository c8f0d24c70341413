"""Ctrl-C and requests to terminate, kept until a run has saved itself."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any, NoReturn

WATCHED = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While in use, the first SIGINT or SIGTERM is only noted, in :attr:`pending`; a second acts as it always did.

    Signals reach the main thread alone: in another one this does nothing.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in WATCHED}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pending is not None:
            self.__exit__()
            signal.raise_signal(number)
        self.pending = number

    def stop(self, farewell: str) -> NoReturn:
        """Do what the signal asked for, saying ``farewell``: KeyboardInterrupt, or the end of the process."""
        number = self.pending
        self.__exit__()
        if number == signal.SIGTERM:
            sys.stderr.write(f"{farewell}\n")
            sys.stderr.flush()
            signal.raise_signal(signal.SIGTERM)
            raise SystemExit(128 + signal.SIGTERM)  # where somebody's own handler came back from it
        raise KeyboardInterrupt(farewell)
