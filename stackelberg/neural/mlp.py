"""The network of a player, or of both: an MLP over what is seen, with logits for the actions."""

from __future__ import annotations

import enum
from collections.abc import Callable
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

FIRST, FOLLOWER = 0, 1
"""The roles: who moves first (the Leader, or the only player), and who sees that answer."""


class Activation(enum.Enum):
    """What stands between two layers: a function of a tensor, with a name that files can hold.

    Example:
        >>> Activation.TANH(torch.zeros(2))
        tensor([0., 0.])
    """

    TANH = "tanh"
    RELU = "relu"
    SIGMOID = "sigmoid"
    GELU = "gelu"
    SILU = "silu"

    def __call__(self, signal: Tensor) -> Tensor:
        """The activation of every entry."""
        return getattr(functional, self.value)(signal)


class Network(nn.Module):
    """One MLP that plays the given roles: ``network(role, features, seen)`` is (…, n), zero at first.

    Its input is the context's features, beside them an embedding of the observed action where one of the roles is
    the Follower (zeros for the Leader), and an embedding of the role where it plays both.

    Args:
        features: d, how many features a context has.
        actions: n.
        roles: (FIRST,), (FOLLOWER,) or both.
        hidden: widths of the hidden layers.
        embedding: width of the embeddings.
        activation: between the layers.
    """

    def __init__(
        self,
        features: int,
        actions: int,
        roles: tuple[int, ...],
        hidden: tuple[int, ...],
        embedding: int,
        activation: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.seen = nn.Embedding(actions, embedding) if FOLLOWER in roles else None
        self.role = nn.Embedding(len(roles), embedding) if len(roles) > 1 else None
        width = features + embedding * ((self.seen is not None) + (self.role is not None))
        self.hidden = nn.ModuleList(nn.Linear(*sizes) for sizes in pairwise((width, *hidden)))
        self.last = nn.Linear((width, *hidden)[-1], actions)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.activation = activation

    def forward(self, role: int, features: Tensor, seen: Tensor) -> Tensor:
        """Logits, (…, n), from features (…, d) and observed actions (…), which the Leader does not look at."""
        parts = [features]
        if self.seen is not None:
            embedded = self.seen(seen)
            parts.append(embedded if role == FOLLOWER else torch.zeros_like(embedded))
        if self.role is not None:
            parts.append(self.role.weight[role].expand(*features.shape[:-1], -1))
        signal = torch.cat(parts, dim=-1)
        for layer in self.hidden:
            signal = self.activation(layer(signal))
        return self.last(signal)


def flat(network: nn.Module) -> Tensor:
    """All parameters as one new vector."""
    return torch.cat([parameter.detach().reshape(-1) for parameter in network.parameters()])


def unflat(network: nn.Module, vector: Tensor) -> dict[str, Tensor]:
    """The vector as named parameters, views of it, for ``torch.func.functional_call``."""
    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
    pieces = torch.split(vector, [prod(shape) for shape in shapes.values()])
    return {name: piece.view(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}
