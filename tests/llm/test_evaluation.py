"""Evaluation, tournament and monitors: exact where everything can be listed, and in the run's files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from llm_cases import nudge

import llm
import stackelberg as sb
from llm.evaluation import follower_gap
from llm.judges import LengthOnly
from llm.testing import tiny_policy
from llm.tournament import answered, judged, tournament
from llm.training.logbook import Logbook
from llm.training.monitors import Drift, Tally, names_of, observe
from llm.training.processes import Processes

PROMPT = "ab"
SHORT = llm.Rollouts(prompts=4, max_new_tokens=3)


def worth(text):
    return (sum((place + 2) * ord(letter) for place, letter in enumerate(text)) % 17) / 17


def judge(prompts, first, second):
    return [0.5 + 0.5 * np.sin(2 * np.pi * (worth(a) - worth(b))) for a, b in zip(first, second, strict=True)]


def game_of(tau=0.2, contexts=(PROMPT,)):
    return sb.StackelbergGame(judge, contexts=list(contexts), tau=tau)


def moved():
    return nudge(tiny_policy("abc"))


def test_win_rates_are_those_of_the_listed_game():
    policy, many = moved(), [PROMPT] * 2000
    found = tournament(policy, many, judge, SHORT, seed=3)
    listed = llm.listed(game_of(), policy, SHORT)
    p, (leader, follower), base = listed.game.preference.stacked[0], listed.policies, listed.game.leader_reference[0]
    seen = leader[0][:, None] * follower[0]
    exact = {
        ("Leader", "base"): leader[0] @ p @ base,
        ("Follower", "base"): seen.sum(0) @ p @ base,
        ("Follower", "Leader"): 1 - (seen * p).sum(),
    }
    for (first, second), wanted in exact.items():
        mean, low, high = found.row(first, second)
        assert abs(mean - wanted) < 2 * (high - low)
        assert high - low < 0.06
        assert found.row(second, first) == pytest.approx((1 - mean, 1 - high, 1 - low))


@pytest.mark.parametrize("tau", [0.2, 0.02])
def test_the_followers_gap_is_bounded_from_below_and_met_with_many_replies(tau):
    policy, game = moved(), game_of(tau)
    listed = llm.listed(game, policy, SHORT)
    exact = float(np.ravel(sb.evaluate(listed.game, listed).follower_gap)[0])
    found = []
    for replies, prompts in ((2, 800), (8, 400), (64, 40)):
        asked = [PROMPT] * prompts
        episodes = answered(policy, asked, SHORT, seed=5, followers=replies)
        found.append(follower_gap(policy, game, judge, asked, episodes, SHORT))
    for each in found:
        assert each.kind.value == "a lower bound"
        assert 0 <= each.value < exact + 4 * each.stderr
    assert found[0].value < found[1].value < found[2].value
    assert found[2].value > 0.6 * exact


def test_without_kl_the_bound_is_mean_less_least():
    policy, game = moved(), game_of(0.0)
    episodes = answered(policy, [PROMPT] * 2, SHORT, seed=5, followers=3)
    found = follower_gap(policy, game, judge, [PROMPT] * 2, episodes, SHORT)
    p = np.array(judge([], [each.leader.text for each in episodes], [each.follower.text for each in episodes]))
    assert found.value == pytest.approx(np.mean([rows.mean() - rows.min() for rows in p.reshape(2, 3)]))


def test_a_skipped_pair_counts_nowhere():
    def shy(prompts, first, second):
        return [np.nan if prompt == "b" else 0.75 for prompt in prompts]

    found = judged({"one": ["x", "y", "z"], "two": ["u", "v", "w"]}, ["a", "b", "c"], shy)
    assert found.skipped == 1
    assert found.row("two", "one") == (0.75, 0.75, 0.75)
    with pytest.raises(ValueError, match="2 answers for 3 prompts"):
        judged({"one": ["x", "y"], "two": ["u", "v", "w"]}, ["a", "b", "c"], shy)


def test_length_alone_is_seen_to_win():
    longer = LengthOnly(4.0, 3.0)
    prompts = ["?"] * 30
    answers = {"base": ["a" * (1 + i % 3) for i in range(30)], "Leader": ["b" * (4 + i % 3) for i in range(30)]}
    found = llm.Evaluated(judged(answers, prompts, longer), None, None, {}, ())
    assert "length alone explains" in found.warnings[0]
    quality = judged({"base": answers["Leader"], "Leader": answers["base"]}, prompts, lambda x, a, b: [0.9] * len(a))
    shorter = llm.Evaluated(quality, None, None, {}, ())
    assert shorter.tournament.row("Leader", "base")[0] == pytest.approx(0.9)


def test_a_run_keeps_its_evaluations_samples_and_lines(tmp_path):
    held_out = ["a", "b", "c", "ab"]
    evaluation = llm.Evaluation(held_out, every=2, samples=3, second_judge=lambda x, a, b: 1 - np.array(judge(x, a, b)))
    game, solver = game_of(contexts=["a", "b"]), sb.StackelbergGDA(learning_rate=1e-2)
    runs = {}
    for name, cuts in {"whole": (4,), "parts": (2, 4)}.items():
        for steps in cuts:
            runs[name] = sb.solve(game, solver, tiny_policy("abc"), steps=steps, sampling=SHORT, record=evaluation,
                                  checkpoint=sb.Checkpoint(tmp_path / name, every=2))  # fmt: skip
    texts = [(tmp_path / name / "metrics.jsonl").read_text() for name in runs]
    assert texts[0] == texts[1]
    log = runs["whole"].trajectory
    assert list(log.steps) == [0, 1, 2, 3, 4]
    assert np.isfinite(log["eval/follower_over_base"]).tolist() == [True, False, True, False, True]
    assert log["eval/agreement"][0] < 0.3  # the second judge says the opposite, but where both see a tie
    assert runs["whole"].gap.value == log["eval/follower_gap"][-1]
    lines = (tmp_path / "whole" / "samples" / "step-000004.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["prompt"] for row in rows] == held_out[:3]
    assert "Follower" in (tmp_path / "whole" / "samples" / "step-000004.md").read_text()
    early = tmp_path / "early"  # killed before its first checkpoint, and started again
    early.mkdir()
    for name in ("run.json", "metrics.jsonl"):
        (early / name).write_text((tmp_path / "whole" / name).read_text())
    sb.solve(game, solver, tiny_policy("abc"), steps=4, sampling=SHORT, record=evaluation, checkpoint=early)
    assert (early / "metrics.jsonl").read_text() == texts[0]
    again = sb.solve(game, solver, tiny_policy("abc"), steps=4, sampling=SHORT, record=evaluation,
                     checkpoint=tmp_path / "whole")  # fmt: skip
    assert again.evaluation.metrics == runs["whole"].evaluation.metrics


def test_what_is_monitored_is_what_was_said():
    policy = moved()
    sampling = llm.Rollouts(prompts=6, max_new_tokens=3, micro_batch_tokens=40)
    from llm.training.learner import Learner

    tally = Tally()
    learner = Learner(policy, game_of(), sb.StackelbergGDA(), sampling)
    learner.watch = lambda look, part, draws: observe(tally, part, draws)
    (draws,) = learner.compute(0)
    means = tally.means(Processes().totals(tally.as_tensor(names_of(2))), names_of(2))
    turns = [each.follower for each in draws.episodes]
    assert means["follower/length"] == np.mean([len(each.completion.tokens) for each in turns])
    assert means["follower/finished"] == np.mean([each.completion.finished for each in turns])
    assert means["earned"] == pytest.approx(draws.earned.mean())
    assert means["generator_gap"] < 1e-5
    with torch.no_grad():
        _, said = policy.score(draws.episodes, sampling)
    assert means["follower/kl"] == pytest.approx(float(said.log_ratios.sum(-1).mean()), rel=1e-5)


def test_drift_is_said_once():
    drift = Drift()
    first = {"step": 1, "leader/length": 10.0, "leader/entropy": 2.0, "leader/finished": 1.0, "generator_gap": 0.0}
    assert drift(first) == []
    later = first | {"leader/length": 16.0, "leader/entropy": 0.1, "leader/finished": 0.5, "generator_gap": 0.5,
                     "leader/kl": 80.0}  # fmt: skip
    said = drift(later)
    assert len(said) == 5
    assert drift(later) == []


def test_a_torn_log_is_read_up_to_its_last_whole_line(tmp_path):
    book = Logbook(tmp_path)
    book.write({"step": 1, "kl": float("nan")})
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 2, "k')
    again = Logbook(tmp_path, step=5)
    assert len(again.rows) == 1
    assert np.isnan(again.log()["kl"]).all()


def test_refusals():
    with pytest.raises(ValueError, match="list of prompts"):
        llm.Evaluation("Why?")
    with pytest.raises(ValueError, match="every"):
        llm.Evaluation(["Why?"], every=0)
    with pytest.raises(TypeError, match=r"llm\.Evaluation"):
        sb.solve(game_of(), sb.StackelbergGDA(), tiny_policy("abc"), steps=1, sampling=SHORT, record=sb.Record(every=5))


@pytest.mark.parametrize("kind", ["reward", "nash"])
def test_games_without_a_follower_are_evaluated_too(kind):
    if kind == "reward":
        game, solver = sb.RewardGame(lambda x, a: [worth(t) for t in a], contexts=["a"]), sb.RLOO(learning_rate=1e-2)
    else:
        game, solver = sb.NashGame(judge, contexts=["a"]), sb.GDA(learning_rate=1e-2)
    sampling = llm.Rollouts(prompts=2, leaders=2, max_new_tokens=3)
    found = sb.solve(game, solver, tiny_policy("abc"), steps=1, sampling=sampling, record=llm.Evaluation(["b", "c"]))
    assert found.evaluation.tournament.names == ("base", "policy")
    assert found.gap is None
    assert "kl" in found.trajectory.names
