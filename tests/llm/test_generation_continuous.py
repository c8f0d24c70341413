"""Continuous batching: the policy's own distribution, and nothing of the caller's changed."""

from __future__ import annotations

import gc
import math
from collections import Counter

import pytest
import torch
from llm_cases import nudge, sentences
from transformers import ContinuousBatchingConfig, GPT2Config, LlamaConfig

import llm
import stackelberg as sb
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer

PROMPTS = ["hi", "a longer question", "q", [{"role": "user", "content": "and a conversation"}]]
GENERATOR = llm.ContinuousBatching()


@pytest.fixture(scope="module", autouse=True)
def quick():
    """transformers collects garbage several times a call, and there is much to look through in a test session."""
    gc.freeze()
    yield
    gc.unfreeze()


def policy_of(architecture=LlamaConfig, roles=None, rank=2):
    tokenizer = tiny_tokenizer()
    made = llm.TransformerPolicy.of(
        tiny_model(tokenizer, architecture), tokenizer, lora=llm.LoRA(rank=rank) if rank else None, roles=roles
    )
    return nudge(made) if rank else made


@pytest.mark.parametrize(("architecture", "options"), [(LlamaConfig, {}), (GPT2Config, {"temperature": 0.6})], ids=str)
def test_log_probabilities_are_those_of_the_policy(architecture, options):
    policy = policy_of(architecture, llm.TwoAdapters())
    sampling = llm.Rollouts(max_new_tokens=8, leaders=2, followers=2, generator=GENERATOR, **options)
    episodes = policy.generate(PROMPTS, sampling, seed=1)
    assert llm.generator_gap(episodes, *policy.score(episodes, sampling)) < 1e-4
    assert len({each.leader.completion for each in episodes}) == 8
    assert len({each.follower.completion for each in episodes}) == 16
    policy.speaker(1).network.set_adapter("follower")
    nudge(policy, seed=5)
    assert llm.generator_gap(episodes, *policy.score(episodes, sampling)) > 0.01
    again = policy.generate(PROMPTS, sampling, seed=1)
    assert llm.generator_gap(again, *policy.score(again, sampling)) < 1e-4


def test_greedy_is_certain_and_the_same_as_generate():
    policy, sampling = policy_of(), llm.Rollouts(max_new_tokens=8, temperature=0.0)
    found = llm.generate(policy, PROMPTS, sampling, generator=GENERATOR)
    assert found == llm.generate(policy, PROMPTS, sampling)
    assert set(found[0].leader.completion.log_probs) == {0.0}


@pytest.mark.parametrize("options", [{}, {"temperature": 0.5}, {"top_p": 0.7}, {"top_k": 2}], ids=str)
def test_frequencies_are_the_log_probabilities(options):
    """Every completion of at most two tokens of four, over 1,500 draws, within 4.5 standard errors."""
    policy, n = tiny_policy("abc"), 1500
    sampling = llm.Rollouts(max_new_tokens=2, leaders=n, followers=0, generator=llm.ContinuousBatching(8192), **options)
    drawn = policy.generate(["ab"], sampling)
    counts = Counter(each.leader.completion.tokens for each in drawn)
    told = {each.leader.completion.tokens: math.exp(sum(each.leader.completion.log_probs)) for each in drawn}
    assert set(told) <= set(sentences(4, 0, 2))
    assert sum(told.values()) == pytest.approx(1, abs=0.01 if len(told) < 13 else 1e-4)
    for tokens, p in told.items():
        assert abs(counts[tokens] / n - p) < 4.5 * math.sqrt(p * (1 - p) / n) + 1e-9
    ours = llm.generate(policy, ["ab"], llm.Rollouts(max_new_tokens=2, leaders=n, followers=0, **options))
    for said in {each.leader.completion for each in ours if each.leader.completion.tokens in told}:
        assert math.exp(sum(said.log_probs)) == pytest.approx(told[said.tokens], abs=1e-4)


def test_the_same_call_draws_the_same_and_another_seed_does_not():
    policy, sampling = policy_of(), llm.Rollouts(max_new_tokens=8, leaders=3, generator=GENERATOR)
    everything = policy.generate(PROMPTS, sampling, seed=3)
    assert policy.generate(PROMPTS, sampling, seed=3) == everything
    assert policy.generate(PROMPTS, sampling, seed=4) != everything


