"""Where speakers stand in a game over sequences: tables where one enumerates, token gradients where one samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from stackelberg.expectation import Sample, at, draws
from stackelberg.field import Forces, Pull, StackelbergPull
from stackelberg.gradient import KL, Batch, PolicyReturns, Returns, Role, StackelbergReturns, surrogates
from stackelberg.neural.players import Players
from stackelberg.neural.point import ParameterPoint
from stackelberg.neural.sequence import rollouts
from stackelberg.point import Joint
from stackelberg.policy import Tabular
from stackelberg.validation import Array

if TYPE_CHECKING:
    from stackelberg.neural.sequence import SequencePolicy


@dataclass(frozen=True, eq=False)
class SequencePlayers(Players):
    """The players' speakers in front of the contexts of one game.

    Attributes:
        policy: who speaks.
        references: log π_ref of each player, (contexts or 1, n) and (contexts or 1, n or 1, n).
    """

    policy: SequencePolicy
    references: tuple[Tensor, ...]

    def conditionals(self, player: int, vector: Tensor) -> Tensor:
        """Log-probabilities of the next token at every node."""
        return self.policy.speaker(self.features.shape[1]).conditionals(vector, self.features, player)

    def ratio(self, player: int, vector: Tensor) -> Tensor:
        """``log π − log π_ref`` of whole sequences."""
        said = self.policy.language.token_log_probs(self.conditionals(player, vector))
        return said.sum(-1) - self.references[player]

    def jacobian(self, player: int, vector: Tensor) -> Tensor:
        """Derivatives of the player's log-ratios, (…, n, parameters)."""
        found: Any = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]
            lambda moved: self.ratio(player, moved), vector, vectorize=True
        )
        return found

    @cached_property
    def references_by_token(self) -> tuple[Tensor, ...]:
        """The references' log-probabilities of the next token, shaped as the policies'; any reference has them."""
        language, contexts = self.policy.language, len(self.features)
        whole = ((contexts, self.actions), (contexts, self.actions, self.actions))[: self.count]
        rows = (each.expand(shape).cpu().numpy() for each, shape in zip(self.references, whole, strict=True))
        return tuple(torch.as_tensor(language.conditionals(each)).to(self.features) for each in rows)


@dataclass(frozen=True)
class Unregularised(Returns):
    """A game less every learner's own KL: the payoff part of the field."""

    game: Returns

    def roles(self, batch: Batch, kl: KL) -> tuple[Role, ...]:
        """The same roles, their own KL left out."""
        return tuple(replace(role, coefficient=0.0) for role in self.game.roles(batch, kl))


@dataclass(frozen=True, eq=False)
class SequencePoint(ParameterPoint):
    """A :class:`ParameterPoint` whose players speak.

    Enumerated fields reach the parameters through whole sequences; sampled ones through the tokens, by
    :func:`stackelberg.gradient.surrogates`, as they do in a language model.
    """

    def estimate(
        self, pull: Pull, sampling: Sample, opponents: tuple[Tabular, ...], generator: np.random.Generator
    ) -> Forces:
        """The forces from fresh draws, as vectors of parameters; all three from the same draws.

        Args:
            pull: the game's natural field, for its payoffs and its τ.
            sampling: how many draws a context, by whom, with which baseline and KL option.
            opponents: whose policies reply.
            generator: of the draws.
        """
        batch, returns = self._batch(pull, sampling, opponents, generator)
        baseline, kl = sampling.baseline, sampling.kl
        total = self._slopes(surrogates(batch, returns, baseline=baseline, kl=kl))
        payoff = self._slopes(surrogates(batch, Unregularised(returns), baseline=baseline, kl=kl))
        return Forces((payoff, total - payoff, total), pull.tau)

    def _batch(
        self, pull: Pull, sampling: Sample, opponents: tuple[Tabular, ...], generator: np.random.Generator
    ) -> tuple[Batch, Returns]:
        players, policy = self._speakers, self.tables[0].probabilities
        cells = pull.cells(self.tables, opponents)
        learns = cells.second is not None
        drawn_by = sampling.behaviour.of(policy), sampling.behaviour.of(cells.reply) if learns else cells.reply
        x, y, _ = index = draws(*drawn_by, sampling.n, generator)
        likely = policy[x, y] / drawn_by[0][x, y] * at(cells.reply, *index) / at(drawn_by[1], *index)
        worth = at(cells.first, *index) if cells.second is None else -at(cells.second, *index)
        tau = [self.model.tensor(part.reshape(len(part), -1)[:, 0][x]) for part in pull.tau.parts]
        returns: Returns = PolicyReturns(tau[0])
        if isinstance(pull, StackelbergPull):
            returns = StackelbergReturns(tau[0], tau[1], pull.leader_pays_kl)
        owned = [self._vectors[players.owner(player)] for player in range(players.count)]
        batch = rollouts(
            players.policy.language,
            self.model.tensor(worth),
            tuple(players.conditionals(player, vector) for player, vector in enumerate(owned)),
            players.references_by_token,
            index,
            groups=torch.as_tensor(x, device=players.features.device),
            weights=self.model.tensor(self.ground.weights[x] * likely / sampling.n),
        )
        return batch, returns

    @property
    def _speakers(self) -> SequencePlayers:
        players = self.ground.players
        assert isinstance(players, SequencePlayers)
        return players

    def _slopes(self, parts: Sequence[Any]) -> Joint:
        """What each player wants to move along: up for who ascends, down for who descends."""
        return Joint(tuple(self._slope(player, part) for player, part in enumerate(parts)))

    def _slope(self, player: int, part: Any) -> Array:
        worn = self._vectors[self.ground.players.owner(player)]
        (slope,) = torch.autograd.grad(part.value, worn, retain_graph=True)
        return part.sign * slope.cpu().numpy()
