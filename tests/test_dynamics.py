"""Spectrum, fitted rate, cycles, Lipschitz constant: against closed forms, and against what runs do."""

import numpy as np
import pytest
from scipy.signal import lfilter

import stackelberg as sb
from stackelberg.dynamics import Law, Motion, gradient_norm, lipschitz
from stackelberg.dynamics.chart import Chart
from stackelberg.dynamics.series import Line, _memory, long_run_variance
from stackelberg.point import Joint, Point
from stackelberg.policy import Tabular
from stackelberg.solvers import Solver

ROTATION = np.sqrt(3) / 6
"""λ of rock-paper-scissors: see tests/laws/test_rates.py."""
RPS = sb.PreferenceMatrix.cycle(3)


def optimistic(e, t, i):
    step = e * (i - t)
    return max(np.roots([1, -(1 + 2 * step), step]), key=abs)


MULTIPLIERS = {
    sb.OnlineIPO: lambda e, t, i: 1 - e * t + e * i,
    sb.MirrorDescent: lambda e, t, i: 1 - e * t + e * i,
    sb.EGPO: lambda e, t, i: 1 - e * t + e * i * (1 - e * t + e * i),
    sb.ExtraGradient: lambda e, t, i: 1 + e * (i - t) + (e * (i - t)) ** 2,
    sb.MagneticMirrorDescent: lambda e, t, i: (1 + e * i) / (1 + e * t),
    sb.MirrorProx: lambda e, t, i: (1 + e * i * (1 + e * i) / (1 + e * t)) / (1 + e * t),
    sb.NashMirrorProx: lambda e, t, i: (1 + e * i * (1 + e * i) / (1 + e * t)) / (1 + e * t),
    sb.Optimistic: optimistic,
}

# ---------------------------------------------------------------- the spectrum, in closed form


@pytest.mark.parametrize("solver", MULTIPLIERS, ids=lambda solver: solver.__name__)
@pytest.mark.parametrize(("rate", "tau"), [(0.1, 0.3), (1.0, 0.3), (0.5, 0.6)])
def test_the_spectrum_on_rock_paper_scissors_is_the_closed_form(solver, rate, tau):
    found = sb.spectrum(sb.NashGame(RPS, tau), solver(rate))
    wanted = MULTIPLIERS[solver](rate, tau, 1j * ROTATION)
    leading = found.eigenvalues[0]
    assert min(abs(leading - wanted), abs(leading - wanted.conjugate())) < 1e-9
    np.testing.assert_allclose(found.field_eigenvalues, [-tau + 1j * ROTATION, -tau - 1j * ROTATION], atol=1e-9)
    assert found.residual < 1e-12
    assert found.period == pytest.approx(2 * np.pi / abs(np.angle(wanted)), rel=1e-6)
    assert found.gap_factor == pytest.approx(abs(wanted) ** 2, abs=1e-9)


def test_an_optimistic_spectrum_has_the_state_in_it():
    found = sb.spectrum(sb.NashGame(RPS, 0.3), sb.Optimistic(0.5))
    step = 0.5 * (-0.3 + 1j * ROTATION)
    roots = np.roots([1, -(1 + 2 * step), step])
    wanted = np.sort_complex(np.concatenate([roots, roots.conjugate()]))
    np.testing.assert_allclose(np.sort_complex(found.eigenvalues), wanted, atol=1e-8)


@pytest.mark.parametrize("kappa", [0.2, 1, 5, 30])
@pytest.mark.parametrize("n", [3, 4])
def test_the_cascade_has_the_spectrum_of_two_pulls(kappa, n):
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(n, 3), tau_leader=0.8, tau_follower=0.5)
    found = sb.spectrum(game, sb.MirrorDescent(0.05, kappa))
    wanted = np.sort([1 - 0.05 * 0.8] * (n - 1) + [1 - kappa * 0.05 * 0.5] * (n * (n - 1)))
    np.testing.assert_allclose(np.sort(found.eigenvalues.real), wanted, atol=1e-9)
    np.testing.assert_allclose(
        np.sort(found.field_eigenvalues.real), [-0.8] * (n - 1) + [-0.5] * (n * (n - 1)), atol=1e-9
    )
    assert found.period == np.inf


