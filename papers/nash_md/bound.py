"""Nash-MD's bound KL(π*‖π_T) ≤ 8/(τ²(T + 1)) at η_t = 2/(τ(t + 2)), at every step of many games; how loose it is."""

from __future__ import annotations

import sys

import numpy as np
from settings import SEED, TAUS, cycles, games

import stackelberg as sb
from analysis.drawing.panels import Curve, Panel, Words, draw_panels
from analysis.paper import Study

KINDS = {"random, 5 actions": (games, 5), "random, 20 actions": (games, 20), "cycles, 5 actions": (cycles, 5)}


def run(kind: str, tau: float, number: int, steps: int) -> sb.Trajectory:
    """KL from the exact equilibrium after every step."""
    make, n = KINDS[kind]
    record = sb.Record(every=1, gap=False, distance=True, average=False)
    return sb.solve(make(n, number, tau), sb.NashMD(sb.InverseTime(2 / tau, 2)), steps=steps, record=record).trajectory


def predicted(game: sb.NashGame) -> np.ndarray:
    """(games,) the limit of ``KL(π*‖π_T) (T + 1)²``, from the game alone.

    At π*, a step moves the logits by ``−η² AΣAπ*`` to first order, since the mixture with the reference differs from
    π* by ``−η ΣAπ*``; A are the margins, Σ = diag π* − π*π*ᵀ. An error e shrinks by ``η M e``, ``M = τ − AΣ``.
    With η = 2/(τt) the error tends to c/t with ``(2M/τ − 1) c = −4 AΣAπ*/τ²``, and its KL to ``½ cᵀΣc / t²``.
    What the start leaves decays as t^−4, turning.
    """
    a, tau, pi = game.margins, game.tau[:, None, None], sb.solve(game).policy[..., None]
    n = a.shape[-1]
    spread = pi * np.eye(n) - pi @ pi.swapaxes(1, 2)
    centred = (np.eye(n) - 1 / n) @ a @ spread
    c = np.linalg.solve(np.eye(n) - 2 * centred / tau, -4 * centred @ a @ pi / tau**2)
    return (c.swapaxes(1, 2) @ spread @ c)[:, 0, 0] / 2


def main() -> int:
    """Every kind of game at every τ."""
    study = Study.begin(__file__)
    number, steps = (5, 300) if study.quick else (50, 4000)
    found = {(kind, tau): run(kind, tau, number, steps) for kind in KINDS for tau in TAUS}
    rows, worst, kept = [], 0.0, np.unique(np.geomspace(1, steps, 80).astype(int))
    slopes, ratios = {}, {}
    for (kind, tau), one in found.items():
        share = float((one.distance * tau**2 * (one.steps[:, None] + 1) / 8).max())
        rate = sb.fit_rate(one.steps[kept], one.distance[kept].T, burn_in=0.1)
        ends = rate.exponent
        ratio = one.distance[-1] * (steps + 1) ** 2 / predicted(KINDS[kind][0](KINDS[kind][1], number, tau))
        last = [ratio.min(), np.median(ratio), ratio.max()]
        rows.append([kind, tau, number, share, ends.value, ends.low, ends.high, *last])
        worst, slopes[kind, tau], ratios[kind, tau] = max(worst, share), [ends.low, ends.high], last
    columns = ["games", "tau", "number", "largest KL over bound", "KL falls as t^-a, a", "low", "high"]
    columns += ["last KL over predicted, least", "median", "most"]
    strong = [key for key in found if key[1] >= 0.2]
    study.table("bound", columns, rows)
    study.check("largest KL over its bound, all games, every step", worst)
    study.check("exponent of the KL, low end, least of all", min(low for low, _ in slopes.values()))
    study.check("exponent of the KL, tau >= 0.2, both ends", [slopes[key] for key in strong])
    study.check("last KL over the predicted one, tau >= 0.2, least and most", [ratios[key][::2] for key in strong])
    study.check("last KL over the predicted one, tau >= 0.2, medians", [ratios[key][1] for key in strong])
    weak = [ratios[key][1] for key in found if key not in strong and key[0].startswith("random")]
    study.check("last KL over the predicted one, tau = 0.05, random, medians", weak)
    study.check("games", sum(row[2] for row in rows))
    picture(study, found, kept)
    return study.finish(SEED)


def picture(study: Study, found: dict, kept: np.ndarray) -> None:
    """KL over the steps with the bound, a panel a τ."""
    panels = []
    for tau in TAUS:
        curves = [Curve(name=kind, x=kept, rows=found[kind, tau].distance[kept].T) for kind in KINDS]
        curves.append(Curve(name="bound", x=kept, rows=8 / (tau**2 * (kept + 1)), theory=True))
        panels.append(Panel(title=f"τ = {tau:g}", x="steps T", y="KL(π*‖π_T) (nats)", curves=tuple(curves), log="xy"))
    words = Words(
        title="Nash-MD keeps its bound, and falls faster than it",
        subtitle="KL of the last iterate from the exact equilibrium, after every step; median and 10–90 % over games.",
        note="Dotted: 8/(τ²(T + 1)), Munos et al. 2023, Theorem 1; η_t = 2/(τ(t + 2)). The bound falls as 1/T.",
    )
    study.draw(draw_panels("bound", panels, words), SEED)


if __name__ == "__main__":
    sys.exit(main())
