"""One context out of a solution that has several."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

import stackelberg as sb
from analysis.tournament import one_context
from stackelberg.game import Game

KEPT = ("preference", "context_weights")


def of_context(solution: sb.Solution, context: int | None) -> Any:
    """The part of a solution that answers one context, as the solution of a game without contexts.

    Args:
        solution: what ``sb.solve`` returned.
        context: which one; needed where the preferences have contexts, refused where they have none.

    Example:
        >>> import stackelberg as sb
        >>> many = sb.solve(sb.NashGame(sb.PreferenceMatrix.random(4, contexts=3)))
        >>> bool((of_context(many, 2).policy == many.policy[2]).all())
        True
    """
    many = solution.game.preference
    chosen = one_context(many, context)
    if many.contexts is None:
        return solution
    game = type(solution.game)(chosen, **_game_arguments(solution.game, int(context or 0)))
    parts: dict[str, Any] = {"game": game}
    for field in fields(solution):
        value = getattr(solution, field.name)
        if isinstance(value, np.ndarray) and value.shape[:1] == (many.contexts,):
            part = value[context]
            parts[field.name] = part.item() if np.ndim(part) == 0 else part
    return replace(solution, **parts)


def _game_arguments(game: Game, context: int) -> dict[str, Any]:
    """τ, references and sampling of one context (they are stored with a context axis of 1 or all)."""
    arguments = {}
    for field in fields(game):
        value = getattr(game, field.name)
        if field.name in KEPT or not isinstance(value, np.ndarray):
            continue
        row = value[context if len(value) > 1 else 0]
        if field.name == "tau" and isinstance(game, sb.StackelbergGame):
            continue  # it is in tau_leader and tau_follower
        arguments[field.name] = float(row) if np.ndim(row) == 0 else row
    return arguments