def test_a_context_is_a_game_of_its_own():
    together = sb.PreferenceMatrix.random(3, 1, contexts=3)
    solver = sb.OnlineIPO(0.4)
    for x, tau in enumerate((0.2, 0.3, 0.5)):
        alone = sb.spectrum(sb.NashGame(together.probabilities[x], tau), solver)
        both = sb.spectrum(sb.NashGame(together, np.array([0.2, 0.3, 0.5])), solver, context=x)
        np.testing.assert_allclose(both.eigenvalues, alone.eigenvalues, atol=1e-9)


def test_on_the_simplex_only_the_active_face_moves():
    """At τ = 0 the Leader plays one action, and every row of the Follower another: nothing can move."""
    game = sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), tau=0)
    found = sb.spectrum(game, sb.StackelbergGDA(0.1))
    assert len(found.eigenvalues) == 0
    assert found.radius == 0
    half = np.array([0.5, 0.5, 0.0])
    point = Point(sb.Simplex(), (Tabular.from_probabilities(half[None]),))
    chart = Chart.at(point, 0)
    assert chart.size == 1
    moved = chart.point(np.array([0.001])).probabilities[0][0]
    assert moved[2] == 0
    assert moved.sum() == pytest.approx(1, abs=1e-15)
    assert chart.coordinates(chart.point(np.array([0.001])))[0] == pytest.approx(0.001, abs=1e-12)


def test_beside_a_fixed_point_the_residual_says_so():
    game = sb.NashGame(RPS, 0.3, [0.5, 0.3, 0.2])
    solver = sb.NashMD(0.5)
    with pytest.warns(UserWarning, match="This is no fixed point: a step leads .* Pass at= what the rule has settled"):
        beside = sb.spectrum(game, solver)
    assert beside.residual > 1e-3
    assert beside.drift == pytest.approx(beside.residual / 0.5)
    assert beside.report.startswith("no fixed point: a step leads ")
    learned = sb.solve(game, solver, steps=400, record=None).policy
    settled = sb.spectrum(game, solver, at=learned)
    assert settled.residual < 1e-12
    assert settled.report.startswith("attracts: a step multiplies the error by 0.")


def test_small_steps_do_not_look_like_rest():
    game = sb.NashGame(RPS, 0.3, [0.5, 0.3, 0.2])
    with pytest.warns(UserWarning, match="no fixed point"):
        found = sb.spectrum(game, sb.OnlineIPO(1e-9), at=[0.6, 0.2, 0.2])
    assert found.residual < 1e-9
    assert found.drift == pytest.approx(gradient_norm(game, sb.OnlineIPO(1e-9), at=[0.6, 0.2, 0.2]), rel=1e-4)


def test_the_report_says_what_the_eigenvalues_mean():
    outside = sb.spectrum(sb.NashGame(RPS, 0.05), sb.OnlineIPO(3.0)).report
    assert outside.startswith("repels: a step multiplies the error by 1.2")
    unreached = sb.spectrum(sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2]), 0), sb.StackelbergGDA())
    assert unreached.report == "neither attracts nor repels: the spectral radius is 1"
    magnet = sb.spectrum(sb.NashGame(RPS, 0), sb.MPO(0.5, magnet_tau=0.2)).report
    assert magnet.startswith("neither attracts nor repels: the spectral radius is 1")


def test_a_schedule_is_read_at_the_step():
    game, schedule = sb.NashGame(RPS, 0.3), sb.OnlineIPO(lambda t: 0.1 * (t + 1))
    assert sb.spectrum(game, schedule, step=4).radius == pytest.approx(
        sb.spectrum(game, sb.OnlineIPO(0.5)).radius, abs=1e-10
    )


