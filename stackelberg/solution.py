"""What ``solve`` returns: the policies, their value, and the certificate that they solve the game."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stackelberg.equilibrium.closed_form import stackelberg_values, tie
from stackelberg.exploitability import follower_gap, leader_gap
from stackelberg.game import Game, NashGame, RewardGame, StackelbergGame
from stackelberg.record import Trajectory
from stackelberg.refinement import Refinement, refine
from stackelberg.simplex import entropy, kl_divergence
from stackelberg.validation import Array


class Status(enum.Enum):
    """How a solve ended, as a sentence."""

    SOLVED = "solved exactly; the certificate holds"
    RAN = "ran all its steps"
    REACHED = "stopped at the tolerance"
    DIVERGED = "diverged; the last finite policies are returned"
    EVALUATED = "evaluated; no step was taken"


@dataclass(frozen=True, eq=False, kw_only=True)
class Solution:
    """One shape for every game and solver.

    Attributes:
        game: the game that was solved.
        value: the value of the game to the player who moves first, a float or (contexts,).
        gap: the duality gap, computed afterwards from the answer itself, a float or (contexts,).
        status: how the solve ended.
        report: the status as a sentence with its numbers: steps, gap, and the likely cause of a divergence.
        trajectory: what was recorded on the way; None for an exact solution.
        average: the mean of all iterates as a solution with a gap of its own; None where none was kept.
        model: the trained policy, where a network was trained; usable in other contexts and in another ``solve``. None
            for tables: they go on from ``start=(solution.leader, solution.follower)``.
        best: the recorded iterate of smallest gap (over contexts, of smallest ρ-weighted gap) as a solution with a
            gap of its own; None where none was kept.
    """

    game: Game
    value: Any
    gap: Any
    status: Status = Status.SOLVED
    report: str = Status.SOLVED.value
    trajectory: Trajectory | None = field(default=None, repr=False)
    average: Solution | None = field(default=None, repr=False)
    best: Solution | None = field(default=None, repr=False)
    model: Any = field(default=None, repr=False)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything to ``path``, a ``.npz`` file or a folder; :func:`stackelberg.load` reads it back exactly.

        Returns:
            the file written: ``path`` itself, or ``solution.npz`` in the folder.

        Raises:
            OSError: it cannot be written; a file that was there before is untouched.
        """
        from stackelberg.saving import save_solution

        return save_solution(self, path)

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain lists, in the stable form that ``--json`` prints."""
        raise TypeError(f"{type(self).__name__} has no plain form.")

    def _never_compared(self) -> list[list[str]]:
        return [list(pair) for pair in self.game.preference.never_compared]

    def _named(self, mask: NDArray[np.bool_]) -> Any:
        """A mask over actions as labels, one list a context where there are contexts."""
        names = np.array(self.game.labels, dtype=object)
        return names[mask].tolist() if mask.ndim == 1 else [names[row].tolist() for row in mask]


@dataclass(frozen=True, eq=False, kw_only=True)
class StackelbergSolution(Solution):
    """The policies of a :class:`StackelbergGame`; arrays have a leading context axis where P has one.

    Attributes:
        leader: (n,) π, the equilibrium's π* or what was learned.
        values: (n,) V(y), the soft worst-case win rate of every answer, exact in a learned solution too.
        optimal_leaders: (n,) mask of the actions of largest V(y): at τ_L = 0 the whole optimal face, of
            which ``leader`` is the reference restricted to it; at τ_L > 0 the τ_L → 0 answer.
    """

    game: StackelbergGame
    leader: Array
    values: Array
    optimal_leaders: NDArray[np.bool_]
    stored_follower: Array | None = field(default=None, repr=False)
    average: StackelbergSolution | None = field(default=None, repr=False)
    best: StackelbergSolution | None = field(default=None, repr=False)

    @cached_property
    def follower(self) -> Array:
        """(n, n) ω, a row an observed answer; computed on first use where it is too large to keep (n > 5,000)."""
        if self.stored_follower is not None:
            return self.stored_follower
        follower = np.empty(self.game.preference.stacked.shape)
        stackelberg_values(self.game, follower)
        return self.game.squeeze(follower)

    @property
    def best_responses(self) -> NDArray[np.bool_]:
        """(n, n) mask: the answers y' that y beats least, ties included: the Follower's optimal face at τ_F = 0."""
        p = np.where(self.game.follower_reference > 0, self.game.preference.stacked, np.inf)
        scale = np.where(np.isinf(p), 0.5, p)
        return self.game.squeeze(p <= p.min(axis=-1, keepdims=True) + tie(scale))

    @property
    def leader_gap(self) -> Any:
        """What the Leader loses against a best-responding Follower: 0 at the equilibrium."""
        return leader_gap(self.game, self.leader)

    @property
    def follower_gap(self) -> Any:
        """What the Follower still leaves on the table, in expectation over the Leader: 0 at the equilibrium."""
        return follower_gap(self.game, self.leader, self.follower)

    @property
    def entropy(self) -> Any:
        """Entropy of the Leader in nats."""
        return plain(entropy(self.leader), listed=False)

    @property
    def kl(self) -> Any:
        """KL of the Leader to its reference, in nats."""
        return self.game.squeeze(kl_divergence(self.leader.reshape(self.game.shape), self.game.leader_reference))

    def refine(self, rounds: int, start: ArrayLike | None = None) -> Refinement:
        """Let the Follower improve the Leader's answer (or one drawn from ``start``), again and again.

        Args:
            rounds: N, the number of answers, the first one included.
            start: (n,) distribution of the first answer; the Leader by default.
        """
        first = self.leader if start is None else self.game.squeeze(self.game.policy(start, "start"))
        return refine(self.game.preference, first, self.follower, rounds)

    def as_dict(self) -> dict[str, Any]:
        """Leader, Follower, values, optimal face and certificate as plain lists."""
        return {
            "labels": list(self.game.labels),
            "leader": self.leader.tolist(),
            "follower": self.follower.tolist(),
            "values": self.values.tolist(),
            "value": plain(self.value),
            "gap": plain(self.gap),
            "optimal_leaders": self._named(self.optimal_leaders),
            "best_responses": _responses(self),
            "never_compared": self._never_compared(),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class PolicySolution(Solution):
    """The solution of a game in which one policy answers.

    Attributes:
        policy: (n,) the answer; (contexts, n) where P has contexts.
    """

    policy: Array

    @property
    def entropy(self) -> Any:
        """Entropy of the policy in nats."""
        return plain(entropy(self.policy), listed=False)

    @property
    def kl(self) -> Any:
        """KL of the policy to the reference, in nats."""
        reference = self.game.reference  # type: ignore[attr-defined]
        return self.game.squeeze(kl_divergence(self.policy.reshape(self.game.shape), reference))


@dataclass(frozen=True, eq=False, kw_only=True)
class NashSolution(PolicySolution):
    """The policy of a :class:`NashGame`: its equilibrium, or what was learned.

    Learning decides nothing about other equilibria: unique, support and dimension of a learned solution are None.

    Attributes:
        exploitability: what the best deviation gains: half the duality gap.
        unique: whether it is the only equilibrium: always at τ > 0, decided to 1e-13 at τ = 0.
        support: (n,) mask of the actions played in *some* equilibrium.
        dimension: of the face of all equilibria, 0 where unique. On a face, ``policy`` is the equilibrium
            closest to the reference in KL: the one of maximum entropy for a uniform reference.
    """

    game: NashGame
    exploitability: Any
    unique: Any = None
    support: NDArray[np.bool_] | None = None
    dimension: Any = None
    average: NashSolution | None = field(default=None, repr=False)
    best: NashSolution | None = field(default=None, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Policy, face and certificate as plain lists."""
        return {
            "labels": list(self.game.labels),
            "policy": self.policy.tolist(),
            "exploitability": plain(self.exploitability),
            "unique": None if self.unique is None else plain(self.unique),
            "value": plain(self.value),
            "gap": plain(self.gap),
            "support": None if self.support is None else self._named(self.support),
            "dimension": None if self.dimension is None else plain(self.dimension),
            "never_compared": self._never_compared(),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class RewardSolution(PolicySolution):
    """The KL-regularised policy for the fitted Bradley–Terry reward of a :class:`RewardGame`.

    Attributes:
        rewards: (n,) maximum-likelihood rewards, mean zero.
        residual: the largest derivative of the normalised log-likelihood at ``rewards``.
        optimal_actions: (n,) mask of the actions of largest reward, ties within 1e-9 included.
    """

    game: RewardGame
    rewards: Array
    residual: Any
    optimal_actions: NDArray[np.bool_]
    average: RewardSolution | None = field(default=None, repr=False)
    best: RewardSolution | None = field(default=None, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Policy, rewards and certificate as plain lists."""
        return {
            "labels": list(self.game.labels),
            "policy": self.policy.tolist(),
            "rewards": self.rewards.tolist(),
            "value": plain(self.value),
            "gap": plain(self.gap),
            "residual": plain(self.residual),
            "optimal_actions": self._named(self.optimal_actions),
            "never_compared": self._never_compared(),
        }


def plain(value: Any, *, listed: bool = True) -> Any:
    """A NumPy number or array as a Python number or list."""
    array = np.asarray(value)
    if array.ndim == 0:
        return array.item()
    return array.tolist() if listed else array


def _responses(solution: StackelbergSolution) -> Any:
    """Best responses by name: for each observed answer the list of answers that improve it most."""
    mask = solution.best_responses
    names = np.array(solution.game.labels, dtype=object)

    def named(rows: NDArray[np.bool_]) -> dict[str, list[str]]:
        return {label: names[row].tolist() for label, row in zip(solution.game.labels, rows, strict=True)}

    return named(mask) if mask.ndim == 2 else [named(rows) for rows in mask]
