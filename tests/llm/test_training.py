"""Language models through ``sb.solve``: every rule learns, runs resume to the bit, processes do not matter."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from scipy.special import expit

import llm
import stackelberg as sb
from llm.judges import BradleyTerry
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer
from llm.training import logbook, trainer
from llm.training.learner import Learner
from stackelberg.gradient import LeaveOneOut

PROMPTS = ["Why?", "How?", "Who?", "What?", "Where?"]
SHORT = llm.Rollouts(prompts=4, max_new_tokens=5)
PLAIN = llm.Training(optimizer="sgd", max_grad_norm=0)


def early(prompts, first, second):
    """A smooth function of the letters that were said."""
    return expit(score(prompts, first) - score(prompts, second))


def score(prompts, answers):
    return np.array([-sum(ord(letter) % 64 for letter in answer) / 64 for answer in answers])


def stackelberg(tau=0.05):
    return sb.StackelbergGame(early, contexts=PROMPTS, tau=tau)


def nash(tau=0.05):
    return sb.NashGame(early, contexts=PROMPTS, tau=tau)


def reward(tau=0.05):
    return sb.RewardGame(score, contexts=PROMPTS, tau=tau)


def policy(roles=None, lora=None, training=None, seed=0):
    tokenizer = tiny_tokenizer()
    torch.manual_seed(seed)
    return llm.TransformerPolicy.of(
        tiny_model(tokenizer, seed=seed), tokenizer, roles=roles, lora=lora, training=training
    )


def weights(trained):
    return torch.cat([each.detach().flatten() for each in trained.parameters()])


RULES = {
    "gda": (stackelberg(), sb.StackelbergGDA(learning_rate=1e-2, kappa=5), SHORT),
    "alternating": (stackelberg(), sb.StackelbergGDA(learning_rate=1e-2, kappa=5, alternating=True), SHORT),
    "extragradient": (stackelberg(), sb.ExtraGradient(learning_rate=1e-2, kappa=5, geometry=sb.Softmax()), SHORT),
    "nash": (nash(), sb.GDA(learning_rate=1e-2), llm.Rollouts(prompts=4, leaders=2, max_new_tokens=5)),
    "self-play": (
        nash(tau=0),
        sb.SelfPlay(learning_rate=1e-2, geometry=sb.Softmax()),
        llm.Rollouts(prompts=4, leaders=2, max_new_tokens=5),
    ),
    "nash-md-pg": (nash(), sb.NashMDPG(learning_rate=1e-2), SHORT),
    "rloo": (reward(), sb.RLOO(learning_rate=1e-2), llm.Rollouts(prompts=4, leaders=2, max_new_tokens=5)),
}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_moves_a_policy_through_the_same_call(name):
    game, solver, sampling = RULES[name]
    trained = policy()
    before = weights(trained)
    solution = sb.solve(game, solver, trained, steps=2, sampling=sampling)
    assert solution.model is trained
    assert solution.status is sb.Status.RAN
    assert list(solution.trajectory.steps) == [1, 2]
    assert (weights(trained) != before).any()
    assert torch.isfinite(weights(trained)).all()


@pytest.mark.parametrize(
    ("roles", "lora"),
    [(None, llm.LoRA(rank=2)), (llm.TwoAdapters(), llm.LoRA(rank=2)), (llm.TwoModels(), None)],
    ids=["lora", "two adapters", "two models"],
)
def test_roles_and_adapters_train(roles, lora):
    trained = policy(roles, lora)
    before = weights(trained)
    sb.solve(stackelberg(), sb.StackelbergGDA(learning_rate=1e-2), trained, steps=1, sampling=SHORT)
    assert (weights(trained) != before).any()


def test_kappa_weighs_directions_where_weights_are_shared_and_is_a_ratio_of_rates_where_not():
    shared = Learner(policy(), stackelberg(), sb.StackelbergGDA(learning_rate=0.1, kappa=5), SHORT)
    alone = Learner(policy(), stackelberg(), sb.StackelbergGDA(learning_rate=0.1, kappa=1e-9), SHORT)
    follower = Learner(policy(), stackelberg(), sb.StackelbergGDA(learning_rate=0.1, kappa=1), SHORT)
    found = []
    for learner in (shared, alone, follower):
        learner.compute(0)
        found.append(torch.cat([each.grad.flatten() for each in learner.learners[0]]).double())
    both, leader, one = found
    torch.testing.assert_close(both, leader + 5 * (one - leader), rtol=1e-4, atol=1e-6)

    apart = policy(llm.TwoModels(), training=PLAIN)
    learner = Learner(apart, stackelberg(), sb.StackelbergGDA(learning_rate=0.1, kappa=5), SHORT)
    before = [[each.detach().clone() for each in own] for own in learner.learners]
    learner.compute(0)
    gradients = [[each.grad.clone() for each in own] for own in learner.learners]
    sb.solve(stackelberg(), learner.solver, apart, steps=1, sampling=SHORT)
    for own, was, pulled, rate in zip(learner.learners, before, gradients, (0.1, 0.5), strict=True):
        for weight, old, gradient in zip(own, was, pulled, strict=True):
            torch.testing.assert_close(weight.detach(), old - rate * gradient, rtol=1e-4, atol=1e-6)


def test_extragradient_looks_ahead_and_comes_back():
    rate = 0.05
    solver = sb.ExtraGradient(learning_rate=rate, kappa=2, geometry=sb.Softmax())
    moved = policy(training=PLAIN)
    sb.solve(stackelberg(), solver, moved, steps=1, sampling=SHORT)

    by_hand = policy()
    start = [each.detach().clone() for each in by_hand.parameters()]
    plain = Learner(by_hand, stackelberg(), sb.StackelbergGDA(learning_rate=rate, kappa=2), SHORT)
    plain.compute(0)
    with torch.no_grad():
        for weight in by_hand.parameters():
            weight -= rate * weight.grad
    ahead = Learner(by_hand, stackelberg(), SecondLook(learning_rate=rate, kappa=2), SHORT)
    ahead.compute(0)
    for weight, first, other in zip(by_hand.parameters(), start, moved.parameters(), strict=True):
        torch.testing.assert_close(other.detach(), first - rate * weight.grad, rtol=1e-5, atol=1e-7)


class SecondLook(sb.StackelbergGDA):
    """Follows the second look of a step, so that its draws are those of extragradient's look ahead."""

    def direction(self, t, point, field, state):
        field(point)
        return field(point).total, state


