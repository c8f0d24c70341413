"""Every rule in ten games: how fast the gaps of the last iterate and of the average fall, exact and sampled."""

from __future__ import annotations

import sys

import numpy as np
from settings import RULES, SEED, TAU, Rule, games

import stackelberg as sb
from analysis.paper import Study
from stackelberg.dynamics.law import Interval, Law

FLAT = 0.1
"""Powers of t whose interval reaches below this are no fall."""
BURN_IN = 0.3


def measured(steps: np.ndarray, gaps: np.ndarray) -> tuple[str, sb.Rate | None]:
    """How a gap, (records, games), falls: in words and, where it is told, as a rate.

    Games that are above rounding for too few records are left out.
    """
    rows = [row for row in np.maximum(gaps, 0).T if told(steps, row)]
    if not rows:
        return "at rounding within a few steps", None
    rate, last = sb.fit_rate(steps, rows, burn_in=BURN_IN), np.array(rows)[:, -len(steps) // 10 :].max(axis=1)
    games = "" if len(rows) == gaps.shape[1] else f" ({len(rows)} of {gaps.shape[1]} games)"
    if rate.law is Law.LINEAR:
        return f"linear, {rate.factor}{games}", rate
    if rate.exponent.low > FLAT:
        return f"t^-a, a = {rate.exponent}{games}", rate
    return f"no clear fall: {np.median(last):.1e}, at most {last.max():.1e}{games}", None


def told(steps: np.ndarray, row: np.ndarray) -> bool:
    """Whether a game has records enough above rounding."""
    try:
        sb.fit_rate(steps, row, burn_in=BURN_IN)
    except ValueError:
        return False
    return True


def run(rule: Rule, solver: sb.Solver, tau: float, number: int, steps: int, draws: int | None) -> list:
    """What is measured of the last iterate and of the average."""
    sampling = sb.Enumerate() if draws is None else sb.Sample(draws)
    kept = sb.Record(every=max(1, steps // 800), best=False)
    found = sb.solve(games(rule.game, number, tau), solver, steps=steps, record=kept, sampling=sampling, seed=SEED)
    if found.status is sb.Status.DIVERGED:
        return [("diverges", None)] * 2
    path = found.trajectory
    return [measured(path.steps, gaps) for gaps in (path.gap, path.average_gap)]


def check(study: Study, rates: dict, diverged: int) -> None:
    """Hold what theory says against what was measured."""
    mirror = [rates[kind, "MirrorDescent", TAU, None] for kind in ("Stackelberg", "Reward")]
    study.check("last iterate, tau > 0: mirror descent's factor, Stackelberg and reward", [
        np.nan if last is None else last.factor.value for last, _ in mirror])  # fmt: skip
    linear = [key for key, (last, _) in rates.items() if key[2] > 0 and key[3] is None and _law(last) is Law.LINEAR]
    averages = [rates[key][1] for key in linear if key[0] == "Nash" and key[1] != "GDA"]
    study.check("average, tau > 0: exponents of Nash rules whose last iterate is linear", [
        _exponent(each).value for each in averages])  # fmt: skip
    study.check("rules whose last iterate is linear, tau > 0", len(linear))
    pure = [rates["Stackelberg", name, 0.0, None][1] for name in ("MirrorDescent", "ExtraGradient", "MirrorProx")]
    study.check("average, tau = 0: exponents of mirror descent and its kin, Stackelberg", [
        _exponent(each).value for each in pure])  # fmt: skip
    study.check(
        "average, tau = 0: self-play's exponent, low end", _exponent(rates["Nash", "SelfPlay", 0.0, None][1]).low
    )
    study.check("rules that diverge", diverged)


def _exponent(rate: sb.Rate | None) -> Interval:
    """NaN, which no claim holds for, where no rate was told."""
    return Interval(np.nan, np.nan, np.nan) if rate is None else rate.exponent


def _law(rate: sb.Rate | None) -> Law | None:
    return None if rate is None else rate.law


def main() -> int:
    """Every rule, field and τ."""
    study = Study.begin(__file__)
    number, steps = (3, 400) if study.quick else (10, 8000)
    rows, rates = [], {}
    for rule in RULES:
        for tau, solver in ((TAU, rule.held), (0.0, rule.free)):
            for draws in (None, 50):
                if solver is None:
                    continue
                kind = rule.game.__name__.removesuffix("Game")
                last, average = run(rule, solver, tau, number, steps, draws)
                rows.append([rule.name, kind, tau, "exact" if draws is None else f"{draws} draws", last[0], average[0]])
                rates[kind, rule.name, tau, draws] = last[1], average[1]
    study.table("rates", ["rule", "game", "tau", "field", "last iterate", "average"], rows)
    check(study, rates, sum("diverges" in row[-1] for row in rows))
    return study.finish(SEED)


if __name__ == "__main__":
    sys.exit(main())
