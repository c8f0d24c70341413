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
        """The state after one more token, for any shape (..., hidden).

        In single operations, for ``torch.gru_cell`` is another one on CUDA, whose derivatives have no ``vmap``.
        """
        rows = state.reshape(-1, self.hidden)
        heard = linear(weights["embedding"][token].expand_as(rows), weights["read"], weights["read_bias"]).chunk(3, -1)
        kept = linear(rows, weights["keep"], weights["keep_bias"]).chunk(3, -1)
        reset, update = (torch.sigmoid(old + new) for old, new in zip(kept[:2], heard[:2], strict=True))
        proposed = torch.tanh(heard[2] + kept[2] * reset)
        return ((rows - proposed) * update + proposed).view(state.shape)


def _size(shape: tuple[int, ...]) -> int:
    return math.prod(shape)
