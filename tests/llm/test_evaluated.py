"""What an evaluation found: whose gap it tells, when it tells none, and how it is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from llm_cases import nudge
from llm_runs import HELD_OUT, SHORT, early, game_of, later, solve, told

import llm
from llm.evaluation import follower_gap
from llm.testing import tiny_policy
from llm.tournaments import answered
from stackelberg.estimate import Kind


def test_the_gap_is_the_games_whatever_judge_the_table_has():
    policy, game = nudge(tiny_policy()), game_of()
    own, other = (llm.Evaluation(HELD_OUT, judge=judge).run(policy, game, SHORT) for judge in (None, later))
    assert other.gap == own.gap
    np.testing.assert_allclose(other.tournament.wins[1, 0], 1 - own.tournament.wins[1, 0])
    episodes = answered(policy, HELD_OUT, SHORT, seed=0, followers=4)
    assert own.gap == follower_gap(policy, game, early, HELD_OUT, episodes, SHORT)
    assert own.gap.value != pytest.approx(follower_gap(policy, game, later, HELD_OUT, episodes, SHORT).value)


@pytest.mark.parametrize("asked", [{"temperature": 0.5}, {"max_new_tokens": 2}, {"missing_eos_penalty": 1.0},
                                   {"temperature": 0.0}], ids=str)  # fmt: skip
def test_no_gap_is_told_of_another_policy_and_the_reason_is(asked, tmp_path):
    record = llm.Evaluation(HELD_OUT, every=1, sampling=replace(SHORT, **asked))
    found = solve(2, record=record, checkpoint=tmp_path)
    assert found.gap is None
    assert "eval/follower_gap" not in found.trajectory.names
    assert f"{next(iter(asked))} = {next(iter(asked.values()))!r} (in training" in found.evaluation.omitted
    assert [each for each in found.warnings if "gap is left out" in each] == [f"step 0: {found.evaluation.omitted}"]
    assert found.evaluation.omitted in repr(found.evaluation)


def test_draws_that_are_only_held_otherwise_are_of_the_same_policy():
    sampling = replace(SHORT, prompts=9, micro_batch_tokens=400)
    found = llm.Evaluation(HELD_OUT, sampling=sampling).run(tiny_policy(), game_of(), SHORT)
    assert (found.gap.kind, found.omitted) == (Kind.LOWER_BOUND, None)
    unasked = llm.Evaluation(HELD_OUT, sampling=replace(SHORT, temperature=0.5), replies=1)
    assert unasked.run(tiny_policy(), game_of(), SHORT).omitted is None


def test_an_evaluation_is_read_as_its_table():
    found = llm.Evaluation(HELD_OUT, second_judge=later).run(nudge(tiny_policy()), game_of(), SHORT)
    for text in (str(found), repr(found)):
        assert found.tournament.table() in text
        assert "95 % interval" in text
        assert f"The Follower's gap: ≥ {found.gap.value:.2g}"[:24] in text
        assert f"The judges agree: {found.agreement}." in text
        assert "array(" not in text
        assert max(map(len, text.splitlines())) <= 120
    (warned,) = told(True).warnings
    assert warned in repr(told(True))
