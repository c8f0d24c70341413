"""The last iterate with sampled fields: noise floors at constant rates, decay at falling ones, rule against rule."""

from __future__ import annotations

import sys

import numpy as np
from scipy.stats import t as student
from settings import LOOKS, SEED, random_game

import stackelberg as sb
from analysis.drawing.panels import Curve, Panel, Words, draw_panels
from analysis.paper import Study

TAU, ACTIONS, DRAWS = 0.5, 4, 24
RATES = (0.02, 0.04, 0.08, 0.16, 0.32)
RULES = {
    "MirrorDescent": sb.MirrorDescent,
    "ExtraGradient": sb.ExtraGradient,
    "Optimistic": sb.Optimistic,
    "MirrorProx": sb.MirrorProx,
}


def repeated(games: int, seeds: int) -> sb.StackelbergGame:
    """Each game so many times, a context a seed: draws of different contexts are independent."""
    one = random_game(ACTIONS, games, TAU, TAU)
    return sb.StackelbergGame(
        sb.PreferenceMatrix(np.repeat(one.preference.probabilities, seeds, axis=0)),
        tau=TAU,
        leader_reference=np.repeat(one.leader_reference, seeds, axis=0),
        follower_reference=np.repeat(one.follower_reference, seeds, axis=0),
    )


def run(game: sb.StackelbergGame, rule: str, rate: float | sb.Schedule, steps: int, draws: int) -> sb.Trajectory:
    """Sampled learning; gaps are exact all the same."""
    sampling = sb.Sample(draws, behaviour=sb.UniformActions())
    record = sb.Record(every=10, average=False)
    return sb.solve(game, RULES[rule](rate), steps=steps, sampling=sampling, seed=SEED, record=record).trajectory


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean with its 95 % interval."""
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def floors(game: sb.StackelbergGame, rule: str, rate: float, steps: int, games: int) -> np.ndarray:
    """(games,) the mean gap over seeds and the second half of the run; the same draws a step for every rule."""
    late = run(game, rule, rate, steps, DRAWS // LOOKS[rule]).gap
    return late[len(late) // 2 :].mean(axis=0).reshape(games, -1).mean(axis=1)


def main() -> int:
    """Floors and their slope, decay, and paired comparisons."""
    study = Study.begin(__file__)
    games, seeds, steps = (2, 2, 100) if study.quick else (10, 4, 2500)
    rates = RATES[2::2] if study.quick else RATES
    game = repeated(games, seeds)
    floor = {
        rule: np.array(
            [floors(game, rule, rate, max(steps, int((10 if study.quick else 40) / rate)), games) for rate in rates]
        )
        for rule in RULES
    }
    rows = []
    for rule in RULES:
        slopes = np.polyfit(np.log(rates), np.log(floor[rule]), 1)[0]
        small = interval(np.polyfit(np.log(rates[:3]), np.log(floor[rule][:3]), 1)[0])
        ratio = interval(np.log(floor[rule] / floor["MirrorDescent"])[: len(rates) // 2 + 1].mean(axis=0))
        rows.append([rule, LOOKS[rule], DRAWS // LOOKS[rule], *interval(slopes), *small, *np.exp(ratio)])
    ends = ["", "low", "high"]
    heads = [f"{what}{' ' if end else ''}{end}" for what in ("slope", "slope, small η", "floor ratio") for end in ends]
    study.table("sampled_floors", ["rule", "looks a step", "draws a look", *heads], rows)
    by = {row[0]: row for row in rows}
    study.check("gap floor against η, mirror descent: slope at small η", by["MirrorDescent"][6])
    for rule in list(RULES)[1:]:
        study.check(f"floor of {rule} over mirror descent's, equal draws: low end", by[rule][10])
    decay = {rule: decaying(game, rule, 4 * steps) for rule in RULES}
    exponents = {rule: sb.fit_rate(one.steps, smoothed(one.gap, games).T) for rule, one in decay.items()}
    last = {rule: smoothed(one.gap, games)[-1] for rule, one in decay.items()}
    study.table(
        "sampled_decay",
        ["rule", "exponent", "low", "high", "last gap", "over mirror descent's", "low", "high"],
        [
            [
                *(rule, rate.exponent.value, rate.exponent.low, rate.exponent.high, last[rule].mean()),
                *np.exp(interval(np.log(last[rule] / last["MirrorDescent"]))),
            ]
            for rule, rate in exponents.items()
        ],
    )
    study.check("falling rates, mirror descent: exponent of the gap", exponents["MirrorDescent"].exponent.value)
    for rule in list(RULES)[1:]:
        low = interval(np.log(last[rule] / last["MirrorDescent"]))[1]
        study.check(f"falling rates: last gap of {rule} over mirror descent's, low end", np.exp(low))
    picture(study, floor, rates, decay, games)
    return study.finish(SEED)


def decaying(game: sb.StackelbergGame, rule: str, steps: int) -> sb.Trajectory:
    """η_t = 2/(τ(t + 8)): the noise is averaged out."""
    return run(game, rule, sb.InverseTime(2 / TAU, 8), steps, DRAWS // LOOKS[rule])


def smoothed(gap: np.ndarray, games: int) -> np.ndarray:
    """(records, games) gaps, averaged over seeds and over windows of the latest fifth of the records."""
    means = gap.reshape(len(gap), games, -1).mean(axis=-1)
    totals = np.vstack([np.zeros(games), np.cumsum(means, axis=0)])
    ends = np.arange(1, len(means) + 1)
    starts = np.minimum((0.8 * ends).astype(int), ends - 1)
    return (totals[ends] - totals[starts]) / (ends - starts)[:, None]


def picture(study: Study, floor: dict, rates: tuple, decay: dict, games: int) -> None:
    """Floors against η, and gaps at falling rates over the steps."""
    left = tuple(Curve(name=rule, x=np.array(rates), rows=values.T) for rule, values in floor.items())
    slope = Curve(
        name="∝ η", x=np.array(rates), rows=np.median(left[0].runs[:, 0]) * np.array(rates) / rates[0], theory=True
    )
    right = []
    for rule, one in decay.items():
        kept = np.unique(np.geomspace(2, len(one.steps) - 1, 60).astype(int))
        right.append(Curve(name=rule, x=one.steps[kept], rows=smoothed(one.gap, games)[kept].T))
    start = right[0].x[len(right[0].x) // 2 :]
    level = np.median(right[0].runs, axis=0)[len(right[0].x) // 2] * start[0]
    right.append(Curve(name="∝ 1/t", x=start, rows=level / start, theory=True))
    panels = [
        Panel(title="Constant rates", x="η (κ = 1)", y="gap, second half of the run", curves=(*left, slope), log="xy"),
        Panel(title="Falling rates, η = 2/(τ(t + 8))", x="steps", y="duality gap", curves=tuple(right), log="xy"),
    ]
    words = Words(
        title="Sampled fields: the floor is proportional to η, falling rates give 1/t, and no rule does better",
        subtitle=f"Exact gaps of the last iterate, {DRAWS} draws a step for every rule; median and 10–90 % over games.",
        note="Rules that look twice a step draw half as many each time. Dotted: slope 1 and slope −1. Gaps at falling "
        "rates are averages over seeds and over the latest fifth of the records.",
    )
    study.draw(draw_panels("sampled", panels, words), SEED)


if __name__ == "__main__":
    sys.exit(main())
