"""A small run of a language model for tests to change, and judges for it."""

from __future__ import annotations

import numpy as np

import llm
import stackelberg as sb
from llm.samples import rows_of
from llm.testing import tiny_policy
from llm.tournaments import judged

PROMPTS = ["Why?", "How?", "Who?", "What?"]
SHORT = llm.Rollouts(prompts=2, max_new_tokens=3)
GDA = sb.StackelbergGDA(learning_rate=1e-2)
HELD_OUT = ["When?", "Whose?"]


def early(prompts, first, second):
    return [0.5 + 0.5 * np.sin(sum(map(ord, a)) - sum(map(ord, b))) for a, b in zip(first, second, strict=True)]


def later(prompts, first, second):
    return [1 - p for p in early(prompts, first, second)]


def game_of(judge=early, contexts=PROMPTS, tau=0.1):
    return sb.StackelbergGame(judge, contexts=contexts, tau=tau)


def solve(steps=1, game=None, solver=GDA, sampling=SHORT, policy=None, **options):
    policy = tiny_policy() if policy is None else policy
    return sb.solve(game or game_of(), solver, policy, steps=steps, sampling=sampling, **options)


def told(explains):
    """An evaluation's findings, in which length alone explains the Leader's gain, or does not."""
    rng = np.random.default_rng(0)
    said = {"base": ["x" * n for n in rng.integers(1, 7, 200)], "Leader": ["y" * n for n in rng.integers(3, 9, 200)]}

    def judge(prompts, first, second):
        seen = (lambda t: len(t)) if explains else (lambda t: t[:1] == "y")
        return [0.5 + 0.4 * np.sign(float(seen(a)) - float(seen(b))) for a, b in zip(first, second, strict=True)]

    found = judged(said, ["?"] * 200, judge)
    return llm.Evaluated(found, None, None, {}, rows_of(found, ["?"] * 200, 1))
