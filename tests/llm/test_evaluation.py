"""Evaluation, tournament and monitors: exact where everything can be listed, and in the run's files."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from llm_cases import nudge

import llm
import stackelberg as sb
from llm.evaluation import agreement_of, follower_gap
from llm.judges import LengthOnly
from llm.players import base_turns
from llm.samples import rows_of
from llm.testing import tiny_policy
from llm.tournaments import answered, judged, tournament
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


def test_unfinished_answers_cost_in_the_gap_what_they_cost_in_training():
    policy, game, asked = moved(), game_of(0.2), [PROMPT] * 30
    dear = replace(SHORT, missing_eos_penalty=3.0)
    episodes = answered(policy, asked, SHORT, seed=5, followers=4)
    assert {each.follower.completion.finished for each in episodes} == {True, False}
    found = follower_gap(policy, game, judge, asked, episodes, dear)

    with torch.no_grad():
        _, said = policy.score(episodes, SHORT)
    v = judge([], [e.leader.text for e in episodes], [e.follower.text for e in episodes])
    v = np.array(v) + 3.0 * np.array([not e.follower.completion.finished for e in episodes])
    v = (v + 0.2 * said.log_ratios.sum(-1).double().numpy()).reshape(30, 4)
    wanted = v.mean(1) + 0.2 * np.log(np.mean(np.exp(-v / 0.2), axis=1))
    assert found.value == pytest.approx(wanted.mean(), rel=1e-6)
    assert found.stderr == pytest.approx(wanted.std(ddof=1) / np.sqrt(30), rel=1e-6)
    assert found.value > follower_gap(policy, game, judge, asked, episodes, SHORT).value


def test_a_follower_at_its_best_response_leaves_nothing():
    """At the reference, with a judge that cannot tell: ω = ω_ref = ω*."""
    policy, asked = tiny_policy("abc"), [PROMPT] * 5
    episodes = answered(policy, asked, SHORT, seed=1, followers=6)
    found = follower_gap(policy, game_of(), lambda x, a, b: [0.4] * len(a), asked, episodes, SHORT)
    assert found.value == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("options", [{"temperature": 0}, {"top_p": 0.9}, {"top_k": 2}])
def test_no_gap_is_told_from_truncated_replies(options):
    policy, sampling = moved(), replace(SHORT, **options)
    with pytest.raises(ValueError, match=r"replies=1"):
        llm.Evaluation(["a", "b"], sampling=sampling).run(policy, game_of())
    assert llm.Evaluation(["a", "b"], sampling=sampling, replies=1).run(policy, game_of()).gap is None
    nash = sb.NashGame(judge, contexts=["a"])
    assert llm.Evaluation(["a", "b"], sampling=sampling).run(policy, nash).gap is None


@pytest.mark.parametrize("skips", ["a", "ab"])
def test_skipped_prompts_leave_an_evaluation_standing(skips, tmp_path):
    def shy(prompts, first, second):
        p = judge(prompts, first, second)
        return [np.nan if prompt in skips else value for prompt, value in zip(prompts, p, strict=True)]

    game = sb.StackelbergGame(shy, contexts=["a"], tau=0.2)
    found = llm.Evaluation(["a", "b"], second_judge=judge).run(moved(), game, SHORT)
    assert found.metrics["eval/skipped"] == 3 * len(skips)
    assert np.isnan(found.gap.value) == (skips == "ab")
    assert np.isnan(found.gap.stderr)  # of one answer, or of none
    assert found.gap.kind.value == "a lower bound"
    assert found.agreement.value == 1 or skips == "ab"
    found.write(tmp_path, 3)
    row = json.loads((tmp_path / "step-000003.jsonl").read_text().splitlines()[0], parse_constant=pytest.fail)
    assert row["p(Leader > base)"] is None
    assert "**p(Leader > base)**: skipped" in (tmp_path / "step-000003.md").read_text()
    assert found.warnings == ()


def test_agreement_is_the_share_of_pairs_on_one_side():
    said = {"one": ["a", "b", "c", "d"], "two": ["e", "f", "g", "h"]}
    first = judged(said, ["?"] * 4, lambda x, a, b: [0.9, 0.5, 0.2, np.nan])
    second = judged(said, ["?"] * 4, lambda x, a, b: [0.6, 0.5, 0.8, 0.1])
    found = agreement_of(first, second)
    assert found.value == pytest.approx(2 / 3)
    assert found.stderr == pytest.approx(1 / 3)
    one = judged({name: texts[:1] for name, texts in said.items()}, ["?"], lambda x, a, b: [0.9])
    assert np.isnan(agreement_of(one, one).stderr)


def test_a_skipped_pair_counts_nowhere():
    def shy(prompts, first, second):
        return [np.nan if prompt == "b" else 0.5 + 0.25 * (a > b) - 0.25 * (a < b)
                for prompt, a, b in zip(prompts, first, second, strict=True)]  # fmt: skip

    found = judged({"one": ["u", "v", "w"], "two": ["x", "y", "z"]}, ["a", "b", "c"], shy)
    assert found.skipped == 1
    assert found.row("two", "one") == (0.75, 0.75, 0.75)
    with pytest.raises(ValueError, match="2 answers for 3 prompts"):
        judged({"one": ["x", "y"], "two": ["u", "v", "w"]}, ["a", "b", "c"], shy)


def lengthier(base, leader, count=200):
    """Answers of which the Leader's are longer on the whole; lengths are drawn from two spans."""
    rng = np.random.default_rng(0)
    drawn = {"base": rng.integers(*base, count), "Leader": rng.integers(*leader, count)}
    letter = {"base": "x", "Leader": "y"}
    return {name: [letter[name] * length for length in lengths] for name, lengths in drawn.items()}


