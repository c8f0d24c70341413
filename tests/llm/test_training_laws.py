"""What a learner leaves in the weights is the gradient of the definition, for every game and rule: listed and drawn."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from llm_cases import enumerated, nudge
from transformers import GPT2Config

import llm
import stackelberg as sb
from llm.mixture import mixture_log_probs
from llm.rollouts import FOLLOWER, LEADER
from llm.testing import tiny_model, tiny_tokenizer
from llm.training import learner as module
from llm.training.draws import Draws
from llm.training.learner import Learner
from stackelberg.gradient import Constant, LeaveOneOut, NoBaseline, RaoBlackwell, RewardToGo, SequenceLevel

TAU, KAPPA, MIXTURE, PROMPT = 0.3, 3.0, 0.25, "ab"
LONGEST = 3
WAYS = {
    "shared": (llm.Shared(), None),
    "shared-lora": (llm.Shared(), llm.LoRA(rank=2)),
    "adapters": (llm.TwoAdapters(), llm.LoRA(rank=2)),
    "models": (llm.TwoModels(), None),
}
SOFTMAX = sb.Softmax()
RULES = {
    "gda": ("stackelberg", sb.StackelbergGDA(kappa=KAPPA)),
    "one-timescale": ("stackelberg", sb.GDA()),
    "nash": ("nash", sb.GDA()),
    "nash-md-pg": ("nash", sb.NashMDPG(mixture=MIXTURE)),
    "self-play": ("nash0", sb.SelfPlay(geometry=SOFTMAX)),
    "rloo": ("reward", sb.RLOO()),
}
KLS = [RewardToGo(), RaoBlackwell(), SequenceLevel()]
BASELINES = [Constant(0.5), NoBaseline(), Constant(-2.0)]


@cache
def policy_of(way):
    """float64, away from its reference; transformers' Llama takes its norms in float32 whatever the weights are."""
    roles, lora = WAYS[way]
    tokenizer = tiny_tokenizer("abc")
    model = tiny_model(tokenizer, GPT2Config, width=8, layers=1, dtype=torch.float64)
    policy = llm.TransformerPolicy.of(model, tokenizer, roles=roles, lora=lora, dialogue=llm.Dialogue(instruction="c"))
    for network in policy.players.networks:
        network.double()
    return nudge(policy)


def utility(text):
    """A number in [0, 1] that follows from the text."""
    return (sum((place + 2) * ord(letter) for place, letter in enumerate(text)) % 17) / 17


def judge(prompts, first, second):
    """Intransitive: it goes round the circle of utilities."""
    return [0.5 + 0.5 * np.sin(2 * np.pi * (utility(a) - utility(b))) for a, b in zip(first, second, strict=True)]


def rewards(prompts, answers):
    return [2 * utility(answer) for answer in answers]


GAMES = {
    "stackelberg": sb.StackelbergGame(judge, contexts=[PROMPT], tau_leader=TAU, tau_follower=2 * TAU),
    "nash": sb.NashGame(judge, contexts=[PROMPT], tau=TAU),
    "nash0": sb.NashGame(judge, contexts=[PROMPT], tau=0.0),
    "reward": sb.RewardGame(rewards, contexts=[PROMPT], tau=TAU),
}


@cache
def episodes_of(way, longest):
    return enumerated(policy_of(way), PROMPT, longest)


def token_log_probs(speaker, turn):
    """(tokens, vocabulary): a plain forward pass over one row."""
    with speaker.active():
        logits = speaker.core(input_ids=torch.tensor([[*turn.prompt, *turn.completion.tokens]])).logits[0]
    start = len(turn.prompt) - 1
    return logits.log_softmax(-1)[start : start + len(turn.completion.tokens)]


def of_tokens(rows, turn):
    return rows.gather(-1, torch.tensor(turn.completion.tokens)[:, None]).sum()


@cache
def definition(way, rule, longest):
    """The game's own gradient to be descended, by autograd; and Leader's, Follower's and opponent's probabilities."""
    name, solver = RULES[rule]
    policy, episodes = policy_of(way), episodes_of(way, longest)
    n = len({each.answer for each in episodes})
    firsts = [each.leader for each in episodes[::n]]
    text = [each.text for each in firsts]
    rows, fixed = (
        [token_log_probs(side(LEADER), each) for each in firsts] for side in (policy.speaker, policy.reference)
    )
    log_pi, log_ref = (
        torch.stack([of_tokens(*row) for row in zip(side, firsts, strict=True)]) for side in (rows, fixed)
    )
    log_ref, pi = log_ref.detach(), log_pi.exp()
    assert pi.sum().item() == pytest.approx(1, abs=1e-12)
    p = torch.tensor([judge([], [a] * n, text) for a in text], dtype=torch.float64)
    weights = list(policy.parameters())
    if name == "stackelberg":
        replies = [each.follower for each in episodes]
        log_omega, other = (
            torch.stack([of_tokens(token_log_probs(side(FOLLOWER), each), each) for each in replies]).view(n, n)
            for side in (policy.speaker, policy.reference)
        )
        other = other.detach()

        def f(own, reply):
            paid = (reply.exp() * (p + 2 * TAU * (reply - other))).sum(1)
            return (own.exp() * (paid - TAU * (own - log_ref))).sum()

        kappa = solver.kappa if learner_of(way, rule).shared else 1.0  # else a ratio of learning rates
        objective = -f(log_pi, log_omega.detach()) + kappa * f(log_pi.detach(), log_omega)
        opponents = None
        likely = (pi[:, None] * log_omega.exp()).detach().flatten()
    else:
        mix = [((1 - MIXTURE) * a + MIXTURE * b).log_softmax(-1) for a, b in zip(rows, fixed, strict=True)]
        mixed = torch.stack([of_tokens(row, each) for row, each in zip(mix, firsts, strict=True)])
        opponents = (mixed if rule == "nash-md-pg" else log_pi).exp().detach()
        earned = torch.tensor(rewards([], text), dtype=torch.float64) if name == "reward" else p @ opponents
        tau = 0.0 if name == "nash0" else TAU
        objective = -(pi * (earned - tau * (log_pi - log_ref))).sum()
        likely = pi.detach()
    gradient = torch.autograd.grad(objective, weights, allow_unused=True)
    return gradient, likely.numpy(), opponents


