"""What the scripts of this folder share: the worked example, random games, errors and the rates that theory says."""

from __future__ import annotations

import numpy as np

import stackelberg as sb

SEED = 2512
SHARES = (0.40, 0.35, 0.25)
"""Annotator types of the worked example, each below one half."""
EVEN = (1 / 3, 1 / 3, 1 / 3)
KAPPAS = (1, 3, 5, 10)


def random_game(n: int, games: int, tau_leader: float, tau_follower: float, seed: int = SEED) -> sb.StackelbergGame:
    """Uniformly random preferences and uneven references, a game a context."""
    rng = np.random.default_rng(seed)
    leader = 0.9 * rng.dirichlet(np.ones(n), games) + 0.1 / n
    follower = 0.9 * rng.dirichlet(np.ones(n), (games, n)) + 0.1 / n
    return sb.StackelbergGame(
        sb.PreferenceMatrix.random(n, seed, games),
        tau_leader=tau_leader,
        tau_follower=tau_follower,
        leader_reference=leader,
        follower_reference=follower,
    )


def spread(log_ratio: np.ndarray) -> np.ndarray:
    """Log-error: largest less smallest log-ratio of each row, which no constant of the row changes."""
    return log_ratio.max(axis=-1) - log_ratio.min(axis=-1)


def log_errors(policies: tuple[np.ndarray, ...], exact: sb.StackelbergSolution) -> tuple[np.ndarray, np.ndarray]:
    """(records, games) log-errors of Leader and Follower (its worst row) along a trajectory."""
    leader, follower = policies
    worst = spread(np.log(follower) - np.log(exact.follower)).max(axis=-1)
    return spread(np.log(leader) - np.log(exact.leader)), worst


MULTIPLIERS = {
    "MirrorDescent": lambda h: abs(1 - h),
    "ExtraGradient": lambda h: abs(1 - h + h * h),
    "Optimistic": lambda h: max(abs((1 - 2 * h + sign * np.sqrt(1 + 4 * h * h)) / 2) for sign in (1, -1)),
    "MirrorProx": lambda h: 1 / (1 + h),
}
"""What one step multiplies a log-error by at h = ητ: the field of a player at rest is −τ times its log-error."""
LOOKS = {"MirrorDescent": 1, "ExtraGradient": 2, "Optimistic": 1, "MirrorProx": 2}
"""How often a step looks at the field."""


def cascade(rule: str, h_leader: float, h_follower: float) -> float:
    """The factor of the Leader's log-error: its own, or the square of the Follower's."""
    factor = MULTIPLIERS[rule]
    return max(factor(h_leader), factor(h_follower) ** 2)
