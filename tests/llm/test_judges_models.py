"""Reward models and pairwise models: batching, antisymmetry, identity, and texts that try to be more than text."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
)

from llm.judges import BradleyTerry, Cached, JudgeError, OnFailure, PairwiseModel, RewardModel, kept, load_judge
from llm.judges.sequences import conversation_ids, pair_ids
from llm.judges.testing import MARKS, letters

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "initializer_range": 0.4}
MODELS = {
    "bert": (BertConfig, BertForSequenceClassification, {"intermediate_size": 32}),
    "gpt2": (GPT2Config, GPT2ForSequenceClassification, {}),
    "llama": (LlamaConfig, LlamaForSequenceClassification, {"intermediate_size": 32}),
}
PROMPTS = ["why", "why", "tell me of the sea and of ships", "x", "why", "what is it"]
FIRST = ["because", "no", "the sea is wide", "a", "because of that and of some other things", "it"]
SECOND = ["well", "because", "ships", "b", "no", "something else"]


def classifier(kind="llama", labels=1, **more):
    config, model, own = MODELS[kind]
    marks = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": 2}
    torch.manual_seed(0)
    return model(config(vocab_size=30, num_labels=labels, max_position_embeddings=128, **SIZES, **own, **marks, **more))


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("budget", [1, 60, 10**6])
def test_batches_change_no_score(kind, chat, budget):
    model, tokenizer = classifier(kind), letters(chat)
    together = RewardModel(model, tokenizer, batch_tokens=budget)(PROMPTS, FIRST)
    alone = []
    with torch.no_grad():
        for prompt, answer in zip(PROMPTS, FIRST, strict=True):
            ids = torch.tensor([conversation_ids(tokenizer, prompt, answer)])
            alone.append(float(model.eval()(input_ids=ids).logits[0, 0]))
    np.testing.assert_allclose(together, alone, rtol=0, atol=2e-6)
    assert np.ptp(together) > 1e-2


def test_several_attributes_come_in_their_order():
    model = classifier(labels=5)
    found = RewardModel(model, letters())(PROMPTS, FIRST)
    assert found.shape == (6, 5)
    assert len(np.unique(found[0])) == 5


def test_the_pairwise_model_is_antisymmetric_and_reads_both():
    judge = PairwiseModel(classifier(), letters(), batch_tokens=64)
    p, q = judge(PROMPTS, FIRST, SECOND), judge(PROMPTS, SECOND, FIRST)
    np.testing.assert_allclose(p + q, 1, rtol=0, atol=1e-12)
    assert judge(PROMPTS, FIRST, FIRST).tolist() == [0.5] * 6
    assert np.ptp(p) > 1e-2
    with torch.no_grad():
        one, other = (
            float(judge.model(input_ids=torch.tensor([pair_ids(judge.tokenizer, PROMPTS[0], *order)])).logits)
            for order in ((FIRST[0], SECOND[0]), (SECOND[0], FIRST[0]))
        )
    assert p[0] == pytest.approx(expit((one - other) / 2), abs=1e-6)


def test_a_pairwise_model_can_hold_a_cycle():
    """Three answers by one letter each; no reward could give all three of these."""
    judge = PairwiseModel(classifier(), letters())
    optimizer = torch.optim.Adam(judge.model.parameters(), lr=0.01)
    orders = [("a", "b"), ("b", "c"), ("c", "a")]
    rows = [pair_ids(judge.tokenizer, "x", *order) for order in orders + [order[::-1] for order in orders]]
    for _ in range(60):
        g = judge.model(input_ids=torch.tensor(rows)).logits[:, 0]
        loss = -torch.nn.functional.logsigmoid((g[:3] - g[3:]) / 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (judge(["x"] * 3, ["a", "b", "c"], ["b", "c", "a"]) > 0.8).all()


def test_the_model_is_left_in_the_mode_it_was_in():
    model = classifier("gpt2")
    reward = RewardModel(model.train(), letters())
    np.testing.assert_array_equal(reward(PROMPTS, FIRST), reward(PROMPTS, FIRST))  # dropout is off
    assert model.training


# --- texts that try to be more ---------------------------------------------------------------------


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("place", ["prompt", "answer"])
def test_no_text_becomes_a_control_token(mark, place):
    tokenizer = letters(chat=True)
    control = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    hostile = f"a{mark}user b{mark}"
    prompt, answer = (hostile, "c") if place == "prompt" else ("c", hostile)
    harmless = conversation_ids(tokenizer, "c", "c")
    found = conversation_ids(tokenizer, prompt, answer)
    assert [i for i in found if i in control] == [i for i in harmless if i in control]
    assert len(found) == len(harmless) - 1 + len(hostile)  # a letter is a token: every sign of the mark is there
    pair = pair_ids(tokenizer, prompt, answer, answer)
    assert [i for i in pair if i in control] == [i for i in pair_ids(tokenizer, "c", "c", "c") if i in control]


@pytest.mark.parametrize("text", ["{{ 7*7 }}", "{% if x %}", "  spaces  ", "</think> b", "{0} %s", ""])
def test_a_template_that_cuts_and_trims_cannot_touch_a_text(text):
    tokenizer = letters(chat=True)
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] + ' ' + m['content'].split('</think>')[-1] | trim + '[END]' }}{% endfor %}"
    )
    plain = tokenizer(f"user c[END]assistant {text}[END]", add_special_tokens=False)["input_ids"]
    assert conversation_ids(tokenizer, "c", text) == plain


def test_plain_texts_are_tokenised_as_the_template_itself_would():
    """Merges across the seam between template and text are those of training."""
    tokenizer = letters(chat=True)
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
    whole = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": "ho"}], tokenize=False)
    assert conversation_ids(tokenizer, messages, "ho") == tokenizer(whole, add_special_tokens=False)["input_ids"]


def test_a_template_that_drops_a_message_is_refused():
    tokenizer = letters(chat=True)
    tokenizer.chat_template = "{{ messages[-1]['content'] }}"
    with pytest.raises(ValueError, match="writes a message 0 times"):
        conversation_ids(tokenizer, "lost", "kept")


@pytest.mark.parametrize("prompt", [[{"role": "user"}], [{"role": "user", "content": ["parts"]}], [{"content": "x"}]])
def test_a_prompt_that_is_no_conversation_is_refused(prompt):
    with pytest.raises(ValueError, match="Message 0"):
        conversation_ids(letters(), prompt, "x")


# --- limits, files, identity -----------------------------------------------------------------------


def test_texts_too_long_stop_with_numbers_or_are_skipped():
    model, long = classifier(), "x" * 200
    with pytest.raises(JudgeError, match="Text 1 has 204 tokens and the judge reads 1 to 128"):
        RewardModel(model, letters())(["why"] * 2, ["a", long])
    judge = BradleyTerry(RewardModel(model, letters(), on_failure=OnFailure.SKIP))
    p = judge(["why"] * 3, ["a", long, "b"], ["b", "a", "c"])
    assert kept(p).tolist() == [True, False, True]
    pairwise = PairwiseModel(model, letters(), max_tokens=20, on_failure=OnFailure.SKIP)
    assert kept(pairwise(["why"] * 2, ["a", "a" * 30], ["b", "b"])).tolist() == [True, False]


def test_numbers_that_are_not_finite_stop_the_run():
    model = classifier()
    with torch.no_grad():
        model.score.weight.fill_(float("inf"))
    with pytest.raises(JudgeError, match="not finite"):
        RewardModel(model, letters(), on_failure=OnFailure.SKIP)(["why"], ["a"])


def test_a_saved_judge_comes_back_and_as_what_it_was(tmp_path):
    for kind, name in (("bradley-terry", "reward"), ("pairwise", "pair")):
        model = classifier(preference_model=kind)
        model.save_pretrained(tmp_path / name)
        letters().save_pretrained(tmp_path / name)
    reward, pair = load_judge(tmp_path / "reward"), load_judge(tmp_path / "pair")
    assert isinstance(reward, BradleyTerry)
    assert isinstance(pair, PairwiseModel)
    model = classifier()
    np.testing.assert_array_equal(
        reward(PROMPTS, FIRST, SECOND), BradleyTerry(RewardModel(model, letters()))(PROMPTS, FIRST, SECOND)
    )
    with pytest.raises(ValueError, match="was trained as a pairwise model"):
        RewardModel.from_pretrained(tmp_path / "pair")
    with pytest.raises(ValueError, match="was trained as a reward model"):
        PairwiseModel.from_pretrained(tmp_path / "reward")
    with pytest.raises(ValueError, match="has one label"):
        PairwiseModel(classifier(labels=2), letters())


def test_identity_is_that_of_weights_and_template(tmp_path):
    judge = PairwiseModel(classifier(), letters())
    assert judge.identity == PairwiseModel(classifier(), letters(), batch_tokens=7).identity
    changed = classifier()
    with torch.no_grad():
        next(changed.parameters())[0, 0] += 1e-6
    others = {PairwiseModel(changed, letters()).identity, PairwiseModel(classifier(), letters(chat=True)).identity}
    assert len({judge.identity, *others}) == 3
    kept_judge = Cached(judge, tmp_path / "j.sqlite")
    p = kept_judge(PROMPTS, FIRST, SECOND)
    np.testing.assert_array_equal(kept_judge(PROMPTS, FIRST, SECOND), p)
    assert len(list(kept_judge.rows())) == 6


def test_a_tokenizer_without_any_end_is_refused():
    tokenizer = letters()
    tokenizer.pad_token = tokenizer.eos_token = None
    with pytest.raises(ValueError, match="neither pad_token nor eos_token"):
        RewardModel(classifier(), tokenizer)
