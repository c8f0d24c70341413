"""The open question: does the last iterate converge? Cascade mirror descent, exact field, many games, κ and τ.

With D the largest log-error of a Follower's row at the start, h_L = ητ_L and h_F = κητ_F, at every step t

    Follower:  e_F(t) = |1 − h_F|^t e_F(0), row by row, exactly
    Leader:    e_L(t) ≤ |1 − h_L|^t e_L(0) + (h_F D² / 8κ) Σ_{s<t} |1 − h_L|^{t−1−s} (1 − h_F)^{2s}

The Leader reads V̂ = V + τ_F KL(ω‖ω*), and KL(ω‖ω*) ≤ e²/8 for a log-error of spread e (Hoeffding's lemma).
"""

from __future__ import annotations

import sys
from itertools import product

import numpy as np
from settings import SEED, cascade, log_errors, random_game

import stackelberg as sb
from analysis.drawing.panels import Curve, Panel, Words, draw_panels
from analysis.paper import Study

RATE = 0.1
TAUS = ((0.1, 0.1), (0.5, 0.5), (0.2, 1.0), (1.0, 0.2))
RATIOS = (0.2, 1.0, 3.0, 5.0, 10.0, 15.0)


def run(tau: tuple[float, float], kappa: float, games: int, actions: int) -> dict[str, np.ndarray | float]:
    """One setting on many games: errors over the steps, and what was claimed of them."""
    game = random_game(actions, games, *tau)
    h_leader, h_follower = RATE * tau[0], kappa * RATE * tau[1]
    claimed = cascade("MirrorDescent", h_leader, h_follower)
    slowest = max(claimed, abs(1 - h_follower))
    steps = int(-29 / np.log(slowest))
    record = sb.Record(every=max(1, steps // 150), average=False, policies=True)
    solver = sb.MirrorDescent(RATE, kappa)
    trajectory = sb.solve(game, solver, steps=steps, record=record).trajectory
    leader, follower = log_errors(trajectory.policies, sb.solve(game))
    return {
        "steps": trajectory.steps,
        "leader": leader,
        "follower": follower,
        "gap": trajectory.gap,
        "claimed": claimed,
        "bound": bound(trajectory.steps, leader[0], follower[0], h_leader, h_follower, kappa),
        "exact follower": abs(1 - h_follower) ** trajectory.steps[:, None] * follower[0],
        "claimed gap": max(abs(1 - h_leader), abs(1 - h_follower)) ** 2,
    }


def bound(
    steps: np.ndarray, leader: np.ndarray, follower: np.ndarray, h_leader: float, h_follower: float, kappa: float
) -> np.ndarray:
    """(records, games): the bound of the Leader's log-error, its sum made step by step."""
    total, sums = 0.0, [0.0]
    for t in range(int(steps[-1])):
        total = abs(1 - h_leader) * total + (1 - h_follower) ** (2 * t)
        sums.append(total)
    start = abs(1 - h_leader) ** steps[:, None] * leader
    return start + h_follower / (8 * kappa) * follower**2 * np.array(sums)[steps][:, None]


def measure(study: Study, found: dict[tuple, dict]) -> list[list]:
    """Fitted factors beside the claimed ones, a row a setting."""
    rows = []
    for (tau, kappa), one in found.items():
        leader = sb.fit_rate(one["steps"], one["leader"].T, burn_in=0.5, rounding=1e-11)
        gap = sb.fit_rate(one["steps"], one["gap"].T, burn_in=0.5, rounding=1e-14)
        share = np.log(leader.factor.value) / np.log(one["claimed"])
        gap_share = np.log(gap.factor.value) / np.log(one["claimed gap"])
        ends = leader.factor
        rows.append([*tau, kappa, one["claimed"], ends.value, ends.low, ends.high, share, gap_share])
    columns = ["tau_L", "tau_F", "kappa", "claimed", "measured", "low", "high", "log ratio", "gap's log ratio"]
    study.table("last_iterate", columns, rows)
    return rows


def picture(study: Study, found: dict[tuple, dict]) -> None:
    """The Leader's log-error over the steps at each τ, with its bound dotted."""
    shown = [kappa for kappa in (0.2, 1.0, 5.0, 10.0) if (TAUS[0], kappa) in found]
    panels = []
    for tau in TAUS:
        curves = []
        for kappa in shown:
            one = found[tau, kappa]
            curves.append(Curve(name=f"κ = {kappa:g}", x=one["steps"], rows=one["leader"].T))
            curves.append(Curve(name="bound", x=one["steps"], rows=np.median(one["bound"], axis=1), theory=True))
        end = 3 * min(found[tau, kappa]["steps"][-1] for kappa in shown)
        kept = [Curve(name=c.name, x=c.x[c.x <= end], rows=c.runs[:, c.x <= end], theory=c.theory) for c in curves]
        title = f"τ_L = {tau[0]:g}, τ_F = {tau[1]:g}"
        panels.append(Panel(title=title, x="steps", y="Leader's log-error (nats)", curves=tuple(kept), bottom=1e-13))
    words = Words(
        title="Cascade mirror descent: the last iterate converges linearly, for every κ",
        subtitle="Spread of log π − log π*, from exact fields: median and 10–90 % over games. Straight is linear.",
        note="Dotted: the proved bound (README), for the median game. η = 0.1. Below 10⁻¹³ is rounding. Lines "
        "coincide where the Leader is the slower player: its own 1 − ητ_L then decides.",
    )
    study.draw(draw_panels("last_iterate", panels, words, across=2), SEED)


def main() -> int:
    """Every τ with every κ."""
    study = Study.begin(__file__)
    games, actions = (2, 4) if study.quick else (40, 8)
    ratios = (1.0, 10.0) if study.quick else RATIOS
    found = {(tau, kappa): run(tau, kappa, games, actions) for tau, kappa in product(TAUS, ratios)}
    rows = measure(study, found)
    shares = np.array([row[-2] for row in rows])
    study.check("log of the measured factor over log of the claimed", [shares.min(), shares.max()])
    gap_shares = np.array([row[-1] for row in rows])
    study.check("the same for the gap and max(1 − h_L, |1 − h_F|)²", [gap_shares.min(), gap_shares.max()])
    over = max(float((one["leader"] - one["bound"]).max()) for one in found.values())
    study.check("Leader's log-error above its bound, at most", over)
    apart = max(float(np.abs(one["follower"] - one["exact follower"]).max()) for one in found.values())
    study.check("Follower's log-error from |1 − h_F|^t, at most", apart)
    study.check("largest last gap", max(float(one["gap"][-1].max()) for one in found.values()))
    share = without_tau(games, actions)
    study.check("tau = 0: log of the measured factor over log of the claimed, median game", np.median(share))
    once = two_steps(games, actions)
    study.check("log-error after two steps at h_L = h_F = 1", once)
    picture(study, found)
    return study.finish(SEED)


def without_tau(games: int, actions: int) -> np.ndarray:
    """(games,) At τ = 0 the gap falls like exp(−η min(Δ_L, κΔ_F)), Δ the margins of V's best and of its best reply."""
    P, kappa, rate = sb.PreferenceMatrix.random(actions, SEED, games), 2.0, 0.5
    game = sb.StackelbergGame(P, tau=0)
    exact = sb.solve(game)
    best, replies = -np.sort(-exact.values, axis=-1), np.sort(P.probabilities, axis=-1)
    reply = replies[np.arange(games), exact.values.argmax(axis=-1)]
    margin = np.minimum(best[:, 0] - best[:, 1], kappa * (reply[:, 1] - reply[:, 0]))
    shares = []
    for one, least in enumerate(margin):
        steps = int(22 / (rate * least))
        alone = sb.StackelbergGame(P.at(one), tau=0)
        record = sb.Record(every=max(1, steps // 60), average=False)
        gap = sb.solve(alone, sb.MirrorDescent(rate, kappa), steps=steps, record=record).trajectory
        fitted = sb.fit_rate(gap.steps, gap.gap, burn_in=0.5, rounding=1e-14)
        shares.append(-np.log(fitted.factor.value) / (rate * least))
    return np.array(shares)


def two_steps(games: int, actions: int) -> float:
    """At η = 1/τ_L, κη = 1/τ_F the Follower is exact after one step, the Leader after two."""
    game = random_game(actions, games, 0.5, 0.2)
    run = sb.solve(game, sb.MirrorDescent(1 / 0.5, 0.5 / 0.2), steps=2)
    exact = sb.solve(game)
    both = log_errors((run.leader[None], run.follower[None]), exact)
    return max(float(part.max()) for part in both)


if __name__ == "__main__":
    sys.exit(main())
