"""The players' networks in front of the contexts of one game: vectors of parameters in, log-ratios out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call, jacrev, vmap

from stackelberg.neural.mlp import FIRST, Network, unflat


@dataclass(frozen=True, eq=False)
class Players:
    """Who plays what, and what they see.

    Attributes:
        networks: one a player, or the one network that both share.
        count: the number of players.
        features: (contexts, d).
        actions: n.
    """

    networks: tuple[Network, ...]
    count: int
    features: Tensor
    actions: int

    def owner(self, player: int) -> int:
        """Which vector of parameters the player wears."""
        return player if len(self.networks) > 1 else 0

    def wearers(self, owner: int) -> list[int]:
        """The players who wear a vector of parameters."""
        return [player for player in range(self.count) if self.owner(player) == owner]

    def rows(self, player: int) -> tuple[Tensor, Tensor]:
        """What the player can see: features (contexts, d), or (contexts, n, d) with the observed actions."""
        contexts, d = self.features.shape
        if player == FIRST:
            return self.features, torch.zeros(contexts, dtype=torch.long, device=self.features.device)
        seen = torch.arange(self.actions, device=self.features.device).expand(contexts, -1)
        return self.features[:, None].expand(-1, self.actions, d), seen

    def ratios(self, vectors: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """``log π − log π_ref`` of every player, up to a constant a row: (contexts, n), (contexts, n, n)."""
        return tuple(self.ratio(player, vectors[self.owner(player)]) for player in range(self.count))

    def ratio(self, player: int, vector: Tensor) -> Tensor:
        """That of one player."""
        return self._play(player, vector, *self.rows(player))

    def jacobian(self, player: int, vector: Tensor) -> Tensor:
        """Derivatives of the player's log-ratios, (…, n, parameters), one row at a time."""
        features, seen = self.rows(player)
        one = partial(self._play, player)
        rows = vmap(jacrev(one), in_dims=(None, 0, 0))(vector, features.flatten(0, -2), seen.flatten())
        return rows.view(*seen.shape, self.actions, -1)

    def _play(self, player: int, vector: Tensor, features: Tensor, seen: Tensor) -> Tensor:
        network = self.networks[self.owner(player)]
        return functional_call(network, unflat(network, vector), (player, features, seen))
