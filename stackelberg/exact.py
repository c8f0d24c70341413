"""The exact answer to each game, with a certificate that is computed from the answer and checked."""

from __future__ import annotations

from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from stackelberg.equilibrium.bradley_terry import fit_bradley_terry, likelihood_residual
from stackelberg.equilibrium.closed_form import lead, optimal_face, stackelberg_values
from stackelberg.equilibrium.lottery import EXPLOITABILITY, maximal_lottery
from stackelberg.equilibrium.quantal import regularised_nash
from stackelberg.errors import CertificateError
from stackelberg.exploitability import nash_gap, reward_gap, stackelberg_gap
from stackelberg.game import Game, NashGame, RewardGame, StackelbergGame
from stackelberg.simplex import log_of
from stackelberg.solution import NashSolution, RewardSolution, Solution, StackelbergSolution
from stackelberg.validation import Array

FOLLOWER_CELLS = 1 << 25
"""A Follower of more cells than this (256 MiB) is not kept but computed when it is read."""
GAP_TOLERANCE = 1e-12
REWARD_TIE = 1e-9


@singledispatch
def exact(game: Game) -> Solution:
    """The exact solution of a game; see :func:`stackelberg.solve`."""
    raise TypeError(
        f"solve takes a StackelbergGame, a NashGame or a RewardGame, not {type(game).__name__}. "
        "Wrap the preferences first: sb.solve(sb.StackelbergGame(P, tau=0.1))."
    )


@exact.register
def _(game: StackelbergGame) -> StackelbergSolution:
    contexts, n = game.shape
    follower = np.empty((contexts, n, n)) if contexts * n * n <= FOLLOWER_CELLS else None
    values, payoffs = stackelberg_values(game, follower)
    leader, worth = lead(values, game.leader_reference, game.tau_leader)
    gap = stackelberg_gap(game, leader, values, payoffs)
    certify(gap, np.full(contexts, GAP_TOLERANCE), "duality gap")
    return StackelbergSolution(
        game=game,
        value=game.squeeze(worth),
        gap=game.squeeze(gap),
        leader=game.squeeze(leader),
        values=game.squeeze(values),
        optimal_leaders=game.squeeze(optimal_face(values, game.leader_reference)),
        stored_follower=None if follower is None else game.squeeze(follower),
    )


@exact.register
def _(game: NashGame) -> NashSolution:
    policy = np.empty(game.shape)
    support, dimension = np.ones(game.shape, dtype=bool), np.zeros(game.shape[0], dtype=int)
    reference = np.broadcast_to(game.reference, game.shape)
    soft = game.tau > 0
    if soft.any():
        log_reference = log_of(reference[soft])
        policy[soft] = np.exp(regularised_nash(game.margins[soft], log_reference, game.tau[soft]))
        support[soft] = reference[soft] > 0
    if not soft.all():
        lottery = maximal_lottery(game.margins[~soft], reference[~soft])
        policy[~soft], support[~soft], dimension[~soft] = lottery.policy, lottery.support, lottery.dimension
    gap = nash_gap(game, policy)
    lottery_tolerance = 2 * EXPLOITABILITY * np.abs(game.margins).max(axis=(-2, -1))
    certify(gap, np.where(soft, GAP_TOLERANCE, lottery_tolerance), "duality gap")
    return NashSolution(
        game=game,
        value=game.squeeze(np.full(game.shape[0], 0.5)),
        gap=game.squeeze(gap),
        policy=game.squeeze(policy),
        exploitability=game.squeeze(gap / 2),
        unique=game.squeeze(dimension == 0),
        support=game.squeeze(support),
        dimension=game.squeeze(dimension),
    )


@exact.register
def _(game: RewardGame) -> RewardSolution:
    p = game.preference.stacked
    rewards = fit_bradley_terry(p, game.sampling, game.labels)
    policy, worth = lead(rewards, game.reference, game.tau, REWARD_TIE)
    gap = reward_gap(game, rewards, policy)
    certify(gap, np.full(len(gap), REWARD_TIE), "regularised reward missed")
    return RewardSolution(
        game=game,
        value=game.squeeze(worth),
        gap=game.squeeze(gap),
        policy=game.squeeze(policy),
        rewards=game.squeeze(rewards),
        residual=game.squeeze(likelihood_residual(p, game.sampling, rewards)),
        optimal_actions=game.squeeze(optimal_face(rewards, game.reference, REWARD_TIE)),
    )


def certify(found: Array, allowed: Array, name: str) -> None:
    """Raise unless ``found`` ≤ ``allowed`` in every context (a NaN is never within)."""
    within: NDArray[np.bool_] = np.abs(found) <= allowed
    if not within.all():
        context = int(np.argmin(within))
        raise CertificateError(
            f"The answer for context {context} could not be certified: its {name} is {found[context]:.3g}, above "
            f"{allowed[context]:.3g}. Nothing is returned. A more moderate tau, or P rescaled away from ½, is easier."
        )
