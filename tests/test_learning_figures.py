"""Pictures of learning runs: legible, repeatable, holding the numbers they claim."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch
from test_figures import assert_legible

import stackelberg as sb
from analysis.drawing.kappa import steps_to
from analysis.drawing.lines import LINES, looks, power_of_ten
from analysis.drawing.runs import Curves, thinned
from analysis.drawing.timescales import MARKS
from analysis.drawing.trajectories import leader_field
from analysis.figures import (
    Measure,
    Scale,
    draw_convergence,
    draw_kappa,
    draw_spectrum,
    draw_timescales,
    draw_trajectories,
    save,
    timescales,
)
from analysis.timescales import Outcome

P = sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25])
LONG = sb.PreferenceMatrix(P.probabilities, ["The Right Honourable Alexandrina Victoria", "Bob", "cost: $5 to $6_a^b"])
ALL = sb.Record(every=2, distance=True, policies=True, forces=True)
NASH, TWO, MANY = sb.NashGame(P, 0.1), sb.StackelbergGame(P, 0.2), sb.NashGame(sb.PreferenceMatrix.random(4, 1, 6), 0.2)


def run(game, solver, steps=120, **more):
    return sb.solve(game, solver, steps=steps, record=ALL, **more)


RUNS = {
    "EGPO, η = 0.5": run(MANY, sb.EGPO(0.5)),
    "a long name of a solver and all of its parameters, η = 0.5, τ = 0.2": run(MANY, sb.OnlineIPO(0.5)),
    "Nash-MD": run(MANY, sb.NashMD(lambda t: 2 / (0.2 * (t + 2)))),
}
ONE = {"one run": run(NASH, sb.EGPO(0.5))}
KAPPAS = {
    k: run(sb.StackelbergGame(sb.PreferenceMatrix.random(3, 2, 5), 0.3), sb.MirrorDescent(0.5, k)) for k in (1, 5, 10)
}
MAP = timescales(TWO, sb.StackelbergGDA, [0.01, 0.1, 1.0, 10.0], [1, 5, 20], steps=150, tolerance=1e-4)
EXPLODING = timescales(sb.StackelbergGame(P, 0.5), sb.MirrorDescent, [0.5, 6.0], [1, 2], steps=500)
with pytest.warns(UserWarning, match="no fixed point"):
    BESIDE = sb.spectrum(sb.NashGame(P, 0.1, [0.5, 0.3, 0.2]), sb.NashMD(0.5))
SPECTRA = {
    "inside": (sb.spectrum(NASH, sb.OnlineIPO(0.5)), None),
    "outside": (sb.spectrum(sb.NashGame(sb.PreferenceMatrix.cycle(3), 0.05), sb.OnlineIPO(3.0)), None),
    "no fixed point": (BESIDE, None),
    "measured": (
        sb.spectrum(NASH, sb.EGPO(0.5)),
        sb.fit_rate(ONE["one run"].trajectory.steps, np.sqrt(ONE["one run"].trajectory.gap), rounding=1e-6),
    ),
}
PATHS = {
    "nash": {"EGPO": run(NASH, sb.EGPO(0.5), start=[0.8, 0.1, 0.1]), "Online IPO": run(NASH, sb.OnlineIPO(0.5))},
    "stackelberg": {
        "GDA": [run(TWO, sb.StackelbergGDA(0.02), start=(np.roll([0.8, 0.1, 0.1], k), None)) for k in (0, 1)]
    },
    "reward": {"mirror": run(sb.RewardGame(P, 0.2), sb.MirrorDescent(0.5))},
    "tau 0": {"self-play": run(sb.NashGame(P, 0), sb.SelfPlay(0.2), start=[0.5, 0.3, 0.2])},
    "long names": {"x" * 50: run(sb.StackelbergGame(LONG, 0.1), sb.MirrorDescent(0.5))},
}
PAINTERS = {
    "convergence": lambda: draw_convergence(RUNS),
    "convergence, log": lambda: draw_convergence(RUNS, scale=Scale.LOG, average=False),
    "convergence, one": lambda: draw_convergence(ONE),
    "distance": lambda: draw_convergence(RUNS, measure=Measure.DISTANCE),
    "gradient": lambda: draw_convergence(RUNS, measure=Measure.GRADIENT),
    "kappa": lambda: draw_kappa(KAPPAS),
    "kappa to a tolerance": lambda: draw_kappa(KAPPAS, tolerance=1e-6),
    "kappa, none gets there": lambda: draw_kappa(KAPPAS, tolerance=1e-30),
    "timescales": lambda: draw_timescales(MAP),
    "timescales, exploding": lambda: draw_timescales(EXPLODING),
    **{f"spectrum, {name}": lambda args=args: draw_spectrum(*args) for name, args in SPECTRA.items()},
    **{f"trajectories, {name}": lambda runs=runs: draw_trajectories(runs) for name, runs in PATHS.items()},
}


@pytest.mark.parametrize("painter", PAINTERS)
def test_every_text_is_on_the_canvas_and_by_itself(painter):
    assert_legible(PAINTERS[painter]())


@pytest.mark.parametrize("painter", ["convergence", "kappa", "timescales", "spectrum, measured", "trajectories, nash"])
def test_files_are_written_with_their_data_and_the_same_each_time(painter, tmp_path):
    first, second = (save(PAINTERS[painter](), tmp_path / name, command="a test") for name in "ab")
    assert [path.suffix for path in first] == [".svg", ".png", ".csv", ".json"]
    for here, there in zip(first[:3], second[:3], strict=True):
        assert here.read_bytes() == there.read_bytes()
    rows = list(csv.reader(first[2].read_text(encoding="utf-8").splitlines()))
    drawing = PAINTERS[painter]()
    assert tuple(rows[0]) == drawing.columns
    assert len(rows) == len(drawing.rows) + 1


# ---------------------------------------------------------------- convergence


def line_data(axes, steps):
    """The y data of the lines with markers over so many steps."""
    return [
        np.asarray(line.get_ydata())
        for line in axes.lines
        if line.get_marker() != "None" and len(line.get_xdata()) == steps
    ]


def test_convergence_lines_are_medians_and_bands_quantiles():
    drawing = draw_convergence(RUNS, average=False, quantiles=(0.25, 0.75))
    gap = RUNS["EGPO, η = 0.5"].trajectory.gap
    data = [row for row in drawing.rows if row[:2] == ("EGPO, η = 0.5", "last")]
    np.testing.assert_allclose([row[3:] for row in data], np.quantile(gap, [0.25, 0.5, 0.75], axis=1).T)
    shown = line_data(drawing.figure.axes[0], len(data))
    np.testing.assert_allclose(shown[0], np.maximum(np.median(gap, axis=1), 1e-17))
    texts = " ".join(text.get_text() for text in drawing.figure.axes[1].texts)
    assert "median and 25–75 % of 6 runs" in texts.replace("\n", " ")


def test_the_legend_tells_the_fitted_rate():
    texts = [text.get_text().replace("\n", " ") for text in draw_convergence(ONE).figure.axes[1].texts]
    trajectory = ONE["one run"].trajectory
    assert str(sb.fit_rate(trajectory.steps, trajectory.gap)) in texts
    assert str(sb.fit_rate(trajectory.steps, trajectory.average_gap)) in texts
    short = {"short": sb.solve(NASH, sb.EGPO(0.5), steps=20)}
    texts = [text.get_text().replace("\n", " ") for text in draw_convergence(short).figure.axes[1].texts]
    assert "no rate: too few records above rounding" in texts


def test_seeds_are_rows_of_one_band():
    starts = np.random.default_rng(0).dirichlet(np.ones(3), 5)
    seeds = [run(NASH, sb.EGPO(0.5), start=start) for start in starts]
    drawing = draw_convergence({"EGPO": seeds}, average=False)
    gaps = np.array([one.trajectory.gap for one in seeds])
    np.testing.assert_allclose([row[4] for row in drawing.rows], np.median(gaps, axis=0))


def test_lines_differ_by_more_than_colour():
    assert len({str(look.dashes) for look in LINES}) == len(LINES)
    assert len({look.marker for look in LINES}) == len(LINES)
    assert len({look.colour for look in LINES}) == len(LINES)
    with pytest.raises(ValueError, match="9 lines cannot be told apart"):
        looks(9)


def test_long_runs_are_thinned_and_keep_their_ends():
    kept = thinned(np.arange(100_001))
    assert (kept[0], kept[-1]) == (0, 100_000)
    assert len(kept) <= 400
    assert (np.diff(kept) > 0).all()


@pytest.mark.parametrize(
    ("value", "label"), [(1.0, "1"), (1e-2, "0.01"), (1e-3, "10⁻³"), (1e4, "10⁴"), (2000.0, "2000"), (1e-17, "10⁻¹⁷")]
)
def test_labels_of_powers_of_ten(value, label):
    assert power_of_ten(value) == label


# ---------------------------------------------------------------- trajectories


@pytest.mark.parametrize("kind", ["nash", "stackelberg", "reward"])
def test_the_field_is_the_slope_of_what_the_player_maximises(kind):
    """Central differences along the simplex of f(π, ω*(π)), of π ↦ π·Pπ₀ − τ KL at π₀ = π, of E r − τ KL."""
    reference = np.array([0.5, 0.3, 0.2])
    point = np.array([0.2, 0.5, 0.3])
    if kind == "stackelberg":
        game = sb.StackelbergGame(P, 0.3, leader_reference=reference)
        worth = sb.solve(game).values
    elif kind == "nash":
        game, worth = sb.NashGame(P, 0.3, reference), P.probabilities @ point
    else:
        game = sb.RewardGame(P, 0.3, reference=reference)
        worth = sb.solve(game).rewards

    def objective(policy):
        return policy @ worth - 0.3 * (policy * np.log(policy / reference)).sum()

    u = leader_field(game, point)
    for way in (np.array([1.0, -1, 0]), np.array([0.0, 1, -1])):
        slope = (objective(point + 1e-6 * way) - objective(point - 1e-6 * way)) / 2e-6
        assert u @ way == pytest.approx(slope, abs=1e-7)


def test_paths_start_and_end_where_the_run_does_and_the_star_is_the_solution():
    drawing = PAINTERS["trajectories, nash"]()
    solution = PATHS["nash"]["EGPO"]
    path = [row for row in drawing.rows if row[:2] == ("path 1", "EGPO")]
    np.testing.assert_array_equal([row[3:] for row in path], solution.trajectory.policies[0])
    np.testing.assert_allclose(drawing.rows[0][3:], sb.solve(NASH).policy)


def test_arrows_point_along_the_field():
    drawing = PAINTERS["trajectories, stackelberg"]()
    arrows = [patch for patch in drawing.figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    at = np.array([row[3:] for row in drawing.rows if row[0] == "field at"])
    motion = np.array([row[3:] for row in drawing.rows if row[0] == "field is"])
    u = leader_field(TWO, at)
    np.testing.assert_allclose(motion, at * (u - (at * u).sum(axis=1, keepdims=True)), atol=1e-12)
    assert 60 < len(arrows) <= len(at)
    (start, end) = (np.array(spot) for spot in arrows[0]._posA_posB)
    step = motion[0] @ np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
    assert (end - start) @ step == pytest.approx(np.hypot(*(end - start)) * np.hypot(*step), rel=1e-9)


# ---------------------------------------------------------------- kappa and timescales


def test_steps_to_a_tolerance_are_counted_from_where_it_is_kept():
    rows = np.array([[1, 0.01, 1, 0.01, 0.01], [1, 1, 1, 1, 0.5], [0.05, 0.05, 0.05, 0.05, 0.05]])
    assert steps_to(Curves(np.arange(0.0, 50, 10), rows), 0.1).tolist() == [30, np.inf, 0]


def test_kappa_whiskers_are_its_data():
    drawing = draw_kappa(KAPPAS, tolerance=1e-6)
    rows = {row[1]: row[3:] for row in drawing.rows if row[0] == "steps to 1e-06"}
    for kappa, solution in KAPPAS.items():
        within = [trajectory <= 1e-6 for trajectory in solution.trajectory.gap.T]
        steps = sorted(solution.trajectory.steps[np.argmax(one)] for one in within)
        assert rows[kappa] == (steps[0], steps[2], steps[4])
    last = {row[1]: row[4] for row in draw_kappa(KAPPAS).rows if row[0] == "last gap"}
    for kappa, solution in KAPPAS.items():
        assert last[kappa] == max(np.median(solution.gap), 1e-17)


def test_the_map_agrees_with_the_runs_and_with_the_spectrum():
    """A cell converges only inside the unit circle; those that cycle or diverge lie outside it."""
    for i, kappa in enumerate(MAP.kappas):
        for j, rate in enumerate(MAP.rates):
            solver, outcome = sb.StackelbergGDA(rate, kappa), MAP.outcomes[i][j]
            radius = sb.spectrum(TWO, solver).radius
            if outcome is Outcome.CONVERGES:
                record = sb.Record(every=1)
                again = sb.solve(TWO, solver, steps=150, record=record, tolerance=1e-4)
                assert again.trajectory.steps[-1] == MAP.steps[i, j]
                assert radius < 1
            else:
                assert np.isnan(MAP.steps[i, j])
                assert (radius > 1) == (outcome is not Outcome.UNSETTLED)
    found = {outcome for row in (*MAP.outcomes, *EXPLODING.outcomes) for outcome in row}
    assert found == set(Outcome)


def test_outcomes_differ_by_symbol_and_hatch():
    assert len({symbol for symbol, _, _ in MARKS.values()}) == len({hatch for _, _, hatch in MARKS.values()}) == 3
    drawing = draw_timescales(MAP)
    texts = [text.get_text() for text in drawing.figure.axes[0].texts]
    wanted = [
        f"{int(MAP.steps[i, j])}" if outcome is Outcome.CONVERGES else MARKS[outcome][0]
        for i, row in enumerate(MAP.outcomes)
        for j, outcome in enumerate(row)
    ]
    assert texts == wanted


# ---------------------------------------------------------------- spectrum


def test_spectrum_dots_are_its_eigenvalues():
    spectrum, measured = SPECTRA["measured"]
    drawing = draw_spectrum(spectrum, measured)
    for axes in drawing.figure.axes[:2]:
        dots = next(line for line in axes.lines if line.get_marker() == "o")
        np.testing.assert_array_equal(dots.get_xdata() + 1j * np.asarray(dots.get_ydata()), spectrum.eigenvalues)
        radii = sorted({round(float(patch.get_radius()), 9) for patch in axes.patches})
        factor = measured.factor
        assert radii == sorted(round(x, 9) for x in (1.0, spectrum.radius, factor.value, factor.low, factor.high))
    words = " ".join(text.get_text() for text in draw_spectrum(*SPECTRA["no fixed point"]).figure.texts)
    assert "no fixed point" in words
    words = " ".join(text.get_text() for text in draw_spectrum(*SPECTRA["outside"]).figure.texts)
    assert "does not settle" in words


# ---------------------------------------------------------------- refusals

EXACT, PLAIN = sb.solve(NASH), sb.solve(NASH, sb.EGPO(0.5), steps=20)
REFUSALS = {
    "There are no runs": lambda: draw_convergence({}),
    "no trajectory": lambda: draw_convergence({"exact": EXACT}),
    "Runs are solutions": lambda: draw_convergence({"wrong": 3}),
    "was not recorded": lambda: draw_convergence({"plain": PLAIN}, measure=Measure.DISTANCE),
    "different steps": lambda: draw_convergence({"two": [PLAIN, sb.solve(NASH, sb.EGPO(0.5), steps=30)]}),
    "policies on the way": lambda: draw_trajectories({"plain": PLAIN}),
    "three actions": lambda: draw_trajectories(RUNS),
    "different games": lambda: draw_trajectories({"a": ONE["one run"], "b": PATHS["tau 0"]["self-play"]}),
    "gap of κ = 1 was not": lambda: draw_kappa({1: sb.solve(NASH, sb.EGPO(0.5), steps=9, record=sb.Record(gap=False))}),
    "nothing can move": lambda: draw_spectrum(sb.spectrum(sb.StackelbergGame(P, 0), sb.StackelbergGDA())),
    "this one has contexts": lambda: timescales(
        sb.StackelbergGame(sb.PreferenceMatrix.random(3, contexts=2)), sb.MirrorDescent, [0.1], [1]
    ),
    "rates must be positive": lambda: timescales(TWO, sb.MirrorDescent, [1.0, 0.1], [1]),
    "too small to see": lambda: timescales(TWO, sb.MirrorDescent, [0.1], [1], steps=10),
}


@pytest.mark.parametrize("sentence", REFUSALS)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        REFUSALS[sentence]()
