"""A second model that hears what a first one says, token by token, with a key–value cache of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor

from llm.speaker import Base, Speaker, accepts


class Listener:
    """A speaker that follows what another says and tells its own logits for what comes next.

    Args:
        speaker: who listens.
        mask: of the prompts, (rows, slots), padded on the left.

    Raises:
        ValueError: when it hears something, if its network keeps no cache.

    Example:
        >>> from llm.testing import tiny_policy
        >>> listener = Listener(tiny_policy("abc").reference(0), torch.tensor([[1, 1]]))
        >>> first, second = listener(torch.tensor([[1, 2]])), listener(torch.tensor([[1, 2, 3]]))
        >>> first.shape, listener.heard
        (torch.Size([1, 4]), 3)
    """

    def __init__(self, speaker: Speaker, mask: Tensor) -> None:
        self.core, self.device = speaker.core, speaker.device
        self.mask = mask.to(self.device)
        self.cache: Any = None
        self.heard = 0
        self.aside = aside(speaker)
        self.options: dict[str, Any] = {"logits_to_keep": 1} if accepts(self.core, "logits_to_keep") else {}
        self.takes_positions = accepts(self.core, "position_ids")

    def __call__(self, input_ids: Tensor) -> Tensor:
        """The logits behind all of ``input_ids`` (rows, slots), of which only the new ones are read: (rows, V)."""
        news = input_ids[:, self.heard :].to(self.device)
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(news), input_ids.shape[1] - self.mask.shape[1])], 1)
        if self.takes_positions:
            self.options["position_ids"] = (self.mask.cumsum(-1) - 1).clamp_min(0)[:, self.heard :]
        with torch.no_grad(), self.aside():
            out = self.core(
                input_ids=news, attention_mask=self.mask, past_key_values=self.cache, use_cache=True, **self.options
            )
        self.cache, self.heard = getattr(out, "past_key_values", None), input_ids.shape[1]
        if self.cache is None:
            raise ValueError(
                f"{type(self.core).__name__} handed back no key–value cache, which mixing needs. Take a reference that "
                "keeps one, in evaluation mode."
            )
        logits: Tensor = out.logits[:, -1]
        return logits


def aside(speaker: Speaker) -> Callable[[], AbstractContextManager[None]]:
    """:meth:`Speaker.active` for a word in between, at every token.

    Where that means adapters off, peft's own switch also walks through ``requires_grad`` of every weight, which takes
    as long as the forward pass of a token; here, inside ``generate``, nothing learns, so only the switches are thrown.
    """
    if not isinstance(speaker.state, Base):
        return speaker.active
    switches = [part for part in speaker.network.modules() if hasattr(part, "_disable_adapters")]

    @contextmanager
    def off() -> Iterator[None]:
        before = [each._disable_adapters for each in switches]
        try:
            for each in switches:
                each._disable_adapters = True
            yield
        finally:
            for each, was in zip(switches, before, strict=True):
                each._disable_adapters = was

    return off
