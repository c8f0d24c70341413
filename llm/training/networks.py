"""Everything that a policy computes with, as one module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from llm.policy import TransformerPolicy


class Networks(nn.Module):
    """What learns, and the references, as one module for the trainer.

    Attributes:
        whole: whether weights that are cut among processes are together just now.
    """

    def __init__(self, policy: TransformerPolicy) -> None:
        super().__init__()
        players = policy.players
        speakers = (*players.policies, *players.references)
        self.networks = nn.ModuleList({id(each.network): each.network for each in speakers}.values())
        self.whole = False

    def forward(self, compute: Callable[[], Any]) -> Any:
        """Whatever is computed with the networks: within, the weights outside their layers are together."""
        return compute()

    def train(self, mode: bool = True) -> Networks:
        """Nothing: a policy has no dropout, and sets what gradient checkpointing needs itself."""
        return self
