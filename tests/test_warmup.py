"""Warm-up: a schedule of any solver's rate, for tables as for models, and in what is saved and written."""

from __future__ import annotations

import numpy as np
import pytest

import stackelberg as sb
from stackelberg.specs import parse_value

P = sb.PreferenceMatrix.random(4, 1)
WARM = sb.Warmup(3, then=sb.Cosine(0.4, 0.1, steps=10))


def test_the_rise_is_in_equal_strides_and_the_rest_is_the_schedules_own():
    rates = [WARM(t) for t in range(20)]
    assert rates[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert rates[3:] == [sb.Cosine(0.4, 0.1, steps=10)(t) for t in range(17)]
    assert [sb.Warmup(1, 2)(t) for t in range(3)] == [1.0, 2.0, 2.0]
    twice = sb.Warmup(1, sb.Warmup(1, 1.0))
    assert [twice(t) for t in range(3)] == [0.25, 0.5, 1.0]


def test_a_table_learns_at_the_rates_of_the_schedule(tmp_path):
    game = sb.StackelbergGame(P, tau=0.2)
    listed = sb.Piecewise((1, 2, 3), (0.1, 0.2, 0.3, 0.4))
    warm, by_hand, at_once = (
        sb.solve(game, sb.MirrorDescent(rate), steps=9) for rate in (sb.Warmup(3, then=0.4), listed, 0.4)
    )
    np.testing.assert_allclose(warm.leader, by_hand.leader, rtol=1e-12)
    assert np.abs(warm.leader - at_once.leader).max() > 1e-4


def test_a_run_that_warms_up_is_saved_and_goes_on(tmp_path):
    game = sb.StackelbergGame(P, tau=0.2)
    whole = sb.solve(game, sb.MirrorDescent(WARM), steps=9)
    sb.solve(game, sb.MirrorDescent(WARM), steps=2, checkpoint=tmp_path)
    np.testing.assert_array_equal(sb.resume(tmp_path, steps=9).leader, whole.leader)
    with pytest.raises(ValueError, match="learning_rate"):
        sb.solve(game, sb.MirrorDescent(sb.Warmup(4, WARM.then)), steps=9, checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("warmup:3,0.4", sb.Warmup(3, 0.4)),
        ("warmup:3,then=(cosine:0.4,0.1,steps=10)", WARM),
        ("warmup:3,(cosine:0.4,0.1,10)", WARM),
        ("warmup:then=(warmup:3,(cosine:0.4,0.1,steps=10)),steps=2", sb.Warmup(2, WARM)),
    ],
)
def test_it_can_be_written(text, found):
    assert parse_value(text, "--learning-rate") == found


@pytest.mark.parametrize("then", [None, "0.1", True, -0.1, 0, float("nan"), lambda t: 0.1, [0.1]])
def test_what_is_no_rate_is_refused(then):
    with pytest.raises(ValueError, match="then of Warmup must"):
        sb.Warmup(3, then=then)


@pytest.mark.parametrize("steps", [0, -1])
def test_no_steps_are_no_warm_up(steps):
    with pytest.raises(ValueError, match="steps of Warmup must"):
        sb.Warmup(steps, then=0.1)
