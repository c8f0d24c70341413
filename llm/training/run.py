"""A training run: its folder, its files, when it saves, and how it ended."""

from __future__ import annotations

import logging
import math
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from llm.evaluation import Evaluated, Evaluation
from llm.objective import Part
from llm.policy import TransformerPolicy
from llm.rollouts import Rollouts
from llm.run_folder import claim, last_checkpoint
from llm.training.directions import Look
from llm.training.draws import Draws, check_draws
from llm.training.identity import identity
from llm.training.learner import Learner, check_rules
from llm.training.logbook import Logbook
from llm.training.monitors import Drift, Tally, names_of, observe, observe_draws
from llm.training.processes import Processes
from llm.training.solution import TrainedSolution
from llm.training.trainer import GameTrainer
from stackelberg.checkpoint import SHARE, Checkpoint
from stackelberg.estimate import Estimate, Kind
from stackelberg.geometry import Softmax
from stackelberg.interrupts import Interrupts
from stackelberg.pairing import check_pairing
from stackelberg.progress import showing
from stackelberg.record import Record
from stackelberg.solution import Status
from stackelberg.validation import shown

logger = logging.getLogger("llm")


def train(
    policy: TransformerPolicy,
    game: Any,
    solver: Any,
    *,
    steps: int,
    sampling: Any,
    seed: int = 0,
    record: Any = None,
    tolerance: Any = None,
    start: Any = None,
    checkpoint: str | os.PathLike[str] | Checkpoint | None = None,
    progress: bool = False,
) -> TrainedSolution:
    """Train a policy in place on a game; :func:`stackelberg.solve` calls this.

    Args:
        policy: is changed.
        game: of a judge over prompts.
        solver: a rule that moves in parameters.
        steps: the budget.
        sampling: :class:`llm.Rollouts`.
        seed: of the order of prompts and of every draw.
        record: an :class:`llm.Evaluation`; without one the numbers of every step are kept all the same.
        tolerance: is for tables, and refused.
        start: is for tables, and refused.
        checkpoint: the folder of a resumable run, or a :class:`stackelberg.Checkpoint`.
        progress: show a bar.

    Raises:
        ValueError: if game, solver, rollouts and policy do not fit, or the folder holds another run.
    """
    _check(game, solver, steps, sampling, tolerance, start)
    evaluation = _evaluation(record)
    given = Checkpoint(checkpoint) if checkpoint is not None and not isinstance(checkpoint, Checkpoint) else checkpoint
    with _folder(given) as (folder, kept), Interrupts() as interrupts:
        arguments = _arguments(policy, folder, steps, seed)
        learner = Learner(policy, game, solver, sampling, int(seed), Processes(*_place(arguments)))
        check_rules(game, solver, learner.baseline, sampling)
        found = _claimed(kept, learner)
        step = 0 if found is None else int(found.rpartition("-")[2])
        if step > steps:
            raise ValueError(f"The run in {kept} has taken {step} steps already, more than steps = {steps}. Pass more.")
        book = Logbook(kept if learner.processes.index == 0 else None, step if found else None)
        run = Run(learner, steps, book, given, interrupts, evaluation)
        trainer = run.trainer = GameTrainer(learner, arguments, [run, *policy.training.callbacks])
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        run.step = step
        with showing(run, steps, progress and learner.processes.index == 0) as run.meter:
            if step < steps or found is not None:
                trainer.train(resume_from_checkpoint=found)
        if interrupts.pending is not None:
            interrupts.stop(run.farewell())
        return run.solution()


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
            if self.learner.processes.index == 0:
                self._log(args, state, control, row)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write the step's numbers, and save where it is time to."""
        self.step, processes = int(state.global_step), self.learner.processes
        self.diverged = not np.isfinite(self.trainer.gradient_norm)
        row = self._row()
        if self.evaluation is not None and (self.step % self.evaluation.every == 0 or self.step == self.steps):
            row |= self._evaluate(self.step)
        if processes.index == 0:
            self._log(args, state, control, row)
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
        names = names_of(self.learner.players)
        means = self.tally.means(self.learner.processes.totals(self.tally.as_tensor(names)), names)
        self.tally = Tally()
        rates = self.learner.solver.rates(self.step - 1, self.learner.players)
        norm = {"gradient_norm": self.trainer.gradient_norm, "learning_rate": float(rates[0])}
        return {"step": self.step, **means, **norm}

    def _evaluate(self, step: int) -> dict[str, float]:
        """Ask on held-out prompts, on the first process; the others wait."""
        learner, self.asked = self.learner, True
        if learner.processes.index == 0:
            self.evaluated = self.evaluation.run(learner.policy, learner.game, learner.sampling)
            if self.checkpoint is not None:
                self.evaluated.write(Path(self.checkpoint.folder) / "samples", step)
            self._warn(self.evaluated.warnings)
        learner.processes.total(0.0)
        return {} if self.evaluated is None else self.evaluated.metrics

    def _log(self, args: Any, state: Any, control: Any, row: dict[str, float]) -> None:
        self.book.write(row)
        self.trainer.callback_handler.on_log(args, state, control, dict(row))

    def _warn(self, words: Iterable[str]) -> None:
        for each in words:
            self.warnings.append(f"step {self.step}: {each}")
            logger.warning(self.warnings[-1])

    def farewell(self) -> str:
        """How to go on."""
        if self.checkpoint is None:
            return f"stopped after {self.step} steps; nothing was saved, for want of checkpoint="
        return f"stopped after {self.step} steps; saved in {self.checkpoint.folder}. Go on with the same call."

    def solution(self) -> TrainedSolution:
        """Where the run ended."""
        log = self.book.log()
        if self.evaluation is not None and not self.asked:  # a run that was over already: every process sees that
            self._evaluate(self.step)
        status, report = Status.RAN, f"ran all {self.steps} steps"
        if self.diverged:
            status = Status.DIVERGED
            report = (
                f"diverged at step {self.step}: its gradient is not finite, and was not followed. "
                "Lower the learning rate, or clip: Training(max_grad_norm=1)."
            )
        earned = [each for draws in self.trainer.drawn for each in draws.earned]
        value = Estimate.mean(earned) if len(earned) > 1 else Estimate(earned[0], Kind.SAMPLED) if earned else None
        return TrainedSolution(
            game=self.learner.game,
            model=self.learner.policy,
            value=value,
            gap=None if self.evaluated is None else self.evaluated.gap,
            evaluation=self.evaluated,
            warnings=tuple(self.warnings),
            status=status,
            report=report,
            trajectory=log,
        )


