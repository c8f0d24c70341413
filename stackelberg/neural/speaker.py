"""A small recurrent network that speaks a :class:`Language`: prefixes in, log-probabilities of the next token out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from stackelberg.neural.language import END, Language

LEADER, FOLLOWER = 0, 1


@dataclass(frozen=True)
class Speaker:
    """A gated recurrent unit whose parameters come as one flat vector, so that they can be moved and differentiated.

    It is told the features of the context and its role, reads what it observed, then a turn mark, and speaks.
    Every prefix is read once, whatever follows it.

    Args:
        language: what is spoken.
        features: d, how many features a context has.
        hidden: width of the state.
    """

    language: Language
    features: int
    hidden: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every array in the vector; the last token embedding is the turn mark."""
        wide, tokens = self.hidden, self.language.vocabulary
        return {
            "context": (self.features + 2, wide),
            "embedding": (tokens + 1, wide),
            "read": (3 * wide, wide),
            "keep": (3 * wide, wide),
            "read_bias": (3 * wide,),
            "keep_bias": (3 * wide,),
            "speak": (tokens, wide),
            "speak_bias": (tokens,),
        }

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return sum(map(_size, self.shapes.values()))

    def fresh(self, generator: torch.Generator) -> Tensor:
        """Random parameters, (size,): normal, of a scale that makes log-probabilities vary by about one nat."""
        scales = {"read": self.hidden**-0.5, "keep": self.hidden**-0.5, "speak": 2 * self.hidden**-0.5}
        rows = self.shapes.items()
        kind: dict[str, Any] = {"dtype": torch.float64, "device": generator.device}
        draw = {name: torch.randn(_size(shape), generator=generator, **kind) for name, shape in rows}
        return torch.cat([draw[name] * scales.get(name, 0.5 if "bias" in name else 1.0) for name in self.shapes])

    def conditionals(self, vector: Tensor, features: Tensor, role: int) -> Tensor:
        """Log-probabilities of the next token at every node of the language.

        Args:
            vector: the parameters, (size,).
            features: (contexts, d).
            role: LEADER or FOLLOWER.

        Returns:
            (contexts, nodes, V) for the Leader, (contexts, n, nodes, V) for the Follower with an observed y a row.
        """
        weights = self._unpacked(vector)
        told = torch.zeros(2, dtype=features.dtype, device=features.device)
        told[role] = 1
        state = torch.tanh(torch.cat([features, told.expand(len(features), 2)], dim=-1) @ weights["context"])
        if role == FOLLOWER:
            state = self._turn(weights, self._heard(weights, state), self.language.vocabulary)
        nodes, _ = self._grow(weights, state)
        return torch.log_softmax(nodes @ weights["speak"].T + weights["speak_bias"], dim=-1)

    def _unpacked(self, vector: Tensor) -> dict[str, Tensor]:
        parts = torch.split(vector, [_size(shape) for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}

    def _heard(self, weights: dict[str, Tensor], state: Tensor) -> Tensor:
        """The state after each whole sequence, (..., n, hidden)."""
        nodes, cut = self._grow(weights, state)
        return torch.cat([self._turn(weights, nodes, END), cut], dim=-2)

    def _grow(self, weights: dict[str, Tensor], state: Tensor) -> tuple[Tensor, Tensor]:
        """The state at every node, (..., nodes, hidden), and after every sequence that was cut."""
        level, levels = state[..., None, :], []
        for _ in range(self.language.length):
            levels.append(level)
            heard = [self._turn(weights, level, token) for token in range(1, self.language.vocabulary)]
            level = torch.stack(heard, dim=-2).flatten(-3, -2)
        return torch.cat(levels, dim=-2), level

    def _turn(self, weights: dict[str, Tensor], state: Tensor, token: int) -> Tensor:
        """The state after one more token, for any shape (..., hidden)."""
        rows = state.reshape(-1, self.hidden)
        heard = weights["embedding"][token].expand_as(rows)
        gates = weights["read"], weights["keep"], weights["read_bias"], weights["keep_bias"]
        # Elsewhere torch has another gru_cell, fused, whose derivatives vmap does not know.
        kept = torch.gru_cell(heard, rows, *gates) if rows.is_cpu else gated(heard, rows, *gates)
        return kept.view(state.shape)


def gated(heard: Tensor, state: Tensor, read: Tensor, keep: Tensor, read_bias: Tensor, keep_bias: Tensor) -> Tensor:
    """``torch.gru_cell`` in single operations.

    >>> sizes = (5, 2), (5, 4), (12, 2), (12, 4), (12,), (12,)
    >>> given = [torch.linspace(-1, 1, math.prod(size), dtype=torch.float64).sin().view(size) for size in sizes]
    >>> torch.allclose(gated(*given), torch.gru_cell(*given), rtol=0, atol=1e-14)
    True
    """
    new, old = linear(heard, read, read_bias).chunk(3, -1), linear(state, keep, keep_bias).chunk(3, -1)
    reset, update = (torch.sigmoid(a + b) for a, b in zip(new[:2], old[:2], strict=True))
    proposed = torch.tanh(new[2] + reset * old[2])
    return proposed + update * (state - proposed)


def _size(shape: tuple[int, ...]) -> int:
    return math.prod(shape)
