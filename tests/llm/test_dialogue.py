"""Templates, the layout of tokens, endings and budgets."""

from __future__ import annotations

import logging

import pytest

import llm
from llm.ending import Ending
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer

FORGETS_THOUGHTS = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content.split('</think>')[-1] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
OPENS_WITH_A_MARK = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|><think></think>' }}{% endif %}"
)


def tokenizer_with(template):
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def policy_with(template):
    tokenizer = tokenizer_with(template)
    return llm.TransformerPolicy.of(tiny_model(tokenizer), tokenizer)


def test_the_layout_is_the_template_with_y_as_it_was_generated():
    tokenizer, dialogue = tiny_tokenizer(), llm.Dialogue()
    asked = [{"role": "system", "content": "Be {brief}."}, {"role": "user", "content": "answer <b>this</b>"}]
    x, bridge = dialogue.leader_prompt(tokenizer, asked), dialogue.bridge(tokenizer, asked)
    y = tokenizer("an answer", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode([*x, *y, *bridge]) == (
        "<|system|>Be {brief}.<|end|><|user|>answer <b>this</b><|end|><|assistant|>an answer<|end|>"
        "<|user|>Improve the previous answer!<|end|><|assistant|>"
    )
    assert dialogue.rewritten_prompt(tokenizer, asked, "an answer") == [*x, *y, *bridge]


def test_a_plain_template_serves_a_base_model():
    tokenizer = tokenizer_with(None)
    with pytest.raises(ValueError, match="no chat template"):
        llm.Dialogue().leader_prompt(tokenizer, "Why?")
    plain = llm.Dialogue(instruction="Better!", template=llm.PlainTemplate())
    assert llm.keeps_earlier_turns(tokenizer, plain)
    assert tokenizer.decode(plain.leader_prompt(tokenizer, "Why?")) == "User: Why?\n\nAssistant:"
    assert tokenizer.decode(plain.bridge(tokenizer, "Why?")) == "\n\nUser: Better!\n\nAssistant:"
    with pytest.raises(ValueError, match="'tool'"):
        plain.leader_prompt(tokenizer, [{"role": "tool", "content": "4"}])


@pytest.mark.parametrize("template", [FORGETS_THOUGHTS, OPENS_WITH_A_MARK], ids=["forgets", "opens"])
def test_a_template_that_rewrites_turns_is_seen_and_told(template, caplog):
    with caplog.at_level(logging.WARNING, "llm"):
        policy = policy_with(template)
    assert not policy.keeps_earlier_turns
    assert not policy.one_sequence
    assert "a sequence each" in caplog.text
    (episode,) = policy.generate(["Why?"], llm.Rollouts(max_new_tokens=5), seed=1)
    rendered = policy.dialogue.rewritten_prompt(policy.tokenizer, "Why?", episode.leader.text)
    assert list(episode.follower.prompt) == rendered
    leader, follower = policy.score([episode])
    assert llm.generator_gap([episode], leader, follower) < 1e-5


def test_one_that_keeps_them_is_silent(caplog):
    assert tiny_policy().one_sequence
    assert not caplog.records


@pytest.mark.parametrize("prompt", [[], [{"role": "user"}]])
def test_a_prompt_is_text_or_messages(prompt):
    with pytest.raises(ValueError, match=r"A prompt is .*|Message 0 of A prompt is .*"):
        llm.generate(tiny_policy(), [prompt])


# --- budgets ---------------------------------------------------------------------------------------


def test_a_long_prompt_is_refused_with_the_numbers():
    with pytest.raises(ValueError, match="has 53 tokens, 43 more than the 10"):
        llm.generate(tiny_policy(), ["x" * 50], llm.Rollouts(max_new_tokens=4, max_prompt_tokens=10))
    with pytest.raises(ValueError, match="nothing is left for a prompt"):
        llm.generate(tiny_policy(), ["x"], llm.Rollouts(max_new_tokens=512))


@pytest.mark.parametrize("template", [None, OPENS_WITH_A_MARK], ids=["kept", "rewritten"])
def test_on_request_x_is_cut_on_its_left_and_nothing_else(template):
    policy = tiny_policy() if template is None else policy_with(template)
    sampling = llm.Rollouts(max_new_tokens=4, max_prompt_tokens=30, overlong=llm.TruncateLeft(keep=1))
    (episode,) = policy.generate(["ab" * 30], sampling)
    whole = tuple(policy.dialogue.leader_prompt(policy.tokenizer, "ab" * 30))
    assert episode.leader.prompt == (whole[0], *whole[-29:])
    uncut = policy.dialogue.rewritten_prompt(policy.tokenizer, "ab" * 30, episode.leader.text)
    if template is not None:
        assert episode.follower.prompt == (uncut[0], *uncut[1 + len(whole) - 30 :])
    else:
        bridge = tuple(policy.dialogue.bridge(policy.tokenizer, "ab" * 30))
        assert episode.follower.prompt == (*episode.leader.prompt, *episode.leader.content, *bridge)


# --- endings ---------------------------------------------------------------------------------------


def test_a_stop_string_ends_a_completion_where_it_first_stands():
    tokenizer = tiny_tokenizer()
    ending = Ending.of(tokenizer, None, stop=("\n\n", "END"))
    tokens = tuple(tokenizer("abcENDd\n\n")["input_ids"])
    kept, finished = ending.cut(tokens, tokenizer)
    assert (tokenizer.decode(kept), finished, ending.text(kept, tokenizer)) == ("abcEND", True, "abc")
    assert ending.cut(tokens[:5], tokenizer) == (tokens[:5], False)


def test_stop_strings_and_padding_with_the_end_mark_do_not_mix():
    """The letters' tokenizer pads with its end mark: behind a stop string that must not read as an end."""
    policy = tiny_policy("abc")
    sampling = llm.Rollouts(max_new_tokens=12, stop=("aa", "bb", "cc"), leaders=20)
    episodes = policy.generate(["b"], sampling, seed=2)
    written = {each.answer: policy.tokenizer.decode(each.leader.completion.tokens) for each in episodes}
    stopped = [each.leader for each in episodes if any(stop in written[each.answer] for stop in sampling.stop)]
    assert len(stopped) > 2
    for turn in stopped:
        assert policy.tokenizer.decode(turn.completion.tokens).endswith(sampling.stop)
        assert turn.completion.finished
        assert turn.content == turn.completion.tokens
        assert not any(stop in turn.text for stop in sampling.stop)
    leader, follower = policy.score(episodes, sampling)
    assert llm.generator_gap(episodes, leader, follower) < 1e-5


def test_every_end_mark_of_the_generation_settings_ends():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    model.generation_config.eos_token_id = [258, 257]
    assert Ending.of(tokenizer, model).marks == (257, 258)
    tokenizer.eos_token = None
    model.generation_config.eos_token_id = None
    with pytest.raises(ValueError, match="end mark"):
        Ending.of(tokenizer, model)
