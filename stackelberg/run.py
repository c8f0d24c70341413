"""A run under way: everything about it that changes from step to step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stackelberg.point import Point
from stackelberg.recorder import Recorder
from stackelberg.validation import shown


@dataclass(eq=False)
class Run:
    """Where a run stands, between two steps.

    Attributes:
        point: the newest iterate.
        memory: the solver's state.
        recorder: what was recorded so far.
        generator: of the run's random numbers.
        step: how many steps were taken.
        divergence: why the run diverged here; None while it has not.
    """

    point: Point
    memory: Any
    recorder: Recorder
    generator: np.random.Generator
    step: int = 0
    divergence: str | None = None

    @property
    def note(self) -> str:
        """The latest recorded gap."""
        gap = self.recorder.latest_gap
        return "" if gap is None else f"gap {gap:.1e}"

    def content(self) -> dict[str, Any]:
        """Everything that a checkpoint must keep, in plain values and arrays."""
        return {
            "step": self.step,
            "divergence": self.divergence,
            "point": self.point.state(),
            "memory": self.memory,
            "recorder": self.recorder.state(),
            "generator": self.generator.bit_generator.state,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Stand where :meth:`content` was taken, to the last bit."""
        if not isinstance(content["step"], int) or content["step"] < 0:
            raise ValueError(f"it says that {shown(content['step'])} steps were taken.")
        self.point = self.point.from_state(content["point"])
        self.memory = content["memory"]
        self.recorder.restore(content["recorder"])
        self.generator.bit_generator.state = content["generator"]
        self.step, self.divergence = content["step"], content["divergence"]