def warned(said, judge):
    found = judged(said, ["?"] * len(said["base"]), judge)
    return found, llm.Evaluated(found, None, None, {}, ()).warnings


def any_longer(prompts, first, second):
    return [0.5 + 0.4 * np.sign(len(a) - len(b)) for a, b in zip(first, second, strict=True)]


def always(prompts, first, second):
    """Prefers the Leader's, which it knows by their letter."""
    return [0.5 + 0.4 * (a[:1] == "y") - 0.4 * (b[:1] == "y") for a, b in zip(first, second, strict=True)]


@pytest.mark.parametrize("by_length", [LengthOnly(4.0, 3.0), any_longer], ids=["the longer", "any longer"])
@pytest.mark.parametrize("spans", [((1, 7), (3, 9)), ((1, 5), (5, 14))], ids=["overlap", "apart"])
def test_length_alone_is_seen_to_win(by_length, spans):
    found, (words,) = warned(lengthier(*spans), by_length)
    assert found.row("Leader", "base")[1] > 0.5
    assert f"Leader is preferred to the base in {found.wins[1, 0]:.0%}, and length alone explains" in words


def test_quality_is_not_taken_for_length_where_the_two_can_be_told_apart():
    found, words = warned(lengthier((1, 7), (3, 9)), always)
    assert found.wins[1, 0] == pytest.approx(0.9)
    assert 0.5 < found.length_only[1, 0] < 0.8  # the Leader is longer, and that is worth something
    assert words == ()
    assert len(warned(lengthier((1, 5), (5, 14)), always)[1]) == 1  # always longer: nobody can tell


def test_a_loss_or_chance_is_no_gain_to_be_explained():
    said = lengthier((1, 7), (3, 9))
    found, words = warned(said, LengthOnly(-4.0, 3.0))
    assert found.wins[1, 0] < 0.4
    assert words == ()
    few = {name: texts[:4] for name, texts in lengthier((1, 7), (1, 7)).items()}
    assert warned(few, LengthOnly(4.0, 3.0))[1] == ()


