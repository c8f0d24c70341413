"""Weights cut among processes: FSDP2, as ``accelerate launch --use_fsdp --fsdp_version 2`` asks for it.

Every process keeps its part of every weight, of its gradient and of the optimizer's numbers. A layer's weights come
together where it computes. While answers are drawn all weights are whole on every process, in the precision that is
computed in: a layer would otherwise be sent around at every token. So a model must fit on one device in that
precision; master weights, gradients and the optimizer's numbers need not.

A policy's own network is left as it is meanwhile: a copy is cut, and what it has learnt is written back at the end.
Load it on the CPU. Nothing here needs an accelerator; on CPUs it is only slower.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from llm.generators.server import Server
from llm.objective import Part
from llm.policy import TransformerPolicy
from llm.training.learner import Learner
from llm.training.networks import Networks
from llm.training.processes import Processes

_INSTEAD = "Launch with accelerate launch --use_fsdp --fsdp_version 2"


@dataclass(frozen=True)
class Cut:
    """How weights are cut, in accelerate's words.

    Args:
        layers: class names of the layers whose weights come together one after another; by default those that the
            model names itself.
        reshard: let go of a layer's weights between the forward and the backward pass.
    """

    layers: tuple[str, ...] = ()
    reshard: bool = True

    @classmethod
    def asked(cls) -> Cut | None:
        """What this process was launched with; None for whole weights.

        Raises:
            ValueError: if it was launched for something that this loop cannot do.
        """
        _refuse("ACCELERATE_USE_DEEPSPEED", "DeepSpeed computes gradients in an engine of its own", _INSTEAD)
        _refuse("ACCELERATE_USE_MEGATRON_LM", "Megatron-LM has models of its own", _INSTEAD)
        _refuse("ACCELERATE_USE_PARALLELISM_CONFIG", "There is no mesh of several dimensions here", _INSTEAD)
        if not _set("ACCELERATE_USE_FSDP"):
            return None
        if os.environ.get("FSDP_VERSION", "1") != "2":
            raise ValueError("FSDP 1 hides the weights that this loop moves. Pass --fsdp_version 2.")
        _refuse("FSDP_OFFLOAD_PARAMS", "FSDP cannot keep parts on the CPU here", "Set fsdp_offload_params to false")
        _refuse(
            "FSDP_ACTIVATION_CHECKPOINTING",
            "FSDP's activation checkpointing does not remember which adapter was on",
            "Set fsdp_activation_checkpointing to false and pass gradient_checkpointing=True to the policy",
        )
        names = os.environ.get("FSDP_TRANSFORMER_CLS_TO_WRAP", "")
        layers = tuple(name.strip() for name in names.split(",") if name.strip())
        kept = os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").lower() in ("false", "0", "no", "shard_grad_op")
        return cls(layers, not kept)


def _set(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("true", "1", "yes")


def _refuse(name: str, why: str, instead: str) -> None:
    if _set(name):
        raise ValueError(f"{name} is set. {why}. {instead}.")


@contextmanager
def unseen() -> Iterator[None]:
    """Within, transformers and accelerate do not see that FSDP was asked for: it is done here."""
    before = os.environ.pop("ACCELERATE_USE_FSDP", None)
    try:
        yield
    finally:
        if before is not None:
            os.environ["ACCELERATE_USE_FSDP"] = before


@dataclass(frozen=True, eq=False)
class Shards(Processes):
    """Processes that each keep a part of every weight.

    Args:
        networks: cut, in place.
        cut: how.
        device: of this process.
        precision: in which whole weights are sent around and computed with; None for that of the weights.
    """

    networks: Networks = field(kw_only=True)
    cut: Cut = field(kw_only=True)
    device: torch.device = field(kw_only=True)
    precision: torch.dtype | None = field(kw_only=True, default=None)

    def __post_init__(self) -> None:
        self._alike()
        layers = self._layers()
        policy = MixedPrecisionPolicy(
            param_dtype=self.precision, reduce_dtype=torch.float32 if self.precision else None
        )
        mesh = init_device_mesh(self.device.type, (self.count,))
        for layer in layers:
            fully_shard(layer, mesh=mesh, mp_policy=policy, reshard_after_forward=self.cut.reshard)
        fully_shard(self.networks, mesh=mesh, mp_policy=policy, reshard_after_forward=False)
        for at, layer in enumerate(layers):
            # Else it would follow the order of past calls, of which drawing makes more on one process than on another.
            layer.set_modules_to_backward_prefetch([layers[max(at - 1, 0)]])
        self.networks(lambda: torch.zeros(()))  # this module is the first that runs, and so the root of the others
        with self.whole():
            pass  # while every weight that learns is marked so: a whole weight is marked when it is made

    @property
    def units(self) -> list[FSDPModule]:
        """The modules whose weights come and go together."""
        return [module for module in self.networks.modules() if isinstance(module, FSDPModule)]

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within, every weight is here: all processes enter together, and then each does as much as it likes."""
        if self.networks.whole:
            yield
            return
        units, root = self.units, id(self.networks)
        for unit in units:
            unit.set_reshard_after_forward(False, recurse=False)
            unit.unshard()
        self.networks.whole = True
        try:
            yield
        finally:
            self.networks.whole = False
            for unit in units:
                unit.reshard()
                unit.set_reshard_after_forward(self.cut.reshard and id(unit) != root, recurse=False)

    def pull(self, parts: Iterator[Part], count: int, nothing: Callable[[], Part]) -> Iterator[Part]:
        """As many forward and backward passes on every process, those that are left over with nothing in them."""
        most = int(max(self._everywhere(count)))
        for at in range(most):
            found: list[Part] = []

            def forward(at: int = at, found: list[Part] = found) -> torch.Tensor:
                found.append(next(parts) if at < count else nothing())
                return found[0].loss

            loss = self.networks(forward)
            (loss * self.count).backward()  # FSDP takes the mean over processes
            if at < count:
                yield found[0]

    def add_up(self, weights: Any) -> None:
        """Nothing: the backward pass has added up the parts."""

    def agree(self, weights: Any) -> None:
        """Nothing: parts were made of the first process's weights."""

    def _everywhere(self, number: float) -> list[float]:
        row = torch.zeros(self.count, dtype=torch.float64)
        row[self.index] = number
        return [float(each) for each in self.totals(row)]

    def _alike(self) -> None:
        """The first process's weights on all: adapters, for one, are drawn at random."""
        tensors = {id(each): each for each in (*self.networks.parameters(), *self.networks.buffers())}
        for tensor in tensors.values():
            there = tensor.detach().to(self.device).contiguous()
            torch.distributed.broadcast(there, 0)
            if there.data_ptr() != tensor.data_ptr():
                tensor.detach().copy_(there)

    def _layers(self) -> list[Any]:
        names = set(self.cut.layers)
        for part in self.networks.modules():
            names |= set() if self.cut.layers else set(getattr(part, "_no_split_modules", None) or ())
        found = [part for part in self.networks.modules() if type(part).__name__ in names]
        if missing := set(self.cut.layers) - {type(part).__name__ for part in found}:
            raise ValueError(
                f"fsdp_transformer_layer_cls_to_wrap names {', '.join(sorted(missing))}, and the model has no layer of "
                "that class. Leave it out: the model names its own."
            )
        return found


def copied(policy: TransformerPolicy) -> TransformerPolicy:
    """The same policy with networks of its own."""
    players = copy.deepcopy(policy.players)
    layers = [layer for each in players.policies for layer in each.network.modules()]
    again = any(getattr(layer, "gradient_checkpointing", False) for layer in layers)
    return type(policy)(
        players,
        policy.tokenizer,
        policy.dialogue,
        roles=policy.roles,
        gradient_checkpointing=again,
        training=policy.training,
    )


def cut_up(learner: Learner, cut: Cut, device: torch.device) -> Networks:
    """Let a learner go on with a copy of its policy whose weights are cut among its processes."""
    processes = learner.processes
    if processes.count == 1:
        raise ValueError("FSDP cuts weights among processes, and there is one. Pass --num_processes 2 or more.")
    if isinstance(learner.sampling.generator, Server):
        raise ValueError(
            "A server is sent whole adapters, and FSDP cuts them. Launch plain processes: accelerate launch "
            "--multi_gpu."
        )
    learner.policy = copied(learner.policy)
    networks = Networks(learner.policy)
    learner.processes = Shards(
        processes.index,
        processes.count,
        networks=networks,
        cut=cut,
        device=device,
        precision=learner.policy.computing.precision,
    )
    return networks