def test_a_resumed_run_is_the_run(tmp_path):
    game, solver = stackelberg(), sb.StackelbergGDA(learning_rate=1e-2)
    whole = policy()
    sb.solve(game, solver, whole, steps=6, sampling=SHORT, checkpoint=tmp_path / "whole", progress=True)
    sb.solve(game, solver, policy(), steps=2, sampling=SHORT, checkpoint=tmp_path / "parts")
    again = policy()
    solution = sb.solve(game, solver, again, steps=6, sampling=SHORT, checkpoint=tmp_path / "parts")
    assert (weights(again) == weights(whole)).all()
    assert list(solution.trajectory.steps) == [1, 2, 3, 4, 5, 6]
    for name in ("metrics.jsonl", "metrics.csv"):
        assert (tmp_path / "parts" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_a_finished_run_is_loaded_and_another_one_refused(tmp_path):
    solver = sb.StackelbergGDA(learning_rate=1e-2)
    whole = policy()
    sb.solve(stackelberg(), solver, whole, steps=2, sampling=SHORT, checkpoint=tmp_path)
    again = policy()
    solution = sb.solve(stackelberg(), solver, again, steps=2, sampling=SHORT, checkpoint=tmp_path)
    assert (weights(again) == weights(whole)).all()
    assert list(solution.trajectory.steps) == [1, 2]
    with pytest.raises(ValueError, match="solver"):
        sb.solve(stackelberg(), sb.StackelbergGDA(learning_rate=2e-2), policy(), steps=2, sampling=SHORT,
                 checkpoint=tmp_path)  # fmt: skip
    with pytest.raises(ValueError, match="reference"):
        sb.solve(stackelberg(), solver, policy(seed=1), steps=2, sampling=SHORT, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="2 steps already"):
        sb.solve(stackelberg(), solver, policy(), steps=1, sampling=SHORT, checkpoint=tmp_path)


def test_prompts_come_in_whole_rounds():
    learner = Learner(policy(), stackelberg(), sb.StackelbergGDA(), llm.Rollouts(prompts=2))
    said = [prompt for step in range(5) for prompt in learner.prompts(step)]
    assert sorted(said[:5]) == sorted(said[5:]) == sorted(PROMPTS)
    assert said[:5] != said[5:]


def test_a_skipped_pair_is_left_out_and_counted():
    def shy(prompts, first, second):
        return np.where([prompt == "Why?" for prompt in prompts], np.nan, early(prompts, first, second))

    sampling = llm.Rollouts(prompts=5, max_new_tokens=5)
    some = Learner(policy(), sb.StackelbergGame(shy, contexts=PROMPTS), sb.StackelbergGDA(), sampling)
    (draws,) = some.compute(0)
    assert (len(draws.episodes), draws.skipped) == (4, 1)
    asked = some.prompts(0)
    rest = Learner(policy(), sb.StackelbergGame(early, contexts=PROMPTS), sb.StackelbergGDA(), sampling)
    rest.compute(0)
    assert "Why?" in asked
    none = Learner(
        policy(),
        sb.StackelbergGame(lambda *rows: [np.nan] * len(rows[0]), contexts=PROMPTS),
        sb.StackelbergGDA(),
        SHORT,
    )
    with pytest.raises(ValueError, match="skipped all"):
        none.compute(0)


def test_a_gradient_that_is_not_finite_stops_the_run_and_moves_nothing():
    def broken(prompts, answers):
        return 1e39 * np.arange(len(answers))

    trained = policy()
    before = weights(trained)
    game = sb.RewardGame(broken, contexts=PROMPTS)
    solution = sb.solve(
        game,
        sb.RLOO(learning_rate=1.0),
        trained,
        steps=3,
        sampling=llm.Rollouts(prompts=4, leaders=2, max_new_tokens=5),
    )
    assert solution.status is sb.Status.DIVERGED
    assert "step 1" in solution.report
    assert (weights(trained) == before).all()


def test_a_bradley_terry_judge_is_its_reward_in_a_reward_game():
    sampling = llm.Rollouts(prompts=4, leaders=2, max_new_tokens=5)
    found = []
    for judge in (BradleyTerry(score, scale=2.0), lambda prompts, answers: score(prompts, answers) / 2):
        learner = Learner(policy(), sb.RewardGame(judge, contexts=PROMPTS), sb.RLOO(), sampling)
        (draws,) = learner.compute(0)
        found.append(draws.earned)
    np.testing.assert_array_equal(*found)


REFUSED = [
    (stackelberg(), sb.MirrorDescent(), SHORT, "moves in policies"),
    (stackelberg(), sb.Optimistic(geometry=sb.Softmax()), SHORT, "remembers"),
    (stackelberg(), sb.StackelbergGDA(), sb.Sample(10), "sampling=llm.Rollouts"),
    (stackelberg(), sb.StackelbergGDA(), llm.Rollouts(top_p=0.9), "top_p"),
    (stackelberg(), sb.StackelbergGDA(), llm.Rollouts(followers=0), "followers"),
    (nash(), sb.GDA(), SHORT, "leaders=2"),
    (nash(), sb.GDA(), llm.Rollouts(leaders=2, baseline=LeaveOneOut()), "self-play"),
    (reward(), sb.RLOO(), SHORT, "leaders = 1"),
    (sb.StackelbergGame(sb.PreferenceMatrix.cycle(3)), sb.StackelbergGDA(), SHORT, "judge"),
    (nash(), sb.StackelbergGDA(), SHORT, "StackelbergGame"),
]


@pytest.mark.parametrize(("game", "solver", "sampling", "words"), REFUSED, ids=[row[-1] for row in REFUSED])
def test_what_does_not_fit_is_refused_with_a_sentence(game, solver, sampling, words):
    with pytest.raises((ValueError, TypeError), match=words):
        sb.solve(game, solver, policy(), steps=1, sampling=sampling)


def always(p):
    return lambda prompts, first, second: [p] * len(prompts)


class Stubborn:
    def __init__(self, p):
        self.p = p

    def __call__(self, prompts, first, second):
        return [self.p] * len(prompts)


@pytest.mark.parametrize(
    ("before", "now"),
    [(always(0.9), always(0.1)), (Stubborn(0.9), Stubborn(0.1)),
     (BradleyTerry(lambda x, y: np.array([len(each) for each in y])),
      BradleyTerry(lambda x, y: np.array([-len(each) for each in y])))],
    ids=["function", "object", "reward"],
)  # fmt: skip
def test_another_judge_is_another_run(tmp_path, before, now):
    game = sb.StackelbergGame(before, contexts=PROMPTS)
    options = {"steps": 1, "sampling": SHORT, "checkpoint": tmp_path}
    sb.solve(game, sb.StackelbergGDA(), policy(), **options)
    again = sb.solve(game, sb.StackelbergGDA(), policy(), **options)
    assert again.value is not None
    with pytest.raises(ValueError, match="judge"):
        sb.solve(sb.StackelbergGame(now, contexts=PROMPTS), sb.StackelbergGDA(), policy(), **options)


def test_another_schedule_is_another_run(tmp_path):
    options = {"steps": 1, "sampling": SHORT, "checkpoint": tmp_path}
    sb.solve(stackelberg(), sb.StackelbergGDA(lambda t: 1e-2), policy(), **options)
    with pytest.raises(ValueError, match="solver"):
        sb.solve(stackelberg(), sb.StackelbergGDA(lambda t: 1e-1), policy(), **options)


@pytest.mark.parametrize("lost", ["optimizer.pt", "scheduler.pt", "learned.safetensors", "metrics.jsonl"])
def test_a_run_that_lost_a_file_is_refused(tmp_path, lost):
    options = {"sampling": SHORT, "checkpoint": tmp_path}
    sb.solve(stackelberg(), sb.StackelbergGDA(), policy(), steps=2, **options)
    (tmp_path / ("" if lost == "metrics.jsonl" else "checkpoint-2") / lost).unlink()
    with pytest.raises(ValueError, match=lost):
        sb.solve(stackelberg(), sb.StackelbergGDA(), policy(), steps=4, **options)


def test_one_run_a_folder_at_a_time(tmp_path):
    def nested(prompts, first, second):
        with pytest.raises(ValueError, match="Another process"):
            sb.solve(stackelberg(), sb.StackelbergGDA(), policy(), steps=1, sampling=SHORT, checkpoint=tmp_path)
        return [0.5] * len(prompts)

    game = sb.StackelbergGame(nested, contexts=PROMPTS)
    assert sb.solve(game, sb.StackelbergGDA(), policy(), steps=1, sampling=SHORT, checkpoint=tmp_path).value is not None


def test_what_reads_tables_says_what_reads_a_language_model(tmp_path):
    done = sb.solve(stackelberg(), sb.StackelbergGDA(), policy(), steps=1, sampling=SHORT, checkpoint=tmp_path / "run")
    with pytest.raises(ValueError, match="language model"):
        sb.resume(tmp_path / "run")
    done.save(tmp_path / "saved")
    for folder in ("run", "saved"):
        with pytest.raises(FileNotFoundError, match="from_pretrained"):
            sb.load(tmp_path / folder)


@pytest.mark.parametrize("seed", [-1, "a", None, 1.5])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises(ValueError, match="seed must be"):
        sb.solve(stackelberg(), sb.StackelbergGDA(), policy(), steps=1, sampling=SHORT, seed=seed)


@pytest.mark.parametrize("name", ["fsdp", "deepspeed"])
def test_weights_cut_among_processes_are_refused(monkeypatch, name):
    made = transformers.Trainer.create_accelerator_and_postprocess

    def cut(self):
        made(self)
        setattr(self, f"is_{name}_enabled", True)

    monkeypatch.setattr(transformers.Trainer, "create_accelerator_and_postprocess", cut)
    with pytest.raises(ValueError, match="cuts weights already"):
        sb.solve(stackelberg(), sb.StackelbergGDA(), policy(), steps=1, sampling=SHORT)


def test_a_game_of_texts_needs_a_policy_that_speaks():
    with pytest.raises(ValueError, match="Pass a policy that speaks"):
        sb.solve(stackelberg())
    for given in (None, "Qwen"):
        with pytest.raises(TypeError, match="needs a policy that speaks"):
            sb.solve(stackelberg(), sb.StackelbergGDA(), given)
    with pytest.raises(ValueError, match="empty"):
        sb.StackelbergGame(early, contexts=[])
    with pytest.raises(ValueError, match="list of prompts"):
        sb.StackelbergGame(early, contexts="Why?")
    with pytest.raises(ValueError, match="Pass a judge"):
        sb.StackelbergGame([[0.5]], contexts=PROMPTS)
    with pytest.raises(ValueError, match="leader_reference"):
        sb.StackelbergGame(early, contexts=PROMPTS, leader_reference=[1.0])
    assert len(stackelberg().on(["When?"]).contexts) == 1


SCRIPT = """
import sys, signal
sys.path.insert(0, {root!r})
import stackelberg as sb, llm
sys.path.insert(0, {root!r} + "/tests/llm")
from test_training import policy, stackelberg, SHORT, PLAIN
def train(folder, steps, **options):
    return sb.solve(stackelberg(), sb.StackelbergGDA(learning_rate=1e-2), policy(), steps=steps, sampling=SHORT,
                    checkpoint=sb.Checkpoint(folder, every=1), **options)
"""
ROOT = Path(__file__).parents[2]


IN_THE_MIDDLE = """
import os
import transformers
whole = transformers.TrainerState.save_to_json
def cut(state, path):
    if state.global_step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    whole(state, path)
transformers.TrainerState.save_to_json = cut
"""


@pytest.mark.parametrize("when", ["between steps", "in the middle of a save"])
def test_a_killed_run_goes_on_to_the_same_weights_and_lines(tmp_path, when):
    cut = IN_THE_MIDDLE if when == "in the middle of a save" else ""
    script = SCRIPT.format(root=str(ROOT)) + cut + "train(sys.argv[1], 100000)\n"
    run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "killed")], cwd=ROOT)
    if not cut:
        wait_for(run, tmp_path / "killed" / "metrics.jsonl", 4)
        run.kill()
    assert run.wait(timeout=60) == -signal.SIGKILL
    steps = (tmp_path / "killed" / "metrics.jsonl").read_text().count("\n") + 2
    again, whole = policy(), policy()
    for name, trained in {"killed": again, "whole": whole}.items():
        checkpoint = sb.Checkpoint(tmp_path / name, every=1)
        sb.solve(stackelberg(), sb.StackelbergGDA(learning_rate=1e-2), trained, steps=steps, sampling=SHORT,
                 checkpoint=checkpoint)  # fmt: skip
    assert (weights(again) == weights(whole)).all()
    texts = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("killed", "whole")]
    assert texts[0] == texts[1]


