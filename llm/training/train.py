"""The way in: whether everything fits, the run's folder, and transformers' trainer set to work."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from llm.evaluation import Evaluation
from llm.policy import TransformerPolicy
from llm.prompt_lengths import check_lengths
from llm.rollouts import Rollouts
from llm.run_folder import begun, claim, last_checkpoint
from llm.training.draws import check_draws
from llm.training.identity import evaluated, identity
from llm.training.learner import Learner, check_rules
from llm.training.logbook import Logbook
from llm.training.processes import Processes
from llm.training.run import Run, logger
from llm.training.sharding import Cut
from llm.training.solution import TrainedSolution
from llm.training.trainer import WEIGHTS, GameTrainer
from stackelberg.checkpoint import Checkpoint
from stackelberg.geometry import Softmax
from stackelberg.interrupts import Interrupts
from stackelberg.pairing import check_pairing
from stackelberg.progress import showing
from stackelberg.record import Record
from stackelberg.solvers.base import Solver
from stackelberg.stored_run import alone
from stackelberg.validation import shown


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
        steps: the budget. With 0 nothing moves: the trajectory holds the evaluation of the start where one is asked
            for, and else no rows, only the names of what a step would have recorded.
        sampling: :class:`llm.Rollouts`. All prompts, those of the evaluation too, are counted before the first step,
            see :func:`llm.prompt_lengths.check_lengths`.
        seed: of the order of prompts and of every draw.
        record: an :class:`llm.Evaluation`; without one the numbers of every step are kept all the same.
        tolerance: is for tables, and refused.
        start: is for tables, and refused.
        checkpoint: the folder of a resumable run, or a :class:`stackelberg.Checkpoint`. An evaluation may be added to
            a run that was begun without one; after that its prompts, judges and draws stay. A run that took no step
            gives way to another.
        progress: show a bar.

    Raises:
        ValueError: if game, solver, rollouts and policy do not fit, a prompt is too long, or the folder holds another
            run.
    """
    _check(game, solver, steps, sampling, seed, tolerance, start)
    Cut.asked()  # or refused, before anything is begun
    evaluation = _evaluation(record, game)
    given = Checkpoint(checkpoint) if checkpoint is not None and not isinstance(checkpoint, Checkpoint) else checkpoint
    with _folder(given) as (folder, kept), Interrupts() as interrupts, ExitStack() as stack:
        stack.enter_context(_alone(kept, int(os.environ.get("RANK", "0"))))
        arguments = _arguments(policy, folder, steps, seed)
        learner = Learner(policy, game, solver, sampling, int(seed), Processes(*_place(arguments)))
        check_rules(game, solver, learner.baseline, sampling)
        _check_prompts(learner, evaluation)
        found = _claimed(kept, learner, evaluation)
        step = 0 if found is None else int(found.rpartition("-")[2])
        if step > steps:
            raise ValueError(f"The run in {kept} has taken {step} steps already, more than steps = {steps}. Pass more.")
        book = Logbook(kept if learner.processes.index == 0 else None, step if found else None)
        run = Run(learner, steps, book, given, interrupts, evaluation)
        trainer = run.trainer = GameTrainer(learner, arguments, [run, *policy.training.callbacks])
        trainer.run = run
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        run.step = step
        with showing(run, steps, progress and learner.processes.index == 0) as run.meter:
            if step < steps or found is not None:
                trainer.train(resume_from_checkpoint=found)
        trainer.hand_back()
        if interrupts.pending is not None:
            interrupts.stop(run.farewell())
        solution = run.solution()
        learner.processes.part()
        return solution


def _evaluation(record: Any, game: Any) -> Evaluation | None:
    if record is None:
        return None
    if isinstance(record, Evaluation):
        trained_on = sum(prompt in game.contexts for prompt in record.prompts)
        if trained_on:
            logger.warning(f"{trained_on} of {len(record.prompts)} prompts of the evaluation are trained on as well.")
        return record
    if record == Record():  # what solve has where nothing was asked for
        return None
    raise TypeError(
        f"record is {shown(record)}, which lists actions. For a language model pass record=llm.Evaluation(prompts)."
    )


def _check(game: Any, solver: Any, steps: Any, sampling: Any, seed: Any, tolerance: Any, start: Any) -> None:
    check_pairing(game, solver)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps must be a whole number, zero or more, not {shown(steps)}. Pass for example 1000.")
    if not isinstance(sampling, Rollouts):
        raise TypeError(
            f"A language model's answers are drawn, and sampling is {shown(sampling)}. Pass sampling=llm.Rollouts()."
        )
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number, zero or more, not {shown(seed)}. Pass for example 0.")
    sampling.check_trainable()
    if not isinstance(solver.moves_networks_in, Softmax):
        raise ValueError(
            f"{type(solver).__name__} moves in policies, a language model in its parameters. Pass {_fitting(solver)}."
        )
    if tolerance is not None or start is not None:
        raise ValueError("tolerance and start are for tables: of texts no gap is known, and a policy starts as it is.")
    check_draws(game, sampling, mixes=getattr(solver, "mixture", 0) > 0)


def _arguments(policy: TransformerPolicy, folder: Path, steps: int, seed: int) -> TrainingArguments:
    """What transformers' trainer is told."""
    wanted, launched = policy.training, os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if launched not in ("no", "bf16" if wanted.bf16 else "no"):
        raise ValueError(
            f"Launched with mixed precision {launched}, and the policy has Training(bf16={wanted.bf16}). "
            "Launch with --mixed_precision no: the policy's own is what counts."
        )
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=max(steps, 1),
        learning_rate=1.0,  # the solver's rates multiply it
        optim=wanted.optimizer,
        weight_decay=wanted.weight_decay,
        max_grad_norm=wanted.max_grad_norm,
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


def _fitting(solver: Solver) -> str:
    """The same rule in parameters where it has one, else those that have."""
    if any(each.name == "geometry" for each in fields(solver)):
        return f"sb.{type(solver).__name__}(geometry=sb.Softmax())"
    return "sb.StackelbergGDA(), sb.GDA(), sb.NashMDPG() or sb.RLOO()"


def _alone(folder: Path | None, process: int) -> AbstractContextManager[None]:
    """Refuse a folder in which another run is under way; the first process of this one speaks for all."""
    if folder is None or process:
        return nullcontext()
    folder.mkdir(parents=True, exist_ok=True)
    return alone(folder)


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


def _check_prompts(learner: Learner, evaluation: Evaluation | None) -> None:
    """Refuse prompts that are too long now, and not when they are drawn."""
    followers = learner.sampling.followers if learner.players == 2 else 0
    sampling = replace(learner.sampling, followers=followers)
    check_lengths(learner.policy, learner.game.contexts, sampling, "contexts")
    if evaluation is not None:
        evaluation.check(learner.policy, learner.game, learner.sampling)


def _claimed(folder: Path | None, learner: Learner, evaluation: Evaluation | None) -> str | None:
    """The checkpoint to go on from, in a folder that is this run's."""
    if folder is None:
        return None

    def claimed() -> None:
        if learner.processes.index == 0:
            resume, added = (folder / "run.json").exists(), evaluated(evaluation)
            claim(folder, identity(learner), resume=resume, added=added, begun=begun(folder))

    learner.processes.together(claimed)  # the others wait until it is claimed
    return last_checkpoint(folder, WEIGHTS, "optimizer.pt", "scheduler.pt")
