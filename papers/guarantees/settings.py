"""What the script of this folder ranges over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import stackelberg as sb

SEED = 1971
ACTIONS, TAU = 5, 0.2
SOFTMAX = sb.Softmax()


@dataclass(frozen=True)
class Rule:
    """A rule as it is run: over which games, and with which options where they are regularised and where not.

    Attributes:
        held: at τ = 0.2; None where it is for τ = 0 only.
        free: at τ = 0; None where it is refused there.
    """

    name: str
    game: type[sb.StackelbergGame | sb.NashGame | sb.RewardGame]
    held: sb.Solver | None
    free: sb.Solver | None


def both(name: str, game: type, make: Callable[..., sb.Solver], **options: object) -> Rule:
    """The same options with and without τ."""
    return Rule(name, game, make(**options), make(**options))


RULES = (
    both("MirrorDescent", sb.StackelbergGame, sb.MirrorDescent, learning_rate=0.5, kappa=5),
    both("StackelbergGDA, simplex", sb.StackelbergGame, sb.StackelbergGDA, learning_rate=0.02, kappa=5),
    both(
        "StackelbergGDA, softmax", sb.StackelbergGame, sb.StackelbergGDA, learning_rate=0.5, kappa=5, geometry=SOFTMAX
    ),
    both("ExtraGradient", sb.StackelbergGame, sb.ExtraGradient, learning_rate=0.5, kappa=5),
    both("Optimistic", sb.StackelbergGame, sb.Optimistic, learning_rate=0.5, kappa=5),
    both("MirrorProx", sb.StackelbergGame, sb.MirrorProx, learning_rate=0.5, kappa=5),
    both("MirrorDescent", sb.NashGame, sb.MirrorDescent, learning_rate=0.2),
    both("GDA", sb.NashGame, sb.GDA, learning_rate=0.5),
    both("ExtraGradient", sb.NashGame, sb.ExtraGradient, learning_rate=0.5),
    both("Optimistic", sb.NashGame, sb.Optimistic, learning_rate=0.5),
    both("MirrorProx", sb.NashGame, sb.MirrorProx, learning_rate=0.5),
    Rule("NashMD, falling η", sb.NashGame, sb.NashMD(sb.InverseTime(2 / TAU, 2)), None),
    both("NashMD, constant η", sb.NashGame, sb.NashMD, learning_rate=0.2),
    both("NashMDPG", sb.NashGame, sb.NashMDPG, learning_rate=0.5),
    both("MagneticMirrorDescent", sb.NashGame, sb.MagneticMirrorDescent, learning_rate=0.2),
    both("EGPO", sb.NashGame, sb.EGPO, learning_rate=0.5),
    both("NashMirrorProx", sb.NashGame, sb.NashMirrorProx, learning_rate=0.5),
    Rule("MPO", sb.NashGame, None, sb.MPO()),
    Rule("COMAL", sb.NashGame, None, sb.COMAL()),
    Rule("OptimisticMWU", sb.NashGame, None, sb.OptimisticMWU(learning_rate=0.1)),
    Rule("SelfPlay", sb.NashGame, None, sb.SelfPlay(learning_rate=0.05)),
    both("MirrorDescent", sb.RewardGame, sb.MirrorDescent, learning_rate=0.5),
    both("GDA", sb.RewardGame, sb.GDA, learning_rate=0.5),
    both("RLOO", sb.RewardGame, sb.RLOO, learning_rate=0.5),
)


def games(kind: type, number: int, tau: float) -> sb.StackelbergGame | sb.NashGame | sb.RewardGame:
    """Uniformly random preferences, a game a context; the references of all are uneven."""
    reference = 0.9 * np.random.default_rng(SEED).dirichlet(np.ones(ACTIONS), number) + 0.1 / ACTIONS
    preference = sb.PreferenceMatrix.random(ACTIONS, SEED, number)
    if kind is sb.StackelbergGame:
        follower = np.repeat(reference[:, None], ACTIONS, axis=1)
        return sb.StackelbergGame(preference, tau=tau, leader_reference=reference, follower_reference=follower)
    return kind(preference, tau=tau, reference=reference)
