"""What ``solve`` returns for a language model."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm.evaluation import Evaluated
from llm.rollouts import FOLLOWER, LEADER
from llm.speaker import Speaker
from llm.training.logbook import Log
from stackelberg.estimate import Estimate
from stackelberg.game import Game
from stackelberg.solution import Status

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedSolution:
    """A trained policy, and what was seen on the way: the shape of :class:`stackelberg.Solution` for texts.

    Attributes:
        game: the game that was played.
        model: the policy, trained in place.
        value: what who moves first earned in the last step's rollouts, with its standard error.
        gap: a lower bound of the duality gap, from the last evaluation: what the Follower leaves on the table, see
            :func:`llm.evaluation.follower_gap`. None without an evaluation, without a Follower, or where the
            evaluation draws otherwise than the training.
        status: how the training ended.
        report: the status as a sentence with its numbers.
        trajectory: the numbers of every step; of none the names alone.
        evaluation: the last one on held-out prompts; None without.
        warnings: what drifted, each with its step, of the whole run wherever it was resumed.
    """

    game: Game[Any]
    model: TransformerPolicy
    value: Estimate | None
    status: Status
    report: str
    trajectory: Log = field(repr=False)
    evaluation: Evaluated | None = field(default=None, repr=False)
    gap: Estimate | None = None
    warnings: tuple[str, ...] = ()

    @property
    def leader(self) -> Speaker:
        """Who speaks first."""
        return self.model.speaker(LEADER)

    @property
    def follower(self) -> Speaker:
        """Who improves."""
        return self.model.speaker(FOLLOWER)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the policy to a folder, for :meth:`llm.TransformerPolicy.from_pretrained` and plain transformers."""
        self.model.save_pretrained(Path(path))
        return Path(path)
