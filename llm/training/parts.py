"""Tensors of which a process has a part: together and apart again, for files that know nothing of processes."""

from __future__ import annotations

from typing import Any

import torch
from torch.distributed.tensor import DTensor, distribute_tensor


def gathered(value: torch.Tensor) -> torch.Tensor:
    """A tensor of which this process has a part, or all: whole. All processes ask together."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def like(value: Any, weight: torch.Tensor) -> Any:
    """A whole tensor cut as a weight of its shape is; anything else as it is."""
    whole = isinstance(value, torch.Tensor) and not isinstance(value, DTensor)
    if not (whole and isinstance(weight, DTensor) and value.shape == weight.shape):
        return value
    return distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)


def optimizer_of_parts(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimizer's state be saved whole and loaded into parts, whatever the number of processes."""
    optimizer.register_state_dict_post_hook(_saved)
    optimizer.register_load_state_dict_pre_hook(_loaded)


def _saved(optimizer: torch.optim.Optimizer, found: dict[str, Any]) -> dict[str, Any]:
    state = {
        index: {name: gathered(value) if isinstance(value, torch.Tensor) else value for name, value in own.items()}
        for index, own in found["state"].items()
    }
    return {**found, "state": state}


def _loaded(optimizer: torch.optim.Optimizer, found: dict[str, Any]) -> dict[str, Any]:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state = {
        index: {name: like(value, weights[index]) for name, value in own.items()}
        for index, own in found["state"].items()
    }
    return {**found, "state": state}