def test_the_bases_answers_are_drawn_once_while_the_reference_stays(monkeypatch):
    import llm.evaluation as module

    calls = []
    monkeypatch.setattr(module, "base_turns", lambda *a, **k: calls.append(1) or base_turns(*a, **k))
    evaluation, policy = llm.Evaluation(["a", "b"], replies=1), moved()
    first = evaluation.run(policy, game_of(), SHORT)
    again = evaluation.run(nudge(policy, seed=8), game_of(), SHORT)
    assert (len(calls), first.tournament.answers[0]) == (1, again.tournament.answers[0])
    assert first.tournament.answers[1] != again.tournament.answers[1]
    assert evaluation == llm.Evaluation(["a", "b"], replies=1)
    evaluation.run(policy, game_of(), replace(SHORT, max_new_tokens=2))
    with torch.no_grad():
        for weight in policy.reference(0).network.parameters():
            weight += 1.0
    moved_on = evaluation.run(policy, game_of(), replace(SHORT, max_new_tokens=2))
    fresh = llm.Evaluation(["a", "b"], replies=1).run(policy, game_of(), replace(SHORT, max_new_tokens=2))
    assert len(calls) == 4
    assert moved_on.tournament.answers == fresh.tournament.answers


def test_lengths_and_endings_are_of_the_tokens_that_were_drawn():
    policy = moved()
    found = llm.Evaluation(["a", "b", "ab"], replies=2).run(policy, game_of(), SHORT).metrics
    episodes = answered(policy, ["a", "b", "ab"], SHORT, seed=0, followers=2)
    first = [each.follower for each in episodes][::2]
    assert found["eval/follower_length"] == np.mean([len(each.content) for each in first])
    assert found["eval/follower_finished"] == np.mean([each.completion.finished for each in first])
    assert found["eval/leader_length"] == np.mean([len(each.leader.content) for each in episodes])
    assert {"eval/base_length", "eval/base_finished", "eval/leader_finished"} <= found.keys()


def test_samples_are_read_as_they_were_said(tmp_path):
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    said = {"base": ["# no heading\n**x**: 0.5"], "Leader": ["```"]}
    found = judged(said, [prompt], lambda x, a, b: [0.75])
    llm.Evaluated(found, None, None, {}, rows_of(found, [prompt], 5)).write(tmp_path, 7)
    text = (tmp_path / "step-000007.md").read_text()
    assert "\n    # no heading\n    **x**: 0.5\n" in text
    assert "\n    ```\n" in text
    assert "    system: Be brief.\n    user: Why?\n" in text
    assert [line for line in text.splitlines() if line.startswith("#")] == ["# After 7 steps", "## 1"]
    (row,) = map(json.loads, (tmp_path / "step-000007.jsonl").read_text().splitlines())
    assert row == {"prompt": prompt, "base": said["base"][0], "Leader": "```", "p(Leader > base)": 0.75}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000007.jsonl", "step-000007.md"]


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
    with pytest.raises(TypeError, match="must be a list"):
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


def test_a_judge_that_likes_whatever_comes_first_favours_nobody():
    found = tournament(tiny_policy("abc"), ["a"] * 50, lambda x, first, second: [0.7] * len(x), SHORT)
    mean, low, high = found.row("Leader", "base")
    assert mean == pytest.approx(0.5)
    assert low < 0.5 < high


def test_one_text_is_no_list_of_prompts():
    with pytest.raises(ValueError, match="one text"):
        tournament(tiny_policy("abc"), "abc", judge, SHORT)
    with pytest.raises(ValueError, match="one text"):
        tiny_policy("abc").refine("abc")
    with pytest.raises(ValueError, match="one text"):
        tiny_policy("abc").refine(["a"], start="b")


def test_the_public_name_stays_a_function():
    importlib.import_module("llm.tournaments")
    assert callable(llm.tournament)


def test_evaluation_prompts_that_are_trained_on_are_told(caplog):
    with caplog.at_level("WARNING", logger="llm"):
        sb.solve(game_of(), sb.StackelbergGDA(), tiny_policy("abc"), steps=0, sampling=SHORT,
                 record=llm.Evaluation([PROMPT, "c"]))  # fmt: skip
    assert "1 of 2 prompts" in caplog.text
