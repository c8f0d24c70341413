"""The loop: a small subclass of transformers' Trainer, whose step is a solver's direction."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from llm.policy import TransformerPolicy
from llm.training.draws import Draws
from llm.training.learner import Learner

WEIGHTS = "learned.safetensors"


class Networks(nn.Module):
    """Everything that a policy computes with, as one module for the trainer: what learns, and the references."""

    def __init__(self, policy: TransformerPolicy) -> None:
        super().__init__()
        players = policy.players
        speakers = (*players.policies, *players.references)
        self.networks = nn.ModuleList({id(each.network): each.network for each in speakers}.values())

    def train(self, mode: bool = True) -> Networks:
        """Nothing: a policy has no dropout, and sets what gradient checkpointing needs itself."""
        return self


class GameTrainer(Trainer):
    """Takes the steps of a :class:`~llm.learner.Learner`, each of all its prompts at once.

    What is the solver's stays with the solver: the learning rate of every player at every step. The optimizer, mixed
    precision, clipping, devices, callbacks and trackers are transformers'.
    """

    def __init__(self, learner: Learner, arguments: TrainingArguments, callbacks: list[TrainerCallback]) -> None:
        arguments._n_gpu = min(arguments.n_gpu, 1)  # one process drives one device; several are launched
        steps = torch.utils.data.TensorDataset(torch.arange(arguments.max_steps))
        self.networks = Networks(learner.policy)
        super().__init__(self.networks, arguments, train_dataset=steps, callbacks=callbacks)
        for name, cuts in {"FSDP": self.is_fsdp_enabled, "DeepSpeed": self.is_deepspeed_enabled}.items():
            if cuts:
                raise ValueError(
                    f"{name} cuts weights among processes, and this loop reads them whole. Launch plain processes "
                    "(accelerate launch --multi_gpu), each with the whole model; lora= and gradient_checkpointing= "
                    "make it fit."
                )
        # no wrapping: processes add their gradients up themselves, and a wrapper would keep a second copy of them
        self.accelerator.prepare_model = partial(self.accelerator.prepare_model, evaluation_mode=True)
        learner.processes.agree([weight for own in learner.learners for weight in own])
        self.learner = learner
        self.owners: list[int] = []  # whose each group of weights is
        self.drawn: list[Draws] = []
        self.gradient_norm = 0.0

    def get_train_dataloader(self) -> Any:
        """The numbers of the steps: every process takes all, and its own part of each step's prompts."""
        return torch.utils.data.DataLoader(self.train_dataset)  # type: ignore[arg-type]  # of a Dataset

    def create_optimizer(self, model: Any = None) -> Any:
        """Groups of weights a player, or for both where they share them; biases and norms do not decay."""
        if self.optimizer is None:
            kind, options = self.get_optimizer_cls_and_kwargs(self.args)
            decaying = set(self.get_decay_parameter_names(self.networks))
            names = {id(weight): name for name, weight in self.networks.named_parameters()}
            groups = []
            for player, own in enumerate(self.learner.learners):
                for decays in (True, False):
                    group = [weight for weight in own if (names[id(weight)] in decaying) == decays]
                    if group:
                        groups.append({"params": group, "weight_decay": self.args.weight_decay * decays})
                        self.owners.append(player)
            self.optimizer = kind(groups, **options)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """The solver's rates: the trainer's own learning rate is 1, and this multiplies it."""
        if self.lr_scheduler is None:
            rates = [partial(self._rate, player) for player in self.owners]
            stepped: Any = self.optimizer if optimizer is None else optimizer
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(stepped, list[Callable[[int], float]](rates))
            self._created_lr_scheduler = True
        return self.lr_scheduler

    def _rate(self, player: int, step: int) -> float:
        last = min(step, self.args.max_steps - 1)  # the scheduler looks one step further than is taken
        return float(self.learner.solver.rates(last, self.learner.players)[player])

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Leave the step's gradient in the weights."""
        step = self.state.global_step
        with self.compute_loss_context_manager():
            self.drawn = self.learner.compute(step, self.optimizer)
        gradients = [each.grad for own in self.learner.learners for each in own if each.grad is not None]
        norm = nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())
        self.gradient_norm = float(norm)
        if not torch.isfinite(norm):
            for own in self.learner.learners:
                for weight in own:
                    weight.grad = None  # nothing moves
            self.control.should_training_stop = True
        return torch.zeros((), device=self.args.device)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir or ".")
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: weight.detach().contiguous() for name, weight in self._learned().items()}, folder / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        found, own = load_file(Path(resume_from_checkpoint) / WEIGHTS), self._learned()
        if set(found) != set(own):
            raise ValueError(f"{resume_from_checkpoint} holds other weights than this policy learns. Take its own run.")
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(found[name])

    def _learned(self) -> dict[str, nn.Parameter]:
        """Every weight that learns, once, by name."""
        learns = {id(weight) for own in self.learner.learners for weight in own}
        return {name: weight for name, weight in self.networks.named_parameters() if id(weight) in learns}
