"""What pulls the players where they stand: the exact field of a game, enumerated over all its actions."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, singledispatch
from typing import Any

import numpy as np

from stackelberg.combination import Combination
from stackelberg.equilibrium.bradley_terry import fit_bradley_terry
from stackelberg.equilibrium.closed_form import compact
from stackelberg.expectation import Cells, Enumerate, Expectation, Sample
from stackelberg.game import Game, NashGame, RewardGame, StackelbergGame
from stackelberg.geometry import Natural
from stackelberg.kernel import Kernel, laid_out
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
    _scaled: tuple[Pull, float] | None = None
    """Whose τ this one has, and how many times it."""

    @abstractmethod
    def at(self, tables: tuple[Tabular, ...]) -> Forces:
        """The forces in the natural geometry: g as the game pays, r = −τ(θ − θ_ref), θ normalised."""

    @abstractmethod
    def cells(self, tables: tuple[Tabular, ...], opponents: tuple[Tabular, ...]) -> Cells:
        """The outcomes that can be drawn, with what each learner earns there."""

    def weights(self, tables: tuple[Tabular, ...]) -> tuple[Array | None, ...]:
        """What each row of each player weighs in f; None for 1."""
        return (None,) * len(tables)

    def at_scale(self, scale: float) -> Pull:
        """The same pull with every τ times ``scale``."""
        if scale == 1:
            return self
        scaled = copy.copy(self)
        scaled.tau, scaled._scaled = self.tau * scale, (self, scale)
        return scaled

    def on(self, kernel: Kernel) -> Any:
        """The same pull with its numbers as ``kernel`` has tables; made once."""
        if kernel.plain:
            return self
        if self._scaled is not None:
            pull, scale = self._scaled
            return pull.on(kernel).at_scale(scale)
        made: tuple[Kernel, Pull] | None = vars(self).get("_made")
        if made is None or made[0] is not kernel:
            there = copy.copy(self)
            for name, value in vars(self).items():
                if isinstance(value, np.ndarray):
                    setattr(there, name, kernel.native(value))
                elif isinstance(value, Joint):
                    setattr(there, name, Joint(tuple(kernel.native(part) for part in value.parts)))
            made = self._made = (kernel, there)
        return made[1]

    def _pulls(self, tables: tuple[Tabular, ...]) -> list[Array]:
        rows = zip(tables, self.references.parts, self.tau.parts, strict=True)
        return [_pull(table, reference, tau) for table, reference, tau in rows]


def _pull(table: Tabular, reference: Array, tau: Array) -> Array:
    return (reference - table.logits) * tau


class StackelbergPull(Pull):
    """Leader ``V̂(y; ω) = Σ ω p + τ_F KL(ω‖ω_ref)``, Follower ``−p(y≻y')`` in a row of weight π(y)."""

    leader_pays_kl = True
    """Whether the Leader's payoff counts what the reply costs the Follower in KL."""
    _number: tuple[Array | None, Any] = None, None
    """The Follower's τ, and the one number that it is."""

    def __init__(self, game: StackelbergGame) -> None:
        contexts, n = game.shape
        self.costs = laid_out(-game.preference.stacked)
        self.tau = Joint((game.tau_leader[:, None], game.tau_follower[:, None, None]))
        self.references = Joint((log_of(game.leader_reference), laid_out(log_of(compact(game.follower_reference)))))
        self.shapes = ((contexts, n), (contexts, n, n))

    def weights(self, tables: tuple[Tabular, ...]) -> tuple[Array | None, ...]:
        """The Follower sees y with probability π(y)."""
        return None, tables[0].probabilities[..., None]

    def at(self, tables: tuple[Tabular, ...]) -> Forces:
        """V̂ is what the Follower pays in all, its cost and its KL: the sum is made once for both players."""
        leader, follower = tables
        pull, tau = _pull(leader, self.references[0], self.tau[0]), self._plain_tau()
        costs = Combination((1.0, self.costs))
        pulled = Combination((tau, self.references[1])) - tau * follower.log_probabilities
        reply = costs + pulled
        payoff = -follower.expect(reply if self.leader_pays_kl else costs)
        natural = Joint((payoff, costs)), Joint((pull, pulled)), Joint((payoff + pull, reply))
        return Forces(natural, self.tau)

    def _plain_tau(self) -> Any:
        """The Follower's τ: one number where all are alike, which is much the quicker to multiply by."""
        tau = self.tau[1]
        if self._number[0] is not tau:
            self._number = tau, float(tau.min()) if tau.min() == tau.max() else tau
        return self._number[1]

    def cells(self, tables: tuple[Tabular, ...], opponents: tuple[Tabular, ...]) -> Cells:
        """``p + τ_F ℓ_F`` for the Leader, −p for the Follower."""
        cost = self.costs
        if self.leader_pays_kl:
            cost = cost + _pull(opponents[1], self.references[1], self.tau[1])
        return Cells(opponents[1].probabilities, -cost, self.costs)


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

    def cells(self, tables: tuple[Tabular, ...], opponents: tuple[Tabular, ...]) -> Cells:
        """p(y≻y') against y' of the opponent."""
        return Cells(opponents[0].probabilities[:, None, :], self.margins + 0.5)


class RewardPull(OnePolicyPull):
    """The fitted Bradley–Terry reward, whatever the policy."""

    def __init__(self, game: RewardGame) -> None:
        super().__init__(game)
        self.rewards = fit_bradley_terry(game.preference.stacked, game.sampling, game.labels)

    def payoff(self, table: Tabular) -> Array:
        """The reward r."""
        return self.rewards

    def cells(self, tables: tuple[Tabular, ...], opponents: tuple[Tabular, ...]) -> Cells:
        """r(y), and nobody replies."""
        return Cells(np.ones((1, 1, 1)), self.rewards[..., None])


@singledispatch
def natural_field(game: Game) -> Any:
    """The :class:`Pull` of a game."""
    raise TypeError(f"{type(game).__name__} has no field to learn along. Use a Stackelberg, Nash or reward game.")


natural_field.register(StackelbergGame, StackelbergPull)
natural_field.register(NashGame, NashPull)
natural_field.register(RewardGame, RewardPull)


EXACT = Enumerate()


def _own(point: Point) -> tuple[Tabular, ...]:
    """The tables in the arrays that they move in; a point without such has NumPy's only."""
    return getattr(point, "own", None) or point.tables


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

    def __init__(
        self, natural: Pull, expectation: Expectation = EXACT, generator: np.random.Generator | None = None
    ) -> None:
        self.pull, self.expectation = natural, expectation
        self.generator = np.random.default_rng(0) if generator is None else generator
        self._latest: tuple[Point, Forces] | None = None

    def natural(self, point: Point) -> Forces:
        """The exact forces in the natural geometry, whatever the point's own."""
        if self._latest is None or self._latest[0] is not point:
            self._latest = None  # released first: the arrays may be large
            self._latest = (point, self.pull.at(point.tables))
        return self._latest[1]

    def __call__(self, point: Point, opponents: Point | None = None) -> Forces:
        """The forces at ``point``, in its geometry.

        Args:
            point: where the players stand; probabilities and weights of rows are its own.
            opponents: whose policies the payoffs are read against, in place of the point's.
        """
        if isinstance(self.expectation, Sample) and not isinstance(point.geometry, Natural):
            estimate = getattr(point, "estimate", None)
            if estimate is not None:  # a policy that speaks estimates its gradient token by token
                against = (point if opponents is None else opponents).tables
                forces: Forces = estimate(self.pull, self.expectation, against, self.generator)
                return forces
        natural = self._read(point, opponents)
        if isinstance(point.geometry, Natural):
            return natural
        weights = self.pull.weights(_own(point))
        return Forces(natural.natural, natural.tau, lambda force: point.direction(force, weights))

    def _own_forces(self, point: Point) -> Forces:
        own = _own(point)
        return self.natural(point) if own is point.tables else self.pull.on(own[0].kernel).at(own)

    def _read(self, point: Point, opponents: Point | None) -> Forces:
        exact = self._own_forces(point)
        if opponents is None and isinstance(self.expectation, Enumerate):
            return exact
        own, rival = _own(point), point if opponents is None else opponents
        if isinstance(self.expectation, Enumerate) or own is point.tables:
            against = _own(rival)
            payoff = self.expectation.payoff(self.pull.on(own[0].kernel), own, against, self.generator)
        else:  # draws are made from NumPy's float64 whatever the tables, so that equal seeds draw alike
            drawn = self.expectation.payoff(self.pull, point.tables, rival.tables, self.generator)
            payoff = Joint(tuple(own[0].kernel.native(part) for part in drawn.parts))
        pull = exact.natural[1]
        return Forces((payoff, pull, payoff + pull), exact.tau)

    def mixed(self, point: Point, weight: float) -> Point:
        """The geometric mixture ``π^{1−weight} π_ref^weight`` of every policy with its reference."""
        own = _own(point)
        rows = zip(own, self.pull.on(own[0].kernel).references.parts, strict=True)
        return Point(Natural(), tuple(table.shifted(at - table.logits, weight) for table, at in rows))

    def at_scale(self, scale: float) -> Field:
        """The same field with every τ times ``scale``, drawing from the same generator."""
        return self if scale == 1 else Field(self.pull.at_scale(scale), self.expectation, self.generator)
