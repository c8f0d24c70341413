"""What the laws range over: one row a solution concept, one row a learning rule; ``matrices.py`` has the preferences.

A new concept is one more row of CONCEPTS, a new solver one more row of LEARNERS; every law in tests/laws then
holds it to account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import stackelberg as sb


@dataclass(frozen=True)
class Concept:
    """A game, how it is built at one τ with one reference, and where its first mover's policy is read."""

    name: str
    game: Callable[..., Any]
    policy: Callable[[Any], np.ndarray]
    condorcet_consistent: bool


def _stackelberg(p, tau, reference=None):
    return sb.StackelbergGame(p, tau=tau, leader_reference=reference, follower_reference=reference)


CONCEPTS = [
    Concept("stackelberg", _stackelberg, lambda solution: solution.leader, True),
    Concept("nash", lambda p, tau, reference=None: sb.NashGame(p, tau, reference), lambda s: s.policy, True),
    Concept(
        "reward", lambda p, tau, reference=None: sb.RewardGame(p, tau, reference=reference), lambda s: s.policy, False
    ),
]


@dataclass(frozen=True)
class Learner:
    """A solver, and the concepts whose solution its last iterate is claimed to reach, at τ > 0 or at τ = 0.

    ``converges=False`` claims a fixed point only: the solution is not left, but need not be reached.
    ``stays=False`` is the other way round: Nash-MD reaches it as its rate falls, and would not stay.
    """

    name: str
    solver: sb.solvers.Solver
    concepts: tuple[str, ...]
    regularised: bool = True
    converges: bool = True
    stays: bool = True


TAU = 0.4
ALL, TWO, NASH = ("stackelberg", "nash", "reward"), ("stackelberg",), ("nash",)
LEARNERS = [
    Learner("mirror", sb.MirrorDescent(learning_rate=0.5), ALL),
    Learner("mirror, quick follower", sb.MirrorDescent(learning_rate=0.2, kappa=8), TWO),
    Learner("extragradient", sb.ExtraGradient(learning_rate=0.5), ALL),
    Learner("extragradient on the simplex", sb.ExtraGradient(0.02, geometry=sb.Simplex()), NASH),
    Learner("extragradient on the simplex, quick follower", sb.ExtraGradient(0.02, 5, sb.Simplex()), TWO),
    Learner("extragradient in softmax", sb.ExtraGradient(1.0, geometry=sb.Softmax()), NASH),
    Learner("extragradient in softmax, quick follower", sb.ExtraGradient(1.0, 5, sb.Softmax()), TWO),
    Learner("optimistic", sb.Optimistic(learning_rate=0.3), ALL),
    Learner("optimistic in softmax", sb.Optimistic(0.5, geometry=sb.Softmax()), NASH),
    Learner("mirror prox", sb.MirrorProx(learning_rate=1.0), ALL),
    Learner("optimistic on the simplex", sb.Optimistic(0.02, geometry=sb.Simplex()), NASH),
    Learner("gda", sb.StackelbergGDA(learning_rate=0.02), TWO),
    Learner("gda in softmax", sb.StackelbergGDA(1.0, geometry=sb.Softmax()), TWO),
    Learner("gda in turn", sb.StackelbergGDA(0.02, alternating=True), TWO),
    Learner("mirror in turn", sb.MirrorDescent(0.2, 4, alternating=True), TWO),
    Learner("self-play gradient", sb.GDA(2.0), (*NASH, "reward")),
    Learner("rloo", sb.RLOO(2.0), ("reward",)),
    Learner("nash-md-pg without a mixture", sb.NashMDPG(1.0, mixture=0.0), NASH),
    Learner("nash-md-pg", sb.NashMDPG(1.0), NASH, converges=False, stays=False),
    Learner("online ipo", sb.OnlineIPO(learning_rate=0.5), NASH),
    Learner("nash-md", sb.NashMD(sb.InverseTime(2 / TAU, 2)), NASH, stays=False),
    Learner("egpo", sb.EGPO(learning_rate=0.5), NASH),
    Learner("magnetic", sb.MagneticMirrorDescent(learning_rate=0.5), NASH),
    Learner("nash mirror prox", sb.NashMirrorProx(learning_rate=0.5), NASH),
    Learner("optimistic mwu", sb.OptimisticMWU(learning_rate=2.0), NASH, regularised=False),
    Learner("mpo", sb.MPO(learning_rate=1.0, every=40), NASH, regularised=False),
    Learner("comal", sb.COMAL(learning_rate=2.0, every=40), NASH, regularised=False),
    Learner("self-play", sb.SelfPlay(learning_rate=0.5), NASH, regularised=False, converges=False),
]
GAMES = [concept for concept in CONCEPTS if concept.condorcet_consistent]
TAUS = [1e-6, 1e-4, 1e-2, 0.1, 1.0, 30.0, 1e3]


def complete(upper: np.ndarray) -> np.ndarray:
    """The preference matrix with this strict upper triangle."""
    upper = np.triu(upper, 1)
    return upper + np.tril(1 - upper.T, -1) + 0.5 * np.eye(len(upper))


def relabelled(p: np.ndarray, order: np.ndarray) -> np.ndarray:
    return p[np.ix_(order, order)]


def tournaments(n: int) -> np.ndarray:
    """Every tournament without ties on n actions, (2^(n(n−1)/2), n, n)."""
    rows, columns = np.triu_indices(n, 1)
    bits = (np.arange(2 ** len(rows))[:, None] >> np.arange(len(rows))) & 1
    p = np.full((len(bits), n, n), 0.5)
    p[:, rows, columns] = bits
    p[:, columns, rows] = 1 - bits
    return p


STRATEGIES = (
    "random_matrices", "tied_matrices", "near_deterministic", "crowded", "preferences", "interior", "cyclic",
    "references", "shares",
)  # fmt: skip
"""What ``matrices.py`` has. It needs hypothesis, and ``make cuda`` runs where there is none: imported late."""


def __getattr__(name: str) -> Any:
    if name not in STRATEGIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import matrices

    return getattr(matrices, name)