def test_an_annealed_tau_is_read_at_the_step():
    """The field is that of the game; the step sees τ times its scale."""
    found = sb.spectrum(sb.NashGame(RPS, 0.3), sb.OnlineIPO(0.5, tau_scale=lambda t: 2.0 if t else 1.0), step=1)
    assert found.radius == pytest.approx(abs(1 - 0.5 * 0.6 + 0.5j * ROTATION), abs=1e-9)
    assert found.field_eigenvalues[0].real == pytest.approx(-0.3, abs=1e-9)


def test_a_magnet_that_stays_has_the_eigenvalue_one():
    found = sb.spectrum(sb.NashGame(RPS, 0), sb.MPO(0.5, magnet_tau=0.2))
    inner = (1 + 0.5j * ROTATION) / 1.1
    np.testing.assert_allclose(np.abs(found.eigenvalues), [1, 1, abs(inner), abs(inner)], atol=1e-9)


class Clocked(Solver):
    """A rule with a state of every kind: a clock, a Joint, an array."""

    games = (sb.NashGame,)

    def init(self, point):
        return (0, Joint((np.zeros((1, 2)),)), np.zeros(3))

    def direction(self, t, point, field, state):
        clock, joint, array = state
        return field(point).total, (clock + 1, joint * 0.5, array * 0.25)


def test_a_state_may_be_of_any_shape():
    found = sb.spectrum(sb.NashGame(RPS, 0.3), Clocked(0.5))
    inner = np.sort(found.eigenvalues[2:].real)
    np.testing.assert_allclose(inner, [0.25, 0.25, 0.25, 0.5, 0.5], atol=1e-9)
    assert found.radius == pytest.approx(abs(1 - 0.15 + 0.5j * ROTATION), abs=1e-9)


# ---------------------------------------------------------------- the law: predicted is measured


def error_of_run(trajectory, exact, geometry):
    """The norm of the error of the run in the solver's coordinates."""
    total = 0
    for found, wanted in zip(trajectory.policies, exact, strict=True):
        apart = found - wanted if isinstance(geometry, sb.Simplex) else np.log(found) - np.log(wanted)
        apart = apart - apart.mean(axis=-1, keepdims=True)
        total = total + (apart**2).reshape(len(found), -1).sum(axis=1)
    return np.sqrt(total)


SIMPLEX, SOFTMAX = sb.Simplex(), sb.Softmax()
LINEAR = [
    *((sb.MirrorDescent(0.1, kappa), "stackelberg") for kappa in (0.3, 1, 5, 15)),
    (sb.StackelbergGDA(0.03, 5), "stackelberg"),
    (sb.StackelbergGDA(1.0, 5, SOFTMAX), "stackelberg"),
    (sb.ExtraGradient(0.1, 5), "stackelberg"),
    (sb.ExtraGradient(0.03, 5, SIMPLEX), "stackelberg"),
    (sb.ExtraGradient(1.0, 5, SOFTMAX), "stackelberg"),
    (sb.Optimistic(0.1, 5), "stackelberg"),
    (sb.Optimistic(0.02, 2, SIMPLEX), "stackelberg"),
    (sb.Optimistic(0.5, 5, SOFTMAX), "stackelberg"),
    (sb.MirrorProx(0.3, 2), "stackelberg"),
    (sb.MirrorDescent(0.1, 5, alternating=True), "stackelberg"),
    (sb.StackelbergGDA(0.03, 5, alternating=True), "stackelberg"),
    (sb.MirrorDescent(0.2), "reward"),
    (sb.RLOO(1.0), "reward"),
    (sb.GDA(0.02, geometry=SIMPLEX), "nash"),
    (sb.GDA(0.5), "nash"),
    (sb.MirrorDescent(0.2), "nash"),
    (sb.OnlineIPO(0.2), "nash"),
    (sb.EGPO(0.2), "nash"),
    (sb.ExtraGradient(0.2), "nash"),
    (sb.ExtraGradient(0.02, geometry=SIMPLEX), "nash"),
    (sb.ExtraGradient(0.5, geometry=SOFTMAX), "nash"),
    (sb.Optimistic(0.2), "nash"),
    (sb.Optimistic(0.5, geometry=SOFTMAX), "nash"),
    (sb.MagneticMirrorDescent(0.2), "nash"),
    (sb.NashMirrorProx(0.2), "nash"),
    (sb.OptimisticMWU(1.5), "lottery"),
]


