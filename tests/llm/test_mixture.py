"""Nash-MD's opponent: the true token-wise mixture, from two caches; and how far that is from the sequence-level one."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from llm_cases import nudge, sentences
from scipy.stats import chisquare
from transformers import GPT2Config, LlamaConfig, MistralConfig

import llm
from llm.mixture import mixed_turns, mixture_log_probs
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer

LETTERS = "abcdefg"
PROMPTS = ["ab", "c", "abcdefgabcd", [{"role": "user", "content": "gfedc"}]]
SAMPLING = llm.Rollouts(max_new_tokens=8, temperature=0.8)
WAYS = {
    "shared": (llm.Shared(), None),
    "shared-lora": (llm.Shared(), llm.LoRA(rank=2)),
    "adapters": (llm.TwoAdapters(), llm.LoRA(rank=2)),
    "models": (llm.TwoModels(), None),
    "models-lora": (llm.TwoModels(), llm.LoRA(rank=2)),
}
every_way = pytest.mark.parametrize("way", WAYS)


def policy_and_base(way="shared", architecture=LlamaConfig, *, size=0.1, **options):
    """A policy that has left its reference, and that reference made again, beside the policy."""
    tokenizer = tiny_tokenizer(LETTERS)
    roles, lora = WAYS[way]
    options = {"dtype": torch.float64} | options
    model = tiny_model(tokenizer, architecture, **options)
    policy = llm.TransformerPolicy.of(model, tokenizer, roles=roles, lora=lora, dialogue=llm.Dialogue("g"))
    return nudge(policy, size), tiny_model(tokenizer, architecture, **options)


@torch.no_grad()
def naive(policy, base, prefix, mixture, temperature=1.0):
    """The mixture of the next token by two plain forward passes over the whole prefix: no padding, no cache."""
    ids = torch.tensor([list(prefix)])
    leader = policy.speaker(0)
    with leader.active():
        own = leader.core(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0, -1]
    theirs = base(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0, -1]
    own, theirs = ((each.double() / temperature).softmax(-1) for each in (own, theirs))
    mixed = own ** (1 - mixture) * theirs**mixture
    return (mixed / mixed.sum()).log()


def recomputed(policy, base, turn, mixture, temperature=SAMPLING.temperature):
    tokens = turn.completion.tokens
    return [
        float(naive(policy, base, (*turn.prompt, *tokens[:t]), mixture, temperature)[token])
        for t, token in enumerate(tokens)
    ]


def gap(turns, log_probs):
    """The largest difference to what the generator told, over all tokens."""
    pairs = zip(turns, log_probs, strict=True)
    return max(np.abs(np.subtract(turn.completion.log_probs, list(map(float, row)))).max() for turn, row in pairs)


def said(turns):
    return [turn.completion.tokens for turn in turns]


# --- the log-probabilities ------------------------------------------------------------------------------


def check_truth(policy, base, prompts=PROMPTS):
    turns = mixed_turns(policy, prompts, SAMPLING, 0.3, seed=1, leaders=2)
    truth = [recomputed(policy, base, turn, 0.3) for turn in turns]
    assert len(set(map(len, said(turns)))) > 1  # some go on behind the end of others
    assert gap(turns, truth) < 1e-6
    assert gap(turns, mixture_log_probs(policy, turns, SAMPLING, 0.3)) < 1e-6
    for wrong in (0.0, 0.31, 0.7, 1.0):
        assert gap(turns, [recomputed(policy, base, turn, wrong) for turn in turns]) > 1e-3


@every_way
def test_generated_log_probabilities_are_the_true_mixture(way):
    check_truth(*policy_and_base(way))


@every_way
def test_generated_log_probabilities_are_the_true_mixture_in_float32(way):
    """With small logits: with those of the test above, rounding alone is 2e-6, and as much in plain generation."""
    check_truth(*policy_and_base(way, dtype=torch.float32, spread=0.1, size=0.05))


def test_the_true_mixture_with_learnt_positions():
    check_truth(*policy_and_base(architecture=GPT2Config))


def test_the_true_mixture_where_the_cache_forgets():
    from transformers import MistralForCausalLM

    config = MistralConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, sliding_window=4, pad_token_id=0, bos_token_id=None, eos_token_id=0,
        initializer_range=0.3,
    )  # fmt: skip
    base = MistralForCausalLM(config).double().eval()
    policy = llm.TransformerPolicy.of(MistralForCausalLM(config).double(), tiny_tokenizer(LETTERS))
    policy.speaker(0).core.load_state_dict(base.state_dict())
    policy.reference(0).core.load_state_dict(base.state_dict())
    check_truth(nudge(policy, 0.1), base)


@pytest.mark.parametrize("architecture", [LlamaConfig, GPT2Config])
def test_company_padding_and_micro_batches_change_nothing(architecture):
    policy, _ = policy_and_base(architecture=architecture)
    together = mixed_turns(policy, PROMPTS, SAMPLING, 0.3, seed=4, leaders=2)
    room = llm.Rollouts(max_new_tokens=8, temperature=0.8, micro_batch_tokens=45)
    apart = mixed_turns(policy, PROMPTS, room, 0.3, seed=4, leaders=2)
    assert said(together) == said(apart)
    assert gap(together, [turn.completion.log_probs for turn in apart]) < 1e-6
    alone = mixed_turns(policy, PROMPTS[:1], SAMPLING, 0.3, seed=4, leaders=2)
    assert said(alone) == said(together[:2])
    assert said(mixed_turns(policy, PROMPTS[2:], SAMPLING, 0.3, seed=4, leaders=2, first=2)) == said(together[4:])
    assert [turn.prompt for turn in together[::2]] == [turn.prompt for turn in together[1::2]]
    whole, parts = (mixture_log_probs(policy, together, each, 0.3) for each in (SAMPLING, room))
    assert max(float((a - b).abs().max()) for a, b in zip(whole, parts, strict=True)) < 1e-12


def test_the_reference_reads_every_token_once():
    policy, _ = policy_and_base()
    fed = []
    policy.reference(0).core.register_forward_pre_hook(
        lambda _, __, given: fed.append(tuple(given["input_ids"].shape)), with_kwargs=True
    )
    turns = mixed_turns(policy, PROMPTS, SAMPLING, 0.3, seed=1)
    longest = max(len(turn.prompt) for turn in turns)
    assert fed == [(4, longest)] + [(4, 1)] * (max(map(len, said(turns))) - 1)


# --- the draws ------------------------------------------------------------------------------------------


@every_way
def test_the_ends_are_the_leader_and_the_reference(way):
    policy, base = policy_and_base(way)
    for end, inside in ((0.0, 1e-12), (1.0, 1 - 1e-12)):
        turns = mixed_turns(policy, PROMPTS, SAMPLING, end, seed=2)
        assert said(turns) == said(mixed_turns(policy, PROMPTS, SAMPLING, inside, seed=2))
        assert gap(turns, [recomputed(policy, base, turn, end) for turn in turns]) < 1e-6
        assert gap(turns, mixture_log_probs(policy, turns, SAMPLING, end)) < 1e-6
        assert gap(turns, [recomputed(policy, base, turn, 1 - end) for turn in turns]) > 0.1


def test_opponents_are_not_the_learners_own_answers():
    """At β = 0 and the same seed the distribution is the same, and the draws are others."""
    policy = tiny_policy()
    sampling = llm.Rollouts(max_new_tokens=6, leaders=2, followers=0)
    own = [each.leader for each in policy.generate(["hi", "why"], sampling, seed=3)]
    opponents = mixed_turns(policy, ["hi", "why"], sampling, 0.0, seed=3, leaders=2)
    assert [turn.prompt for turn in own] == [turn.prompt for turn in opponents]
    assert not set(said(own)) & set(said(opponents))
    assert said(opponents) == said(mixed_turns(policy, ["hi", "why"], sampling, 0.0, seed=3, leaders=2))
    assert said(opponents) != said(mixed_turns(policy, ["hi", "why"], sampling, 0.0, seed=4, leaders=2))
    assert len(set(said(opponents))) == 4


def enumerable():
    policy = nudge(tiny_policy("abc"), 0.3)
    opening = tuple(policy.dialogue.leader_prompt(policy.tokenizer, "ab"))
    return policy, tiny_model(policy.tokenizer), opening


def token_wise(policy, base, opening, mixture, longest):
    """The probability of every completion, multiplied up token by token."""
    steps = {}
    table = {}
    for tokens in sentences(4, 0, longest):
        table[tokens] = 0.0
        for t, token in enumerate(tokens):
            if tokens[:t] not in steps:
                steps[tokens[:t]] = naive(policy, base, opening + tokens[:t], mixture)
            table[tokens] += float(steps[tokens[:t]][token])
    return {tokens: math.exp(log_prob) for tokens, log_prob in table.items()}


def sequence_level(policy, base, opening, mixture, longest):
    """The mixture Nash-MD asks for: of the probabilities of whole completions."""
    own, theirs = (token_wise(policy, base, opening, end, longest) for end in (0.0, 1.0))
    table = {tokens: own[tokens] ** (1 - mixture) * theirs[tokens] ** mixture for tokens in own}
    return {tokens: weight / sum(table.values()) for tokens, weight in table.items()}


def test_frequencies_are_the_enumerated_mixture():
    """20,000 draws of 13 completions: at home in the token-wise mixture, and nowhere near it."""
    policy, base, opening = enumerable()
    sampling = llm.Rollouts(max_new_tokens=2, micro_batch_tokens=10**6)
    counts = Counter(said(mixed_turns(policy, ["ab"], sampling, 0.4, seed=0, leaders=20_000)))

    def p_value(table):
        return chisquare([counts[tokens] for tokens in table], [20_000 * table[tokens] for tokens in table]).pvalue

    assert p_value(token_wise(policy, base, opening, 0.4, 2)) > 1e-3
    assert p_value(token_wise(policy, base, opening, 0.35, 2)) < 1e-4
    assert p_value(token_wise(policy, base, opening, 0.45, 2)) < 1e-4
    assert p_value(sequence_level(policy, base, opening, 0.4, 2)) < 1e-6


def test_token_by_token_is_an_approximation():
    """Total variation to the sequence-level mixture: none at the ends; at β = ½ 0, 2 and 3 % at 1, 2 and 3 tokens."""
    policy, base, opening = enumerable()

    def apart(mixture, longest):
        one, other = (law(policy, base, opening, mixture, longest) for law in (token_wise, sequence_level))
        assert sum(one.values()) == pytest.approx(1) == sum(other.values())
        return sum(abs(one[tokens] - other[tokens]) for tokens in one) / 2

    assert apart(0.0, 2) < 1e-12
    assert apart(1.0, 2) < 1e-12
    assert apart(0.5, 1) < 1e-12
    assert 0.01 < apart(0.5, 2) < apart(0.5, 3) < 0.05


# --- endings, states, refusals --------------------------------------------------------------------------


def test_endings_are_those_of_every_completion():
    policy, _ = policy_and_base()
    sampling = llm.Rollouts(max_new_tokens=8, stop=("a",))
    turns = mixed_turns(policy, PROMPTS, sampling, 0.3, seed=0, leaders=8)
    endings = Counter()
    for turn in turns:
        tokens, finished = turn.completion.tokens, turn.completion.finished
        assert (tokens, finished) == policy.ending(("a",)).cut((*tokens, 0, 0, 0)[:8], policy.tokenizer)
        assert len(turn.completion.log_probs) == len(tokens)
        assert 0 not in turn.content
        assert turn.text == policy.tokenizer.decode(turn.content).partition("a")[0]
        endings["stop" if 1 in tokens else "mark" if 0 in tokens else "length"] += 1
    assert len(endings) == 3, endings
    assert gap(turns, mixture_log_probs(policy, turns, sampling, 0.3)) < 1e-6


def state_of(policy):
    networks = {id(each.network): each.network for each in (*policy.players.policies, *policy.players.references)}
    switches = [(part.training, getattr(part, "_disable_adapters", None)) for each in networks.values()
                for part in each.modules()]  # fmt: skip
    learns = [weight.requires_grad for each in networks.values() for weight in each.parameters()]
    adapters = [getattr(each, "active_adapter", None) for each in networks.values()]
    settings = [id(each.core.generation_config) for each in policy.players.policies]
    return switches, learns, adapters, settings, torch.get_rng_state().tolist()


@every_way
def test_everything_is_left_as_it_was_also_after_an_error(way):
    policy, _ = policy_and_base(way)
    before = state_of(policy)
    plain = policy.score(policy.generate(PROMPTS, SAMPLING), SAMPLING)[0].log_prob
    mixed_turns(policy, PROMPTS, SAMPLING, 0.3, seed=0)
    assert state_of(policy) == before
    assert torch.equal(policy.score(policy.generate(PROMPTS, SAMPLING), SAMPLING)[0].log_prob, plain)
    broken = policy.reference(0).core.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mixed_turns(policy, PROMPTS, SAMPLING, 0.3, seed=0)
    broken.remove()
    assert state_of(policy) == before


@pytest.mark.parametrize("mixture", [-0.1, 1.1, math.nan])
def test_a_mixture_out_of_range_is_refused(mixture):
    policy = tiny_policy()
    turns = mixed_turns(policy, ["hi"], SAMPLING, 0.5, seed=0)
    for act in (lambda: mixed_turns(policy, ["hi"], SAMPLING, mixture, seed=0),
                lambda: mixture_log_probs(policy, turns, SAMPLING, mixture)):  # fmt: skip
        with pytest.raises(ValueError, match="mixture is the weight of the reference"):
            act()


@pytest.mark.parametrize("options", [{"top_p": 0.9}, {"top_k": 3}, {"temperature": 0.0}], ids=str)
def test_truncated_sampling_is_refused(options):
    policy, sampling = tiny_policy(), llm.Rollouts(max_new_tokens=4, **options)
    with pytest.raises(ValueError, match="leave tokens out"):
        mixed_turns(policy, ["hi"], sampling, 0.5, seed=0)
    with pytest.raises(ValueError, match="leave tokens out"):
        mixture_log_probs(policy, [], sampling, 0.5)


def test_a_reference_without_a_cache_is_refused():
    policy = tiny_policy()
    policy.reference(0).core.register_forward_hook(lambda _, __, out: setattr(out, "past_key_values", None))
    with pytest.raises(ValueError, match="handed back no key–value cache"):
        mixed_turns(policy, ["hi"], SAMPLING, 0.5, seed=0)
