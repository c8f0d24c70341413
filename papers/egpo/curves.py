"""Duality gaps of OnlineIPO, NashMD, NashMDPG and EGPO on ten random games, exact and with 100 samples a step."""

from __future__ import annotations

import sys

import numpy as np
from settings import BETAS, DRAWS, RATE, SAMPLED_RATE, SEED, factors, game, rules

import stackelberg as sb
from analysis.drawing.panels import Curve, Panel, Words, draw_panels
from analysis.paper import Study

Gaps = dict[tuple[str, float, str], sb.Trajectory]


def learn(study: Study) -> Gaps:
    """(exact or sampled, β, rule) to gaps, (records, games)."""
    sampled, found = 60 if study.quick else 4000, {}
    for beta in BETAS:
        for name, rule in rules(RATE).items():
            record = sb.Record(every=2 if beta >= 0.1 else 10, average=False)
            found["exact", beta, name] = sb.solve(
                game(beta), rule, steps=steps_of(beta, study.quick), record=record
            ).trajectory
        for name, rule in rules(SAMPLED_RATE).items():
            sampling = sb.Sample(DRAWS, behaviour=sb.UniformActions())
            record = sb.Record(every=10, average=False)
            run = sb.solve(game(beta), rule, steps=sampled, sampling=sampling, seed=SEED, record=record)
            found["sampled", beta, name] = run.trajectory
    return found


def steps_of(beta: float, quick: bool) -> int:
    """Enough for EGPO to come to rounding, and for the others to show where they stay."""
    full = {0.001: 12000, 0.01: 6000, 0.1: 1500}[beta]
    return min(full, 1500) if quick else full


def late(one: sb.Trajectory) -> np.ndarray:
    """(games,) the mean gap over the last quarter of the records."""
    return one.gap[-(len(one.gap) // 4) :].mean(axis=0)


def check_exact(study: Study, found: Gaps) -> None:
    """Who converges linearly and how fast, and who stalls."""
    for beta in BETAS:
        run = found["exact", beta, "EGPO"]
        rate = sb.fit_rate(run.steps, run.gap.T, burn_in=0.5, rounding=1e-14)
        share = np.log(rate.factor.value) / (2 * np.log(1 - RATE * beta))
        study.check(f"EGPO, β = {beta:g}: log of the measured factor over 2 log(1 − ηβ)", share)
        study.check(f"EGPO, β = {beta:g}: evidence for linear against sublinear", rate.evidence)
        study.check(f"EGPO, β = {beta:g}: largest last gap", run.gap[-1].max())
        for name in ("NashMD", "NashMDPG"):
            study.check(f"{name}, β = {beta:g}: least late gap", late(found["exact", beta, name]).min())
        stays = factors(game(beta), RATE)["OnlineIPO"] < 0.9995
        leaves = factors(game(beta), RATE)["OnlineIPO"] > 1.0005
        gap = late(found["exact", beta, "OnlineIPO"])
        agree = (gap[stays] < 1e-6).sum() + (gap[leaves] > 1e-3).sum()
        study.check(
            f"OnlineIPO, β = {beta:g}: games that do not go as the spectrum says", stays.sum() + leaves.sum() - agree
        )


def check_sampled(study: Study, found: Gaps) -> None:
    """With samples everybody has a floor; EGPO's against OnlineIPO's, game by game."""
    for beta in BETAS:
        ratio = np.log(late(found["sampled", beta, "EGPO"]) / late(found["sampled", beta, "OnlineIPO"]))
        study.check(f"sampled, β = {beta:g}: EGPO's late gap over OnlineIPO's, geometric mean", np.exp(ratio.mean()))
        study.check(f"sampled, β = {beta:g}: EGPO's least late gap", late(found["sampled", beta, "EGPO"]).min())


def table(study: Study, found: Gaps) -> None:
    """Late gaps: median and range over the ten games."""
    rows = []
    for (kind, beta, name), one in found.items():
        gaps = late(one)
        rows.append([kind, beta, name, np.median(gaps), gaps.min(), gaps.max(), int((gaps < 1e-6).sum())])
    columns = ["field", "beta", "rule", "late gap, median", "least", "largest", "games below 1e-6"]
    study.table("late_gaps", columns, rows)


def picture(study: Study, found: Gaps) -> None:
    """Two rows of panels: exact above, sampled below; a column a β."""
    panels = []
    for kind in ("exact", "sampled"):
        for beta in BETAS:
            curves = []
            for name in rules(RATE):
                one = found[kind, beta, name]
                kept = np.unique(np.linspace(0, len(one.steps) - 1, 150).astype(int))
                curves.append(Curve(name=name, x=one.steps[kept], rows=one.gap[kept].T))
            if kind == "exact":
                steps, level = curves[-1].x, np.median(curves[-1].runs[:, len(curves[-1].x) // 10])
                slope = level * (1 - RATE * beta) ** (2.0 * (steps - steps[len(steps) // 10]))
                kept = slope > 1e-14
                curves.append(Curve(name="(1 − ηβ)^2t", x=steps[kept], rows=slope[kept], theory=True))
            bottom = 1e-14 if kind == "exact" else None
            panels.append(
                Panel(title=f"{kind}, β = {beta:g}", x="steps", y="duality gap", curves=tuple(curves), bottom=bottom)
            )
    words = Words(
        title="EGPO converges at every β, online IPO only where β outweighs the game's rotation; the others stall",
        subtitle="Duality gap of the last iterate on ten random 10-action games; median and 10–90 % over the games.",
        note=f"Exact: η = {RATE:g}; dotted (1 − ηβ)²ᵗ. Sampled: η = {SAMPLED_RATE:g}, {DRAWS} draws a look, learners "
        "drawn uniformly, opponents from their policy; EGPO looks twice a step.",
    )
    study.draw(draw_panels("curves", panels, words), SEED)


def main() -> int:
    """Both halves of the figure and its checks."""
    study = Study.begin(__file__)
    found = learn(study)
    table(study, found)
    check_exact(study, found)
    check_sampled(study, found)
    picture(study, found)
    return study.finish(SEED)


if __name__ == "__main__":
    sys.exit(main())
