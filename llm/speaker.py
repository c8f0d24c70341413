"""A transformer set to one role: which network, and which of its adapters is on."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Base:
    """The network with its adapters off."""


@dataclass(frozen=True)
class Adapter:
    """The network with one adapter on.

    Args:
        name: as peft knows it.
    """

    name: str = "default"


@dataclass(frozen=True, eq=False)
class Speaker:
    """A network and what is switched on in it.

    Args:
        network: a transformers model, or a ``peft.PeftModel`` round one.
        state: :class:`Adapter` or :class:`Base` where there are adapters, None where there are none.
    """

    network: Any
    state: Adapter | Base | None = None

    @property
    def core(self) -> Any:
        """The transformers model, with adapter layers in place where there are any."""
        return self.network if self.state is None else self.network.get_base_model()

    @property
    def device(self) -> torch.device:
        """Where its inputs go."""
        device: torch.device = self.core.get_input_embeddings().weight.device
        return device

    def same_as(self, other: Speaker) -> bool:
        """Whether both say the same."""
        return self.network is other.network and self.state == other.state

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within, the network speaks so; afterwards adapters and ``requires_grad`` are as they were."""
        if self.state is None:
            yield
            return
        before = _active_adapters(self.network)
        learns = {name: weight.requires_grad for name, weight in self.network.named_parameters()}
        weights = list(self.network.parameters())
        try:
            if isinstance(self.state, Base):
                with self.network.disable_adapter():
                    yield
            else:
                self.network.set_adapter(self.state.name)
                yield
        finally:
            self.network.set_adapter(before)
            for names in (zip(learns, weights, strict=True), self.network.named_parameters()):
                for name, weight in names:  # FSDP may have put others in the place of those of the beginning
                    weight.requires_grad_(learns[name])

    @contextmanager
    def listening(self) -> Iterator[None]:
        """:meth:`active` without gradients and out of training mode, which would switch the cache off."""
        training = self.core.training
        self.core.eval()
        try:
            with torch.no_grad(), self.active():
                yield
        finally:
            self.core.train(training)

    def hidden(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """The last hidden states, (rows, tokens, width), to be called within :meth:`active`."""
        body = self.core.base_model
        options = {"position_ids": positions} if accepts(body, "position_ids") else {}
        found: Tensor = body(input_ids=ids, attention_mask=mask, use_cache=False, **options).last_hidden_state
        return found

    def logits(self, hidden: Tensor) -> Tensor:
        """The logits of hidden states, as the model's own forward pass makes them, to be called within :meth:`head`."""
        logits: Tensor = self.core.get_output_embeddings()(hidden)
        config = self.core.config.get_text_config()
        if (cap := getattr(config, "final_logit_softcapping", None)) is not None:
            logits = cap * torch.tanh(logits / cap)  # Gemma 2
        if (factor := getattr(config, "logit_scale", None)) is not None:
            logits = logits * factor  # Cohere
        if (divisor := getattr(config, "logits_scaling", None)) is not None:
            logits = logits / divisor  # Granite
        return logits

    def head(self) -> AbstractContextManager[None]:
        """What :meth:`logits` needs around it: nothing, unless the output layer itself has adapters."""
        adapted = any(hasattr(part, "active_adapters") for part in self.core.get_output_embeddings().modules())
        return self.active() if adapted else nullcontext()

    def check_head(self) -> None:
        """Refuse a model whose logits are made in a way :meth:`logits` does not know.

        Raises:
            ValueError: with the largest difference on a sequence of four tokens.
        """
        ids = torch.arange(4, device=self.device)[None] % self.core.config.get_text_config().vocab_size
        with self.listening():
            own = self.core(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits.float()
            ours = self.logits(self.hidden(ids, torch.ones_like(ids), torch.arange(4, device=ids.device)[None])).float()
        apart = float((own - ours).abs().max())
        if not apart <= 0.02 * (1 + float(own.abs().max())):
            raise ValueError(
                f"{type(self.core).__name__} changes its logits behind the output layer (by up to {apart:.3g} here) in "
                "a way that is not known. Please report the model; until then another architecture is needed."
            )


def without_dropout(network: nn.Module) -> None:
    """Set every dropout to 0, in place: a log-probability is of the policy that speaks, and that has none."""
    for part in network.modules():
        for name in ("p", "attention_dropout", "attn_dropout", "dropout", "activation_dropout", "hidden_dropout"):
            if (name != "p" or isinstance(part, nn.Dropout)) and isinstance(part.__dict__.get(name), float):
                setattr(part, name, 0.0)


def remembering(network: Any) -> Any:
    """Contexts for gradient checkpointing: what is computed again is computed with the adapters of the first time.

    Without them the backward pass would run through whichever adapter was on last, and be wrong in silence.
    """

    def contexts() -> tuple[Any, Any]:
        state: Any = Base() if _disabled(network) else Adapter(_active_adapters(network))
        return nullcontext(), Speaker(network, state).active()

    return contexts


def accepts(module: nn.Module, name: str) -> bool:
    """Whether the forward pass takes an argument of that name."""
    return name in inspect.signature(module.forward).parameters


def _active_adapters(network: Any) -> str:
    names = network.active_adapter
    return names if isinstance(names, str) else names[0]


def _disabled(network: Any) -> bool:
    return any(getattr(part, "_disable_adapters", False) for part in network.modules())
