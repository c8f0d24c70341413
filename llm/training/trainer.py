"""The loop: a small subclass of transformers' Trainer, whose step is a solver's direction."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from llm.training.draws import Draws
from llm.training.learner import Learner
from llm.training.networks import Networks
from llm.training.parts import gathered, like, optimizer_of_parts
from llm.training.processes import Processes
from llm.training.sharding import Cut, cut_up, unseen
from llm.training.stored import whole

WEIGHTS = "learned.safetensors"
SAID = "said.json"


class Speaks(Protocol):
    """A run that warns, and remembers of what."""

    @property
    def said(self) -> dict[str, list[str]]:
        """To be kept in a checkpoint."""

    def heard(self, said: Mapping[str, list[str]]) -> None:
        """Go on from there."""


class GameTrainer(Trainer):
    """Takes the steps of a :class:`~llm.learner.Learner`, each of all its prompts at once.

    What is the solver's stays with the solver: the learning rate of every player at every step. The optimizer, mixed
    precision, clipping, devices, callbacks and trackers are transformers'.
    """

    def __init__(self, learner: Learner, arguments: TrainingArguments, callbacks: list[TrainerCallback]) -> None:
        one_device(arguments)
        steps = torch.utils.data.TensorDataset(torch.arange(arguments.max_steps))
        self.original, self.cut = learner.policy, Cut.asked()
        self.networks = Networks(learner.policy) if self.cut is None else cut_up(learner, self.cut, arguments.device)
        with unseen():
            super().__init__(self.networks, arguments, train_dataset=steps, callbacks=callbacks)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ValueError(
                "An Accelerator of this process cuts weights already. Leave it out: this loop cuts them itself."
            )
        # no wrapping: processes add their gradients up themselves, and a wrapper would keep a second copy of them
        self.accelerator.prepare_model = partial(self.accelerator.prepare_model, evaluation_mode=True)
        learner.processes.agree([weight for own in learner.learners for weight in own])
        self.learner = learner
        self.owners: list[int] = []  # whose each group of weights is
        self.drawn: list[Draws] = []
        self.gradient_norm = 0.0
        self.run: Speaks | None = None

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
            if self.cut is not None:
                optimizer_of_parts(self.optimizer)
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
        self.drawn = self.learner.compute(step, self.optimizer)
        gradients = [each.grad for own in self.learner.learners for each in own if each.grad is not None]
        norm = gathered(nn.utils.get_total_norm(gradients)) if gradients else torch.zeros(())
        self.gradient_norm = float(norm)
        if not torch.isfinite(norm):
            for own in self.learner.learners:
                for weight in own:
                    weight.grad = None  # nothing moves
            self.control.should_training_stop = True
        return torch.zeros((), device=self.args.device)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write what has been learnt; all processes ask, and the first one writes."""
        folder = Path(output_dir or self.args.output_dir or ".")
        found = {name: gathered(weight.detach()).contiguous() for name, weight in self._learned().items()}
        if self.args.should_save:
            folder.mkdir(parents=True, exist_ok=True)
            save_file(found, folder / WEIGHTS)
            if self.run is not None:
                (folder / SAID).write_text(json.dumps(self.run.said, indent=2) + "\n", encoding="utf-8")

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.cut is not None and not self.args.should_save:
            optimizer: Any = self.optimizer
            optimizer.state_dict()  # its parts are for whoever writes
        super()._save_optimizer_and_scheduler(output_dir)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with whole(Path(resume_from_checkpoint), WEIGHTS):
            found = load_file(Path(resume_from_checkpoint) / WEIGHTS)
        own = self._learned()
        if set(found) != set(own):
            raise ValueError(f"{resume_from_checkpoint} holds other weights than this policy learns. Take its own run.")
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(like(found[name], weight))
        said = Path(resume_from_checkpoint) / SAID
        if self.run is not None and said.exists():  # checkpoints of earlier versions have none
            self.run.heard(json.loads(said.read_text(encoding="utf-8")))

    def _load_optimizer_and_scheduler(self, checkpoint: Any) -> None:
        with nullcontext() if checkpoint is None else whole(Path(checkpoint), "optimizer.pt", "scheduler.pt"):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: Any) -> None:
        count, index = self.args.world_size, self.args.process_index
        name = "rng_state.pth" if count <= 1 else f"rng_state_{index}.pth"
        with nullcontext() if checkpoint is None else whole(Path(checkpoint), name):
            super()._load_rng_state(checkpoint)

    def hand_back(self) -> None:
        """Write what a policy cut up has learnt into the one that was given; all processes together."""
        if self.cut is None or self.learner.policy is self.original:
            return
        whole = dict(Networks(self.original).named_parameters())
        with torch.no_grad():
            for name, weight in self._learned().items():
                whole[name].copy_(gathered(weight))
        self.learner.policy = self.original
        self.learner.processes = Processes(self.learner.processes.index, self.learner.processes.count)

    def _learned(self) -> dict[str, nn.Parameter]:
        """Every weight that learns, once, by name."""
        learns = {id(weight) for own in self.learner.learners for weight in own}
        return {name: weight for name, weight in self.networks.named_parameters() if id(weight) in learns}


def one_device(arguments: TrainingArguments) -> None:
    """One process drives one device, and says so where there are several."""
    if arguments.n_gpu > 1:
        warnings.warn(
            f"This process sees {arguments.n_gpu} devices and uses one. For all of them: "
            f"accelerate launch --multi_gpu --num_processes {arguments.n_gpu}.",
            stacklevel=2,
        )
        arguments._n_gpu = 1
