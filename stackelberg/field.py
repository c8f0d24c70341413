"""What pulls the players where they stand: the exact field of a game, enumerated over all its actions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Any

import numpy as np

from stackelberg.equilibrium.bradley_terry import fit_bradley_terry
from stackelberg.equilibrium.closed_form import compact
from stackelberg.game import Game, NashGame, RewardGame, StackelbergGame
from stackelberg.geometry import Natural
from stackelberg.point import Joint, Point
from stackelberg.policy import Tabular
from stackelberg.simplex import log_of
from stackelberg.validation import Array


@dataclass(frozen=True, eq=False)
class Forces:
    """The field at a point, in the point's geometry; each player wants to move along payoff + regulariser.

    Args:
        natural: g, r and g + r in the natural geometry.
        tau: τ of each player, shaped to multiply its logits.
        here: takes a natural field to the point's geometry; it is linear, and called only for what is read.
    """

    natural: tuple[Joint, Joint, Joint]
    tau: Joint
    here: Callable[[Joint], Joint] = lambda force: force

    @cached_property
    def payoff(self) -> Joint:
        """The part g, from what the actions earn against the others' policies."""
        return self.here(self.natural[0])

    @cached_property
    def regulariser(self) -> Joint:
        """The part r, from the pull −τ(log π − log π_ref) to the reference."""
        return self.here(self.natural[1])

    @cached_property
    def total(self) -> Joint:
        """Both together, g + r."""
        return self.here(self.natural[2])


class Pull(ABC):
    """The natural field of a game: payoffs of the actions, and what each row weighs in f.

    Attributes:
        tau: τ of each player, shaped to multiply its logits.
        references: log π_ref of each player, shaped to be subtracted from its logits.
        shapes: of each player's policy.
    """

    tau: Joint
    references: Joint
    shapes: tuple[tuple[int, ...], ...]

    @abstractmethod
    def at(self, tables: tuple[Tabular, ...]) -> Forces:
        """The forces in the natural geometry: g as the game pays, r = −τ(θ − θ_ref), θ normalised."""

    def weights(self, tables: tuple[Tabular, ...]) -> tuple[Array | None, ...]:
        """What each row of each player weighs in f; None for 1."""
        return (None,) * len(tables)

    def _pulls(self, tables: tuple[Tabular, ...]) -> list[Array]:
        rows = zip(tables, self.references.parts, self.tau.parts, strict=True)
        return [_pull(table, reference, tau) for table, reference, tau in rows]


def _pull(table: Tabular, reference: Array, tau: Array) -> Array:
    pull = np.subtract(reference, table.logits)
    pull *= tau
    return pull


class StackelbergPull(Pull):
    """Leader ``V̂(y; ω) = Σ ω p + τ_F KL(ω‖ω_ref)``, Follower ``−p(y≻y')`` in a row of weight π(y)."""

    def __init__(self, game: StackelbergGame) -> None:
        contexts, n = game.shape
        self.costs = -game.preference.stacked
        self.tau = Joint((game.tau_leader[:, None], game.tau_follower[:, None, None]))
        self.references = Joint((log_of(game.leader_reference), log_of(compact(game.follower_reference))))
        self.shapes = ((contexts, n), (contexts, n, n))

    def weights(self, tables: tuple[Tabular, ...]) -> tuple[Array | None, ...]:
        """The Follower sees y with probability π(y)."""
        return None, tables[0].probabilities[..., None]

    def at(self, tables: tuple[Tabular, ...]) -> Forces:
        """V̂ is what the Follower pays in all, its cost and its KL: the sum is made once for both players."""
        pulls = self._pulls(tables)
        reply = self.costs + pulls[1]
        payoff = -tables[1].expect(reply)
        natural = Joint((payoff, self.costs)), Joint(tuple(pulls)), Joint((payoff + pulls[0], reply))
        return Forces(natural, self.tau)


class OnePolicyPull(Pull):
    """A game in which one policy answers, and every action has a payoff against it."""

    def __init__(self, game: NashGame | RewardGame) -> None:
        self.tau = Joint((game.tau[:, None],))
        self.references = Joint((log_of(game.reference),))
        self.shapes = (game.shape,)

    def at(self, tables: tuple[Tabular, ...]) -> Forces:
        """The payoffs of the actions, and the pull to the reference."""
        payoff, regulariser = Joint((self.payoff(tables[0]),)), Joint(tuple(self._pulls(tables)))
        return Forces((payoff, regulariser, payoff + regulariser), self.tau)

    @abstractmethod
    def payoff(self, table: Tabular) -> Array:
        """What each action earns against the policy, (contexts, n)."""


class NashPull(OnePolicyPull):
    """``Pπ − ½`` against oneself, from the skew-symmetric margins."""

    def __init__(self, game: NashGame) -> None:
        super().__init__(game)
        self.margins = game.margins

    def payoff(self, table: Tabular) -> Array:
        """Aπ with A = (P − Pᵀ)/2."""
        return (self.margins @ table.probabilities[..., None])[..., 0]


class RewardPull(OnePolicyPull):
    """The fitted Bradley–Terry reward, whatever the policy."""

    def __init__(self, game: RewardGame) -> None:
        super().__init__(game)
        self.rewards = fit_bradley_terry(game.preference.stacked, game.sampling, game.labels)

    def payoff(self, table: Tabular) -> Array:
        """The reward r."""
        return self.rewards


@singledispatch
def natural_field(game: Game) -> Any:
    """The :class:`Pull` of a game."""
    raise TypeError(f"{type(game).__name__} has no field to learn along. Use a Stackelberg, Nash or reward game.")


natural_field.register(StackelbergGame, StackelbergPull)
natural_field.register(NashGame, NashPull)
natural_field.register(RewardGame, RewardPull)


class Field:
    """What a solver gets in place of the game: called at any point, it answers with the :class:`Forces` there.

    The natural forces at the latest point are kept, so that recording after stepping costs no second look.

    Example:
        >>> import stackelberg as sb
        >>> from stackelberg.geometry import Natural
        >>> field = Field(natural_field(sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.5)))
        >>> at = Point(Natural(), (Tabular.from_probabilities(np.array([[0.5, 0.25, 0.25]])),))
        >>> field(at).payoff[0], field(at).regulariser[0].round(3)
        (array([[ 0.   , -0.125,  0.125]]), array([[-0.203,  0.144,  0.144]]))
    """

    def __init__(self, natural: Pull) -> None:
        self.pull = natural
        self._latest: tuple[Point, Forces] | None = None

    def natural(self, point: Point) -> Forces:
        """The forces in the natural geometry, whatever the point's own."""
        if self._latest is None or self._latest[0] is not point:
            self._latest = None  # released first: the arrays may be large
            self._latest = (point, self.pull.at(point.tables))
        return self._latest[1]

    def __call__(self, point: Point) -> Forces:
        """The forces at ``point``, in its geometry."""
        natural = self.natural(point)
        if isinstance(point.geometry, Natural):
            return natural
        weights = self.pull.weights(point.tables)
        return Forces(natural.natural, natural.tau, lambda force: point.direction(force, weights))
