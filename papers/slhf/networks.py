"""Do extragradient, optimism or mirror prox help networks? Policy-space rules and gradient steps, exact and sampled."""

from __future__ import annotations

import sys

import numpy as np
from scipy.stats import t as student
from settings import LOOKS, MULTIPLIERS, SEED, cascade, log_errors

import stackelberg as sb
from analysis.drawing.panels import Curve, Panel, Words, draw_panels
from analysis.paper import Study

TAU, ACTIONS, CONTEXTS = 0.5, 3, 4
MIRROR_RATE, GRADIENT_RATE, SAMPLED_RATE = 0.4, 0.1, 0.2
DRAWS = 48
SPACE = {name: getattr(sb, name) for name in MULTIPLIERS}
GRADIENTS = {
    "GDA": lambda: sb.StackelbergGDA(GRADIENT_RATE, 5),
    "ExtraGradient": lambda: sb.ExtraGradient(GRADIENT_RATE, 5, geometry=sb.Softmax()),
    "Optimistic": lambda: sb.Optimistic(GRADIENT_RATE, 5, geometry=sb.Softmax()),
}


def family(seed: int) -> sb.StackelbergGame:
    """Preferences that vary with two features."""
    mixture = sb.AnnotatorMixture.random(ACTIONS, types=4, features=2, seed=seed)
    return sb.StackelbergGame(mixture, tau=TAU, contexts=mixture.draw(CONTEXTS, seed=seed))


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Geometric mean of ratios with its 95 % interval over seeds."""
    logs = np.log(values)
    half = np.inf if len(logs) < 2 else student.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / np.sqrt(len(logs))
    return tuple(float(np.exp(logs.mean() + side)) for side in (0, -half, half))


def by_regression(study: Study, seeds: int, steps: int) -> Panel:
    """Rules in policy space, networks regressed onto them, exact fields: the factor of the Leader's log-error."""
    rows, curves, shares = [], [], []
    for rule, make in SPACE.items():
        errors = []
        for seed in range(seeds):
            game, record = family(seed), sb.Record(every=1, average=False, policies=True)
            run = sb.solve(game, make(MIRROR_RATE), sb.Neural(hidden=(64,), seed=seed), steps=steps, record=record)
            errors.append(log_errors(run.trajectory.policies, sb.solve(game))[0].max(axis=-1))
        errors, h = np.array(errors), MIRROR_RATE * TAU
        found = sb.fit_rate(run.trajectory.steps, errors, burn_in=0.25, rounding=1e-8).factor
        claimed = cascade(rule, h, h)
        shares.append(np.log(found.value) / np.log(claimed))
        rows.append([rule, LOOKS[rule], claimed, found.value, found.low, found.high])
        curves.append(Curve(name=rule, x=run.trajectory.steps * LOOKS[rule], rows=errors))
    study.table("networks_regression", ["rule", "looks a step", "claimed", "measured", "low", "high"], rows)
    study.check("by regression: log of the measured over log of the table's factor", shares)
    per_look = [row[3] ** (1 / row[1]) for row in rows]
    study.check("by regression: the best factor a look is mirror descent's", per_look[0] - min(per_look[1:]))
    return Panel(
        title="by regression, exact", x="looks at the field", y="Leader's log-error (nats)", curves=tuple(curves)
    )


def by_gradient(study: Study, seeds: int, steps: int) -> list[Panel]:
    """Gradient steps in the parameters, exact fields: the last gap at the same number of looks, over GDA's."""
    rows, panels = [], []
    for shared, name in ((False, "separate networks"), (True, "one shared network")):
        last, curves = {}, []
        for rule, make in GRADIENTS.items():
            looks = 2 if rule == "ExtraGradient" else 1
            record = sb.Record(every=max(1, steps // looks // 50), average=False)
            runs = [
                sb.solve(family(seed), make(), sb.Neural(hidden=(16,), shared=shared, seed=seed), steps=steps // looks,
                         record=record)
                for seed in range(seeds)
            ]  # fmt: skip
            gaps = np.array([run.trajectory.gap.mean(axis=-1) for run in runs])
            last[rule] = gaps[:, -1]
            curves.append(Curve(name=rule, x=runs[0].trajectory.steps * looks, rows=gaps))
        for rule in ("ExtraGradient", "Optimistic"):
            rows.append([name, rule, *interval(last[rule] / last["GDA"])])
        panels.append(Panel(title=name, x="looks at the field", y="gap, mean over contexts", curves=tuple(curves)))
    study.table("networks_gradient", ["networks", "rule", "last gap over GDA's", "low", "high"], rows)
    study.check("gradient steps: last gap over GDA's at as many looks, least high end", min(row[4] for row in rows))
    return panels


def sampled(study: Study, seeds: int, steps: int) -> Panel:
    """The same draws a step for every rule, constant rate: the floor of the gap over mirror descent's."""
    floors, curves = {}, []
    for rule, make in SPACE.items():
        sampling = sb.Sample(DRAWS // LOOKS[rule], behaviour=sb.UniformActions())
        record = sb.Record(every=2, average=False)
        runs = [
            sb.solve(family(seed), make(SAMPLED_RATE), sb.Neural(hidden=(64,), seed=seed), steps=steps,
                     sampling=sampling, seed=seed, record=record)
            for seed in range(seeds)
        ]  # fmt: skip
        gaps = np.array([run.trajectory.gap.mean(axis=-1) for run in runs])
        floors[rule] = gaps[:, gaps.shape[1] // 2 :].mean(axis=1)
        curves.append(Curve(name=rule, x=runs[0].trajectory.steps, rows=gaps))
    rows = [[rule, *interval(floors[rule] / floors["MirrorDescent"])] for rule in list(SPACE)[1:]]
    study.table("networks_sampled", ["rule", "floor over mirror descent's", "low", "high"], rows)
    study.check("sampled: floor over mirror descent's, least high end", min(row[3] for row in rows))
    return Panel(
        title=f"by regression, {DRAWS} draws a step", x="steps", y="gap, mean over contexts", curves=tuple(curves)
    )


def main() -> int:
    """All three."""
    study = Study.begin(__file__)
    seeds, steps, many, long = (1, 12, 8, 8) if study.quick else (4, 60, 800, 120)
    panels = [by_regression(study, seeds, steps), *by_gradient(study, seeds, many), sampled(study, seeds, long)]
    words = Words(
        title="Networks: looking ahead helps nothing",
        subtitle="MLPs over the features of four contexts; median and 10–90 % over seeds.",
        note=f"τ = {TAU:g}; η = {MIRROR_RATE:g} by regression, {GRADIENT_RATE:g} and κ = 5 for gradient steps in the "
        f"parameters, {SAMPLED_RATE:g} sampled. Extragradient and mirror prox look twice a step.",
    )
    study.draw(draw_panels("networks", panels, words, across=2), SEED)
    return study.finish(SEED)


if __name__ == "__main__":
    sys.exit(main())
