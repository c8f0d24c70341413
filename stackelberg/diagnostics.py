"""What can be said of any point of a game: gap, value, KL, distance; and the solution that a run ends with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import singledispatch
from typing import Any, cast

import numpy as np
from scipy.special import xlogy

from stackelberg.equilibrium.bradley_terry import fit_bradley_terry, likelihood_residual
from stackelberg.equilibrium.closed_form import optimal_face, stackelberg_values
from stackelberg.exact import REWARD_TIE, exact
from stackelberg.exploitability import nash_gap, reward_gap, stackelberg_gap
from stackelberg.field import Forces
from stackelberg.game import Game, NashGame, RewardGame, StackelbergGame
from stackelberg.policy import Tabular
from stackelberg.simplex import kl_divergence
from stackelberg.solution import NashSolution, RewardSolution, Solution, StackelbergSolution
from stackelberg.validation import Array

Tables = tuple[Tabular, ...]


class Diagnostics(ABC):
    """One game's measures, each (contexts,), of policies and the natural forces at them."""

    def __init__(self, reference: Array) -> None:
        self.reference = reference

    @abstractmethod
    def gap(self, tables: Tables, forces: Forces) -> Array:
        """The duality gap."""

    @abstractmethod
    def solution(self, tables: Tables, forces: Forces, **ending: Any) -> Solution:
        """The policies as a solution of the game, with their value and gap."""

    @abstractmethod
    def target(self) -> tuple[Array, ...]:
        """The exact solution's policies, with the context axis."""

    def value(self, tables: Tables, forces: Forces) -> Array:
        """What who moves first earns, ``E_π[g + r]``."""
        return tables[0].expect(forces.payoff[0] + forces.regulariser[0])

    def kl(self, tables: Tables) -> Array:
        """``KL(π‖π_ref)`` of who moves first."""
        return kl_divergence(tables[0].probabilities, self.reference)

    def distance(self, tables: Tables, target: tuple[Array, ...]) -> Array:
        """``KL(target‖tables)`` of what is played: the Follower's rows weighed by the Leader's target."""
        rows = [(xlogy(p, p) - p * table.logits).sum(axis=-1) for p, table in zip(target, tables, strict=True)]
        return rows[0] + (target[0] * rows[1]).sum(axis=-1) if len(rows) > 1 else rows[0]


class StackelbergDiagnostics(Diagnostics):
    """Against the closed form V(y), which is computed once."""

    def __init__(self, game: StackelbergGame) -> None:
        super().__init__(game.leader_reference)
        self.game = game
        self.values = stackelberg_values(game)[0]

    def gap(self, tables: Tables, forces: Forces) -> Array:
        """``max_π' f(π', ω) − min_ω' f(π, ω')``."""
        return stackelberg_gap(self.game, tables[0].probabilities, self.values, forces.payoff[0])

    def target(self) -> tuple[Array, ...]:
        """π* and ω*."""
        solution = cast(StackelbergSolution, exact(self.game))
        return solution.leader.reshape(self.game.shape), solution.follower.reshape(self.game.preference.stacked.shape)

    def solution(self, tables: Tables, forces: Forces, **ending: Any) -> StackelbergSolution:
        """Leader and Follower as learned, beside the game's own V(y)."""
        game = self.game
        return StackelbergSolution(
            game=game,
            value=game.squeeze(self.value(tables, forces)),
            gap=game.squeeze(self.gap(tables, forces)),
            leader=game.squeeze(tables[0].probabilities),
            values=game.squeeze(self.values),
            optimal_leaders=game.squeeze(optimal_face(self.values, game.leader_reference)),
            stored_follower=game.squeeze(tables[1].probabilities),
            **ending,
        )


class NashDiagnostics(Diagnostics):
    """One policy against its best response."""

    def __init__(self, game: NashGame) -> None:
        super().__init__(game.reference)
        self.game = game

    def gap(self, tables: Tables, forces: Forces) -> Array:
        """Twice the exploitability."""
        return nash_gap(self.game, tables[0].probabilities)

    def value(self, tables: Tables, forces: Forces) -> Array:
        """½ against oneself, by symmetry."""
        return np.full(self.game.shape[0], 0.5)

    def target(self) -> tuple[Array, ...]:
        """π*."""
        return (cast(NashSolution, exact(self.game)).policy.reshape(self.game.shape),)

    def solution(self, tables: Tables, forces: Forces, **ending: Any) -> NashSolution:
        """The policy as learned."""
        game, gap = self.game, self.gap(tables, forces)
        return NashSolution(
            game=game,
            value=game.squeeze(self.value(tables, forces)),
            gap=game.squeeze(gap),
            policy=game.squeeze(tables[0].probabilities),
            exploitability=game.squeeze(gap / 2),
            **ending,
        )


class RewardDiagnostics(Diagnostics):
    """Against the best regularised policy for the fitted reward."""

    def __init__(self, game: RewardGame) -> None:
        super().__init__(game.reference)
        self.game = game
        self.rewards = fit_bradley_terry(game.preference.stacked, game.sampling, game.labels)

    def gap(self, tables: Tables, forces: Forces) -> Array:
        """The regularised reward that is missed."""
        return reward_gap(self.game, self.rewards, tables[0].probabilities)

    def target(self) -> tuple[Array, ...]:
        """π ∝ π_ref exp(r/τ)."""
        return (cast(RewardSolution, exact(self.game)).policy.reshape(self.game.shape),)

    def solution(self, tables: Tables, forces: Forces, **ending: Any) -> RewardSolution:
        """The policy as learned, beside the fitted reward."""
        game = self.game
        residual = likelihood_residual(game.preference.stacked, game.sampling, self.rewards)
        return RewardSolution(
            game=game,
            value=game.squeeze(self.value(tables, forces)),
            gap=game.squeeze(self.gap(tables, forces)),
            policy=game.squeeze(tables[0].probabilities),
            rewards=game.squeeze(self.rewards),
            residual=game.squeeze(residual),
            optimal_actions=game.squeeze(optimal_face(self.rewards, game.reference, REWARD_TIE)),
            **ending,
        )


@singledispatch
def diagnostics(game: Game) -> Any:
    """The :class:`Diagnostics` of a game."""
    raise TypeError(f"{type(game).__name__} has no diagnostics. Use a Stackelberg, Nash or reward game.")


diagnostics.register(StackelbergGame, StackelbergDiagnostics)
diagnostics.register(NashGame, NashDiagnostics)
diagnostics.register(RewardGame, RewardDiagnostics)