def random_game(kind, seed):
    rng = np.random.default_rng(seed)
    if kind == "lottery":
        return sb.NashGame(sb.PreferenceMatrix.condorcet(0.28 + 0.16 * rng.dirichlet(np.ones(3))), 0)
    p = 0.05 + 0.9 * sb.PreferenceMatrix.random(4, seed).probabilities
    reference = rng.dirichlet(np.full(4, 5.0)) * 0.8 + 0.05
    if kind == "stackelberg":
        return sb.StackelbergGame(p, 0.4, leader_reference=reference, follower_reference=np.tile(reference, (4, 1)))
    return sb.NashGame(p, 0.4, reference) if kind == "nash" else sb.RewardGame(p, 0.4, reference=reference)


@pytest.mark.parametrize(("solver", "kind"), LINEAR, ids=lambda value: value if isinstance(value, str) else repr(value))
@pytest.mark.parametrize("seed", [1, 2])
def test_the_last_iterate_converges_at_the_predicted_factor(solver, kind, seed):
    game = random_game(kind, seed)
    found = sb.spectrum(game, solver)
    assert found.radius < 1
    exact = sb.solve(game)
    policies = (exact.leader, exact.follower) if kind == "stackelberg" else (exact.policy,)
    steps = int(min(-22 / np.log(found.radius), 12000))
    record = sb.Record(every=max(steps // 300, 1), gap=False, average=False, policies=True)
    start = [0.45, 0.25, 0.3] if kind == "lottery" else None
    run = sb.solve(game, solver, steps=steps, record=record, start=start).trajectory
    errors = error_of_run(run, policies, solver.moves_in)
    rate = sb.fit_rate(run.steps, errors, rounding=1e-9, burn_in=0.3)
    assert rate.law is Law.LINEAR
    # eigenvalues that turn leave waves in the error
    assert np.log(rate.factor.value) == pytest.approx(np.log(found.radius), rel=0.03)


@pytest.mark.parametrize(("rate", "settles"), [(0.9, True), (1.4, False)])
def test_outside_the_unit_circle_a_run_leaves(rate, settles):
    game, solver = sb.NashGame(RPS, 0.05), sb.OnlineIPO(rate)
    assert (sb.spectrum(game, solver).radius < 1) == settles
    record = sb.Record(every=1, policies=True)
    run = sb.solve(game, solver, steps=1500, start=[0.35, 0.33, 0.32], record=record).trajectory
    cycle = sb.detect_cycle(run.policies[0], run.steps)
    assert cycle.motion is (Motion.CONVERGES if settles else Motion.ORBITS)
    if settles:
        assert cycle.growth == pytest.approx(sb.spectrum(game, solver).radius, abs=1e-4)
    else:
        assert cycle.growth == pytest.approx(1, abs=1e-4)
        assert cycle.amplitude > 0.1


# ---------------------------------------------------------------- Lipschitz constant, gradient, records


@pytest.mark.parametrize("tau", [0.0, 0.4])
def test_the_lipschitz_constant_of_rock_paper_scissors(tau):
    """Pull and rotation are orthogonal there: √(τ² + λ²)."""
    game = sb.NashGame(RPS, tau)
    assert lipschitz(game, sb.MirrorDescent()) == pytest.approx(np.hypot(tau, ROTATION), abs=1e-9)


def test_records_of_forces_are_those_of_the_diagnostics():
    game = random_game("stackelberg", 3)
    for solver in (sb.MirrorDescent(0.2, 2), sb.StackelbergGDA(0.02, 5), sb.StackelbergGDA(0.5, 5, SOFTMAX)):
        record = sb.Record(every=1, policies=True, forces=True)
        run = sb.solve(game, solver, steps=60, record=record).trajectory
        at = [tuple(part[k] for part in run.policies) for k in (0, 30, 60)]
        wanted = [gradient_norm(game, solver, at=policies) for policies in at]
        np.testing.assert_allclose(run.gradient_norm[[0, 30, 60]], wanted, atol=1e-12)
        assert run.lipschitz[0] == 0
        assert (np.diff(run.lipschitz) >= 0).all()
        steepest = max(lipschitz(game, solver, at=policies) for policies in at)
        assert 0.02 * steepest < run.lipschitz[-1] <= 1.5 * steepest
    assert gradient_norm(game, sb.MirrorDescent()) < 1e-12


def test_the_gradient_in_softmax_parameters_is_that_of_f():
    """By differences of f(π, ω) itself, the Leader up and the Follower down."""
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(3, 5), tau_leader=0.4, tau_follower=0.7)
    theta = np.random.default_rng(0).normal(size=12)

    def policies(logits):
        tables = Tabular.from_logits(logits[:3]), Tabular.from_logits(logits[3:].reshape(3, 3))
        return tuple(table.probabilities for table in tables)

    def f(logits):
        leader, follower = policies(logits)
        kl = (follower * np.log(3 * follower)).sum(axis=1)
        earned = (follower * game.preference.probabilities).sum(axis=1) + 0.7 * kl
        return leader @ earned - 0.4 * (leader * np.log(3 * leader)).sum()

    gradient = [(f(theta + 1e-5 * e) - f(theta - 1e-5 * e)) / 2e-5 for e in np.eye(12)]
    wanted = np.linalg.norm(gradient)
    assert gradient_norm(game, sb.StackelbergGDA(geometry=SOFTMAX), at=policies(theta)) == pytest.approx(
        wanted, rel=1e-8
    )


def test_the_lipschitz_estimate_is_the_largest_slope_of_successive_records():
    game = sb.NashGame(RPS, 0.3)
    run = sb.solve(
        game, sb.EGPO(0.5), steps=9, start=[0.6, 0.3, 0.1], record=sb.Record(every=3, policies=True, forces=True)
    )
    logits = np.log(run.trajectory.policies[0])
    logits -= logits.mean(axis=1, keepdims=True)
    field = run.trajectory.policies[0] @ (RPS.probabilities - 0.5).T - 0.3 * logits
    slopes = np.linalg.norm(np.diff(field, axis=0), axis=1) / np.linalg.norm(np.diff(logits, axis=0), axis=1)
    np.testing.assert_allclose(run.trajectory.lipschitz[1:], np.maximum.accumulate(slopes), rtol=1e-9)
    np.testing.assert_allclose(run.trajectory.gradient_norm, np.linalg.norm(field, axis=1), rtol=1e-9)


def test_recorded_policies_are_the_iterates():
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(3, contexts=2), 0.3)
    record = sb.Record(every=2, policies=True, forces=True)
    run = sb.solve(game, sb.MirrorDescent(), steps=5, record=record)
    leader, follower = run.trajectory.policies
    assert leader.shape == (4, 2, 3)
    assert follower.shape == (4, 2, 3, 3)
    assert run.trajectory.lipschitz.shape == run.trajectory.gradient_norm.shape == (4, 2)
    for k, steps in enumerate(run.trajectory.steps):
        alone = sb.solve(game, sb.MirrorDescent(), steps=int(steps), record=None)
        np.testing.assert_array_equal(leader[k], alone.leader)
        np.testing.assert_array_equal(follower[k], alone.follower)
    plain = sb.solve(game, sb.MirrorDescent(), steps=5).trajectory
    assert plain.policies is None
    assert plain.gradient_norm is None


