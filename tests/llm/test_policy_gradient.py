"""On a language small enough to list, the estimator is autograd's gradient of the definition."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from llm_cases import enumerated, nudge
from transformers import GPT2Config

import llm
from llm.objective import losses
from llm.testing import tiny_model, tiny_tokenizer
from stackelberg.gradient import (
    Constant,
    LeaveOneOut,
    NoBaseline,
    RaoBlackwell,
    RewardToGo,
    SequenceLevel,
    StackelbergReturns,
)

LONGEST = 2
KAPPA, TAU_LEADER, TAU_FOLLOWER = 5.0, 0.7, 0.3
WAYS = {
    "shared": (llm.Shared(), None),
    "shared-lora": (llm.Shared(), llm.LoRA(rank=2)),
    "adapters": (llm.TwoAdapters(), llm.LoRA(rank=2)),
    "models": (llm.TwoModels(), None),
}


@cache
def policy_of(way):
    roles, lora = WAYS[way]
    tokenizer = tiny_tokenizer("abc")
    # transformers' Llama takes its norms and rotations in float32 whatever the weights are; GPT-2 does not
    model = tiny_model(tokenizer, GPT2Config, width=8, layers=1, dtype=torch.float64)
    dialogue = llm.Dialogue(instruction="c")
    policy = llm.TransformerPolicy.of(model, tokenizer, roles=roles, lora=lora, dialogue=dialogue)
    for network in policy.players.networks:  # peft makes adapters in float32
        network.double()
    return nudge(policy)


@cache
def case(way):
    episodes = enumerated(policy_of(way), "ab", LONGEST)
    n = len({each.answer for each in episodes})
    p = np.random.default_rng(0).uniform(0, 1, (n, n))
    return episodes, torch.tensor((p + 1 - p.T) / 2)


def log_prob(speaker, turn, temperature):
    """Written down a second time: a plain forward pass over one row, and the whole log-softmax."""
    with speaker.active():
        ids = torch.tensor([[*turn.prompt, *turn.completion.tokens]])
        logits = speaker.core(input_ids=ids).logits[0] / temperature
    start = len(turn.prompt) - 1
    tokens = torch.tensor(turn.completion.tokens)
    return logits.log_softmax(-1)[start : start + len(tokens)].gather(-1, tokens[:, None]).sum()


@cache
def definition(way, temperature):
    """The gradient of −f in π plus κ times that of f in ω; with shared weights each sees the other held fixed."""
    policy, (episodes, p) = policy_of(way), case(way)
    n = len(p)
    firsts = episodes[::n]
    sums = {}
    for name, speakers in (("own", policy.speaker), ("reference", policy.reference)):
        leader = torch.stack([log_prob(speakers(0), each.leader, temperature) for each in firsts])
        follower = torch.stack([log_prob(speakers(1), each.follower, temperature) for each in episodes]).view(n, n)
        sums[name] = leader, follower
    (leader, follower), (leader_reference, follower_reference) = sums["own"], sums["reference"]
    assert leader.exp().sum().item() == pytest.approx(1, abs=1e-12)
    leader_reference, follower_reference = leader_reference.detach(), follower_reference.detach()

    def f(log_pi, log_omega):
        rows = (log_omega.exp() * (p + TAU_FOLLOWER * (log_omega - follower_reference))).sum(1)
        return (log_pi.exp() * (rows - TAU_LEADER * (log_pi - leader_reference))).sum()

    objective = -f(leader, follower.detach()) + KAPPA * f(leader.detach(), follower)
    weights = (leader.exp()[:, None] * follower.exp()).flatten().detach()
    return torch.autograd.grad(objective, list(policy.parameters())), weights


def estimate(way, temperature, budget=16384, **options):
    policy, (episodes, p) = policy_of(way), case(way)
    _, weights = definition(way, temperature)
    sampling = llm.Rollouts(max_new_tokens=LONGEST, temperature=temperature, micro_batch_tokens=budget)
    for weight in policy.parameters():
        weight.grad = None
    returns = StackelbergReturns(TAU_LEADER, TAU_FOLLOWER)
    for part in losses(
        policy,
        episodes,
        p.flatten().tolist(),
        returns,
        sampling=sampling,
        kappa=KAPPA,
        weights=weights.tolist(),
        **options,
    ):
        part.loss.backward()
    return [weight.grad for weight in policy.parameters()]


def apart(found, wanted):
    return max(float((a - b).abs().max()) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("one_sequence", [True, False])
@pytest.mark.parametrize("kl", [RewardToGo(), RaoBlackwell(), SequenceLevel()], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("baseline", [Constant(0.5), NoBaseline(), Constant(-2.0)], ids=str)
def test_the_enumerated_estimator_is_the_gradient_of_the_definition(baseline, kl, one_sequence):
    wanted, _ = definition("shared", 1.0)
    assert max(float(each.abs().max()) for each in wanted) > 1e-2
    assert apart(estimate("shared", 1.0, baseline=baseline, kl=kl, one_sequence=one_sequence), wanted) < 1e-8


@pytest.mark.parametrize("kl", [RewardToGo(), RaoBlackwell()], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("way", ["shared-lora", "adapters", "models"])
def test_so_it_is_with_adapters_and_with_two_models_at_another_temperature(way, kl):
    wanted, _ = definition(way, 0.6)
    assert max(float(each.abs().max()) for each in wanted) > 1e-2
    assert apart(estimate(way, 0.6, kl=kl), wanted) < 1e-8


def test_accumulated_over_micro_batches_it_is_that_of_the_whole_batch():
    wanted, _ = definition("shared", 1.0)
    assert apart(estimate("shared", 1.0, budget=40), wanted) < 1e-8


def test_the_common_mistake_of_another_temperature_is_seen():
    policy, (episodes, p) = policy_of("shared"), case("shared")
    wanted, weights = definition("shared", 1.0)
    for weight in policy.parameters():
        weight.grad = None
    sampling = llm.Rollouts(max_new_tokens=LONGEST, temperature=0.5)
    returns = StackelbergReturns(TAU_LEADER, TAU_FOLLOWER)
    for part in losses(
        policy, episodes, p.flatten().tolist(), returns, sampling=sampling, kappa=KAPPA, weights=weights.tolist()
    ):
        part.loss.backward()
    assert apart([weight.grad for weight in policy.parameters()], wanted) > 1e-2


# --- draws ---------------------------------------------------------------------------------------


def drawn(**options):
    policy = policy_of("shared")
    sampling = llm.Rollouts(max_new_tokens=LONGEST, **options)
    return policy, sampling, llm.generate(policy, ["ab", "c", "abca"], sampling, seed=2)


@pytest.mark.parametrize("baseline", [Constant(), LeaveOneOut()], ids=str)
def test_micro_batches_change_no_gradient_of_draws(baseline):
    policy, _, episodes = drawn(leaders=3)
    returns, preference = StackelbergReturns(0.7, 0.3), np.random.default_rng(1).uniform(size=9).tolist()
    found, parts = [], []
    for budgets in ({}, {"micro_batch_tokens": 64}, {"backward_tokens": 64}):
        for weight in policy.parameters():
            weight.grad = None
        options = llm.Rollouts(max_new_tokens=LONGEST, leaders=3, missing_eos_penalty=0.5, **budgets)
        count = 0
        for part in losses(policy, episodes, preference, returns, sampling=options, baseline=baseline):
            part.loss.backward()
            count += 1
        found.append([weight.grad.clone() for weight in policy.parameters()])
        parts.append(count)
    assert parts[0] == 1
    assert parts[1] == parts[2] > 1
    assert max(apart(each, found[0]) for each in found[1:]) < 1e-12


def test_leave_one_out_refuses_improvements_of_one_answer():
    policy, sampling, episodes = drawn(followers=2)
    with pytest.raises(ValueError, match="share an answer"):
        next(
            losses(policy, episodes, [0.5] * 6, StackelbergReturns(0.1, 0.1), sampling=sampling, baseline=LeaveOneOut())
        )


def test_one_number_an_episode():
    policy, sampling, episodes = drawn()
    with pytest.raises(ValueError, match="2 numbers for 3 episodes"):
        next(losses(policy, episodes, [0.5] * 2, StackelbergReturns(0.1, 0.1), sampling=sampling))


def test_an_unfinished_answer_costs_who_wrote_it():
    policy, _, episodes = drawn()
    sampling = llm.Rollouts(max_new_tokens=LONGEST, missing_eos_penalty=0.25)
    (part,) = losses(policy, episodes, [0.5] * 3, StackelbergReturns(0.1, 0.1), sampling=sampling)
    finished = [(each.leader.completion.finished, each.follower.completion.finished) for each in episodes]
    assert part.batch.preference.tolist() == [0.5 - 0.25 * (not a) + 0.25 * (not b) for a, b in
                                              (finished[i] for i in part.rows)]  # fmt: skip
    assert len(set(finished)) > 1
