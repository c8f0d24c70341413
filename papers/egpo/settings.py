"""The setting of the paper's tables: ten random 10-action games, reference logits N(0, 1), three β."""

from __future__ import annotations

import numpy as np

import stackelberg as sb

SEED = 2503
GAMES, ACTIONS, DRAWS = 10, 10, 100
BETAS = (0.001, 0.01, 0.1)
RATE, SAMPLED_RATE = 1.0, 0.1
"""η of the natural step, for every rule and β: with the exact field, and with samples."""


def game(beta: float) -> sb.NashGame:
    """P uniform above the diagonal; π_ref the softmax of standard normal logits; a game a context."""
    logits = np.random.default_rng(SEED).standard_normal((GAMES, ACTIONS))
    reference = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return sb.NashGame(sb.PreferenceMatrix.random(ACTIONS, SEED, GAMES), beta, reference)


def rules(rate: float) -> dict[str, sb.solvers.Solver]:
    """The four, at one rate; the policy gradient of Nash-MD-PG moves in logits, by its own mixture of 1/8."""
    return {
        "OnlineIPO": sb.OnlineIPO(rate),
        "NashMD": sb.NashMD(rate),
        "NashMDPG": sb.NashMDPG(rate, mixture=0.125),
        "EGPO": sb.EGPO(rate),
    }


def turning(at: sb.NashGame) -> tuple[np.ndarray, np.ndarray]:
    """(games, modes) h and λ: near π* the logits move by −βθ + A J θ, J = diag π* − π*π*ᵀ, of eigenvalues ±iλ."""
    policy = sb.solve(at).policy
    jacobian = policy[:, :, None] * np.eye(ACTIONS) - policy[:, :, None] * policy[:, None, :]
    return at.tau, np.linalg.eigvals(at.margins @ jacobian)


def factors(at: sb.NashGame, rate: float) -> dict[str, np.ndarray]:
    """(games,) what a step of OnlineIPO and of EGPO multiplies the worst small error by."""
    tau, turn = turning(at)
    pull, turn = 1 - rate * tau[:, None], rate * turn
    return {
        "OnlineIPO": np.abs(pull + turn).max(axis=-1),
        "EGPO": np.abs(pull + turn * (pull + turn)).max(axis=-1),
    }