# ---------------------------------------------------------------- fitted rates


def noisy(memory, size, rng, n=300):
    white = rng.normal(size=n + 200) * size * np.sqrt(1 - memory**2)
    return np.exp(lfilter([1], [1, -memory], white)[200:])


T = np.arange(1, 301)
LINES = {Law.LINEAR: 0.98**T, Law.SUBLINEAR: 1.0 / T}


@pytest.mark.parametrize("law", LINES, ids=lambda law: law.name)
@pytest.mark.parametrize("memory", [0.0, 0.5])
def test_the_law_is_told_and_the_interval_covers(law, memory):
    """95 % intervals hold the truth in 88 to 99 % of 150 trials, correlated noise or not; the wrong law is rare."""
    rng = np.random.default_rng(0)
    fits = [sb.fit_rate(T, LINES[law] * noisy(memory, 0.2, rng)) for _ in range(150)]
    held = [fit.factor.holds(0.98) if law is Law.LINEAR else fit.exponent.holds(1.0) for fit in fits]
    assert 0.88 < np.mean(held) < 0.99
    told = [fit.law for fit in fits]
    assert np.mean([one not in (law, Law.UNDECIDED) for one in told]) < 0.02
    assert np.mean([one is law for one in told]) > (0.9 if law is Law.LINEAR or memory == 0 else 0.25)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_what_does_not_fall_is_undecided(memory):
    rng = np.random.default_rng(1)
    laws = [sb.fit_rate(T, 0.1 * noisy(memory, 0.5, rng)).law for _ in range(100)]
    assert laws.count(Law.UNDECIDED) == 100
    growing = sb.fit_rate(T, 1.01**T)
    assert growing.law is Law.UNDECIDED
    assert growing.factor.value == pytest.approx(1.01)


