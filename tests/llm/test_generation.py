"""Drawing: neither cache nor company changes a draw, and log-probabilities are of what was drawn from."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from llm_cases import sentences
from transformers import GPT2Config, LlamaConfig, MistralConfig

import llm
from llm.generation import TransformersGenerator
from llm.sampling import Noise, Sampling
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer

PROMPTS = ["hi", "a longer question", "q", [{"role": "user", "content": "and a conversation"}]]
DRAWS = {"sampled": {}, "greedy": {"temperature": 0.0}, "truncated": {"temperature": 0.7, "top_p": 0.8, "top_k": 50}}


def policy_of(architecture):
    tokenizer = tiny_tokenizer()
    return llm.TransformerPolicy.of(tiny_model(tokenizer, architecture), tokenizer)


def said(episodes):
    return [(each.leader.completion.tokens, each.follower.completion.tokens) for each in episodes]


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("architecture", [LlamaConfig, GPT2Config])
def test_the_cache_of_y_changes_nothing(architecture, draw):
    policy = policy_of(architecture)
    sampling = llm.Rollouts(max_new_tokens=10, leaders=2, followers=2, **DRAWS[draw])
    with_cache, without = (
        llm.generate(policy, PROMPTS, sampling, seed=22, generator=TransformersGenerator(reuse=reuse))
        for reuse in (True, False)
    )
    assert said(with_cache) == said(without)
    assert len({len(each.leader.completion.tokens) for each in with_cache}) > 1 or draw != "sampled"
    for one, other in zip(with_cache, without, strict=True):
        assert one.follower.completion.log_probs == pytest.approx(other.follower.completion.log_probs, abs=1e-5)


def test_the_cache_is_used(monkeypatch):
    policy, fed = tiny_policy(), []
    core = policy.speaker(0).core
    core.register_forward_pre_hook(lambda _, __, given: fed.append(given["input_ids"].shape[1]), with_kwargs=True)
    (episode,) = policy.generate(["a longer question"], llm.Rollouts(max_new_tokens=6))
    bridge = len(policy.dialogue.bridge(policy.tokenizer, "q"))
    prefill = [width for width in fed if width > 1]
    assert prefill[0] == len(episode.leader.prompt)
    assert bridge <= prefill[1] <= bridge + 1


def test_a_cache_that_forgets_is_not_kept():
    tokenizer = tiny_tokenizer()
    config = MistralConfig(
        vocab_size=261, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, sliding_window=4, pad_token_id=256, bos_token_id=None, eos_token_id=257,
    )  # fmt: skip
    from transformers import MistralForCausalLM

    policy = llm.TransformerPolicy.of(MistralForCausalLM(config), tokenizer)
    out = TransformersGenerator().generate(
        policy.speaker(0), [(1, 2, 3)], sampling=Sampling(4), ending=policy.ending(), tokenizer=tokenizer, seeds=[0]
    )
    assert out.memory is None
    episodes = policy.generate(PROMPTS, llm.Rollouts(max_new_tokens=6))
    assert llm.generator_gap(episodes, *policy.score(episodes)) < 1e-5


def test_company_and_micro_batches_change_no_draw():
    policy = tiny_policy()
    options = {"max_new_tokens": 10, "leaders": 2, "followers": 2}
    together = policy.generate(PROMPTS, llm.Rollouts(**options), seed=7)
    apart = policy.generate(PROMPTS, llm.Rollouts(micro_batch_tokens=200, **options), seed=7)
    assert said(together) == said(apart)
    assert said(policy.generate(PROMPTS[:1], llm.Rollouts(**options), seed=7)) == said(together[:4])
    assert said(policy.generate(PROMPTS, llm.Rollouts(**options), seed=8)) != said(together)
    assert len({each.leader.completion.tokens for each in together}) == 8
    assert len(set(said(together))) == 16


def test_the_models_own_settings_and_the_global_seed_are_left_alone():
    policy = tiny_policy()
    plain = said(policy.generate(PROMPTS, llm.Rollouts(max_new_tokens=8), seed=1))
    settings = policy.speaker(0).core.generation_config
    settings.repetition_penalty, settings.temperature, settings.top_k, settings.do_sample = 9.0, 0.1, 1, True
    state = torch.get_rng_state()
    assert said(policy.generate(PROMPTS, llm.Rollouts(max_new_tokens=8), seed=1)) == plain
    assert policy.speaker(0).core.generation_config is settings
    assert (torch.get_rng_state() == state).all()


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5}, {"top_p": 0.7}, {"top_k": 2}], ids=str)
def test_frequencies_are_the_log_probabilities(options):
    """Every completion of at most two tokens of four, over 4,000 draws, within 4.5 standard errors."""
    policy, n = tiny_policy("abc"), 4000
    sampling = llm.Rollouts(max_new_tokens=2, leaders=n, followers=0, micro_batch_tokens=10**6, **options)
    drawn = policy.generate(["ab"], sampling)
    counts = Counter(each.leader.completion.tokens for each in drawn)
    told = {each.leader.completion.tokens: math.exp(sum(each.leader.completion.log_probs)) for each in drawn}
    assert set(told) <= set(sentences(4, 0, 2))
    assert sum(told.values()) == pytest.approx(1, abs=0.01 if len(told) < 13 else 1e-5)
    for tokens, p in told.items():
        assert abs(counts[tokens] / n - p) < 4.5 * math.sqrt(p * (1 - p) / n) + 1e-9


def test_noise_is_standard_gumbel():
    noise = Noise([3, 4], torch.device("cpu"))(20000)
    assert noise.mean().item() == pytest.approx(np.euler_gamma, abs=0.03)
    assert noise.std().item() == pytest.approx(math.pi / math.sqrt(6), abs=0.03)
    assert not torch.equal(noise[0], noise[1])
    assert torch.equal(noise[1], Noise([4], torch.device("cpu"))(20000)[0])


@pytest.mark.parametrize("draw", ["greedy", "truncated"])
def test_training_refuses_truncated_draws(draw):
    policy, sampling = tiny_policy(), llm.Rollouts(max_new_tokens=4, **DRAWS[draw])
    with pytest.raises(ValueError, match="Training needs log-ratios"):
        policy.score(policy.generate(["hi"], sampling), sampling)


@pytest.mark.parametrize(
    "options",
    [{"top_p": 0.0}, {"top_p": 1.5}, {"top_k": -1}, {"temperature": -1.0}, {"temperature": math.nan},
     {"max_new_tokens": 0}, {"leaders": 0}, {"missing_eos_penalty": -1.0}],
    ids=str,
)  # fmt: skip
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        llm.Rollouts(**options)


@dataclass(frozen=True)
class Parrot:
    """The protocol is enough: a generator without transformers, and without log-probabilities."""

    def generate(self, speaker, prompts, *, sampling, ending, tokenizer, seeds, memory=None):
        tokens = (*tokenizer("polly", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id)
        return llm.Generated([llm.Completion(tokens, None, True) for _ in prompts])


def test_any_generator_of_the_protocol_serves():
    policy = tiny_policy()
    (episode,) = llm.generate(policy, ["hi"], llm.Rollouts(), generator=Parrot())
    assert (episode.leader.text, episode.follower.text) == ("polly", "polly")
    assert math.isnan(llm.generator_gap([episode], *policy.score([episode])))


def test_rollouts_name_their_generator_and_an_argument_goes_before_it():
    policy, sampling = tiny_policy(), llm.Rollouts(max_new_tokens=4, generator=Parrot())
    assert policy.generate(["hi"], sampling)[0].leader.text == "polly"
    assert policy.refine(["hi"], rounds=1, sampling=sampling) == [["polly", "polly"]]
    own = llm.generate(policy, ["hi"], sampling, generator=TransformersGenerator())
    assert own == llm.generate(policy, ["hi"], llm.Rollouts(max_new_tokens=4))
    assert own[0].leader.text != "polly"