def wait_for(run, path, lines):
    while not (path.exists() and path.read_text().count("\n") >= lines):
        assert run.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("place", ["the weights", "the log"])
def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, monkeypatch, place):
    whole, again, solver = policy(), policy(), sb.StackelbergGDA(learning_rate=1e-2)
    sb.solve(stackelberg(), solver, whole, steps=4, sampling=SHORT, checkpoint=tmp_path / "whole")
    options = {"steps": 4, "sampling": SHORT, "checkpoint": sb.Checkpoint(tmp_path / "full", every=1)}

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    def weights_full(tensors, path):
        if "checkpoint-3" in str(path):
            Path(path).write_bytes(b"half")
            full()
        save(tensors, path)

    def log_full(book, row):
        if row["step"] == 3:
            with book.path.open("a") as stream:
                stream.write('{"step": 3, "ear')
            full()
        write(book, row)

    save, write = trainer.save_file, logbook.Logbook.write
    with monkeypatch.context() as patch:
        if place == "the weights":
            patch.setattr(trainer, "save_file", weights_full)
        else:
            patch.setattr(logbook.Logbook, "write", log_full)
        with pytest.raises(OSError, match="No space left"):
            sb.solve(stackelberg(), solver, policy(), **options)
    sb.solve(stackelberg(), solver, again, **options)
    assert (weights(again) == weights(whole)).all()
    texts = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("full", "whole")]
    assert texts[0] == texts[1]


