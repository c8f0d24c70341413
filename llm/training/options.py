"""How a language model is trained, beside where the solver says to go."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from llm.fields import check_fields
from stackelberg.validation import shown


@dataclass(frozen=True)
class Training:
    """What the optimizer and the devices do; the solver says where to go.

    The loop is :class:`transformers.Trainer`'s; run it with ``accelerate launch`` for several processes, and with
    ``accelerate launch --use_fsdp --fsdp_version 2`` to cut the weights among them (see
    :mod:`llm.training.sharding`). Step size and
    its schedule are the solver's ``learning_rate``; a step's rollouts are ``Rollouts.prompts`` over all processes, and
    ``Rollouts.micro_batch_tokens`` bounds what is held at once.

    Args:
        optimizer: transformers' name of one: ``"adamw_torch"``, ``"adafactor"``, ``"sgd"``, …
        weight_decay: of AdamW.
        max_grad_norm: gradients are clipped to this norm; 0 does not clip.
        bf16: compute in bfloat16, in drawing and in scoring alike. The weights that learn stay as they are loaded, in
            float32, and so do the optimizer's numbers: in bfloat16 a step of 5e-6 moves few of them.
        trackers: transformers' ``report_to``, such as ``("tensorboard",)``, ``("wandb",)`` or ``("trackio",)``, beside
            the JSONL and CSV files that a run's folder always has.
        callbacks: of transformers.
        arguments: any other of :class:`transformers.TrainingArguments`, by name.

    Example:
        >>> Training(max_grad_norm=0.5).max_grad_norm
        0.5

    Raises:
        TypeError: if a callback is none of transformers'.
        ValueError: if a number is negative, or ``arguments`` sets what something else here sets, or what transformers
            does not know.
    """

    optimizer: str = "adamw_torch"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    bf16: bool = False
    trackers: tuple[str, ...] = ()
    callbacks: tuple[Any, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self, weight_decay=0, max_grad_norm=0)
        if self.callbacks:
            _check_callbacks(self.callbacks)
        for name in sorted(_OURS & set(self.arguments)):
            raise ValueError(f"arguments sets {name}, but {_OURS_WHY.get(name, 'solve sets it')}. Leave it out.")
        if self.arguments:
            _check_names(self.arguments)


def _check_callbacks(callbacks: Sequence[Any]) -> None:
    """Refuse what transformers' loop would not call."""
    from transformers import TrainerCallback

    for i, each in enumerate(callbacks):
        kind = each if isinstance(each, type) else type(each)
        if not issubclass(kind, TrainerCallback):
            raise TypeError(
                f"callbacks[{i}] must be a transformers.TrainerCallback, not {shown(each)}. Derive its class from that."
            )


def _check_names(arguments: Mapping[str, Any]) -> None:
    """Refuse what :class:`transformers.TrainingArguments` has not, with the nearest name that it has."""
    from transformers import TrainingArguments

    known = {each.name for each in fields(TrainingArguments) if each.init}
    for name in sorted(set(arguments) - known):
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else "Leave it out."
        raise ValueError(f"transformers.TrainingArguments has no argument {name}. {hint}")


_OURS_WHY = {
    "learning_rate": "the solver has the learning rate",
    "lr_scheduler_type": "the solver's learning_rate may be a schedule",
    "warmup_steps": "the solver's learning_rate may be a schedule",
    "warmup_ratio": "the solver's learning_rate may be a schedule",
    "max_steps": "solve(steps=) has the steps",
    "num_train_epochs": "solve(steps=) has the steps",
    "gradient_accumulation_steps": "Rollouts(micro_batch_tokens=) accumulates",
    "per_device_train_batch_size": "Rollouts(prompts=) is the batch of all devices together",
    "output_dir": "solve(checkpoint=) has the folder",
    "seed": "solve(seed=) has it",
    "fp16": "its losses would have to be scaled; Training(bf16=True) has half precision",
    "fsdp": "accelerate launch --use_fsdp --fsdp_version 2 has it",
    "fsdp_config": "accelerate launch --use_fsdp --fsdp_version 2 has it",
    "deepspeed": "this loop has no DeepSpeed; accelerate launch --use_fsdp --fsdp_version 2 cuts weights",
    "gradient_checkpointing": "the policy has it, TransformerPolicy.of(gradient_checkpointing=True)",
    "activation_checkpointing": "the policy has it, TransformerPolicy.of(gradient_checkpointing=True)",
}
_OURS = {*_OURS_WHY, "optim", "weight_decay", "max_grad_norm", "bf16", "report_to", "save_strategy", "save_steps"}
