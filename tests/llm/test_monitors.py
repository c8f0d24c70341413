"""What is seen of a step, against numbers that can be listed; and what is said of drift."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from llm_cases import enumerated, nudge
from llm_runs import SHORT, game_of, solve

import llm
import stackelberg as sb
from llm.testing import tiny_policy
from llm.training.draws import Draws
from llm.training.monitors import Drift, Tally, names_of, observe, observe_draws
from stackelberg.gradient import RaoBlackwell

PROMPT, LONGEST = "ab", 2
STEP = {"leader/kl": 0.1, "leader/entropy": 2.0, "leader/length": 10.0, "leader/finished": 0.9, "generator_gap": 0.0}


def parts_of(policy, episodes, budget=2**30):
    sampling = llm.Rollouts(max_new_tokens=LONGEST, micro_batch_tokens=budget)
    returns = sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0.1).returns()
    return llm.losses(policy, episodes, [0.25] * len(episodes), returns, sampling=sampling)


def draws_of(episodes):
    return Draws(episodes, np.linspace(0, 1, len(episodes)))


def drawn(policy, count=12):
    return llm.generate(policy, [PROMPT] * count, llm.Rollouts(max_new_tokens=LONGEST), seed=4)


def test_mean_kl_and_entropy_of_every_sentence_are_the_policys():
    """Each row by itself, weighed with its probability: the sum is the expectation that a step's mean estimates."""
    policy = nudge(tiny_policy("abc"))
    episodes = enumerated(policy, PROMPT, LONGEST)
    with torch.no_grad():
        leader, follower = policy.score(episodes)
    chance = (leader.log_prob.sum(-1) + follower.log_prob.sum(-1)).exp().double().numpy()
    assert chance.sum() == pytest.approx(1, abs=1e-5)
    tallies = [Tally() for _ in episodes]
    for tally, episode in zip(tallies, episodes, strict=True):
        for part in parts_of(policy, [episode]):
            observe(tally, part, draws_of([episode]))
    for role, said in (("leader", leader), ("follower", follower)):
        kl = chance @ [tally.means()[f"{role}/kl"] for tally in tallies]
        nats = chance @ [tally.sums[f"{role}/entropy"][0] for tally in tallies]
        ratio = (said.log_prob - said.reference_log_prob).double().sum(-1).numpy()
        assert kl == pytest.approx(chance @ ratio, rel=1e-5)
        assert kl > 0.01
        assert nats == pytest.approx(-chance @ said.log_prob.double().sum(-1).numpy(), rel=1e-5)


def test_a_step_is_the_same_in_whatever_micro_batches_and_processes():
    policy = nudge(tiny_policy("abc"))
    episodes, names = drawn(policy), names_of(2)
    draws = replace(draws_of(episodes), skipped=3)
    whole, small, shares = Tally(), Tally(), [Tally(), Tally()]
    for part in parts_of(policy, episodes):
        observe(whole, part, draws)
    for i, part in enumerate(parts_of(policy, episodes, budget=20)):
        observe(small, part, draws)
        observe(shares[i % 2], part, draws)
    observe_draws(whole, draws)
    observe_draws(small, draws)
    observe_draws(shares[0], draws)
    added = Tally().means(shares[0].as_tensor(names) + shares[1].as_tensor(names), names)
    assert set(added) == set(names)
    assert added == pytest.approx(whole.means(), rel=1e-5, abs=1e-6)
    assert small.means() == pytest.approx(whole.means(), rel=1e-5, abs=1e-6)
    assert whole.means()["skipped"] == 3 / 15
    assert whole.means()["earned"] == pytest.approx(draws.earned.mean())


def test_what_counts_is_what_each_role_said():
    policy = nudge(tiny_policy("abc"))
    episodes, tally = drawn(policy), Tally()
    for part in parts_of(policy, episodes):
        observe(tally, part, draws_of(episodes))
    for role in ("leader", "follower"):
        said = [getattr(each, role).completion for each in episodes]
        tokens = [p for each in said for p in each.log_probs]
        assert tally.means()[f"{role}/length"] == np.mean([len(each.tokens) for each in said])
        assert tally.means()[f"{role}/finished"] == np.mean([each.finished for each in said])
        assert tally.means()[f"{role}/entropy"] == pytest.approx(-np.mean(tokens), rel=1e-5)
    assert tally.means()["generator_gap"] < 1e-5
    nudge(policy, seed=9)  # the policy moved on: these rollouts are another's
    late = Tally()
    for part in parts_of(policy, episodes):
        observe(late, part, draws_of(episodes))
    assert late.means()["generator_gap"] > 0.01


def test_a_generator_that_tells_no_log_probabilities_has_no_gap():
    policy = tiny_policy("abc")
    tally, episodes = Tally(), enumerated(policy, PROMPT, 1)
    for part in parts_of(policy, episodes):
        observe(tally, part, draws_of(episodes))
    assert "generator_gap" not in tally.means()
    assert math.isclose(tally.means()["follower/kl"], 0, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("name", "fine", "bad", "words"),
    [
        ("leader/kl", 49.0, 51.0, "far from the reference"),
        ("leader/entropy", 0.21, 0.19, "answers become one"),
        ("leader/length", 14.9, 15.1, "from 10 to 15.1 tokens"),
        ("leader/length", 5.1, 4.9, "from 10 to 4.9 tokens"),
        ("leader/finished", 0.71, 0.69, "69% of answers end by themselves, 90% did"),
        ("generator_gap", 0.09, 0.11, "not of the policy that learns"),
    ],
)
def test_each_drift_is_said_once_and_only_beyond_its_bound(name, fine, bad, words):
    drift = Drift()
    assert drift(STEP) == []
    assert drift(STEP | {name: fine}) == []
    assert drift(STEP | {name: float("nan")}) == []
    (said,) = drift(STEP | {name: bad})
    assert words in said
    assert drift(STEP | {name: bad}) == []


def test_the_exact_kl_has_the_mean_of_the_sampled_one_and_is_seen_where_it_is_there():
    policy = nudge(tiny_policy("abc"))
    episodes, game = enumerated(policy, "ab", 2), game_of()
    sampling = llm.Rollouts(max_new_tokens=2)
    with torch.no_grad():
        leader, follower = policy.score(episodes)
    chance = (leader.log_prob.sum(-1) + follower.log_prob.sum(-1)).exp().double().numpy()
    seen = []
    for episode in episodes:
        tally, draws = Tally(), Draws([episode], np.zeros(1))
        for part in llm.losses(policy, [episode], [0.5], game.returns(), sampling=sampling, kl=RaoBlackwell()):
            observe(tally, part, draws)
        seen.append(tally.means())
    for role in ("leader", "follower"):
        exact, sampled = (np.array([each[f"{role}/{name}"] for each in seen]) for name in ("kl_rao_blackwell", "kl"))
        assert chance @ exact == pytest.approx(chance @ sampled, rel=1e-4)
        assert chance @ (exact - chance @ exact) ** 2 < chance @ (sampled - chance @ sampled) ** 2
    assert "leader/kl_rao_blackwell" not in names_of(2)
    log = solve(2, sampling=replace(SHORT, kl=RaoBlackwell())).trajectory
    assert np.isfinite(log["follower/kl_rao_blackwell"]).all()
    assert "leader/kl_rao_blackwell" not in solve(1).trajectory.names
