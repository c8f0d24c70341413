"""LoRA adapters on their way to a server: written to a shared folder, loaded there, and the older ones unloaded."""

from __future__ import annotations

import secrets
import shutil
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from llm.generation import GeneratorError
from llm.generators.client import Client
from llm.lora import old_names
from llm.speaker import Adapter, Base, Speaker

HINT = (
    "vLLM loads adapters while it runs if it was started with --enable-lora, a --max-lora-rank that is large enough, "
    "and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True; it must see the folder."
)


@dataclass
class _Loaded:
    """An adapter as the server has it: its name there, its folder, and its weights then."""

    name: str
    folder: Path
    weights: dict[str, Tensor]


@dataclass(eq=False)
class Adapters:
    """Which adapters the server has, and which of them have learnt since.

    Every load gets a name of its own: a server may keep key–value caches by name, and would answer from old ones.
    Weights are compared number by number with a copy kept of those that were sent, on their own device.

    Args:
        model: the server's name for the base.
        folder: where adapters are written; the server must see it.
        seen_as: the same folder as the server names it, where that differs.
    """

    model: str
    folder: Path
    seen_as: str | None = None
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    count: int = 0
    loaded: dict[tuple[weakref.ref[Any], str], _Loaded] = field(default_factory=dict)

    def name(self, speaker: Speaker, client: Client) -> str:
        """The name under which the server speaks as the speaker does now.

        Raises:
            ValueError: if the speaker is a whole model.
            GeneratorError: if the server does not take the adapter.
        """
        if speaker.state is None:
            raise ValueError(
                f"A server can be sent LoRA adapters, and here all weights of a {type(speaker.core).__name__} learn. "
                "Train adapters (lora=llm.LoRA()), or generate with TransformersGenerator or ContinuousBatching."
            )
        if isinstance(speaker.state, Base):
            return self.model
        place = (weakref.ref(speaker.network), speaker.state.name)
        now, before = _weights(speaker.network, speaker.state), self.loaded.get(place)
        if before is not None and _same(before.weights, now):
            return before.name
        self.loaded[place] = self._publish(speaker.network, speaker.state, now, client)
        if before is not None:
            _withdraw(before, client)
        self._forget(client, [old for old in self.loaded if old[0]() is None])
        return self.loaded[place].name

    def distrust(self) -> None:
        """After a failure the server may have been started anew: publish again before the next call."""
        for each in self.loaded.values():
            each.weights = {}

    def close(self, client: Client) -> None:
        """Unload what is loaded, and remove its folders."""
        self._forget(client, list(self.loaded))

    def _forget(self, client: Client, places: Sequence[tuple[weakref.ref[Any], str]]) -> None:
        for place in places:
            _withdraw(self.loaded.pop(place), client)

    def _publish(self, network: Any, state: Adapter, weights: dict[str, Tensor], client: Client) -> _Loaded:
        self.count += 1
        name = f"stackelberg-{self.run}-{state.name}-{self.count}"
        folder = self.folder / name
        with old_names():
            network.save_pretrained(folder, selected_adapters=[state.name], save_embedding_layers=False)
        inside = [] if state.name == "default" else [state.name]  # peft gives the others a folder of their own
        place = folder.joinpath(*inside).absolute()
        seen = str(place if self.seen_as is None else PurePosixPath(self.seen_as, name, *inside))
        _load(name, seen, client)
        return _Loaded(name, folder, {key: weight.detach().clone() for key, weight in weights.items()})


def _load(name: str, place: str, client: Client) -> None:
    try:
        client.tell("/load_lora_adapter", {"lora_name": name, "lora_path": place})
    except GeneratorError as error:
        if error.status == 400 and client.models().get(name) == place:
            return  # an attempt given up as late had loaded it after all
        raise GeneratorError(f"The server did not take the adapter in {place}: {error} {HINT}") from error


def _withdraw(old: _Loaded, client: Client) -> None:
    """A server that no longer knows the adapter, started anew perhaps, has nothing to unload."""
    try:
        client.tell("/unload_lora_adapter", {"lora_name": old.name})
    except GeneratorError as error:
        if error.status != 404:
            raise
    shutil.rmtree(old.folder, ignore_errors=True)


def _weights(network: Any, state: Adapter) -> dict[str, Tensor]:
    from peft import get_peft_model_state_dict

    found: dict[str, Tensor] = get_peft_model_state_dict(network, adapter_name=state.name, save_embedding_layers=False)
    return found


def _same(old: dict[str, Tensor], new: dict[str, Tensor]) -> bool:
    return old.keys() == new.keys() and all(torch.equal(old[key], new[key]) for key in new)
