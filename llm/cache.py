"""A key–value cache with room ahead: a step writes its own slots and copies none of those before it."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer


class RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer that grows inside memory taken beforehand, where ``DynamicLayer`` copies everything at every token.

    Args:
        room: so many slots are taken at once. More than that is no error: they are taken when they are needed.

    Whatever else changes ``keys`` and ``values`` (repeating rows, cropping, reordering) is noticed at the next token.

    Example:
        >>> import torch
        >>> layer = RoomyLayer(8)
        >>> for _ in range(3):
        ...     keys, values = layer.update(torch.ones(2, 1, 4, 5), torch.zeros(2, 1, 4, 5))
        >>> tuple(keys.shape), float(keys.sum()), float(values.sum())
        ((2, 1, 12, 5), 120.0, 0.0)
    """

    def __init__(self, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.room = room
        self._homes: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write the new slots behind the old ones; answers all of them, (rows, heads, slots, width)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        held = self.get_seq_length()
        slots = held + key_states.shape[-2]
        homes = self._homes
        if homes is None or slots > homes[0].shape[-2] or not self._lives_in(homes):
            homes = self._move(key_states, value_states, held, max(slots, self.room))
        for home, states in zip(homes, (key_states, value_states), strict=True):
            home[..., held:slots, :] = states
        self.keys, self.values = (home[..., :slots, :] for home in homes)
        return self.keys, self.values

    def reset(self) -> None:
        """Forget everything, the room too."""
        super().reset()
        self._homes = None

    def _lives_in(self, homes: tuple[Tensor, Tensor]) -> bool:
        own: tuple[Any, Any] = (self.keys, self.values)
        return all(
            each.data_ptr() == home.data_ptr() and each.shape[0] == home.shape[0] and each.stride() == home.stride()
            for each, home in zip(own, homes, strict=True)
        )

    def _move(self, keys: Tensor, values: Tensor, held: int, slots: int) -> tuple[Tensor, Tensor]:
        homes = tuple(new.new_empty(*new.shape[:-2], slots, new.shape[-1]) for new in (keys, values))
        if held:
            own: tuple[Any, Any] = (self.keys, self.values)
            for home, old in zip(homes, own, strict=True):
                home[..., :held, :] = old
        self._homes = homes[0], homes[1]
        return self._homes


def roomy_cache(core: Any, room: int) -> Any:
    """An empty cache for a transformers model, or None where ``generate`` had better make its own.

    That is where a layer forgets (sliding windows, recurrent states) or the model has a cache of its own kind.

    Example:
        >>> from llm.testing import tiny_model, tiny_tokenizer
        >>> [layer.room for layer in roomy_cache(tiny_model(tiny_tokenizer()), 64).layers]
        [64, 64]
    """
    if not core._supports_default_dynamic_cache():
        return None
    cache = DynamicCache(config=core.config.get_text_config(decoder=True))
    if not all(type(layer) is DynamicLayer for layer in cache.layers):
        return None
    cache.layers = [RoomyLayer(room) for _ in cache.layers]
    return cache if cache.layers else None


def make_room(cache: Any, room: int) -> None:
    """Let what comes next be written without a second move."""
    for layer in cache.layers:
        if isinstance(layer, RoomyLayer):
            layer.room = room