def _evaluation(record: Any) -> Evaluation | None:
    if record is None or isinstance(record, Evaluation):
        return record
    if record == Record():  # what solve has where nothing was asked for
        return None
    raise TypeError(
        f"record is {shown(record)}, which lists actions. For a language model pass record=llm.Evaluation(prompts)."
    )


def _check(game: Any, solver: Any, steps: Any, sampling: Any, tolerance: Any, start: Any) -> None:
    check_pairing(game, solver)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps must be a whole number, zero or more, not {shown(steps)}. Pass for example 1000.")
    if not isinstance(sampling, Rollouts):
        raise TypeError(
            f"A language model's answers are drawn, and sampling is {shown(sampling)}. Pass sampling=llm.Rollouts()."
        )
    sampling.check_trainable()
    if not isinstance(solver.moves_networks_in, Softmax):
        raise ValueError(
            f"{type(solver).__name__} moves in policies, and a language model in its parameters. "
            f"Pass {type(solver).__name__}(geometry=sb.Softmax()) where it takes one, or StackelbergGDA, GDA or RLOO."
        )
    if tolerance is not None or start is not None:
        raise ValueError("tolerance and start are for tables: of texts no gap is known, and a policy starts as it is.")
    check_draws(game, sampling, mixes=getattr(solver, "mixture", 0) > 0)


def _arguments(policy: TransformerPolicy, folder: Path, steps: int, seed: int) -> TrainingArguments:
    """What transformers' trainer is told."""
    wanted = policy.training
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=max(steps, 1),
        learning_rate=1.0,  # the solver's rates multiply it
        optim=wanted.optimizer,
        weight_decay=wanted.weight_decay,
        max_grad_norm=wanted.max_grad_norm,
        bf16=wanted.bf16,
        report_to=list(wanted.trackers) or "none",
        per_device_train_batch_size=1,
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",  # the run decides
        save_total_limit=2,
        ignore_data_skip=True,  # a step's prompts and draws follow from its number
        seed=seed % 2**32,
        disable_tqdm=True,
        use_cpu=not torch.accelerator.is_available(),
        **wanted.arguments,
    )


def _place(arguments: TrainingArguments) -> tuple[int, int]:
    """Which process this is, of how many."""
    return arguments.process_index, arguments.world_size


@contextmanager
def _folder(checkpoint: Checkpoint | None) -> Iterator[tuple[Path, Path | None]]:
    """Where the trainer writes, and the run's folder if there is one."""
    if checkpoint is not None:
        yield Path(checkpoint.folder), Path(checkpoint.folder)
        return
    with tempfile.TemporaryDirectory() as nowhere:
        yield Path(nowhere), None


def _claimed(folder: Path | None, learner: Learner) -> str | None:
    """The checkpoint to go on from, in a folder that is this run's."""
    if folder is None:
        return None
    if learner.processes.index == 0:
        claim(folder, identity(learner), resume=(folder / "run.json").exists())
    learner.processes.total(0.0)  # the others wait until it is claimed
    return last_checkpoint(folder)
