"""Do extragradient, optimism or mirror prox help beyond cascade mirror descent? With the exact field: no.

A Follower's field is −τ_F times its log-error, and so is the Leader's once the Follower is right: nothing turns,
so there is nothing for them to cure. Their factors are read from one step (settings.MULTIPLIERS) and measured here.
"""

from __future__ import annotations

import sys

import numpy as np
from settings import LOOKS, MULTIPLIERS, SEED, cascade, log_errors, random_game

import stackelberg as sb
from analysis.drawing.panels import Curve, Panel, Words, draw_panels
from analysis.paper import Study

TAU_LEADER, TAU_FOLLOWER = 0.4, 0.25
SAME = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.2, 1.6, 3.0, 10.0)
"""h_L = h_F = h."""
APART = ((0.05, 0.3), (0.3, 0.05), (0.5, 0.1), (0.1, 0.6), (0.5, 0.4), (0.4, 0.02))
"""(h_L, h_F), none where both factors are alike: a run of finite length would show neither."""


def measure(rule: str, h_leader: float, h_follower: float, games: int) -> sb.Rate:
    """The factor of the Leader's log-error, fitted; its interval is over games."""
    game = random_game(6, games, TAU_LEADER, TAU_FOLLOWER)
    claimed = cascade(rule, h_leader, h_follower)
    steps = max(30, int(-28 / np.log(max(claimed, MULTIPLIERS[rule](h_follower)))))
    rate = h_leader / TAU_LEADER
    solver = getattr(sb, rule)(rate, h_follower / TAU_FOLLOWER / rate)
    record = sb.Record(every=max(1, steps // 100), average=False, policies=True)
    trajectory = sb.solve(game, solver, steps=steps, record=record).trajectory
    leader, _ = log_errors(trajectory.policies, sb.solve(game))
    return sb.fit_rate(trajectory.steps, leader.T, burn_in=0.4 if steps > 60 else 0.1, rounding=1e-11)


def rows_of(games: int, grid: list[tuple[float, float]]) -> list[tuple]:
    """(rule, h_L, h_F, claimed, measured, low, high) wherever a rule converges, but not in one step."""
    rows = []
    for rule in MULTIPLIERS:
        for pair in grid:
            claimed = cascade(rule, *pair)
            if max(claimed, MULTIPLIERS[rule](pair[1])) < 0.995:
                found = measure(rule, *pair, games).factor
                rows.append((rule, *pair, claimed, found.value, found.low, found.high))
    return rows


def picture(study: Study, rows: list[tuple]) -> None:
    """Factors against h, a step and a look at the field; and measured against claimed."""
    fine = np.geomspace(0.04, 12, 400)
    step, look, compared = [], [], []
    for rule, factor in MULTIPLIERS.items():
        curve, power = np.array([factor(h) for h in fine]), 1 / LOOKS[rule]
        kept = curve < 1
        same = [row for row in rows if row[0] == rule and row[1] == row[2]]
        h, found = (np.array([row[k] for row in same]) for k in (1, 4))
        step += [
            Curve(name=rule, x=fine[kept], rows=curve[kept], theory=True),
            Curve(name=rule, x=h, rows=found, points=True),
        ]
        look += [
            Curve(name=rule, x=fine[kept], rows=curve[kept] ** power, theory=True),
            Curve(name=rule, x=h, rows=found**power, points=True),
        ]
        mine = np.array([row[3:5] for row in rows if row[0] == rule])
        compared.append(Curve(name=rule, x=-np.log(mine[:, 0]), rows=-np.log(mine[:, 1]), points=True))
    line = np.array([0.02, 2.5])
    compared.append(Curve(name="claimed", x=line, rows=line, theory=True))
    panels = [
        Panel(title="A step", x="h = ητ, both players", y="factor of the log-error", curves=tuple(step), log="x"),
        Panel(title="A look at the field", x="h = ητ, both players", y="factor a look", curves=tuple(look), log="x"),
        Panel(
            title="All (h_L, h_F)", x="claimed −log factor", y="measured −log factor", curves=tuple(compared), log="xy"
        ),
    ]
    words = Words(
        title="Beyond mirror descent: no rule is faster than mirror descent at its best rate",
        subtitle="Leader's log-error, exact field. Lower is faster. Dotted: what theory says; marks: fitted.",
        note="Mirror descent needs one step a player at h = 1. Extragradient comes to ¾ at best, optimism to 0.71; "
        "mirror prox never overshoots, but is slower than mirror descent up to h = 1.6 (a look: 2.0).",
    )
    study.draw(draw_panels("beyond", panels, words), SEED)


def main() -> int:
    """Every rule on a grid of rates."""
    study = Study.begin(__file__)
    games = 4 if study.quick else 20
    same = SAME[2:6:2] if study.quick else SAME
    rows = rows_of(games, [(h, h) for h in same] + list(APART[:2] if study.quick else APART))
    columns = ["rule", "h_L", "h_F", "claimed", "measured", "low", "high"]
    study.table("beyond", columns, rows)
    shares = np.array([np.log(row[4]) / np.log(row[3]) for row in rows])
    study.check("log of the measured factor over log of the claimed", [shares.min(), shares.max()])
    found = {(row[0], row[1]): row[4] for row in rows if row[1] == row[2]}
    slower = [found[rule, h] - found["MirrorDescent", h] for rule, h in found if rule != "MirrorDescent" and h <= 0.5]
    study.check("others' factor less mirror descent's, at the same h up to 0.5", slower)
    if not study.quick:
        study.check("extragradient's best factor", min(found[rule, h] for rule, h in found if rule == "ExtraGradient"))
        study.check("optimism's best factor", min(found[rule, h] for rule, h in found if rule == "Optimistic"))
        study.check("mirror prox at h = 10, where mirror descent diverges", found["MirrorProx", 10.0])
    picture(study, rows)
    return study.finish(SEED)


if __name__ == "__main__":
    sys.exit(main())
