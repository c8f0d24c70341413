"""The exact duality-gap curves of the EGPO paper, against the autograd loop that a researcher would write.

    python benchmarks/egpo_curves.py

Ten random games of 10 actions, reference logits drawn from N(0, 1), five algorithms, 5,000 steps each, the gap
recorded every 10 steps. Ours are batched: ten games are ten contexts of one game, and one ``sb.solve`` runs an
algorithm. The peer is plain PyTorch, game by game: a parameter of logits, a surrogate loss whose gradient is the
update, ``backward`` and an SGD step, the gap by hand (one thread, float64). Both must reach the same policies.

The peer would take minutes, so it is timed on fewer steps, ours on all of them, and seconds a step are compared.

Target: ratio ≤ 0.1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from _harness import compare, record

import stackelberg as sb

GAMES, ACTIONS, STEPS, EVERY, PEER_STEPS = 10, 10, 5000, 10, 250
RATE, TAU = 0.1, 0.1
RANDOM = np.random.default_rng(0)
P = sb.PreferenceMatrix.random(ACTIONS, seed=0, contexts=GAMES)
LOGITS = RANDOM.normal(size=(GAMES, ACTIONS))
REFERENCE = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=-1, keepdims=True)
GAME = sb.NashGame(P, TAU, REFERENCE)


class Peer:
    """One game and its policy, as PyTorch has them."""

    def __init__(self, context: int) -> None:
        self.p = torch.tensor(P.probabilities[context])
        self.reference = torch.log(torch.tensor(REFERENCE[context]))
        self.logits = torch.nn.Parameter(self.reference.clone())
        self.optimiser = torch.optim.SGD([self.logits], lr=RATE)

    def step(self, opponent: torch.Tensor, pull_at: torch.Tensor, shrink: float = 1.0) -> None:
        """One step along ``(P opponent − τ (log pull_at − log reference)) / shrink``, by autograd of its product."""
        with torch.no_grad():
            force = self.p @ opponent - TAU * (torch.log_softmax(pull_at, -1) - self.reference)
        loss = -(self.logits * force).sum() / shrink
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def here(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits as they are, and their policy, both detached."""
        logits = self.logits.detach().clone()
        return logits, torch.softmax(logits, -1)

    def look_ahead(self, shrink: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
        """Where a step leads, and where one was; the parameter is put back."""
        start, policy = self.here()
        self.step(policy, start, shrink)
        ahead = self.here()[1]
        with torch.no_grad():
            self.logits.copy_(start)
        return ahead, start

    def gap(self) -> float:
        """``max_π' f(π', π) − min_π' f(π, π')``, twice the regularised exploitability."""
        with torch.no_grad():
            log_policy = torch.log_softmax(self.logits, -1)
            policy = log_policy.exp()
            best = TAU * torch.logsumexp(self.reference + self.p @ policy / TAU, -1)
            own = policy @ self.p @ policy - TAU * (policy * (log_policy - self.reference)).sum()
            return 2 * float(best - own)


def online_ipo(peer: Peer) -> None:
    """Mirror descent against oneself."""
    logits, policy = peer.here()
    peer.step(policy, logits)


def nash_md(peer: Peer) -> None:
    """Against the geometric mixture with the reference."""
    logits, _ = peer.here()
    mixture = (1 - RATE * TAU) * torch.log_softmax(logits, -1) + RATE * TAU * peer.reference
    peer.step(torch.softmax(mixture, -1), logits)


def egpo(peer: Peer) -> None:
    """Against oneself a step ahead."""
    peer.step(*peer.look_ahead())


def mirror_prox(peer: Peer) -> None:
    """The same with the KL kept whole in the step."""
    peer.step(*peer.look_ahead(1 + RATE * TAU), shrink=1 + RATE * TAU)


def magnetic(peer: Peer) -> None:
    """Online IPO with the KL kept whole in the step."""
    logits, policy = peer.here()
    peer.step(policy, logits, 1 + RATE * TAU)


ALGORITHMS: dict[str, tuple[sb.solvers.Solver, Callable[[Peer], None]]] = {
    "OnlineIPO": (sb.OnlineIPO(RATE), online_ipo),
    "NashMD": (sb.NashMD(RATE), nash_md),
    "EGPO": (sb.EGPO(RATE), egpo),
    "NashMirrorProx": (sb.NashMirrorProx(RATE), mirror_prox),
    "MagneticMirrorDescent": (sb.MagneticMirrorDescent(RATE), magnetic),
}


def autograd(step: Callable[[Peer], None], steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The policies that the peer ends with, and its gaps, (records, games)."""
    policies, gaps = [], []
    for context in range(GAMES):
        peer, curve = Peer(context), []
        for t in range(steps):
            if t % EVERY == 0:
                curve.append(peer.gap())
            step(peer)
        gaps.append([*curve, peer.gap()])
        policies.append(peer.here()[1].numpy())
    return np.array(policies), np.array(gaps).T


def check(solver: sb.solvers.Solver, step: Callable[[Peer], None]) -> float:
    """The largest difference between both policies; that of the curves is held to 1e-6 too."""
    run = sb.solve(GAME, solver, steps=PEER_STEPS, record=sb.Record(every=EVERY, average=False))
    policies, gaps = autograd(step, PEER_STEPS)
    np.testing.assert_allclose(run.trajectory.gap, gaps, atol=1e-6)
    np.testing.assert_allclose(run.policy, policies, atol=1e-6)
    return float(np.abs(run.policy - policies).max())


def ratio(solver: sb.solvers.Solver, step: Callable[[Peer], None]) -> dict[str, float]:
    """Seconds a step of ours, on all steps, over those of the peer, on fewer; ABAB, medians."""
    keep = sb.Record(every=EVERY, average=False)
    difference = check(solver, step)
    times = compare(
        lambda: sb.solve(GAME, solver, steps=STEPS, record=keep), lambda: autograd(step, PEER_STEPS), repeats=3
    )
    scale = PEER_STEPS / STEPS
    return {
        "seconds": times["seconds"],
        "peer_seconds_for_all_steps": times["floor_seconds"] / scale,
        "peer_steps_timed": PEER_STEPS,
        "ratio": times["ratio"] * scale,
        "ratio_range": [each * scale for each in times["ratio_range"]],
        "largest_difference_of_policies": difference,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    rows = {f"{name} (target 0.1)": ratio(*each) for name, each in ALGORITHMS.items()}
    ours, theirs = (sum(row[key] for row in rows.values()) for key in ("seconds", "peer_seconds_for_all_steps"))
    rows["all five (target 0.1)"] = {"seconds": ours, "peer_seconds_for_all_steps": theirs, "ratio": ours / theirs}
    record("egpo_curves", rows)
