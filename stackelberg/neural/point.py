"""Where players who are networks stand: vectors of parameters, read as tables wherever a table is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from stackelberg.geometry import Geometry, Natural, Softmax
from stackelberg.neural.players import Players
from stackelberg.point import Joint
from stackelberg.policy import Tabular
from stackelberg.validation import Array

if TYPE_CHECKING:
    from stackelberg.neural.model import NeuralModel


@dataclass(frozen=True, eq=False)
class Ground:
    """What a point needs of the game it stands in.

    Attributes:
        players: the networks, before the game's contexts.
        references: log π_ref of each player, shaped to be added to its log-ratios.
        weights: ρ, (contexts,).
    """

    players: Players
    references: tuple[Array, ...]
    weights: Array


@dataclass(frozen=True, eq=False)
class ParameterPoint:
    """A point in the parameters of networks; it never changes. The interface is that of a table's point.

    ``Softmax()``: directions are gradients, one vector a player. Players who share one network share its
    parameters too: both parts are vectors over them, and a step moves by the sum of rate · part.
    ``Natural()``: directions are tables, and a step regresses the networks onto ``logits + rate · direction``.

    Attributes:
        geometry: ``Softmax()`` or ``Natural()``.
        model: the policies, with their parameters and what their optimizer remembers.
        ground: the game's side.
        residual: (contexts,) the root mean square, in nats, by which the regression that led here missed the
            target's centred log-probabilities; None where there was none.
    """

    geometry: Geometry
    model: NeuralModel
    ground: Ground
    residual: Array | None = None

    @cached_property
    def _vectors(self) -> tuple[Tensor, ...]:
        return tuple(self.model.tensor(vector).requires_grad_() for vector in self.model.parameters)

    @cached_property
    def _ratios(self) -> tuple[Tensor, ...]:
        return self.ground.players.ratios(self._vectors)

    @cached_property
    def tables(self) -> tuple[Tabular, ...]:
        """Every player's policy over all contexts and actions, in float64."""
        with np.errstate(over="ignore", invalid="ignore"):  # a diverged network is reported by `finite`
            rows = zip(self._ratios, self.ground.references, strict=True)
            return tuple(Tabular.from_logits(ratio.detach().cpu().double().numpy() + at) for ratio, at in rows)

    @property
    def logits(self) -> Joint:
        """Normalised log-probabilities of every player."""
        return Joint(tuple(table.logits for table in self.tables))

    @property
    def probabilities(self) -> Joint:
        """Probabilities of every player."""
        return Joint(tuple(table.probabilities for table in self.tables))

    @property
    def finite(self) -> bool:
        """Whether every player's policy is a distribution still."""
        return all(table.finite for table in self.tables)

    def state(self) -> dict[str, Array]:
        """Everything that a checkpoint must keep of the point, as arrays by name."""
        kept = {f"{i}.parameters": vector for i, vector in enumerate(self.model.parameters)}
        kept |= {f"{i}.memory.{j}": part for i, own in enumerate(self.model.memory) for j, part in enumerate(own)}
        return kept if self.residual is None else kept | {"residual": self.residual}

    def from_state(self, state: dict[str, Array]) -> ParameterPoint:
        """The point of this kind, game and shape that had this :meth:`state`, to the last bit.

        Raises:
            ValueError: the state is another kind of point's.
        """
        own = self.state()
        if {name: array.shape for name, array in own.items()} != {name: np.shape(each) for name, each in state.items()}:
            raise ValueError(f"the point's arrays are {', '.join(state)}, not shaped as {', '.join(own)} are here.")
        parameters = tuple(state[f"{i}.parameters"] for i in range(len(self.model.parameters)))
        memory = tuple(
            tuple(state[f"{i}.memory.{j}"] for j in range(len(each))) for i, each in enumerate(self.model.memory)
        )
        model = replace(self.model, parameters=parameters, memory=memory)
        return replace_point(self, model, state.get("residual"))

    def direction(self, natural: Joint, weights: tuple[Array | None, ...]) -> Joint:
        """A natural field in this point's coordinates.

        In parameters: ``∇_θ Σ_x ρ(x) f_x``, the vector–Jacobian product of the networks with the gradient in the
        logits, ``ρ w π (u − E_π u)``.

        Args:
            natural: the natural field, one table a player.
            weights: what each row of each player weighs in f_x; None for 1.
        """
        if isinstance(self.geometry, Natural):
            return natural
        rows = zip(natural.parts, weights, strict=True)
        return Joint(tuple(self._gradient(player, *row) for player, row in enumerate(rows)))

    def _gradient(self, player: int, natural: Array, weight: Array | None) -> Array:
        slope = Softmax().direction(self.tables[player], natural, weight)
        slope = slope * self.ground.weights.reshape(-1, *[1] * (slope.ndim - 1))
        worn = self._vectors[self.ground.players.owner(player)]
        ratios = self._ratios[player]
        (gradient,) = torch.autograd.grad(ratios, worn, torch.as_tensor(slope).to(ratios), retain_graph=True)
        return gradient.cpu().numpy()

    def step(self, rates: Joint, direction: Joint) -> ParameterPoint:
        """The point that ``rates · direction`` leads to; every player its own rate."""
        if isinstance(self.geometry, Natural):
            return self._regressed(rates, direction)
        optimizer, players = self.model.spec.steps_by, self.ground.players
        moved = []
        for owner, (at, memory) in enumerate(zip(self.model.parameters, self.model.memory, strict=True)):
            first, *others = players.wearers(owner)
            rate, way = rates[first], direction[first]
            for other in others:  # one vector: the learning rate is the first mover's, κ weighs the direction
                way = way + rates[other] / rate * direction[other]
            update, memory = optimizer.update(way, memory)
            moved.append(((at + rate * update).astype(at.dtype), memory))
        parameters, memories = zip(*moved, strict=True)
        return replace_point(self, replace(self.model, parameters=parameters, memory=memories))

    def _regressed(self, rates: Joint, direction: Joint) -> ParameterPoint:
        rows = zip(self.tables, self.ground.references, rates.parts, direction.parts, strict=True)
        targets = tuple(table.logits + rate * np.asarray(way) - at for table, at, rate, way in rows)
        parameters, residual = self.model.spec.regresses_by.fit(self.model, self.ground, targets)
        return replace_point(self, replace(self.model, parameters=parameters), residual)


def replace_point(point: ParameterPoint, model: NeuralModel, residual: Array | None = None) -> ParameterPoint:
    """The same game and geometry with another model."""
    return replace(point, model=model, residual=residual)
