"""Leader and Follower as one model, as two adapters on one base, or as two models; and the reference of each."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm.lora import LoRA
from llm.speaker import Adapter, Base, Speaker

Load = Callable[[Path], Any]
"""From a folder that holds a model or an adapter to the network."""


@dataclass(frozen=True, eq=False)
class Players:
    """Who speaks in each role, the Leader first.

    Args:
        policies: the two that learn; the same speaker twice where they share everything.
        references: the two they are held to.
    """

    policies: tuple[Speaker, Speaker]
    references: tuple[Speaker, Speaker]

    @property
    def networks(self) -> list[Any]:
        """Each network that learns, once."""
        return list({id(each.network): each.network for each in self.policies}.values())


class Roles(ABC):
    """How the two players' parameters are kept apart."""

    @abstractmethod
    def build(self, core: Any, lora: LoRA | None) -> Players:
        """Players that both start at ``core``."""

    @abstractmethod
    def load(self, folder: Path, load: Load, load_adapters: Callable[[dict[str, Path]], Any]) -> Players:
        """Players from what :meth:`save` wrote."""

    def save(self, players: Players, folder: Path) -> list[Path]:
        """Write safetensors; answers the folders that hold a model or an adapter."""
        players.policies[0].network.save_pretrained(folder)
        return [folder]


@dataclass(frozen=True)
class Shared(Roles):
    """One set of parameters plays both roles, told apart by what it is shown: the default, as in the paper."""

    def build(self, core: Any, lora: LoRA | None) -> Players:
        """The reference is the base with the adapter off, or a frozen copy where all weights learn."""
        return _one(core if lora is None else lora.wrap(core), None if lora else core)

    def load(self, folder: Path, load: Load, load_adapters: Callable[[dict[str, Path]], Any]) -> Players:
        """From one folder."""
        network = load(folder)
        return _one(network, None if hasattr(network, "peft_config") else network)


@dataclass(frozen=True)
class TwoAdapters(Roles):
    """Two LoRA adapters, ``leader`` and ``follower``, on one base that is the reference of both."""

    def build(self, core: Any, lora: LoRA | None) -> Players:
        """Both adapters start at the base."""
        if lora is None:
            raise ValueError("TwoAdapters are two LoRA adapters. Pass lora=LoRA(), or roles=TwoModels().")
        network = lora.wrap(core, "leader")
        network.add_adapter("follower", network.peft_config["leader"])
        return self._players(network)

    def load(self, folder: Path, load: Load, load_adapters: Callable[[dict[str, Path]], Any]) -> Players:
        """From the subfolders ``leader`` and ``follower``."""
        return self._players(load_adapters({name: folder / name for name in ("leader", "follower")}))

    def save(self, players: Players, folder: Path) -> list[Path]:
        """Into the subfolders ``leader`` and ``follower``."""
        return [path / name for path in super().save(players, folder) for name in ("leader", "follower")]

    def _players(self, network: Any) -> Players:
        for name, weight in network.named_parameters():
            weight.requires_grad_("lora_" in name)
        leader, follower, base = (Speaker(network, state) for state in (Adapter("leader"), Adapter("follower"), Base()))
        return Players((leader, follower), (base, base))


@dataclass(frozen=True)
class TwoModels(Roles):
    """Two models that share nothing: the separation ablation."""

    def build(self, core: Any, lora: LoRA | None) -> Players:
        """Both start at ``core``; with all weights learning, one frozen copy is the reference of both."""
        follower = copy.deepcopy(core)
        if lora is None:
            return _two(core, follower, _frozen(core))
        return _two(lora.wrap(core), lora.wrap(follower), None)

    def load(self, folder: Path, load: Load, load_adapters: Callable[[dict[str, Path]], Any]) -> Players:
        """From the subfolders ``leader`` and ``follower``. Fully trained models have each itself for reference."""
        leader, follower = load(folder / "leader"), load(folder / "follower")
        return _two(leader, follower, None)

    def save(self, players: Players, folder: Path) -> list[Path]:
        """Into the subfolders ``leader`` and ``follower``."""
        folders = [folder / "leader", folder / "follower"]
        for speaker, own in zip(players.policies, folders, strict=True):
            speaker.network.save_pretrained(own)
        return folders


def _one(network: Any, core: Any) -> Players:
    policy = _speaker(network)
    reference = Speaker(network, Base()) if core is None else _frozen(core)
    return Players((policy, policy), (reference, reference))


def _two(leader: Any, follower: Any, reference: Speaker | None) -> Players:
    own = [Speaker(each, Base()) if hasattr(each, "peft_config") else reference for each in (leader, follower)]
    first, second = (one or _frozen(each) for one, each in zip(own, (leader, follower), strict=True))
    return Players((_speaker(leader), _speaker(follower)), (first, second))


def _speaker(network: Any) -> Speaker:
    return Speaker(network, Adapter() if hasattr(network, "peft_config") else None)


def _frozen(core: Any) -> Speaker:
    return Speaker(copy.deepcopy(core).requires_grad_(False).eval())
