"""The timescale study: StackelbergGDA with κ in {1, 3, 5, 10}, on the simplex and in softmax logits, exact and sampled.

Near the equilibrium the published rule is a cascade, too: the Follower's row y shrinks its error by
1 − κητ_F π*(y) λ, the Leader by 1 − ητ_L λ, λ the curvatures of KL in the geometry. The slowest of all is
predicted game by game, and its square compared with how the gap of the last iterate falls.
"""

from __future__ import annotations

import sys

import numpy as np
from settings import KAPPAS, SEED, random_game

import stackelberg as sb
from analysis.drawing.panels import Curve, Panel, Words, draw_panels
from analysis.paper import Study

TAU, ACTIONS, DRAWS = 0.5, 3, 32
GEOMETRIES = {"simplex": (sb.Simplex(), 0.02), "softmax": (sb.Softmax(), 1.0)}


def curvatures(policy: np.ndarray, geometry: str) -> np.ndarray:
    """(…, n − 1) eigenvalues of KL's Hessian: diag 1/p across the simplex, diag p − ppᵀ in logits."""
    n = policy.shape[-1]
    if geometry == "softmax":
        matrix = policy[..., None] * np.eye(n) - policy[..., :, None] * policy[..., None, :]
        return np.linalg.eigvalsh(matrix)[..., 1:]
    basis = np.linalg.qr(np.column_stack([np.ones(n), np.eye(n)[:, 1:]]))[0][:, 1:]
    return np.linalg.eigvalsh(basis.T @ (np.eye(n) / policy[..., None]) @ basis)


def predicted(game: sb.StackelbergGame, geometry: str, rate: float, kappa: float) -> np.ndarray:
    """(games,) the factor of the slowest error at the equilibrium."""
    exact = sb.solve(game)
    leader = np.abs(1 - rate * TAU * curvatures(exact.leader, geometry)).max(axis=-1)
    rows = 1 - kappa * rate * TAU * exact.leader[..., None] * curvatures(exact.follower, geometry)
    return np.maximum(leader, np.abs(rows).max(axis=(-1, -2)))


def measured(one: sb.Trajectory) -> np.ndarray:
    """(games,) the factor of the gap, fitted game by game; NaN where too few records are above rounding."""
    factors = []
    for gap in one.gap.T:
        fitted = sb.fit_rate(one.steps, gap, burn_in=0.5, rounding=1e-14)
        factors.append(fitted.factor.value)
    return np.array(factors)


def learn(game: sb.StackelbergGame, geometry: str, kappa: float, steps: int, sampled: bool) -> sb.Trajectory:
    """One run over all games."""
    moves, rate = GEOMETRIES[geometry]
    solver = sb.StackelbergGDA(rate / 4 if sampled else rate, kappa, geometry=moves)
    record = sb.Record(every=max(1, steps // 2000), average=False)
    if not sampled:
        return sb.solve(game, solver, steps=steps, record=record).trajectory
    return sb.solve(game, solver, steps=steps, sampling=sb.Sample(DRAWS), seed=SEED, record=record).trajectory


def main() -> int:
    """Rates and floors, a panel a geometry and field."""
    study = Study.begin(__file__)
    games, steps = (3, 600) if study.quick else (10, 8000)
    game, rows, panels, shares = random_game(ACTIONS, games, TAU, TAU), [], [], {}
    for geometry, (_, rate) in GEOMETRIES.items():
        exact, sampled = [], []
        for kappa in KAPPAS:
            one, other = (learn(game, geometry, kappa, steps // cut, cut > 1) for cut in (1, 2))
            claim = predicted(game, geometry, rate, kappa)
            found = measured(one)
            shares[geometry, kappa] = np.log(found) / (2 * np.log(claim))
            late = other.gap[len(other.gap) // 2 :].mean(axis=0)
            reached = [one.steps[np.argmax(gap < 1e-6)] if (gap < 1e-6).any() else np.inf for gap in one.gap.T]
            middle, ends = np.median(shares[geometry, kappa]), np.quantile(shares[geometry, kappa], [0, 1])
            rows.append([geometry, kappa, np.median(claim), middle, *ends, np.median(reached), np.median(late)])
            exact.append(curve(kappa, one, steps // 4))
            sampled.append(curve(kappa, other, steps))
        panels.append(panel(f"exact, {geometry}, η = {rate:g}", exact, 1e-12))
        panels.append(panel(f"{DRAWS} draws a step, {geometry}, η = {rate / 4:g}", sampled, None))
    columns = ["geometry", "kappa", "factor predicted", "measured/predicted log", "least", "largest"]
    study.table("kappa", [*columns, "steps to 1e-6", "sampled floor"], rows)
    for geometry in GEOMETRIES:
        middles = [float(np.median(shares[geometry, kappa])) for kappa in KAPPAS]
        study.check(f"{geometry}: log of the measured over the predicted factor, median game, κ = 1, 3, 5, 10", middles)
        to = [row[6] for row in rows if row[0] == geometry]
        study.check(f"{geometry}: median steps to a gap of 1e-6, κ = 5 over κ = 1", to[2] / to[0])
    words = Words(
        title="StackelbergGDA, last iterate: κ helps as long as the Follower is the slower player",
        subtitle="Duality gap on random games with τ = 0.5; median and 10–90 % over games. Straight is linear.",
        note="Sampled runs are at a quarter of the rate; their floors grow with κ, since the Follower's noise does.",
    )
    study.draw(draw_panels("kappa", panels, words, across=2), SEED)
    return study.finish(SEED)


def curve(kappa: float, one: sb.Trajectory, end: int) -> Curve:
    """The gaps of one κ, thinned, up to a step."""
    kept = np.unique(np.linspace(0, (one.steps <= end).sum() - 1, 200).astype(int))
    return Curve(name=f"κ = {kappa}", x=one.steps[kept], rows=one.gap[kept].T)


def panel(title: str, curves: list[Curve], bottom: float | None) -> Panel:
    """The gap over the steps."""
    return Panel(title=title, x="steps", y="duality gap", curves=tuple(curves), bottom=bottom)


if __name__ == "__main__":
    sys.exit(main())