def test_a_short_record_is_undecided():
    """Over a few steps a power of the steps and a power of a factor look alike."""
    rng = np.random.default_rng(2)
    t = np.arange(50, 70)
    laws = [sb.fit_rate(t, np.exp(-0.01 * t + 0.5 * rng.normal(size=20)), burn_in=0).law for _ in range(50)]
    assert set(laws) == {Law.UNDECIDED}


def test_rounding_is_no_part_of_a_rate():
    t = np.arange(1000)
    errors = np.maximum(0.9**t, 3e-14 * (1 + np.cos(t)))
    rate = sb.fit_rate(t, errors)
    assert rate.law is Law.LINEAR
    assert rate.factor.value == pytest.approx(0.9, abs=1e-9)
    assert rate.window[1] < 300
    flat = sb.fit_rate(t, np.maximum(0.9**t, 4e-12))  # a floor higher up, as a KL has
    assert flat.factor.value == pytest.approx(0.9, abs=1e-9)
    np.testing.assert_allclose(rate.predict([0, 50, 200]), 0.9 ** np.array([0, 50, 200]), rtol=1e-6)


def test_several_runs_have_an_interval_over_runs():
    rng = np.random.default_rng(3)
    factors = 0.95 + 0.01 * rng.normal(size=12)
    rate = sb.fit_rate(np.arange(100), factors[:, None] ** np.arange(100))
    slopes = np.log(factors)
    half = 2.200985 * slopes.std(ddof=1) / np.sqrt(12)  # Student's t with 11 degrees of freedom
    assert (rate.runs, rate.law) == (12, Law.LINEAR)
    assert np.log(rate.factor.low) == pytest.approx(slopes.mean() - half, abs=1e-6)
    assert np.log(rate.factor.high) == pytest.approx(slopes.mean() + half, abs=1e-6)


def test_average_and_last_iterates_of_real_runs():
    """Self-play's average falls sublinearly, between 1/√T and 1/T; EGPO's last iterate linearly."""
    lottery = sb.NashGame(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), 0)
    flat = sb.solve(lottery, sb.SelfPlay(0.2), steps=8000, record=sb.Record(every=20)).trajectory
    average = sb.fit_rate(flat.steps, flat.average_gap, burn_in=0.02)
    assert average.law is Law.SUBLINEAR
    assert 0.5 < average.exponent.value < 1
    game = sb.NashGame(sb.PreferenceMatrix.random(4, 3, contexts=6), 0.2)
    run = sb.solve(game, sb.EGPO(0.5), steps=200, record=sb.Record(every=1)).trajectory
    last, mean = sb.fit_rate(run.steps, run.gap.T), sb.fit_rate(run.steps, run.average_gap.T)
    assert (last.law, mean.law) == (Law.LINEAR, Law.SUBLINEAR)
    assert last.factor.holds(sb.spectrum(game, sb.EGPO(0.5), context=0).gap_factor)