def test_the_caller_finds_everything_as_it_was():
    tokenizer = tiny_tokenizer()
    core = tiny_model(tokenizer)
    core.set_attn_implementation("eager")
    policy = llm.TransformerPolicy.of(core, tokenizer, gradient_checkpointing=True)
    core.generation_config.repetition_penalty, core.generation_config.temperature = 9.0, 0.1
    settings, state = core.generation_config, torch.get_rng_state()
    sampling = llm.Rollouts(max_new_tokens=4, generator=GENERATOR)
    episodes = policy.generate(PROMPTS, sampling)
    assert llm.generator_gap(episodes, *policy.score(episodes)) < 1e-4
    assert (torch.get_rng_state() == state).all()
    assert core.generation_config is settings
    assert core.training
    assert core.config._attn_implementation == "eager"
    assert not hasattr(core, "_cached_continuous_batching_manager")


def test_stop_strings_and_end_marks_end_as_they_do_here():
    policy, letters = policy_of(rank=0), "abcdefghijklm"
    policy.speaker(0).core.generation_config.eos_token_id = list(range(100, 116))
    sampling = llm.Rollouts(max_new_tokens=10, leaders=8, followers=0, stop=tuple(letters), generator=GENERATOR)
    said = [each.leader for each in policy.generate(PROMPTS, sampling)]
    ends = {(each.completion.tokens[-1] in range(100, 116), each.completion.finished) for each in said}
    assert ends == {(True, True), (False, True), (False, False)}
    for each in said:
        assert not set(policy.tokenizer.decode(each.content, skip_special_tokens=True)[:-1]) & set(letters)
        assert len(each.completion.log_probs) == len(each.completion.tokens)
        assert each.completion.finished or len(each.completion.tokens) == 10


def test_a_small_cache_makes_prompts_wait_and_changes_no_distribution():
    policy = policy_of()
    sampling = llm.Rollouts(max_new_tokens=8, leaders=4, generator=llm.ContinuousBatching(1))
    episodes = policy.generate(PROMPTS, sampling)
    assert len(episodes) == 16
    assert llm.generator_gap(episodes, *policy.score(episodes)) < 1e-4


def test_a_failure_inside_stops_the_run():
    policy = policy_of()
    sampling = llm.Rollouts(max_new_tokens=4, generator=GENERATOR)

    def broken(*_):
        raise RuntimeError("no such kernel")

    hook = policy.speaker(0).core.model.layers[0].register_forward_pre_hook(broken)
    with pytest.raises(llm.GeneratorError, match="failed on 4 of 4 prompts: no such kernel"):
        policy.generate(PROMPTS, sampling)
    hook.remove()
    assert len(policy.generate(PROMPTS, sampling)) == 4


def test_its_options_are_transformers_own():
    with pytest.raises(ValueError, match="cache_tokens must be 1 or more"):
        llm.ContinuousBatching(0)
    config = ContinuousBatchingConfig(num_blocks=4, max_batch_tokens=64)
    policy = policy_of()
    policy.generate(PROMPTS, llm.Rollouts(max_new_tokens=2, generator=llm.ContinuousBatching(config=config)))
    assert (config.seed, config.return_logprobs) == (None, False)


def test_one_that_schedules_is_given_a_round_at_once(monkeypatch):
    policy, calls, real = policy_of(), [], llm.ContinuousBatching.generate

    def counted(self, speaker, prompts, **rest):
        calls.append(len(prompts))
        return real(self, speaker, prompts, **rest)

    monkeypatch.setattr(llm.ContinuousBatching, "generate", counted)
    policy.generate(PROMPTS, llm.Rollouts(max_new_tokens=2, micro_batch_tokens=70, generator=GENERATOR))
    assert calls == [4, 4]


def test_a_run_of_solve_draws_with_it():
    def longer(prompts, first, second):
        return [float(len(one) > len(other)) for one, other in zip(first, second, strict=True)]

    policy, sampling = policy_of(), llm.Rollouts(prompts=3, max_new_tokens=3, generator=GENERATOR)
    before = torch.cat([weight.detach().flatten() for weight in policy.parameters()])
    game = sb.StackelbergGame(longer, contexts=["Why?", "How?", "Who?"], tau=0.1)
    sb.solve(game, sb.StackelbergGDA(learning_rate=1e-2, kappa=5), policy, steps=2, sampling=sampling)
    assert not torch.equal(before, torch.cat([weight.detach().flatten() for weight in policy.parameters()]))
    episodes = policy.generate(PROMPTS, sampling)
    assert llm.generator_gap(episodes, *policy.score(episodes, sampling)) < 1e-4
