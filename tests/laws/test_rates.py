"""Claimed rates, measured as slopes of the last iterate's error."""

import numpy as np
import pytest

import stackelberg as sb

TAU_LEADER, TAU_FOLLOWER, RATE = 0.8, 0.5, 0.05
EVERY_STEP = sb.Record(every=1, distance=True, average=False)


def log_error(policy, target):
    """The largest error of a log-probability, up to the constant of each row."""
    error = np.log(policy) - np.log(target)
    return np.abs(error - error.mean(axis=-1, keepdims=True)).max()


def factor(steps, errors, *, above=1e-11, after=0):
    """The factor a step that a line through the logarithms of the errors says."""
    errors, steps = np.asarray(errors), np.asarray(steps)
    fit = (errors > above) & (steps >= after)
    assert fit.sum() >= 5
    return np.exp(np.polyfit(steps[fit], np.log(errors[fit]), 1)[0])


# ---------------------------------------------------------------- the cascade of the Stackelberg game


def cascade():
    return sb.StackelbergGame(sb.PreferenceMatrix.random(5, 3), tau_leader=TAU_LEADER, tau_follower=TAU_FOLLOWER)


@pytest.mark.parametrize("kappa", [0.2, 1, 5, 20])
def test_cascade_mirror_descent_is_linear_in_the_last_iterate_for_every_kappa(kappa):
    game, solver = cascade(), sb.MirrorDescent(RATE, kappa)
    exact = sb.solve(game)
    steps = np.arange(0, 60 if kappa == 20 else 400, 2 if kappa == 20 else 8)
    runs = [sb.solve(game, solver, steps=int(t), record=None) for t in steps]
    followers = [log_error(run.follower, exact.follower) for run in runs]
    leaders = [log_error(run.leader, exact.leader) for run in runs]
    follower_factor = 1 - kappa * RATE * TAU_FOLLOWER
    assert factor(steps, followers) == pytest.approx(follower_factor, abs=1e-4)
    claimed = max(1 - RATE * TAU_LEADER, follower_factor**2)
    measured = factor(steps, leaders, after=steps[-1] / 3)
    assert np.log(measured) == pytest.approx(np.log(claimed), rel=0.03)


def test_the_follower_does_not_look_at_the_leader():
    game = cascade()
    runs = [sb.solve(game, sb.MirrorDescent(rate, 1 / rate), steps=9, record=None) for rate in (0.01, 1.0)]
    np.testing.assert_allclose(runs[0].follower, runs[1].follower, atol=1e-14)


def test_one_step_is_enough_for_a_follower_with_rate_one_over_tau():
    game = cascade()
    run = sb.solve(game, sb.MirrorDescent(1.0, 1 / TAU_FOLLOWER), steps=1)
    assert log_error(run.follower, sb.solve(game).follower) < 1e-13


# ---------------------------------------------------------------- the Nash game, predicted from its spectrum

ROTATION = np.sqrt(3) / 6
"""λ: near its equilibrium regularised rock-paper-scissors turns the logits by g = ±iλ θ, and pulls by −τ θ."""


def optimistic_factor(rate, tau, turn):
    """The larger root of z² = z + η μ (2z − 1), μ = −τ + iλ."""
    step = rate * (-tau + 1j * turn)
    return max(np.roots([1, -(1 + 2 * step), step]), key=abs)


MULTIPLIERS = [
    (sb.OnlineIPO, lambda e, t, i: 1 - e * t + e * i),
    (sb.MirrorDescent, lambda e, t, i: 1 - e * t + e * i),
    (sb.EGPO, lambda e, t, i: 1 - e * t + e * i * (1 - e * t + e * i)),
    (sb.ExtraGradient, lambda e, t, i: 1 + e * (i - t) + (e * (i - t)) ** 2),
    (sb.MagneticMirrorDescent, lambda e, t, i: (1 + e * i) / (1 + e * t)),
    (sb.MirrorProx, lambda e, t, i: (1 + e * i * (1 + e * i) / (1 + e * t)) / (1 + e * t)),
    (sb.NashMirrorProx, lambda e, t, i: (1 + e * i * (1 + e * i) / (1 + e * t)) / (1 + e * t)),
    (sb.Optimistic, lambda e, t, i: optimistic_factor(e, t, i.imag)),
]


