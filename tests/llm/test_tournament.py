"""Tournaments: intervals that cover, numbers that add up and tables that can be read."""

from __future__ import annotations

import json

import numpy as np
import pytest
from llm_cases import nudge
from scipy import stats

import llm
import stackelberg as sb
from llm.intervals import interval_of, mean_of, stderr_of
from llm.testing import tiny_policy
from llm.tournaments import judged, tournament

SHORT = llm.Rollouts(max_new_tokens=4)


def by_letter(prompts, first, second):
    return [0.5 + 0.25 * np.sign(ord(b[0]) - ord(a[0])) for a, b in zip(first, second, strict=True)]


# --- intervals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "n"), [(0.97, 30), (0.99, 16), (0.6, 30), (0.97, 200), (0.5, 8)])
def test_the_interval_of_verdicts_covers(p, n):
    seen = interval_of((np.random.default_rng(0).random((4000, n)) < p).astype(float))
    assert np.mean((seen[:, 0] <= p) & (p <= seen[:, 1])) > 0.93
    assert np.mean(seen[:, 1] - seen[:, 0]) < 4.9 * np.sqrt(p * (1 - p) / n) + 4 / n  # and says something


@pytest.mark.parametrize(("a", "b", "n"), [(8, 2, 30), (2, 2, 4), (0.4, 0.2, 30), (20, 1, 16)])
def test_the_interval_of_mild_judgements_covers(a, b, n):
    seen, mean = interval_of(np.random.default_rng(0).beta(a, b, (4000, n))), a / (a + b)
    assert 0.93 < np.mean((seen[:, 0] <= mean) & (mean <= seen[:, 1])) < 0.97


def test_the_interval_is_students_where_judgements_differ_little():
    values = 0.5 + 0.001 * np.random.default_rng(0).standard_normal(40)
    half = stats.t.ppf(0.975, 39) * values.std(ddof=1) / np.sqrt(40)
    assert interval_of(values) == pytest.approx([values.mean() - half, values.mean() + half], abs=1e-7)
    assert stderr_of(values) == pytest.approx(values.std(ddof=1) / np.sqrt(40))


def test_one_judgement_has_no_interval_and_all_wins_have_one():
    assert np.isnan(interval_of(np.array([0.7, np.nan]))).all()
    assert np.isnan(stderr_of(np.array([0.7, np.nan])))
    assert mean_of(np.array([0.7, np.nan])) == 0.7
    low, high = interval_of(np.ones(30))
    assert 0.85 < low < 0.95
    assert high == 1
    assert interval_of(np.zeros(30)) == pytest.approx([1 - high, 1 - low])


# --- the table -------------------------------------------------------------------------------------


def test_numbers_of_a_tournament_add_up():
    def shy(prompts, first, second):
        rows = zip(prompts, first, second, by_letter(prompts, first, second), strict=True)
        return [np.nan if x == "b" and {a[0], b[0]} == {"u", "v"} else p for x, a, b, p in rows]

    said = {"one": ["u", "uu", "u"], "two": ["v", "v", "vv"], "three": ["a", "a", "a"]}
    found = judged(said, ["a", "b", "c"], shy, lengths={"one": 4 / 3, "three": 1.0})
    assert (found.asked, found.skipped) == (9, 1)
    assert found.row("three", "one")[0] == found.row("one", "two")[0] == 0.75
    pairs = ~np.eye(3, dtype=bool)
    for each in (found.wins, found.length_only):
        assert (each + each.T)[pairs] == pytest.approx(1)
    assert found.interval[0, 1] == pytest.approx(1 - found.interval[1, 0][::-1])
    assert found.preference.labels == found.names
    assert sb.solve(sb.NashGame(found.preference, tau=0)).policy == pytest.approx([0, 0, 1])
    assert np.isnan(found.lengths).tolist() == [False, True, False]
    assert "Mean tokens: one 1.3, three 1.0." in found.table()
    assert max(map(len, found.table().splitlines())) < 80
    assert "skipped 1 of 9" in found.table()


def test_a_pair_that_was_never_judged_is_no_half():
    def shy(prompts, first, second):
        return [np.nan if {a[0], b[0]} == {"u", "v"} else 0.75 for a, b in zip(first, second, strict=True)]

    found = judged({"one": ["u"], "two": ["v"], "three": ["a"]}, ["?"], shy)
    with pytest.raises(ValueError, match="skipped every pair of one and two"):
        _ = found.preference
    row = next(each for each in found.as_dict()["pairs"] if each["first"] == "two")
    assert row["mean"] is row["low"] is row["stderr"] is None
    json.dumps(found.as_dict(), allow_nan=False)
    assert "–" in found.table()


def test_a_table_is_plain_text_whatever_names_and_terminals_are(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    table = judged({"[red]GPT[/red] [4]": ["a"] * 3, "v": ["b"] * 3}, ["?"] * 3, by_letter).table()
    assert "\x1b" not in table
    assert "[red]GPT[/red] [4]" in table


# --- who takes part --------------------------------------------------------------------------------


def test_the_base_is_the_reference_and_others_join():
    moved = nudge(tiny_policy())
    prompts, others = ["Why?", "How?"], {"human": ["Because.", "So."]}
    found = tournament(moved, prompts, by_or_tie, SHORT, seed=2, others=others)
    assert found.names == ("base", "Leader", "Follower", "human")
    assert found.answers[0] == tournament(tiny_policy(), prompts, by_or_tie, SHORT, seed=2).answers[0]
    assert found.answers[1:3] != tournament(tiny_policy(), prompts, by_or_tie, SHORT, seed=2).answers[1:]
    assert found.lengths[3] == (8 + 3) / 2  # a token a byte
    assert found.asked == 12
    assert tournament(moved, prompts, by_or_tie, SHORT, seed=2, follower=False).names == ("base", "policy")


def by_or_tie(prompts, first, second):
    return [0.5 + 0.2 * np.sign(len(a) - len(b)) for a, b in zip(first, second, strict=True)]


def test_refusals_of_a_tournament():
    policy = tiny_policy()
    with pytest.raises(ValueError, match="base is the policy's own player"):
        tournament(policy, ["?"], by_or_tie, SHORT, others={"base": ["mine"]})
    with pytest.raises(ValueError, match="no prompts"):
        tournament(policy, [], by_or_tie, SHORT)
    with pytest.raises(ValueError, match="human has 2 answers for 1 prompts"):
        tournament(policy, ["?"], by_or_tie, SHORT, others={"human": ["a", "b"]})
