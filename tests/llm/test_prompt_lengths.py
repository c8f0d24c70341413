"""Prompts that are too long, refused before anything is drawn, and just those that drawing would refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest
from llm_runs import PROMPTS, SHORT, game_of, solve

import llm
import stackelberg as sb
from llm.dialogue import ChatTemplate, Dialogue, PlainTemplate, TruncateLeft
from llm.prompt_lengths import CHUNK, check_lengths
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer


def never(prompts, first, second):
    raise AssertionError("asked though a prompt is too long")


LONG = "Why? " * 12


@pytest.mark.parametrize("among", ["contexts", "evaluation prompts"])
def test_prompts_that_are_too_long_are_named_before_anything_is_drawn(tmp_path, among):
    many = [*PROMPTS, LONG, *PROMPTS, LONG * 2, LONG + "x", LONG + "xy"]
    contexts, held_out = (many, PROMPTS) if among == "contexts" else (["Wo?"], many)
    sampling = replace(SHORT, max_prompt_tokens=40)
    with pytest.raises(ValueError, match=f"4 of 12 {among} have") as found:
        solve(game=game_of(never, contexts), sampling=sampling, checkpoint=tmp_path / "run",
              record=llm.Evaluation(held_out))  # fmt: skip
    words = str(found.value)
    longest = len(tiny_policy().dialogue.leader_prompt(tiny_tokenizer(), LONG * 2))
    assert f"{among}[9] = " in words.split(";")[0]
    assert f"has {longest}, max_prompt_tokens leave 40" in words
    assert "and 1 more. Leave them out, raise max_prompt_tokens, lower max_new_tokens" in words
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").glob("*.json"))


class Numbered(PlainTemplate):
    """The instruction's tokens follow the prompt's: what stands behind x is of another length for each."""

    def render(self, tokenizer, messages):
        return super().render(tokenizer, messages) + "." * (len(messages) > 1) * (len(messages[0]["content"]) % 7)


@pytest.mark.parametrize(
    "template", [ChatTemplate(), PlainTemplate(), Numbered()], ids=lambda each: type(each).__name__
)
@pytest.mark.parametrize(("asked", "followers", "held"), [(None, 1, 999), (None, 0, 999), (60, 1, 999), (None, 2, 200)])
def test_what_is_refused_early_is_what_drawing_would_refuse(template, asked, followers, held):
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    model.config.max_position_embeddings = 110
    policy = llm.TransformerPolicy.of(model, tokenizer, dialogue=Dialogue(template=template))
    sampling = llm.Rollouts(max_new_tokens=2, max_prompt_tokens=asked, followers=followers,
                            micro_batch_tokens=held)  # fmt: skip
    refused = {early: [] for early in (True, False)}
    for length in range(10, 115):
        prompt = "a" * length
        for first in refused:
            try:
                check_lengths(policy, ["b", prompt], sampling, "contexts") if first else llm.generate(
                    policy, [prompt], sampling
                )
            except ValueError:
                refused[first].append(length)
    assert refused[True] == refused[False] != []
    assert len(refused[True]) < 105


def test_a_prompt_that_may_be_cut_is_cut_and_one_that_may_not_is_refused():
    game, sampling = game_of(contexts=[LONG]), replace(SHORT, max_prompt_tokens=8, overlong=TruncateLeft())
    assert solve(game=game, sampling=sampling).status is sb.Status.RAN
    with pytest.raises(ValueError, match=r"_tokens leave 0\. Leave them out, raise micro_batch_tokens, lower"):
        solve(game=game_of(never, [LONG]), sampling=replace(sampling, micro_batch_tokens=20))
    with pytest.raises(ValueError, match="keep = 8"):
        solve(game=game_of(never, [LONG]), sampling=replace(sampling, overlong=TruncateLeft(keep=8)))


def test_many_prompts_are_encoded_once_and_many_in_a_call(monkeypatch):
    policy, calls = tiny_policy(), []
    encode = type(policy.tokenizer).__call__

    def counting(self, text, *rest, **options):
        calls.append(1 if isinstance(text, str) else len(text))
        return encode(self, text, *rest, **options)

    monkeypatch.setattr(type(policy.tokenizer), "__call__", counting)
    prompts = ["Why?"] * (2 * CHUNK) + ["Who?" * 300]
    with pytest.raises(ValueError, match=r"1 of 2,001 contexts has .* contexts\[2000\]"):
        check_lengths(policy, prompts, llm.Rollouts(max_new_tokens=8), "contexts")
    assert sum(each for each in calls if each > 1) + 1 == len(prompts)
    assert len(calls) <= 12
