"""What a learned policy is worth in another game: on contexts that it was not trained on."""

from __future__ import annotations

from typing import Any, cast

from stackelberg.diagnostics import diagnostics
from stackelberg.field import natural_field
from stackelberg.game import Answer, Game
from stackelberg.solution import Status
from stackelberg.validation import shown


def evaluate(game: Game[Answer], model: Any) -> Answer:
    """The policies of a trained model in a game, with their value, gap and KL there; nothing is learned.

    Args:
        game: for example the game it was trained in, on held-out contexts: ``game.on(features)``.
        model: ``solution.model`` of a run.

    Returns:
        A :class:`Solution` as a run on ``game`` would return.

    Example:
        >>> import stackelberg as sb
        >>> mixture = sb.AnnotatorMixture.random(3, types=4, features=2, seed=0)
        >>> game = sb.NashGame(mixture, tau=0.1, contexts=mixture.draw(32, seed=1))
        >>> model = sb.solve(game, sb.EGPO(), sb.Neural(hidden=(16,)), steps=30).model
        >>> held_out = game.on(mixture.draw(100, seed=2))
        >>> sb.evaluate(held_out, model).gap.shape
        (100,)
    """
    if not hasattr(model, "tables"):
        raise TypeError(
            f"evaluate takes a trained model, not {shown(model)}. Pass solution.model of a run with sb.Neural(); "
            "tables have none: they go on with start=(solution.leader, solution.follower)."
        )
    tables = model.tables(game)
    contexts = game.shape[0]
    found = diagnostics(game).solution(
        tables,
        natural_field(game).at(tables),
        status=Status.EVALUATED,
        report=f"evaluated in {contexts} context{'s' if contexts > 1 else ''}; no step was taken",
        model=model,
    )
    return cast(Answer, found)
