"""What given policies earn: exactly, or as somebody with samples only would know it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from stackelberg.estimate import Estimate, Kind
from stackelberg.expectation import Enumerate, Expectation, Sample, at, draws
from stackelberg.field import natural_field
from stackelberg.game import Game
from stackelberg.policy import Tabular
from stackelberg.validation import Array, check_distribution, check_shape

ALL = Enumerate()


def payoff(game: Game, *policies: ArrayLike, sampling: Expectation = ALL, seed: int = 0) -> Estimate:
    """What the first mover earns, averaged over the contexts: ``f(π, ω)``, or ``E r − τ KL`` in a reward game.

    In a Nash game a second policy is the opponent, itself by default: ``π P π' − τ KL(π‖π_ref)``; what the
    opponent's own KL is worth to it is the opponent's affair.

    Args:
        game: the game.
        policies: the first mover's, (n,) or (contexts, n), then the Follower's, (n, n) or (contexts, n, n).
        sampling: ``Enumerate()``, exact; or ``Sample(n)``: the mean of n draws (y, y') a context, each paid with its
            p and log-ratios, and its standard error.
        seed: of the draws.

    Raises:
        ValueError: if a policy is missing, is no distribution, or has a zero where a log-ratio is needed.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.cycle(3, 0.9), tau=0.1)
        >>> solution = sb.solve(game)
        >>> print(payoff(game, solution.leader, solution.follower))
        0.208
        >>> uniform = [1 / 3, 1 / 3, 1 / 3]
        >>> print(payoff(game, uniform, uniform), payoff(game, uniform, uniform, sampling=sb.Sample(400)))
        0.5 0.507 ± 0.016
    """
    pull = natural_field(game)
    shapes = pull.shapes if len(pull.shapes) > 1 else pull.shapes * len(policies)
    if len(policies) != len(shapes) or len(policies) > 2:
        raise ValueError(f"A {type(game).__name__} takes {len(pull.shapes)} policies, not {len(policies)}. Pass each.")
    tables = tuple(_table(given, shape) for given, shape in zip(policies, shapes, strict=True))
    cells = pull.cells(tables, tables if len(pull.shapes) > 1 else tables[-1:])
    first = tables[0].probabilities
    own = pull.at(tables[: len(pull.shapes)]).natural[1][0]  # −τ log π/π_ref
    if not isinstance(sampling, Sample):
        return Estimate(game.expectation((first * ((cells.reply * cells.first).sum(axis=-1) + own)).sum(axis=-1)))
    x, y, reply = draws(first, cells.reply, sampling.n, np.random.default_rng(seed))
    return _mean(game, (at(cells.first, x, y, reply) + own[x, y]).reshape(len(first), -1))


def _table(policy: ArrayLike, shape: tuple[int, ...]) -> Tabular:
    return Tabular.from_probabilities(check_shape(check_distribution(policy, "policy"), shape, "policy"))


def _mean(game: Game, earned: Array) -> Estimate:
    """The mean over draws, (contexts, n), weighted over contexts."""
    if earned.shape[1] < 2:
        raise ValueError("A standard error needs two draws a context or more. Pass Sample(100).")
    error = earned.var(axis=1, ddof=1) / earned.shape[1]
    weights: Array = game.context_weights  # type: ignore[attr-defined]  # every game sets its own
    return Estimate(game.expectation(earned.mean(axis=1)), Kind.SAMPLED, float(np.sqrt((weights**2 * error).sum())))
