"""Where the average iterate is the answer, and where the last one is although there is no KL."""

import numpy as np
import pytest

import stackelberg as sb

OFF = [0.5, 0.3, 0.2]


def slope(steps, errors):
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


@pytest.mark.parametrize("contexts_seed", [0, 1])
def test_the_average_of_self_play_keeps_its_regret_bound(contexts_seed):
    """Exploitability ≤ log(1/min π_0)/(ηT) + η/8, at most; the gap is twice that."""
    n = 4
    game = sb.NashGame(sb.PreferenceMatrix.random(n, contexts_seed, contexts=20), tau=0)
    gaps = []
    for steps in (100, 1600, 25600):
        rate = np.sqrt(8 * np.log(n) / steps)
        run = sb.solve(game, sb.SelfPlay(rate), steps=steps - 1, record=sb.Record(every=steps))
        bound = np.log(n) / (rate * steps) + rate / 8
        assert (run.average.gap / 2 <= bound).all()
        np.testing.assert_allclose(run.average.gap, sb.duality_gap(game, run.average.policy), atol=1e-12)
        np.testing.assert_array_equal(run.average.gap, run.trajectory.average_gap[-1])
        gaps.append(run.average.gap.max())
    assert slope([100, 1600, 25600], gaps) < -0.4


def test_the_last_iterate_of_self_play_cycles_while_its_average_settles():
    game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0)
    run = sb.solve(game, sb.SelfPlay(0.05), steps=8000, start=OFF)
    late = run.trajectory.gap[len(run.trajectory) // 2 :]
    assert late.min() > run.trajectory.gap[0]  # it spirals outwards
    assert run.average.gap < 0.01
    assert (np.diff(np.sign(np.diff(late))) != 0).sum() > 10  # and round and round


def test_the_last_iterate_of_optimistic_weights_converges_under_full_support():
    game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0)
    run = sb.solve(game, sb.OptimisticMWU(0.5), steps=1500, start=OFF, record=sb.Record(distance=True))
    steps, distance = run.trajectory.steps, run.trajectory.distance
    fit = distance > 1e-13
    decay = np.polyfit(steps[fit], np.log(distance[fit]), 1)[0]
    turn = 0.5 * np.sqrt(3) / 6  # ηλ: near the equilibrium the root of z² = z + iηλ(2z − 1)
    predicted = 2 * np.log(np.abs(np.roots([1, -(1 + 2j * turn), 1j * turn])).max())
    assert decay == pytest.approx(predicted, rel=0.05)
    assert run.gap < 1e-6


@pytest.mark.parametrize("tau", [0.0, 0.4])
def test_the_average_gap_of_stackelberg_gda_falls_as_claimed(tau):
    """Ergodic: at least as 1/√T with η_t ∝ 1/√t. At τ > 0 it is far quicker, since the last iterate settles too."""
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(5, 7), tau)
    solver = sb.StackelbergGDA(lambda t: 0.1 / np.sqrt(t + 1), kappa=5)
    run = sb.solve(game, solver, steps=10_000, record=sb.Record(every=100)).trajectory
    late = run.steps >= 500
    assert slope(run.steps[late], run.average_gap[late]) < (-0.5 if tau == 0 else -1.9)


def test_stackelberg_gda_needs_small_steps_where_the_follower_is_nearly_deterministic():
    """∇KL is steep there: the explicit step on ω settles only where about κη π(y) τ_F < 2 ω(y'|y)."""
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(5, 7), 0.1)
    exact = sb.solve(game)
    bound = (2 * exact.follower / (5 * 0.1 * exact.leader[:, None])).min()
    settled, jumping = (sb.solve(game, sb.StackelbergGDA(rate, kappa=5), steps=10_000) for rate in (bound, 5 * bound))
    assert settled.gap < 1e-8
    assert jumping.trajectory.gap[-50:].max() > 1e-3
    assert jumping.average.gap > 1e-3
    assert sb.solve(game, sb.MirrorDescent(2.0, kappa=5), steps=200).gap < 1e-12