def test_a_request_to_terminate_saves_first(tmp_path):
    script = SCRIPT.format(root=str(ROOT)) + "train(sys.argv[1], 100000)\n"
    run = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    metrics = tmp_path / "metrics.jsonl"
    wait_for(run, metrics, 3)
    run.terminate()
    _, said = run.communicate(timeout=60)
    assert run.returncode == -signal.SIGTERM
    assert "saved in" in said
    steps = metrics.read_text().count("\n")
    assert (tmp_path / f"checkpoint-{steps}" / "trainer_state.json").exists()


def test_two_processes_are_one(tmp_path):
    script = tmp_path / "two.py"
    script.write_text(
        SCRIPT.format(root=str(ROOT))
        + "import os\nassert os.environ['WORLD_SIZE'] == '2'\n"
        + "sampling = llm.Rollouts(prompts=5, max_new_tokens=5)\n"
        + "sb.solve(stackelberg(), sb.StackelbergGDA(learning_rate=1e-2), policy(), steps=1,\n"
        + "         sampling=llm.Rollouts(prompts=1, max_new_tokens=5))  # one of the two has nothing to do\n"
        + "trained = policy(training=PLAIN)\n"
        + "sb.solve(stackelberg(), sb.StackelbergGDA(learning_rate=1e-2), trained, steps=3, sampling=sampling,\n"
        + "         checkpoint=sys.argv[1])\n"
        + "trained.save_pretrained(sys.argv[1] + '/policy') if trained.training is PLAIN else None\n"
    )
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
              "--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no", "--num_machines", "1",
              str(script), str(tmp_path / "two")]  # fmt: skip
    done = subprocess.run(launch, cwd=ROOT, capture_output=True, text=True, check=False,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    alone = policy(training=PLAIN)
    sampling = llm.Rollouts(prompts=5, max_new_tokens=5)
    solution = sb.solve(
        stackelberg(), sb.StackelbergGDA(learning_rate=1e-2), alone, steps=3, sampling=sampling,
        checkpoint=tmp_path / "one",
    )  # fmt: skip
    from safetensors.torch import load_file

    both, one = (load_file(tmp_path / name / "checkpoint-3" / "learned.safetensors") for name in ("two", "one"))
    for name, weight in one.items():
        torch.testing.assert_close(both[name], weight, rtol=1e-5, atol=1e-6)
    from llm.training.logbook import Logbook

    rows = Logbook(tmp_path / "two", step=3).log()
    np.testing.assert_allclose(rows["earned"], solution.trajectory["earned"], rtol=1e-9)


def test_a_tiny_policy_learns_what_it_is_asked_for():
    trained = tiny_policy()
    sampling = llm.Rollouts(prompts=16, leaders=2, max_new_tokens=4)
    solution = sb.solve(reward(tau=0.01), sb.RLOO(learning_rate=1e-2), trained, steps=30, sampling=sampling)
    earned = solution.trajectory["earned"]
    assert earned[-5:].mean() > earned[:5].mean() + 0.3
