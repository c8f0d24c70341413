"""Verifiable checks as a judge: the answer that passes the larger share of its prompt's checks wins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from llm.fields import check_fields
from llm.judges.protocol import Array, Prompt, check_rows
from llm.judges.scores import both

Check: TypeAlias = Callable[[str], bool]
"""A predicate of an answer. It must answer True or False; what it raises stops the run."""


@dataclass(frozen=True)
class Checks:
    """p = 1 where the first answer passes the larger share of checks, 0 where the smaller, ½ where equal shares.

    Args:
        of: the checks of a prompt, one or more: look them up in a dict, say, by the prompt.
        identity: what tells these checks from others, if their judgements are to be kept.

    Source: Zhou et al., *Instruction-following evaluation for large language models* (2023).

    Example:
        >>> judge = Checks(lambda prompt: [str.islower, lambda answer: "," not in answer])
        >>> judge(["Lowercase, no commas."] * 2, ["yes, but", "all right"], ["No, But", "well then"])
        array([1. , 0.5])
    """

    of: Callable[[Prompt], Sequence[Check]]
    identity: str = ""

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The verdicts, (n,)."""
        one, other = both(self.shares, prompts, first, second)
        return (1 + np.sign(one - other)) / 2

    def shares(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> Array:
        """The share of checks each answer passes, (n,): scores, for :class:`llm.judges.BradleyTerry` or a table."""
        check_rows(prompts, answers=answers)
        return np.array([self._share(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)])

    def _share(self, prompt: Prompt, answer: str) -> float:
        checks = self.of(prompt)
        if not checks:
            raise ValueError(f"There are no checks for the prompt {prompt!r:.80}. Leave it out, or give it one.")
        passed = [check(answer) for check in checks]
        for verdict in passed:
            if not isinstance(verdict, (bool, np.bool_)):
                raise ValueError(f"A check answered {verdict!r:.60}. It must answer True or False.")
        return sum(passed) / len(passed)