@pytest.mark.parametrize(("solver", "multiplier"), MULTIPLIERS, ids=[row[0].__name__ for row in MULTIPLIERS])
@pytest.mark.parametrize(("rate", "tau"), [(0.1, 0.3), (0.5, 0.3), (1.0, 0.3), (0.5, 0.6)])
def test_near_the_equilibrium_the_measured_rate_is_the_predicted_one(solver, multiplier, rate, tau):
    """KL is quadratic in the error: its factor is |m|², m the multiplier of one step."""
    predicted = abs(multiplier(rate, tau, 1j * ROTATION)) ** 2
    assert predicted < 1
    game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau)
    start = np.array([0.34, 0.336, 0.324])
    run = sb.solve(game, solver(rate), steps=int(-16 / np.log(predicted)), start=start, record=EVERY_STEP)
    measured = factor(run.trajectory.steps, run.trajectory.distance, above=1e-13, after=3)
    assert np.log(measured) == pytest.approx(np.log(predicted), rel=0.02)


@pytest.mark.parametrize(("rate", "settles"), [(0.9, True), (1.4, False)])
def test_online_ipo_needs_a_rate_below_its_bound(rate, settles):
    """|1 − ητ + iηλ| < 1 iff η < 2τ/(τ² + λ²): 1.17 here. EGPO at the same rates converges."""
    tau = 0.05
    assert (rate < 2 * tau / (tau**2 + ROTATION**2)) == settles
    game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau)
    gaps = [
        sb.solve(game, solver(rate), steps=3000, start=[0.35, 0.33, 0.32]).gap for solver in (sb.OnlineIPO, sb.EGPO)
    ]
    assert (gaps[0] < 1e-9) == settles
    assert gaps[1] < 1e-9


LINEAR = [sb.EGPO, sb.MagneticMirrorDescent, sb.NashMirrorProx]


@pytest.mark.parametrize("solver", LINEAR, ids=lambda solver: solver.__name__)
@pytest.mark.parametrize("tau", [0.1, 0.5])
def test_from_far_away_the_last_iterate_is_linear(solver, tau):
    """``KL(π*‖π_t) ≤ (1 + ητ)^{−t} KL(π*‖π_0)``, Sokota et al. for the magnetic step at η ≤ τ/L², L = ½."""
    n, contexts = 6, 20
    rng = np.random.default_rng(4)
    game = sb.NashGame(
        sb.PreferenceMatrix.random(n, 9, contexts), tau, rng.dirichlet(np.ones(n), contexts) * 0.9 + 0.1 / n
    )
    rate = 4 * tau
    start = rng.dirichlet(np.ones(n), contexts) * 0.99 + 0.01 / n
    steps = int(20 / np.log1p(rate * tau))
    run = sb.solve(game, solver(rate), steps=steps, start=start, record=EVERY_STEP).trajectory
    bound = run.distance[0] * (1 + rate * tau) ** -run.steps[:, None]
    assert (run.distance <= bound + 1e-12).all()


@pytest.mark.parametrize("tau", [0.1, 0.4, 1.0])
def test_nash_md_keeps_its_bound(tau):
    n, contexts = 5, 20
    rng = np.random.default_rng(1)
    reference = rng.dirichlet(np.ones(n), contexts) * 0.9 + 0.1 / n
    game = sb.NashGame(sb.PreferenceMatrix.random(n, 2, contexts), tau, reference)
    run = sb.solve(game, sb.NashMD(lambda t: 2 / (tau * (t + 2))), steps=3000, record=EVERY_STEP).trajectory
    assert (run.distance <= 8 / (tau**2 * (run.steps[:, None] + 1))).all()
    late = run.steps >= 300
    slopes = np.polyfit(np.log(run.steps[late]), np.log(run.distance[late]), 1)[0]
    assert slopes.max() < -1.5  # twice as steep as proved: the error, not its square, falls as 1/T


def test_nash_md_at_a_constant_rate_stops_beside_the_equilibrium_by_as_much_as_its_rate():
    """It answers to the mixture with the reference, so the equilibrium is no fixed point while ητ > 0."""
    game = sb.NashGame(sb.PreferenceMatrix.cycle(3), 0.2, [0.5, 0.3, 0.2])
    exact, rates = sb.solve(game).policy, np.array([0.2, 0.05, 0.0125])
    beside = [log_error(sb.solve(game, sb.NashMD(rate), steps=int(150 / rate)).policy, exact) for rate in rates]
    assert np.polyfit(np.log(rates), np.log(beside), 1)[0] == pytest.approx(1, abs=0.05)