def learner_of(way, rule, **sampling):
    name, solver = RULES[rule]
    return Learner(policy_of(way), GAMES[name], solver, llm.Rollouts(max_new_tokens=LONGEST, **sampling))


def listed(way, rule, longest, monkeypatch, **sampling):
    """The learner's gradient where draws are replaced by the list of all outcomes, with their probabilities."""
    _, likely, opponents = definition(way, rule, longest)
    episodes = episodes_of(way, longest)
    n = len({each.answer for each in episodes})

    def every(game, policy, share, how, look, seed):
        if isinstance(game, sb.StackelbergGame):
            p = judge([], [each.leader.text for each in episodes], [each.follower.text for each in episodes])
            return Draws(episodes, np.array(p), weights=likely)
        firsts = episodes[::n]
        text = [each.leader.text for each in firsts]
        if isinstance(game, sb.RewardGame):
            return Draws(firsts, np.array(rewards([], text)), weights=likely)
        earned = np.array([judge([], [a] * n, text) for a in text]) @ opponents.numpy()
        return Draws(firsts, earned, weights=likely)

    monkeypatch.setattr(module, "draw", every)
    learner = learner_of(way, rule, prompts=1, **{"baseline": Constant(0.5), **sampling})
    for weight in learner.policy.parameters():
        weight.grad = None
    learner.compute(0)
    return [None if each.grad is None else each.grad.clone() for each in learner.policy.parameters()]


def apart(found, wanted):
    rows = [(a, b) for a, b in zip(found, wanted, strict=True) if a is not None or b is not None]
    return max(float(((0 if a is None else a) - (0 if b is None else b)).abs().max()) for a, b in rows)


@pytest.mark.parametrize("kl", KLS, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("baseline", BASELINES, ids=str)
@pytest.mark.parametrize("rule", [each for each in RULES if RULES[each][0] != "stackelberg"])
def test_one_policy_games_listed(rule, baseline, kl, monkeypatch):
    wanted, *_ = definition("shared", rule, LONGEST)
    assert max(float(each.abs().max()) for each in wanted) > 1e-2
    assert apart(listed("shared", rule, LONGEST, monkeypatch, baseline=baseline, kl=kl), wanted) < 1e-10


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rule", RULES)
def test_every_rule_with_every_kind_of_policy_listed(rule, way, monkeypatch):
    longest = 2 if RULES[rule][0] == "stackelberg" else LONGEST
    wanted, *_ = definition(way, rule, longest)
    assert apart(listed(way, rule, longest, monkeypatch, micro_batch_tokens=64), wanted) < 1e-10


def test_a_stackelberg_game_of_three_tokens_listed(monkeypatch):
    wanted, *_ = definition("shared", "gda", LONGEST)
    assert apart(listed("shared", "gda", LONGEST, monkeypatch), wanted) < 1e-10


DRAWN = {
    "gda": {"leaders": 1},
    "nash": {"leaders": 3},
    "nash-md-pg": {"leaders": 1},
    "self-play": {"leaders": 2},
    "rloo": {"leaders": 3},
}


@pytest.mark.parametrize("rule", DRAWN)
def test_drawn_it_is_unbiased(rule):
    """z-tests along the true gradient and across it; the errors are small enough to see a bias of some per cent."""
    wanted, *_ = definition("shared", rule, LONGEST)
    truth = torch.cat([each.flatten() for each in wanted])
    along = truth / truth.norm()
    across = torch.randn(len(truth), generator=torch.Generator().manual_seed(0), dtype=truth.dtype)
    across = across / across.norm()
    learner = learner_of("shared", rule, prompts=192, **DRAWN[rule])
    found = []
    for step in range(24):
        learner.compute(step)
        found.append(torch.cat([each.grad.flatten() for each in learner.policy.parameters()]))
    for direction in (along, across):
        errors = torch.stack([(each - truth) @ direction for each in found]) / truth.norm()
        stderr = float(errors.std() / len(errors) ** 0.5)
        assert abs(float(errors.mean())) < 4 * stderr
        assert stderr < 0.05


def test_leave_one_out_is_the_rule_of_a_reward_game():
    assert isinstance(learner_of("shared", "rloo", leaders=2).baseline, LeaveOneOut)
    assert learner_of("shared", "nash", leaders=2).baseline == Constant(0.5)


def test_opponents_of_nash_md_pg_are_of_its_mixture():
    learner = learner_of("shared", "nash-md-pg", prompts=16)
    (draws,) = learner.compute(0)
    wanted = mixture_log_probs(learner.policy, draws.opponents, learner.sampling, MIXTURE)
    for turn, log_probs in zip(draws.opponents, wanted, strict=True):
        np.testing.assert_allclose(turn.completion.log_probs, log_probs, atol=1e-6)
    said = [each.leader.completion.tokens for each in draws.episodes]
    assert said != [each.completion.tokens for each in draws.opponents]