def test_the_memory_of_residuals_is_estimated_without_bias():
    """Uncorrected it is 0.84 here (Marriott and Pope 1954)."""
    rng, x = np.random.default_rng(6), np.arange(100.0)
    series = [np.log(noisy(0.9, 1.0, rng, 100)) for _ in range(200)]
    found = [_memory(y - np.polyval(np.polyfit(x, y, 1), x)) for y in series]
    assert np.mean(found) == pytest.approx(0.9, abs=0.02)


def test_standard_errors_know_of_memory():
    """Ten trials of a random walk's cousin: the classical error of the slope is several times too small."""
    rng = np.random.default_rng(4)
    x = np.arange(400.0)
    lines = [Line.through(x, np.log(noisy(0.9, 1.0, rng, 400))) for _ in range(200)]
    spread = np.std([line.slope for line in lines])
    classical = np.mean([np.sqrt(line.residual / 400) / x.std() for line in lines])
    told = np.mean([line.error for line in lines])
    assert classical < 0.4 * spread
    assert 0.8 * spread < told < 1.5 * spread
    assert long_run_variance(np.zeros(50)) == 0


# ---------------------------------------------------------------- cycles


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2])
def test_self_play_orbits_with_the_period_and_growth_of_its_multiplier(rate):
    """1 + iηλ: once round in 2π/arctan(ηλ) steps, a little outwards each time."""
    game = sb.NashGame(RPS, 0)
    steps = int(8 * 2 * np.pi / (rate * ROTATION))
    record = sb.Record(every=1, policies=True, average=False)
    run = sb.solve(game, sb.SelfPlay(rate), steps=steps, start=[0.336, 0.334, 0.33], record=record).trajectory
    cycle = sb.detect_cycle(run.policies[0], run.steps)
    assert cycle.orbits
    assert cycle.period == pytest.approx(2 * np.pi / np.arctan(rate * ROTATION), rel=3e-3)
    assert cycle.growth - 1 == pytest.approx(np.sqrt(1 + (rate * ROTATION) ** 2) - 1, rel=0.01)
    assert cycle.recurrence > 0.9
    gap = sb.detect_cycle(run.gap, run.steps)
    assert gap.orbits
    assert gap.period == pytest.approx(cycle.period / 3, rel=0.02)  # the best reply changes thrice a round


def test_records_may_be_apart():
    game = sb.NashGame(RPS, 0)
    record = sb.Record(every=20, policies=True, average=False)
    run = sb.solve(game, sb.SelfPlay(0.05), steps=6007, start=[0.336, 0.334, 0.33], record=record).trajectory
    cycle = sb.detect_cycle(run.policies[0], run.steps)
    assert cycle.orbits
    assert cycle.period == pytest.approx(2 * np.pi / np.arctan(0.05 * ROTATION), rel=3e-3)
    assert cycle.growth - 1 == pytest.approx((0.05 * ROTATION) ** 2 / 2, rel=0.03)


t = np.arange(1, 1001)
MOTIONS = {
    "exponential": (0.99**t, Motion.CONVERGES),
    "slow exponential": (0.999**t, Motion.CONVERGES),
    "1/t": (1 / t, Motion.CONVERGES),
    "1/√t": (t**-0.5, Motion.CONVERGES),
    "1/log t": (1 / np.log(t + 2), Motion.CONVERGES),
    "constant": (np.full(1000, 0.3), Motion.CONVERGES),
    "alternating, shrinking": ((-0.99) ** t, Motion.CONVERGES),
    "spiral": (0.998**t * np.sin(0.7 * t), Motion.CONVERGES),
    "sine": (np.sin(0.7 * t), Motion.ORBITS),
    "alternating": ((-1.0) ** t, Motion.ORBITS),
    "sine and noise": (np.sin(0.1 * t) + 0.3 * np.random.default_rng(0).normal(size=1000), Motion.ORBITS),
    "drift": (0.1 * t, Motion.WANDERS),
    "growth": (1.02**t, Motion.DIVERGES),
    "growing spiral": (1.01**t * np.sin(0.7 * t), Motion.DIVERGES),
}


