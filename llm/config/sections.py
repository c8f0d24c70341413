"""A configuration: the arguments of one ``sb.solve``, each as an object."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import stackelberg as sb
from llm.config.judges import JUDGES, SCORES, STAND_INS
from llm.config.models import ModelSource
from llm.config.prompts import Prompts
from llm.config.recipes import Made, kind_named, plain
from llm.config.typed import made
from llm.evaluation import Evaluation
from llm.judges import Judge, Prompt
from llm.rollouts import Rollouts
from llm.training.options import Training
from stackelberg.pairing import check_pairing
from stackelberg.solvers.base import Solver


class Opinion(Protocol):
    """A judge; in a reward game scores will do."""


class Game(ABC):
    """A game without its judge and prompts."""

    @abstractmethod
    def of(self, judge: Any, prompts: Sequence[Prompt]) -> Any:
        """The game that is played."""


@dataclass(frozen=True, kw_only=True)
class Stackelberg(Game):
    """SLHF: the Leader answers, the Follower sees the answer and improves it.

    Args:
        tau: both KL coefficients, ≥ 0.
        tau_leader: τ_L where it differs.
        tau_follower: τ_F where it differs.
    """

    tau: float = 0.1
    tau_leader: float | None = None
    tau_follower: float | None = None

    def of(self, judge: Any, prompts: Sequence[Prompt]) -> sb.StackelbergGame:
        """With judge and prompts."""
        own = {"tau_leader": self.tau_leader, "tau_follower": self.tau_follower}
        return sb.StackelbergGame(judge, contexts=prompts, tau=self.tau, **own)


@dataclass(frozen=True, kw_only=True)
class Nash(Game):
    """NLHF: a policy against itself.

    Args:
        tau: KL coefficient, ≥ 0.
    """

    tau: float = 0.1

    def of(self, judge: Any, prompts: Sequence[Prompt]) -> sb.NashGame:
        """With judge and prompts."""
        return sb.NashGame(judge, contexts=prompts, tau=self.tau)


@dataclass(frozen=True, kw_only=True)
class Reward(Game):
    """RLHF: the largest reward; the judge is scores, or a bradley-terry judge whose reward is taken.

    Args:
        tau: KL coefficient, ≥ 0.
    """

    tau: float = 0.1

    def of(self, judge: Any, prompts: Sequence[Prompt]) -> sb.RewardGame:
        """With scores and prompts."""
        return sb.RewardGame(judge, contexts=prompts, tau=self.tau)


@dataclass(frozen=True, kw_only=True)
class Evaluating:
    """Base, Leader and Follower on the held-out prompts, now and then: what :class:`llm.Evaluation` takes.

    Args:
        every: steps between two evaluations.
        samples: how many prompts' answers are kept to be read.
        sampling: how answers are drawn; as in training by default.
        seed: of the draws.
        replies: improvements an answer from which the Follower's gap is bounded.
        judge: in place of the game's.
        second_judge: one more, for how often the two agree.
    """

    every: int = 50
    samples: int = 8
    sampling: Rollouts | None = None
    seed: int = 0
    replies: int = 4
    judge: Judge | None = None
    second_judge: Judge | None = None

    def on(self, prompts: Sequence[Prompt]) -> Evaluation:
        """The record argument of ``solve``."""
        return Evaluation(prompts, **{each.name: getattr(self, each.name) for each in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Saving:
    """How often a run's state is written.

    Args:
        every: steps between two saves; by the clock where null.
        seconds: between two saves by the clock, at the least.
    """

    every: int | None = None
    seconds: float = 5.0


@dataclass(frozen=True, kw_only=True)
class Config:
    """A training run.

    Args:
        model: the policy that learns; what it starts as is the reference.
        prompts: what it is asked.
        judge: who compares answers.
        game: who moves, and how strongly each is held to its reference.
        solver: the learning rule, by the name that ``stackelberg learn`` gives it.
        steps: the budget.
        rollouts: how a step's answers are drawn.
        training: what optimizer and devices do.
        evaluation: on the held-out prompts; null for none.
        seed: of the order of prompts, of every draw and of new adapters.
        out: the run's folder.
        checkpoint: how often the state is written there.
    """

    model: ModelSource
    prompts: Prompts
    judge: Opinion
    solver: Solver
    steps: int
    game: Game = field(default_factory=Stackelberg)
    rollouts: Rollouts = field(default_factory=Rollouts)
    training: Training = field(default_factory=Training)
    evaluation: Evaluating | None = None
    seed: int = 0
    out: Path | None = None
    checkpoint: Saving = field(default_factory=Saving)

    def __post_init__(self) -> None:
        if self.steps < 0 or self.seed < 0:
            raise ValueError(f"steps and seed must be 0 or more, and are {self.steps} and {self.seed}.")
        if self.evaluation is not None and not self.prompts.keeps_back:
            raise ValueError("evaluation needs held-out prompts. Write prompts.held_out, or evaluation: null.")
        self._check_rule(self.game.of(self.judge, ["?"]))
        if self.evaluation is not None:
            self.evaluation.on(["?"])
        sb.Checkpoint("", self.checkpoint.every, self.checkpoint.seconds)

    def _check_rule(self, game: Any) -> None:
        """What ``solve`` would refuse, before a model is loaded."""
        from llm.training.draws import check_draws
        from llm.training.learner import check_rules

        check_pairing(game, self.solver)
        if not isinstance(self.solver.moves_networks_in, sb.Softmax):
            raise ValueError(
                f"solver: {type(self.solver).__name__} moves in policies, and a language model in its parameters. "
                "Write geometry: softmax where it takes one, or kind: stackelberg-gda, gda or rloo."
            )
        self.rollouts.check_trainable()
        check_draws(game, self.rollouts, mixes=getattr(self.solver, "mixture", 0) > 0)
        if self.rollouts.baseline is not None:
            check_rules(game, self.solver, self.rollouts.baseline, self.rollouts)


def checked(values: Mapping[str, Any]) -> Made:
    """A configuration with every field checked and filled in, nothing loaded and no code of others run.

    Raises:
        ValueError: a field is unknown, missing, of another type or refused; with its dotted path.
    """
    config = made(Config, values, "")
    _check_judge(kind_named(config.arguments["game"]), kind_named(config.arguments["judge"]))
    config.build(STAND_INS)
    return config


def _check_judge(game: str | None, judge: str | None) -> None:
    """Scores are for reward games, comparisons for the others; some judges have a reward to give."""
    if game != "reward" and judge in SCORES and judge not in JUDGES:
        raise ValueError(f"judge: {judge} scores one answer. Write kind: bradley-terry, with it as the reward.")
    if game == "reward" and judge in JUDGES and judge not in ("function", "trained", "bradley-terry"):
        raise ValueError(f"judge: {judge} compares answers, and a reward game wants scores. Use {', '.join(SCORES)}.")


def resolved(config: Made) -> dict[str, Any]:
    """The whole configuration as plain values, defaults and all; :func:`checked` reads it back."""
    found: dict[str, Any] = plain(config)
    return found
