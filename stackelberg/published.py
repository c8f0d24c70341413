"""The game that the code published with the SLHF paper plays: the Leader is not told what a reply costs in KL.

The Leader earns ``E[p(y≻y')] − τ_L KL(π‖π_ref)``, the Follower pays ``E[p(y≻y')] + τ_F KL(ω‖ω_ref)``: a
general-sum game, no zero-sum one. The Follower's answer ω* is that of the Stackelberg game; the Leader's is
``π ∝ π_ref exp(U/τ_L)`` with ``U(y) = Σ_{y'} ω*(y'|y) p(y≻y') ≤ V(y)``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike

from stackelberg.diagnostics import StackelbergDiagnostics, Tables, diagnostics
from stackelberg.equilibrium.closed_form import lead, leader_values, optimal_face, stackelberg_values
from stackelberg.exact import GAP_TOLERANCE, certify, exact
from stackelberg.exploitability import duality_gap, follower_gap, stackelberg_gap
from stackelberg.field import Forces, StackelbergPull, natural_field
from stackelberg.game import StackelbergGame
from stackelberg.gradient import Returns, StackelbergReturns
from stackelberg.solution import StackelbergSolution
from stackelberg.validation import Array


@dataclass(frozen=True, eq=False)
class PublishedStackelbergGame(StackelbergGame):
    """SLHF as its published code trains it: τ_F ℓ_F is left out of what the Leader earns. A different game.

    Arguments as of :class:`StackelbergGame`. ``solution.values`` are U(y), the win rates against ω*; ``gap`` is the
    sum of what either player gains by a best response to the other.

    Example:
        >>> import stackelberg as sb
        >>> P = sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2])
        >>> [sb.solve(kind(P, tau=0.2)).leader.round(3) for kind in (sb.StackelbergGame, PublishedStackelbergGame)]
        [array([0.509, 0.306, 0.186]), array([0.565, 0.264, 0.171])]
    """

    def returns(self, contexts: ArrayLike | None = None) -> Returns:
        """As of the Stackelberg game, without τ_F ℓ_F for the Leader."""
        return dataclasses.replace(cast(StackelbergReturns, super().returns(contexts)), follower_kl=False)


@leader_values.register
def _(game: PublishedStackelbergGame) -> Array:
    p = game.preference.stacked
    follower = np.empty(p.shape)
    stackelberg_values(game, follower)
    return np.einsum("cij,cij->ci", p, follower)


class PublishedPull(StackelbergPull):
    """The Leader's payoff is ``Σ ω p`` alone."""

    leader_pays_kl = False


class PublishedDiagnostics(StackelbergDiagnostics):
    """What each player gains by a best response to the other, together."""

    def __init__(self, game: PublishedStackelbergGame) -> None:
        super().__init__(game)
        self.soft_values, self.values = self.values, leader_values(game)

    def gap(self, tables: Tables, forces: Forces) -> Array:
        """``max_π' J_L(π', ω) − J_L(π, ω) + J_F(π, ω) − min_ω' J_F(π, ω')``."""
        leader, paid = tables[0].probabilities, -tables[1].expect(forces.total[1])
        missed = tables[0].expect(paid - self.soft_values)
        return missed + stackelberg_gap(self.game, leader, forces.payoff[0], forces.payoff[0])


@exact.register
def _(game: PublishedStackelbergGame) -> StackelbergSolution:
    follower = np.empty(game.preference.stacked.shape)
    stackelberg_values(game, follower)
    values = leader_values(game)
    leader, worth = lead(values, game.leader_reference, game.tau_leader)
    gap = np.atleast_1d(duality_gap(game, game.squeeze(leader), game.squeeze(follower)))
    certify(gap, np.full(len(gap), GAP_TOLERANCE), "sum of regrets")
    return StackelbergSolution(
        game=game,
        value=game.squeeze(worth),
        gap=game.squeeze(gap),
        leader=game.squeeze(leader),
        values=game.squeeze(values),
        optimal_leaders=game.squeeze(optimal_face(values, game.leader_reference)),
        stored_follower=game.squeeze(follower),
    )


@duality_gap.register
def _(game: PublishedStackelbergGame, leader: ArrayLike, follower: ArrayLike) -> Any:
    pi, omega = game.policy(leader, "leader"), game.response(follower)
    payoffs = np.einsum("cij,cij->ci", game.preference.stacked, omega)
    regret = stackelberg_gap(game, pi, payoffs, payoffs)
    return game.squeeze(regret + np.reshape(follower_gap(game, leader, follower), regret.shape))


natural_field.register(PublishedStackelbergGame, PublishedPull)
diagnostics.register(PublishedStackelbergGame, PublishedDiagnostics)
