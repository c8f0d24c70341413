"""Judges that a file can describe in full: regular expressions; and rewards side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from llm.judges import Checks, Prompt, Scores
from llm.judges.protocol import Array, described, identity_of


@dataclass(frozen=True)
class Patterns:
    """Verifiable checks as regular expressions, the same for every prompt: the larger share passed wins.

    Args:
        found: each must be found in the answer.
        absent: each must not be.

    Example:
        >>> Patterns(found=("^[A-Z]",), absent=(",",))(["?"], ["Yes."], ["yes, but"])
        array([1.])
    """

    found: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.found or self.absent):
            raise ValueError("there is no pattern. Write some under found or absent.")
        for pattern in (*self.found, *self.absent):
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}. Mend it.") from None

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The verdicts, (n,)."""
        return Checks(lambda prompt: self.predicates)(prompts, first, second)

    @property
    def predicates(self) -> list[Callable[[str], bool]]:
        """The checks of every prompt."""
        wanted = [(pattern, True) for pattern in self.found] + [(pattern, False) for pattern in self.absent]
        return [partial(_passes, pattern, there) for pattern, there in wanted]

    @property
    def identity(self) -> str:
        """The patterns."""
        return described("Patterns", found=self.found, absent=self.absent)


def _passes(pattern: str, there: bool, answer: str) -> bool:
    return (re.search(pattern, answer) is not None) == there


@dataclass(frozen=True)
class Stacked:
    """Several rewards side by side as attributes, (n, rewards): a reward model an attribute, for a vote.

    Example:
        >>> length = lambda prompts, answers: np.array([float(len(answer)) for answer in answers])
        >>> Stacked((length, length))(["?"], ["abc"])
        array([[3., 3.]])
    """

    of: tuple[Scores, ...]

    def __call__(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> Array:
        """One column a reward."""
        return np.column_stack([np.asarray(each(prompts, answers), dtype=float) for each in self.of])

    @property
    def identity(self) -> str:
        """The names of the rewards."""
        return described("Stacked", of=[identity_of(each) for each in self.of])
