"""What the script of this folder ranges over."""

from __future__ import annotations

import numpy as np

import stackelberg as sb

SEED = 2312
TAUS = (0.05, 0.2, 1.0)


def games(n: int, number: int, tau: float, seed: int = SEED) -> sb.NashGame:
    """Uniformly random preferences with uneven references, a game a context."""
    rng = np.random.default_rng(seed)
    reference = 0.9 * rng.dirichlet(np.ones(n), number) + 0.1 / n
    return sb.NashGame(sb.PreferenceMatrix.random(n, seed, number), tau, reference)


def cycles(n: int, number: int, tau: float, seed: int = SEED) -> sb.NashGame:
    """Cycles of n actions, y beating its successor surely: the most that a game can turn."""
    rng = np.random.default_rng(seed + 1)
    reference = 0.9 * rng.dirichlet(np.ones(n), number) + 0.1 / n
    P = np.repeat(sb.PreferenceMatrix.cycle(n).probabilities[None], number, axis=0)
    return sb.NashGame(sb.PreferenceMatrix(P), tau, reference)
