"""One step's gradient: what the solver asks for, in as few backward passes as there are looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from llm.objective import Part, losses, parts_of, silent
from llm.policy import TransformerPolicy
from llm.rollouts import FOLLOWER, LEADER, Rollouts
from llm.sampling import seeds_for
from llm.speaker import Adapter, Speaker
from llm.training.directions import Field, Look, Place
from llm.training.draws import Draws, draw
from llm.training.processes import ALONE, Processes
from stackelberg.game import Game, NashGame, RewardGame, StackelbergGame
from stackelberg.gradient import Baseline, Constant, LeaveOneOut, Returns
from stackelberg.point import Joint
from stackelberg.solvers.base import Solver

PROMPTS, LOOKS = 0, 1


@dataclass(eq=False)
class Learner:
    """A policy that learns a game by a solver's rule; who applies the gradient is somebody else's business.

    Args:
        policy: trained in place.
        game: with a judge.
        solver: whose rule is followed.
        sampling: of a step's rollouts.
        seed: of all draws.
        processes: among which a step's prompts are divided.
        watch: called with every micro-batch.

    Attributes:
        shared: whether both players are one vector of weights, so that κ weighs two directions in it; else κ is a
            ratio of learning rates.
    """

    policy: TransformerPolicy
    game: Game[Any]
    solver: Solver
    sampling: Rollouts
    seed: int = 0
    processes: Processes = ALONE
    watch: Callable[[Look, Part, Draws], None] | None = None
    shared: bool = field(init=False)

    def __post_init__(self) -> None:
        roles = self.policy.players.policies
        self.shared = self.players == 1 or roles[LEADER].same_as(roles[FOLLOWER])

    @property
    def players(self) -> int:
        """Two in a Stackelberg game, else one."""
        return 2 if isinstance(self.game, StackelbergGame) else 1

    @property
    def earns(self) -> str:
        """What a rollout earns who moves first."""
        return "reward" if isinstance(self.game, RewardGame) else "preference"

    @property
    def learners(self) -> list[list[nn.Parameter]]:
        """The weights that learn: one list for both players, or one each."""
        roles = (LEADER,) if self.shared else (LEADER, FOLLOWER)
        return [list(weights_of(self.policy.speaker(role))) for role in roles]

    @property
    def baseline(self) -> Baseline:
        """What was asked for; else leave-one-out for rewards, ½ for preferences."""
        asked = self.sampling.baseline
        if asked is not None:
            return asked
        return LeaveOneOut() if isinstance(self.game, RewardGame) else Constant(0.5)

    def prompts(self, step: int) -> Sequence[Any]:
        """The prompts of a step: all of them in an order drawn anew for every round through them."""
        prompts, count = self.game.contexts, self.sampling.prompts
        places = range(step * count, (step + 1) * count)
        rounds = {place // len(prompts) for place in places}
        orders = {
            each: np.random.default_rng(seeds_for(self.seed, PROMPTS, each)).permutation(len(prompts))
            for each in rounds
        }
        return [prompts[orders[place // len(prompts)][place % len(prompts)]] for place in places]

    def compute(self, step: int, optimizer: Any = None) -> list[Draws]:
        """Leave in every weight's ``grad`` the direction of this step, to be descended.

        Args:
            step: how many were taken before.
            optimizer: who takes the steps of a look ahead; afterwards it is as it was.

        Returns:
            what was drawn, a look at a time.
        """
        return _Step(self, step, optimizer).compute()

    def returns(self, look: Look) -> Returns:
        """The game's returns at a look's τ."""
        returns = self.game.returns()
        taus = {name: value * look.tau_scale for name, value in vars(returns).items() if name.startswith("tau")}
        return replace(returns, **taus)  # type: ignore[type-var]  # every Returns is a dataclass


@dataclass(eq=False)
class _Step:
    """A step under way."""

    learner: Learner
    number: int
    optimizer: Any
    draws: list[Draws] = field(default_factory=list)

    def compute(self) -> list[Draws]:
        learner, solver = self.learner, self.learner.solver
        scale = solver.scale(self.number)
        unregularised = all(np.all(tau == 0) for name, tau in vars(learner.game.returns()).items() if "tau" in name)
        here = Place(learner.players)
        direction, memory = solver.direction(self.number, here, Field(unregularised, scale), None)  # type: ignore[arg-type]  # of the same shape
        if memory is not None:
            raise ValueError(
                f"{type(solver).__name__} remembers earlier directions, which a language model does not keep. "
                "Use StackelbergGDA, GDA, ExtraGradient(geometry=sb.Softmax()), NashMDPG, SelfPlay or RLOO."
            )
        self._clear()
        self._follow(direction)
        self._reduce()
        return self.draws

    def _follow(self, direction: Joint) -> None:
        """Add a direction's gradient to the weights', a look at a time."""
        for look, (leader, follower) in self._shares(direction).items():
            if leader or follower:
                with self._standing(look.place):
                    self._pull(look, leader, follower)

    def _shares(self, direction: Joint) -> dict[Look, list[float]]:
        """How much of each player's gradient at each look, κ included where it weighs directions."""
        factors = self.learner.solver.factors(self.number) if self.learner.shared else (1.0, 1.0)
        found: dict[Look, list[float]] = {}
        for way, factor in zip(direction.parts, factors, strict=False):
            for (look, player), share in way.shares.items():
                found.setdefault(look, [0.0, 0.0])[player] += factor * share
        return found

    def _pull(self, look: Look, leader: float, follower: float) -> None:
        """One look: rollouts, judgements, and a backward pass a micro-batch."""
        learner = self.learner
        asked = learner.prompts(self.number)
        share = learner.processes.share(asked)
        seed = seeds_for(learner.seed, LOOKS, self.number, look.number)

        def drawn() -> Draws:
            if not share.prompts:  # there may be fewer prompts than processes
                return Draws([], np.zeros(0))
            return draw(learner.game, learner.policy, share, learner.sampling, look, seed)

        with learner.processes.whole():
            draws = learner.processes.together(drawn)
        if isinstance(learner.baseline, LeaveOneOut):
            draws = draws.compared()
        self.draws.append(draws)
        everywhere = learner.processes.total(len(draws.episodes))
        if everywhere == 0:
            raise ValueError(f"The judge skipped all rollouts of step {self.number + 1}. Look at what it was asked.")
        weights = [1 / everywhere] * len(draws.episodes) if draws.weights is None else draws.weights.tolist()
        terms: dict[str, Any] = {"kappa": follower, "leader": leader, "kl": learner.sampling.kl}
        terms |= {"sampling": learner.sampling, "baseline": learner.baseline}
        earned, returns = draws.earned.tolist(), learner.returns(look)

        def nothing() -> Part:
            rows = silent(learner.policy, followed=learner.players == 2)
            return next(losses(learner.policy, rows, [0.0] * len(rows), returns, weights=[0.0] * len(rows), **terms))

        parts = losses(learner.policy, draws.episodes, earned, returns, weights=weights, **terms)
        count = len(parts_of(draws.episodes, learner.sampling, learner.baseline))
        for part in learner.processes.pull(parts, count, nothing):
            if learner.watch is not None:
                learner.watch(look, part, draws)

    @contextmanager
    def _standing(self, place: Place) -> Iterator[None]:
        """The weights at ``place``; afterwards weights and optimizer are as they were, the gradients as left inside."""
        if place.origin is None or place.way is None:
            yield
            return
        if self.optimizer is None:
            raise ValueError("A look ahead takes an optimizer's step, and there is none. Pass one to compute.")
        weights = [weight for own in self.learner.learners for weight in own]
        kept = [weight.detach().clone() for weight in weights]
        gradients = [weight.grad for weight in weights]
        inner = getattr(self.optimizer, "optimizer", self.optimizer)  # without accelerate's wrapping
        state = {weight: _copied(inner.state[weight]) for weight in weights if weight in inner.state}
        with self._standing(place.origin):
            self._clear()
            self._follow(place.way)
            self._reduce()
            inner.step()
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        try:
            yield
        finally:
            with torch.no_grad():
                for weight, before in zip(weights, kept, strict=True):
                    weight.copy_(before)
            for weight in weights:
                inner.state.pop(weight, None)
            inner.state.update(state)

    def _clear(self) -> None:
        for own in self.learner.learners:
            for weight in own:
                weight.grad = None

    def _reduce(self) -> None:
        self.learner.processes.add_up([weight for own in self.learner.learners for weight in own])


def weights_of(speaker: Speaker) -> Iterator[nn.Parameter]:
    """The weights that learn of one speaker: an adapter's own where there are several."""
    state = speaker.state
    for name, weight in speaker.network.named_parameters():
        if isinstance(state, Adapter):
            if f".{state.name}." in name:
                yield weight
        elif weight.requires_grad:
            yield weight


def check_rules(game: Game[Any], solver: Solver, baseline: Baseline, sampling: Rollouts) -> None:
    """Refuse a baseline under which gradients would be biased or undefined."""
    if not isinstance(baseline, LeaveOneOut):
        return
    if sampling.leaders < 2:
        raise ValueError(
            "Leave-one-out holds an answer against the others to its prompt, and leaders = 1. "
            "Pass Rollouts(leaders=4), or baseline=Constant(0.5)."
        )
    if isinstance(game, NashGame) and not hasattr(solver, "mixture"):
        raise ValueError(
            "In self-play the other answers were compared with this one, so leave-one-out would look at the action it "
            "multiplies. Leave baseline out: ½ has the least to hide."
        )


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    return {name: each.clone() if isinstance(each, torch.Tensor) else each for name, each in state.items()}
