"""A training run under way: its numbers, its evaluations, when it saves, and how it ended."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from llm.evaluation import Evaluated
from llm.objective import Part
from llm.training.directions import Look
from llm.training.draws import Draws
from llm.training.learner import Learner
from llm.training.logbook import Log, Logbook
from llm.training.monitors import Drift, Tally, names_of, observe, observe_draws
from llm.training.solution import TrainedSolution
from stackelberg.checkpoint import SHARE, Checkpoint
from stackelberg.estimate import Estimate, Kind
from stackelberg.gradient import RaoBlackwell
from stackelberg.interrupts import Interrupts
from stackelberg.solution import Status

logger = logging.getLogger("llm")

NORMS = ("gradient_norm", "learning_rate")


@dataclass(eq=False)
class Run(TrainerCallback):
    """Between two steps: numbers are written, answers evaluated, the state saved.

    Args:
        learner: who learns.
        steps: the budget.
        book: where numbers go.
        checkpoint: where and how often to save; None for nowhere.
        interrupts: a signal that waits for the step to end.
        evaluation: what to evaluate on the way; None for nothing.
    """

    learner: Learner
    steps: int
    book: Logbook
    checkpoint: Checkpoint | None
    interrupts: Interrupts
    evaluation: Any = None
    trainer: Any = None
    meter: Any = None
    step: int = 0
    note: str = ""
    diverged: bool = False
    due: float = field(default_factory=time.monotonic)
    tally: Tally = field(default_factory=Tally)
    drift: Drift = field(init=False)
    evaluated: Evaluated | None = None
    asked: bool = False
    warnings: list[str] = field(default_factory=list)
    explained: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.learner.watch = self.observe
        self.drift = Drift(first=next((row for row in self.book.rows if row["step"] >= 1), {}))

    def observe(self, look: Look, part: Part, draws: Draws) -> None:
        """Count a micro-batch in; of several looks in a step the first is where the players stand."""
        if look.number == 0:
            observe(self.tally, part, draws)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Evaluate what there is before the first step."""
        if self.evaluation is not None and state.global_step == 0:
            row = {"step": 0, **self._evaluate(0)}
            self.learner.processes.together(lambda: self._log(args, state, control, row))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write the step's numbers, and save where it is time to."""
        self.step, processes = int(state.global_step), self.learner.processes
        self.diverged = not np.isfinite(self.trainer.gradient_norm)
        row = self._row()
        if self.evaluation is not None and (self.step % self.evaluation.every == 0 or self.step == self.steps):
            row |= self._evaluate(self.step)
        processes.together(lambda: self._log(args, state, control, row))
        if processes.index == 0:
            self.note = f"{self.learner.earns} {row.get('earned', math.nan):.3f}"
            self._warn(self.drift(row))
        stop = processes.total(float(self.interrupts.pending is not None)) > 0
        control.should_training_stop = control.should_training_stop or stop or self.diverged
        if self.checkpoint is not None and not self.diverged and (stop or self._time_to_save()):
            self.due = time.monotonic()
            control.should_save = True
        if self.meter is not None:
            self.meter()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The next save by the clock comes when this one's time is a small share."""
        if self.checkpoint is not None:
            now = time.monotonic()
            self.due = now + max(self.checkpoint.seconds, SHARE * (now - self.due))
        self.book.tabulate()

    def _time_to_save(self) -> bool:
        """Decided by the first process for all, where the clock decides."""
        if self.checkpoint is None:
            return False
        if self.step == self.steps:
            return True
        if self.checkpoint.every is not None:
            return self.step % self.checkpoint.every == 0
        processes = self.learner.processes
        return processes.total(float(processes.index == 0 and time.monotonic() >= self.due)) > 0

    def _row(self) -> dict[str, float]:
        """The step's numbers, over all processes."""
        for draws in self.trainer.drawn[:1]:
            observe_draws(self.tally, draws)
        names = names_of(self.learner.players, exact=self._exact)
        means = self.tally.means(self.learner.processes.totals(self.tally.as_tensor(names)), names)
        self.tally = Tally()
        rates = self.learner.solver.rates(self.step - 1, self.learner.players)
        norms = dict(zip(NORMS, (self.trainer.gradient_norm, float(rates[0])), strict=True))
        return {"step": self.step, **means, **norms}

    @property
    def _names(self) -> tuple[str, ...]:
        """What is measured of every step."""
        return (*names_of(self.learner.players, exact=self._exact), *NORMS)

    @property
    def _exact(self) -> bool:
        return isinstance(self.learner.sampling.kl, RaoBlackwell)

    def _evaluate(self, step: int) -> dict[str, float]:
        """Ask on held-out prompts, on the first process; the others wait."""
        self.asked, processes = True, self.learner.processes
        with processes.whole():
            found = processes.together(lambda: None if processes.index else self._asked(step))
        return {} if found is None else found.metrics

    def _asked(self, step: int) -> Evaluated:
        learner = self.learner
        found: Evaluated = self.evaluation.run(learner.policy, learner.game, learner.sampling)
        self.evaluated = found
        if self.checkpoint is not None:
            found.write(Path(self.checkpoint.folder) / "samples", step)
        now = found.explained | ({"omitted": found.omitted} if found.omitted else {})
        self._warn(words for name, words in now.items() if name not in self.explained)
        self.explained = set(now)
        return found

    def _log(self, args: Any, state: Any, control: Any, row: dict[str, float]) -> None:
        """Write a row, on the first process."""
        if self.learner.processes.index == 0:
            self.book.write(row)
            self.trainer.callback_handler.on_log(args, state, control, dict(row))

    def _warn(self, words: Iterable[str]) -> None:
        for each in words:
            self.warnings.append(f"step {self.step}: {each}")
            logger.warning(self.warnings[-1])

    @property
    def said(self) -> dict[str, list[str]]:
        """What was warned of so far, to be kept in a checkpoint: once said, it is not said again."""
        return {"warnings": self.warnings, "drift": sorted(self.drift.said), "explained": sorted(self.explained)}

    def heard(self, said: Mapping[str, list[str]]) -> None:
        """Go on from what :attr:`said` was."""
        self.warnings = list(said["warnings"])
        self.drift.said, self.explained = set(said["drift"]), set(said["explained"])

    def farewell(self) -> str:
        """How to go on."""
        if self.checkpoint is None:
            return f"stopped after {self.step} steps; nothing was saved, for want of checkpoint="
        return f"stopped after {self.step} steps; saved in {self.checkpoint.folder}. Go on with the same call."

    def solution(self) -> TrainedSolution:
        """Where the run ended."""
        processes = self.learner.processes
        if self.evaluation is not None and not self.asked:  # a run that was over already: every process sees that
            row = {"step": self.step, **self._evaluate(self.step)}
            if self.step == 0 and processes.index == 0:
                self.book.write(row)
                self.book.tabulate()
        log, evaluated, warnings = processes.same((self.book.log(), self.evaluated, tuple(self.warnings)))
        status, report = Status.RAN, f"ran all {self.steps} steps"
        if self.diverged:
            status = Status.DIVERGED
            report = (
                f"diverged at step {self.step}: its gradient is not finite, and was not followed. "
                "Lower the learning rate or tau, or look at the judge's numbers."
            )
        earned = [each for part in processes.each([each for draws in self.trainer.drawn[:1] for each in draws.earned])
                  for each in part]  # fmt: skip
        if not earned and "earned" in log.names:  # taken in an earlier call
            value: Estimate | None = Estimate(float(log["earned"][-1]), Kind.SAMPLED)
        else:
            value = Estimate.mean(earned) if len(earned) > 1 else None
        return TrainedSolution(
            game=self.learner.game,
            model=self.learner.policy,
            value=value,
            gap=None if evaluated is None else evaluated.gap,
            evaluation=evaluated,
            warnings=warnings,
            status=status,
            report=report,
            trajectory=Log(log.rows, () if self.step else self._names),
        )