@pytest.mark.parametrize("name", MOTIONS)
def test_known_motions(name):
    values, motion = MOTIONS[name]
    assert sb.detect_cycle(values).motion is motion


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("n", [100, 1000])
def test_noise_wanders(memory, n):
    rng = np.random.default_rng(5)
    noise = [lfilter([1], [1, -memory], rng.normal(size=(n + 500, 3)), axis=0)[500:] for _ in range(50)]
    motions = [sb.detect_cycle(one).motion for one in noise]
    assert Motion.ORBITS not in motions
    assert motions.count(Motion.WANDERS) >= 46


@pytest.mark.parametrize("solver", [sb.EGPO(0.5), sb.OnlineIPO(0.5), sb.MagneticMirrorDescent(0.5), sb.Optimistic(0.5)])
def test_convergent_runs_do_not_orbit(solver):
    for seed in range(4):
        game = sb.NashGame(sb.PreferenceMatrix.random(5, seed), 0.1)
        for steps in (100, 400):
            run = sb.solve(game, solver, steps=steps, record=sb.Record(every=1, policies=True)).trajectory
            assert sb.detect_cycle(run.policies[0], run.steps).motion is Motion.CONVERGES
            assert sb.detect_cycle(run.gap, run.steps).motion is Motion.CONVERGES


# ---------------------------------------------------------------- refusals

GAME = sb.NashGame(RPS, 0.3)
MANY = sb.NashGame(sb.PreferenceMatrix.random(3, contexts=2), 0.3)
REFUSALS = {
    "choose one from 0 to 1": lambda: sb.spectrum(MANY, sb.EGPO()),
    "context is 2": lambda: sb.spectrum(MANY, sb.EGPO(), context=2),
    "leave context out": lambda: sb.spectrum(GAME, sb.EGPO(), context=0),
    "StackelbergGDA is a rule for a StackelbergGame": lambda: sb.spectrum(GAME, sb.StackelbergGDA()),
    "exact solution has zeros": lambda: sb.spectrum(
        sb.NashGame(np.triu(np.ones((3, 3)), 1) + np.eye(3) / 2, 0), sb.SelfPlay()
    ),
    "too many for a spectrum": lambda: sb.spectrum(sb.StackelbergGame(np.full((60, 60), 0.5), 1), sb.MirrorDescent()),
    "fewer|are needed": lambda: sb.fit_rate([1, 2, 3], [1, 0.1, 0.01]),
    "trajectory.gap.T": lambda: sb.fit_rate(range(10), np.ones((10, 3))),
    "must increase": lambda: sb.fit_rate([1, 1, 2], [1, 1, 1]),
    "must not be negative": lambda: sb.fit_rate(range(20), -np.ones(20)),
    "burn_in must be a share": lambda: sb.fit_rate(range(20), np.ones(20), burn_in=1.0),
    "errors must be finite": lambda: sb.fit_rate([1, 2], [1, np.nan]),
    "a cycle takes 32": lambda: sb.detect_cycle([1.0, 2.0]),
    "values must be finite": lambda: sb.detect_cycle(np.full(50, np.nan)),
    "evenly spaced": lambda: sb.detect_cycle(np.ones(50), np.arange(50) ** 2),
    "one a record": lambda: sb.detect_cycle(np.ones(50), np.arange(40)),
}


@pytest.mark.parametrize("sentence", REFUSALS)
def test_what_cannot_be_is_refused_with_a_sentence(sentence):
    with pytest.raises(ValueError, match=sentence):
        REFUSALS[sentence]()
