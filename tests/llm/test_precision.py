"""bfloat16 in computing, float32 in what is learnt; gradient checkpointing; words for the trainer."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch
from llm_sharded import FIVE, GDA, PLAIN, PROMPTS, SMALL, early, learnt, stackelberg
from transformers import TrainerCallback
from transformers.integrations import integration_utils

import llm
import stackelberg as sb
from llm.computing import Computing
from llm.objective import losses
from llm.testing import tiny_model, tiny_tokenizer
from llm.training.trainer import one_device

HALVES = llm.Training(bf16=True)
SHORT = llm.Rollouts(prompts=4, max_new_tokens=5)
TOKENIZER = tiny_tokenizer()


def made(training=None, dtype=torch.float32, spread=0.3, **options):
    torch.manual_seed(0)
    model = tiny_model(TOKENIZER, dtype=dtype, spread=spread)
    return llm.TransformerPolicy.of(model, TOKENIZER, training=training, **options)


def gap(drawing, scoring):
    """Between the log-probabilities of who draws and of who scores."""
    sampling = llm.Rollouts(max_new_tokens=12)
    episodes = drawing.generate(PROMPTS, sampling, seed=1)
    with torch.no_grad():
        return llm.generator_gap(episodes, *scoring.score(episodes, sampling))


def test_drawing_and_scoring_share_a_precision():
    whole, halves = made(), made(HALVES)
    assert gap(whole, whole) < 1e-5
    assert 1e-4 < gap(halves, halves) < 0.05  # rounding of bfloat16: batches of other shapes add in another order
    assert gap(halves, whole) > 2 * gap(halves, halves)


def test_continuous_batching_does_not_draw_in_another_precision():
    sampling = llm.Rollouts(max_new_tokens=3, generator=llm.ContinuousBatching())
    with pytest.raises(ValueError, match="on a base in bfloat16"):
        made(HALVES).generate(PROMPTS[:1], sampling)
    assert made(HALVES, dtype=torch.bfloat16, lora=SMALL).generate(PROMPTS[:1], sampling)


@pytest.mark.parametrize("lora", [None, SMALL], ids=["full", "lora"])
def test_networks_compute_in_bfloat16_and_the_judge_as_it_likes(lora):
    seen, asked = set(), []

    def judge(prompts, first, second):
        asked.append(torch.is_autocast_enabled("cpu"))
        return early(prompts, first, second)

    trained = made(HALVES, lora=lora)
    for network in (*trained.players.networks, trained.reference(0).network):
        for part in network.modules():
            if isinstance(part, torch.nn.Linear):
                part.register_forward_hook(lambda _, inputs, out: seen.add((torch.is_grad_enabled(), out.dtype)))
    game = sb.StackelbergGame(judge, contexts=PROMPTS, tau=0.05)
    sb.solve(game, GDA, trained, steps=1, sampling=SHORT)
    assert seen == {(False, torch.bfloat16), (True, torch.bfloat16)}
    assert asked == [False]


@pytest.mark.parametrize("lora", [None, SMALL], ids=["full", "lora"])
def test_the_gradient_in_bfloat16_is_near_the_one_in_float32(lora):
    episodes = made(lora=lora).generate(PROMPTS, SHORT)
    found = []
    for training in (None, HALVES):
        policy = made(training, lora=lora)
        for part in losses(policy, episodes, [0.9, 0.2, 0.6, 0.1, 0.8], stackelberg().returns(), sampling=SHORT):
            part.loss.backward()
        found.append(torch.cat([weight.grad.flatten() for weight in policy.parameters()]))
    assert found[1].dtype == torch.float32
    assert torch.cosine_similarity(*found, dim=0) > 0.99


class Kept(TrainerCallback):
    def __init__(self):
        self.dtypes, self.rows = set(), []

    def on_step_end(self, args, state, control, optimizer=None, **_):
        self.dtypes |= {own["exp_avg"].dtype for own in optimizer.state.values()}

    def on_log(self, args, state, control, logs=None, **_):
        self.rows.append(dict(logs))


def moved(policy, steps=2):
    """The share of weights that small steps move."""
    before = learnt(policy)
    sb.solve(stackelberg(), sb.StackelbergGDA(learning_rate=5e-6), policy, steps=steps, sampling=SHORT)
    return float(torch.cat([(a != b).flatten() for a, b in zip(before, learnt(policy), strict=True)]).float().mean())


def test_master_weights_in_float32_are_moved_by_small_steps_and_those_in_bfloat16_are_not():
    kept = Kept()
    policy = made(llm.Training(bf16=True, callbacks=(kept,)), spread=0.02)
    assert moved(policy) > 0.95
    assert {weight.dtype for weight in policy.parameters()} == kept.dtypes == {torch.float32}
    assert moved(made(dtype=torch.bfloat16, spread=0.02)) < 0.2


@pytest.mark.parametrize("training", [llm.Training(), HALVES], ids=["as stored", "bf16"])
def test_adapters_in_float32_learn_on_a_base_in_bfloat16(training):
    policy = made(training, dtype=torch.bfloat16, lora=SMALL)
    assert {weight.dtype for weight in policy.parameters()} == {torch.float32}
    base = [weight.clone() for weight in policy.speaker(0).network.parameters() if not weight.requires_grad]
    assert moved(policy, steps=3) > 0.95
    after = [weight for weight in policy.speaker(0).network.parameters() if not weight.requires_grad]
    assert all(torch.equal(a, b) for a, b in zip(base, after, strict=True))


@pytest.mark.parametrize("training", [PLAIN, llm.Training(bf16=True, optimizer="sgd", max_grad_norm=0)])
@pytest.mark.parametrize("roles", [None, llm.TwoAdapters()], ids=["full", "two adapters"])
def test_gradient_checkpointing_trains_to_the_same_weights(roles, training):
    lora = None if roles is None else SMALL
    policies = [made(training, roles=roles, lora=lora, gradient_checkpointing=again) for again in (False, True)]
    again = []
    for layer in policies[1].speaker(0).network.modules():
        if getattr(layer, "gradient_checkpointing", False):
            again.append(layer)
    assert again
    for policy in policies:
        sb.solve(stackelberg(), GDA, policy, steps=2, sampling=FIVE)
    for one, other in zip(*map(learnt, policies), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


def test_a_look_ahead_reads_the_weights_where_it_stands_in_bfloat16_too():
    solver = sb.ExtraGradient(learning_rate=0.05, kappa=2, geometry=sb.Softmax())
    found = []
    for training in (PLAIN, llm.Training(bf16=True, optimizer="sgd", max_grad_norm=0)):
        policy = made(training, lora=SMALL)
        start = learnt(policy)
        sb.solve(stackelberg(), solver, policy, steps=1, sampling=llm.Rollouts(prompts=64, max_new_tokens=2))
        found.append(torch.cat([(a - b).flatten() for a, b in zip(learnt(policy), start, strict=True)]))
    assert torch.cosine_similarity(*found, dim=0) > 0.9


def test_computing_in_the_weights_own_precision_is_the_default():
    assert made().computing == Computing(None)
    assert made(HALVES).computing == Computing(torch.bfloat16)


MISSPELT = [
    ({"adam_epsilom": 1e-6}, "Did you mean adam_epsilon?"),
    ({"learning_rat": 1e-6}, "Did you mean learning_rate?"),
    ({"xyzzy": 1}, "no argument xyzzy"),
    ({"learning_rate": 1e-6}, "the solver has the learning rate"),
    ({"fp16": True}, "bf16=True"),
    ({"fsdp": "full_shard"}, "--fsdp_version 2"),
    ({"deepspeed": "zero.json"}, "--fsdp_version 2"),
    ({"gradient_checkpointing": True}, "the policy has it"),
]


@pytest.mark.parametrize(("arguments", "words"), MISSPELT, ids=[next(iter(row[0])) for row in MISSPELT])
def test_arguments_that_nobody_reads_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        llm.Training(arguments=arguments)


def test_arguments_reach_transformers():
    found = []

    class Look(TrainerCallback):
        def on_step_end(self, args, state, control, optimizer=None, **_):
            found.append((args.adam_epsilon, optimizer.param_groups[0]["eps"]))

    training = llm.Training(arguments={"adam_epsilon": 1e-3}, callbacks=(Look(),))
    sb.solve(stackelberg(), GDA, made(training), steps=1, sampling=SHORT)
    assert found == [(1e-3, 1e-3)]


def test_several_devices_in_one_process_are_spoken_of():
    arguments = types.SimpleNamespace(n_gpu=4, _n_gpu=4)
    with pytest.warns(UserWarning, match="sees 4 devices and uses one.*--num_processes 4"):
        one_device(arguments)
    assert arguments._n_gpu == 1
    one_device(types.SimpleNamespace(n_gpu=1, _n_gpu=1))


def test_trackers_are_told_every_number_by_name(monkeypatch):
    trackers = []

    class Tracker(Kept):
        def __init__(self):
            super().__init__()
            trackers.append(self)

    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", Tracker)
    training = llm.Training(trackers=("tensorboard",))
    solution = sb.solve(stackelberg(), GDA, made(training), steps=2, sampling=SHORT)
    (tracker,) = trackers
    told = [row for row in tracker.rows if "earned" in row]
    assert [row["step"] for row in told] == [1, 2]
    for name in solution.trajectory.names:
        np.testing.assert_array_equal([row[name] for row in told], solution.trajectory[name])


def test_tensorboard_writes_events(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    training = llm.Training(trackers=("tensorboard",))
    sb.solve(stackelberg(), GDA, made(training), steps=1, sampling=SHORT, checkpoint=tmp_path)
    assert list(tmp_path.rglob("events.out.tfevents.*"))
