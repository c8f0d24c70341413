"""Runs for one process and for two that cut the weights between them, and what two launched ones do: ``both``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit
from torch.distributed.tensor import DTensor
from transformers import GPT2Config, TrainerCallback

import llm
import stackelberg as sb
from llm.testing import tiny_model, tiny_tokenizer

PROMPTS = ["Why?", "How?", "Who?", "What?", "Where?"]
PLAIN = llm.Training(optimizer="sgd", max_grad_norm=0)
GDA = sb.StackelbergGDA(learning_rate=1e-2)
FAST = sb.StackelbergGDA(learning_rate=1e-1)
FIVE = llm.Rollouts(prompts=5, max_new_tokens=5, backward_tokens=120)  # one process has more micro-batches
LONELY = llm.Rollouts(prompts=5, max_new_tokens=5, micro_batch_tokens=70)  # in bfloat16 company changes what is drawn
EVALUATION = llm.Evaluation(["When?", "Whose?", "Whom?"], every=1, replies=2)
SMALL = llm.LoRA(rank=2)
ADAM = llm.Training()


def early(prompts, first, second):
    """A smooth function of the letters that were said."""
    return expit(score(prompts, first) - score(prompts, second))


def score(prompts, answers):
    return np.array([-sum(ord(letter) % 64 for letter in answer) / 64 for answer in answers])


def stackelberg():
    return sb.StackelbergGame(early, contexts=PROMPTS, tau=0.05)


def policy(roles=None, lora=None, training=None):
    tokenizer = tiny_tokenizer()
    return llm.TransformerPolicy.of(tiny_model(tokenizer), tokenizer, roles=roles, lora=lora, training=training)


def untied(training=None):
    """Output and input embeddings apart, learnt positions."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer, GPT2Config)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    return llm.TransformerPolicy.of(model, tokenizer, training=training)


def checkpointing():
    """What is computed again is computed with the adapter of the first time."""
    tokenizer, roles = tiny_tokenizer(), llm.TwoAdapters()
    return llm.TransformerPolicy.of(
        tiny_model(tokenizer), tokenizer, lora=SMALL, roles=roles, training=PLAIN, gradient_checkpointing=True
    )


def half(lora=None, dtype=torch.bfloat16, training=None):
    """Adapters in float32 on a base in bfloat16."""
    tokenizer = tiny_tokenizer()
    return llm.TransformerPolicy.of(tiny_model(tokenizer, dtype=dtype), tokenizer, lora=lora, training=training)


def shy(prompts, first, second):
    """Skips what one process asks: it has rollouts, and none to learn from."""
    return [float("nan") if prompt in ("Why?", "How?", "Who?") else 0.9 for prompt in prompts]


CASES = {
    "full": (lambda: policy(training=PLAIN), stackelberg(), GDA, FIVE),
    "lora": (lambda: policy(None, SMALL, PLAIN), stackelberg(), FAST, FIVE),
    "two adapters, checkpointing": (checkpointing, stackelberg(), FAST, FIVE),
    "untied, clipped": (lambda: untied(llm.Training(optimizer="sgd", max_grad_norm=1.0)), stackelberg(), FAST, FIVE),
    "bfloat16 base": (lambda: half(SMALL, training=PLAIN), stackelberg(), FAST, LONELY),
    "rloo": (
        lambda: policy(training=PLAIN),
        sb.RewardGame(score, contexts=PROMPTS, tau=0.05),
        sb.RLOO(learning_rate=1e-2),
        llm.Rollouts(prompts=3, leaders=2, max_new_tokens=5, backward_tokens=120),
    ),
    "extragradient": (
        lambda: policy(training=ADAM),
        stackelberg(),
        sb.ExtraGradient(learning_rate=1e-3, kappa=2, geometry=sb.Softmax()),
        FIVE,
    ),
    "nash-md-pg": (
        lambda: policy(None, SMALL, PLAIN),
        sb.NashGame(early, contexts=PROMPTS, tau=0.05),
        sb.NashMDPG(learning_rate=1e-1),
        FIVE,
    ),
    "two models, one prompt": (
        lambda: policy(llm.TwoModels(), None, PLAIN),
        stackelberg(),
        GDA,
        llm.Rollouts(prompts=1, max_new_tokens=5, kl=sb.gradient.RaoBlackwell()),
    ),
    "skipped": (
        lambda: policy(training=PLAIN),
        sb.StackelbergGame(shy, contexts=PROMPTS),
        GDA,
        FIVE,
    ),
}
HALVES = llm.Training(bf16=True)


class Parts(TrainerCallback):
    """Counts what this process holds of weights and of the optimizer's numbers."""

    def __init__(self):
        self.cut, self.held, self.all, self.state = True, 0, 0, 0

    def on_step_end(self, args, state, control, model=None, optimizer=None, **_):
        weights = list(model.parameters())
        self.cut = self.cut and all(isinstance(weight, DTensor) for weight in weights)
        self.held = sum(weight.to_local().numel() for weight in weights if isinstance(weight, DTensor))
        self.all = sum(weight.numel() for weight in weights)
        moments = [own["exp_avg"] for own in optimizer.state.values()]
        self.state = sum(each.to_local().numel() for each in moments)


def rows(solution):
    return [dict(row) for row in solution.trajectory.rows]


def learnt(trained):
    return [weight.detach().clone() for weight in trained.parameters()]


def solved(name):
    make, game, solver, sampling = CASES[name]
    trained = make()
    return trained, rows(sb.solve(game, solver, trained, steps=3, sampling=sampling))


def long_run(folder, steps, parts=None, evaluation=None):
    training = ADAM if parts is None else llm.Training(callbacks=(parts,))
    trained = policy(training=training)
    solver = sb.StackelbergGDA(learning_rate=1e-3)
    found = sb.solve(stackelberg(), solver, trained, steps=steps, sampling=FIVE, checkpoint=folder, record=evaluation)
    return trained, rows(found)


def both():
    """What the launched processes do."""
    out, rank = Path(sys.argv[1]), int(os.environ["RANK"])
    assert os.environ["WORLD_SIZE"] == "2"
    for name in CASES:
        torch.manual_seed(rank)  # adapters drawn at random must become the first process's
        trained, found = solved(name)
        assert not any(isinstance(weight, DTensor) for weight in trained.parameters())
        torch.save((learnt(trained), found), out / f"{name}.{rank}.pt")
    long_run(out / "run", 2)
    trained, found = long_run(out / "run", 4)
    torch.save((learnt(trained), found), out / f"run.{rank}.pt")
    parts = Parts()
    long_run(None, 1, parts)
    torch.save(vars(parts), out / f"parts.{rank}.pt")
    trained = half(dtype=torch.float32, training=HALVES)
    sampling = llm.Rollouts(prompts=5, max_new_tokens=12)
    sb.solve(stackelberg(), sb.StackelbergGDA(learning_rate=5e-6), trained, steps=1, sampling=sampling)
    torch.save(learnt(trained), out / f"halves.{rank}.pt")
    os.environ["FSDP_RESHARD_AFTER_FORWARD"] = "false"
    torch.manual_seed(0)
    torch.save((learnt(solved("two adapters, checkpointing")[0])), out / f"kept.{rank}.pt")
    os.environ["FSDP_TRANSFORMER_CLS_TO_WRAP"] = "Nonesuch"
    try:
        solved("full")
    except ValueError as error:
        (out / f"refused.{rank}").write_text(str(error))
    del os.environ["FSDP_TRANSFORMER_CLS_TO_WRAP"]
    found = long_run(None, 1, evaluation=EVALUATION)[1]
    torch.save(found, out / f"evaluated.{rank}.pt")
