"""Before a run: does this solver fit this game, and where do the players start?"""

from __future__ import annotations

from typing import Any

import numpy as np

from stackelberg.field import Pull
from stackelberg.game import Game, StackelbergGame
from stackelberg.geometry import Geometry, Simplex
from stackelberg.kernel import Kernel
from stackelberg.point import Point
from stackelberg.policy import Tabular
from stackelberg.solvers.base import Solver, TwoPlayerSolver
from stackelberg.tables import Tables
from stackelberg.validation import Array, check_distribution, check_shape, shown


def check_pairing(game: Game, solver: Solver) -> None:
    """Refuse a solver that is for another game, with a sentence."""
    if not isinstance(game, Game):
        raise TypeError(f"solve takes a game, not a {type(game).__name__}. Wrap it: sb.NashGame(P, tau=0.1).")
    if not isinstance(solver, Solver):
        made = f"{solver.__name__} the class" if isinstance(solver, type) else f"a {type(solver).__name__}"
        raise TypeError(f"The second argument is the solver, such as sb.MirrorDescent(), with brackets; it is {made}.")
    name, kind = type(solver).__name__, type(game).__name__
    if not isinstance(game, solver.games):
        fitting = " or a ".join(each.__name__ for each in solver.games)
        any_game = "GDA" if game.judged else "MirrorDescent"
        raise ValueError(f"{name} is a rule for a {fitting}, not for a {kind}. {any_game} serves every game.")
    if not solver.keeps_regulariser and (game.tau > 0).any():  # type: ignore[attr-defined]
        raise ValueError(
            f"{name} drops the KL part, and this game has tau = {game.tau.max():g}. "  # type: ignore[attr-defined]
            f"Set tau = 0, or use {'GDA' if game.judged else 'EGPO'} or another solver that keeps it."
        )
    if isinstance(solver, TwoPlayerSolver) and not isinstance(game, StackelbergGame):
        if solver.kappa != 1:
            raise ValueError(f"kappa = {shown(solver.kappa)} weighs a Follower, and a {kind} has none. Leave it at 1.")
        if getattr(solver, "alternating", False):
            raise ValueError(f"Players of a Stackelberg game alternate, and a {kind} has one policy. Leave it out.")


def starting_point(game: Game, solver: Solver, policy: Any, pull: Pull, start: Any) -> Point:
    """Everybody at the reference, or at ``start``: a policy, or (leader, follower) with None for the reference."""
    _check_references(game, pull)
    if not isinstance(policy, Tables | None):
        return _networks(game, solver, policy, start)
    kernel = (Tables() if policy is None else policy).kernel()
    names = ("leader", "follower") if isinstance(game, StackelbergGame) else ("policy",)
    given = (start,) if len(names) == 1 else (None, None) if start is None else start
    if not isinstance(given, tuple) or len(given) != len(names):
        raise ValueError("start of a Stackelberg game is a pair (leader, follower). Put None for the reference.")
    rows = zip(given, names, pull.shapes, pull.references.parts, strict=True)
    tables = (
        Tabular.from_logits(np.broadcast_to(at, shape), kernel)
        if own is None
        else _given(own, name, shape, solver.moves_in, kernel)
        for own, name, shape, at in rows
    )
    return Point(solver.moves_in, tuple(tables))


def _check_references(game: Game, pull: Pull) -> None:
    """Refuse a reference with zeros, from which no log-ratio is finite."""
    names = ("leader_reference", "follower_reference") if isinstance(game, StackelbergGame) else ("reference",)
    for name, reference in zip(names, pull.references.parts, strict=True):
        zeros = np.argwhere(~np.isfinite(reference))
        if len(zeros):
            raise ValueError(
                f"{name} has zeros, the first for {game.labels[zeros[0][-1]]!r}, but learning needs log-ratios to it. "
                "Leave those actions out of P, or solve exactly: sb.solve(game) without a solver, or stackelberg solve."
            )


def _networks(game: Game, solver: Solver, policy: Any, start: Any) -> Any:
    """Where a policy with parameters stands."""
    if isinstance(policy, type) or not hasattr(policy, "point"):
        raise TypeError(
            f"policy must be a policy such as sb.Neural(), or None or sb.Tables() for tables, not {shown(policy)}. "
            "Pass an object, with brackets."
        )
    if start is not None:
        raise ValueError("start is for tables. To go on with a trained network, pass it as the policy: solution.model.")
    return policy.point(game, solver.moves_networks_in)


def _given(policy: Any, name: str, shape: tuple[int, ...], geometry: Geometry, kernel: Kernel) -> Tabular:
    name = f"start's {name}"
    table: Array = np.array(check_shape(check_distribution(policy, name), shape, name))
    if isinstance(geometry, Simplex):
        return Tabular.from_probabilities(table, geometry.floor, kernel)
    if (table == 0).any():
        raise ValueError(f"{name} has zeros, which logits cannot leave. Start inside the simplex.")
    return Tabular.from_probabilities(table, kernel=kernel)
