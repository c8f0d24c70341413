"""Neural policies: κ in {1, 3, 5, 10} with separate networks and with one, and mirror descent by regression."""

from __future__ import annotations

import sys

import numpy as np
from settings import KAPPAS, SEED, cascade, log_errors

import stackelberg as sb
from analysis.drawing.panels import Curve, Panel, Words, draw_panels
from analysis.paper import Study

TAU, CONTEXTS, ACTIONS = 0.5, 8, 3
GRADIENT_RATE, MIRROR_RATE = 0.5, 0.2


def family(seed: int) -> sb.StackelbergGame:
    """Preferences that vary with two features, from a mixture of annotators with Condorcet's rankings."""
    mixture = sb.AnnotatorMixture.random(ACTIONS, types=4, features=2, seed=seed)
    return sb.StackelbergGame(mixture, tau=TAU, contexts=mixture.draw(CONTEXTS, seed=seed))


def gradients(study: Study, seeds: int, steps: int) -> list[Panel]:
    """StackelbergGDA in the parameters: the mean gap over contexts, a run a seed."""
    panels, rows, late = [], [], {}
    for shared, name in ((False, "separate networks"), (True, "one shared network")):
        curves = []
        for kappa in KAPPAS:
            policy = [sb.Neural(hidden=(16,), shared=shared, seed=seed) for seed in range(seeds)]
            solver = sb.StackelbergGDA(GRADIENT_RATE, kappa)
            record = sb.Record(every=max(1, steps // 100), average=False)
            runs = [sb.solve(family(seed), solver, policy[seed], steps=steps, record=record) for seed in range(seeds)]
            gaps = np.array([run.trajectory.gap.mean(axis=-1) for run in runs])
            curves.append(Curve(name=f"κ = {kappa}", x=runs[0].trajectory.steps, rows=gaps))
            late[shared, kappa] = gaps[:, -1]
            rows.append([name, kappa, np.median(gaps[:, -1]), gaps[:, -1].min(), gaps[:, -1].max()])
        panels.append(Panel(title=name, x="steps", y="gap, mean over contexts", curves=tuple(curves)))
    study.table("neural_kappa", ["networks", "kappa", "last gap, median", "least", "largest"], rows)
    for shared, name in ((False, "separate"), (True, "shared")):
        kappas, words = (KAPPAS[:3], "κ up to 5") if shared else (KAPPAS, "κ")
        study.check(f"{name}: last gap, largest over seeds and {words}", max(late[shared, k].max() for k in kappas))
        ratio = np.exp(np.log(late[shared, 5] / late[shared, 1]).mean())
        study.check(f"{name}: last gap at κ = 5 over κ = 1, geometric mean", ratio)
    study.check("one shared network at κ = 10: largest last gap", late[True, 10].max())
    return panels


def mirror(study: Study, seeds: int) -> Panel:
    """MirrorDescent by regression: the Leader's log-error against the cascade's factor."""
    curves, rows, shares = [], [], []
    for kappa in (1, 5):
        claimed = cascade("MirrorDescent", MIRROR_RATE * TAU, kappa * MIRROR_RATE * TAU)
        errors = []
        for seed in range(seeds):
            game, record = family(seed), sb.Record(every=1, average=False, policies=True)
            policy = sb.Neural(hidden=(64,), seed=seed)
            run = sb.solve(
                game, sb.MirrorDescent(MIRROR_RATE, kappa), policy, steps=60 if seeds > 1 else 24, record=record
            )
            errors.append(log_errors(run.trajectory.policies, sb.solve(game))[0].max(axis=-1))
        errors, steps = np.array(errors), run.trajectory.steps
        found = sb.fit_rate(steps, errors, burn_in=0.2, rounding=1e-8)
        shares.append(np.log(found.factor.value) / np.log(claimed))
        rows.append([kappa, claimed, found.factor.value, found.factor.low, found.factor.high, errors[:, -1].max()])
        curves.append(Curve(name=f"κ = {kappa}", x=steps, rows=errors))
        line = np.median(errors[:, 10]) * claimed ** (steps - 10.0)
        curves.append(Curve(name="claimed", x=steps, rows=line, theory=True))
    columns = ["kappa", "claimed", "measured", "low", "high", "last log-error, largest"]
    study.table("neural_mirror", columns, rows)
    study.check("mirror descent by regression: log of the measured over the cascade's factor", shares)
    return Panel(title="mirror descent by regression", x="steps", y="Leader's log-error (nats)", curves=tuple(curves))


def main() -> int:
    """Both."""
    study = Study.begin(__file__)
    seeds, steps = (1, 12) if study.quick else (4, 800)
    panels = [*gradients(study, seeds, steps), mirror(study, seeds)]
    words = Words(
        title="Neural policies: κ speeds gradients up, and the cascade keeps its rate through regression",
        subtitle="MLPs over the features of eight contexts, exact fields; median and 10–90 % over seeds.",
        note=f"η = {GRADIENT_RATE:g} for gradient steps in the parameters, {MIRROR_RATE:g} for mirror "
        f"descent; τ = {TAU:g}; a seed is of game and weights. "
        "Dotted: max(1 − h_L, (1 − h_F)²)ᵗ. With one network κ weighs the two directions in one vector.",
    )
    study.draw(draw_panels("neural", panels, words), SEED)
    return study.finish(SEED)


if __name__ == "__main__":
    sys.exit(main())
