"""What users of training stumbled over: what is refused before the first step, said once, kept, and seen."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from llm_cases import enumerated, nudge

import llm
import stackelberg as sb
from llm.config.running import kept
from llm.config.running import run as run_config
from llm.config.sections import checked
from llm.dialogue import ChatTemplate, Dialogue, PlainTemplate, TruncateLeft
from llm.evaluation import follower_gap
from llm.prompt_lengths import CHUNK, check_lengths
from llm.run_folder import begun
from llm.samples import rows_of
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer
from llm.tournaments import answered, judged
from llm.training import run as running
from llm.training.draws import Draws
from llm.training.monitors import Drift, Tally, names_of, observe
from stackelberg.estimate import Kind
from stackelberg.gradient import RaoBlackwell

ROOT = Path(__file__).parents[2]
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


def never(prompts, first, second):
    raise AssertionError("asked though a prompt is too long")


LONG = "Why? " * 12


@pytest.mark.parametrize("among", ["contexts", "evaluation prompts"])
def test_prompts_that_are_too_long_are_named_before_anything_is_drawn(tmp_path, among):
    many = [*PROMPTS, LONG, *PROMPTS, LONG * 2, LONG + "x", LONG + "xy"]
    contexts, held_out = (many, PROMPTS) if among == "contexts" else (["Wo?"], many)
    sampling = replace(SHORT, max_prompt_tokens=40)
    with pytest.raises(ValueError, match=f"4 of 12 {among} have") as found:
        solve(game=game_of(never, contexts), sampling=sampling, checkpoint=tmp_path / "run",
              record=llm.Evaluation(held_out))  # fmt: skip
    words = str(found.value)
    longest = len(tiny_policy().dialogue.leader_prompt(tiny_tokenizer(), LONG * 2))
    assert f"{among}[9] = " in words.split(";")[0]
    assert f"has {longest}, max_prompt_tokens leave 40" in words
    assert "and 1 more. Leave them out, raise max_prompt_tokens, lower max_new_tokens" in words
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").glob("*.json"))


class Numbered(PlainTemplate):
    """The instruction's tokens follow the prompt's: what stands behind x is of another length for each."""

    def render(self, tokenizer, messages):
        return super().render(tokenizer, messages) + "." * (len(messages) > 1) * (len(messages[0]["content"]) % 7)


@pytest.mark.parametrize(
    "template", [ChatTemplate(), PlainTemplate(), Numbered()], ids=lambda each: type(each).__name__
)
@pytest.mark.parametrize(("asked", "followers", "held"), [(None, 1, 999), (None, 0, 999), (60, 1, 999), (None, 2, 200)])
def test_what_is_refused_early_is_what_drawing_would_refuse(template, asked, followers, held):
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    model.config.max_position_embeddings = 110
    policy = llm.TransformerPolicy.of(model, tokenizer, dialogue=Dialogue(template=template))
    sampling = llm.Rollouts(max_new_tokens=2, max_prompt_tokens=asked, followers=followers,
                            micro_batch_tokens=held)  # fmt: skip
    refused = {early: [] for early in (True, False)}
    for length in range(10, 115):
        prompt = "a" * length
        for first in refused:
            try:
                check_lengths(policy, ["b", prompt], sampling, "contexts") if first else llm.generate(
                    policy, [prompt], sampling
                )
            except ValueError:
                refused[first].append(length)
    assert refused[True] == refused[False] != []
    assert len(refused[True]) < 105


def test_a_prompt_that_may_be_cut_is_cut_and_one_that_may_not_is_refused():
    game, sampling = game_of(contexts=[LONG]), replace(SHORT, max_prompt_tokens=8, overlong=TruncateLeft())
    assert solve(game=game, sampling=sampling).status is sb.Status.RAN
    with pytest.raises(ValueError, match=r"_tokens leave 0\. Leave them out, raise micro_batch_tokens, lower"):
        solve(game=game_of(never, [LONG]), sampling=replace(sampling, micro_batch_tokens=20))
    with pytest.raises(ValueError, match="keep = 8"):
        solve(game=game_of(never, [LONG]), sampling=replace(sampling, overlong=TruncateLeft(keep=8)))


def test_many_prompts_are_encoded_once_and_many_in_a_call(monkeypatch):
    policy, calls = tiny_policy(), []
    encode = type(policy.tokenizer).__call__

    def counting(self, text, *rest, **options):
        calls.append(1 if isinstance(text, str) else len(text))
        return encode(self, text, *rest, **options)

    monkeypatch.setattr(type(policy.tokenizer), "__call__", counting)
    prompts = ["Why?"] * (2 * CHUNK) + ["Who?" * 300]
    with pytest.raises(ValueError, match=r"1 of 2,001 contexts has .* contexts\[2000\]"):
        check_lengths(policy, prompts, llm.Rollouts(max_new_tokens=8), "contexts")
    assert sum(each for each in calls if each > 1) + 1 == len(prompts)
    assert len(calls) <= 12


def told(explains):
    """An evaluation's findings, in which length alone explains the Leader's gain, or does not."""
    rng = np.random.default_rng(0)
    said = {"base": ["x" * n for n in rng.integers(1, 7, 200)], "Leader": ["y" * n for n in rng.integers(3, 9, 200)]}

    def judge(prompts, first, second):
        seen = (lambda t: len(t)) if explains else (lambda t: t[:1] == "y")
        return [0.5 + 0.4 * np.sign(float(seen(a)) - float(seen(b))) for a, b in zip(first, second, strict=True)]

    found = judged(said, ["?"] * 200, judge)
    return llm.Evaluated(found, None, None, {}, rows_of(found, ["?"] * 200, 1))


class Scripted(llm.Evaluation):
    """Finds at each evaluation in turn what it was told."""

    def run(self, policy, game, sampling=None):
        return told(next(self._kept["script"]))


def scripted(*script):
    found = Scripted(HELD_OUT, every=1)
    found._kept["script"] = iter(script)
    return found


def test_length_is_blamed_once_and_again_only_after_it_went_away(tmp_path):
    script = (False, True, True, False, True, True)
    whole = solve(5, record=scripted(*script))
    assert [each.split(":")[0] for each in whole.warnings] == ["step 1", "step 4"]
    assert all("length alone explains" in each for each in whole.warnings)
    for cut in (1, 3, 4):
        record, folder = scripted(*script), tmp_path / str(cut)
        solve(cut, record=record, checkpoint=folder)
        assert solve(5, record=record, checkpoint=folder).warnings == whole.warnings


def test_what_drifted_is_not_said_again_by_a_resumed_run(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(running, "Drift", functools.partial(Drift, most_kl=-1.0))
    first = solve(1, checkpoint=tmp_path)
    assert [each.split(": KL")[0] for each in first.warnings] == ["step 1: leader", "step 1: follower"]
    caplog.clear()
    assert solve(3, checkpoint=tmp_path).warnings == first.warnings
    assert "KL" not in caplog.text
    (tmp_path / "checkpoint-3" / "said.json").unlink()  # as earlier versions left it
    assert len(solve(4, checkpoint=tmp_path).warnings) == 2


def test_the_gap_is_the_games_whatever_judge_the_table_has():
    policy, game = nudge(tiny_policy()), game_of()
    own, other = (llm.Evaluation(HELD_OUT, judge=judge).run(policy, game, SHORT) for judge in (None, later))
    assert other.gap == own.gap
    np.testing.assert_allclose(other.tournament.wins[1, 0], 1 - own.tournament.wins[1, 0])
    episodes = answered(policy, HELD_OUT, SHORT, seed=0, followers=4)
    assert own.gap == follower_gap(policy, game, early, HELD_OUT, episodes, SHORT)
    assert own.gap.value != pytest.approx(follower_gap(policy, game, later, HELD_OUT, episodes, SHORT).value)


@pytest.mark.parametrize("asked", [{"temperature": 0.5}, {"max_new_tokens": 2}, {"missing_eos_penalty": 1.0},
                                   {"temperature": 0.0}], ids=str)  # fmt: skip
def test_no_gap_is_told_of_another_policy_and_the_reason_is(asked, tmp_path):
    record = llm.Evaluation(HELD_OUT, every=1, sampling=replace(SHORT, **asked))
    found = solve(2, record=record, checkpoint=tmp_path)
    assert found.gap is None
    assert "eval/follower_gap" not in found.trajectory.names
    assert f"{next(iter(asked))} = {next(iter(asked.values()))!r} (in training" in found.evaluation.omitted
    assert [each for each in found.warnings if "gap is left out" in each] == [f"step 0: {found.evaluation.omitted}"]
    assert found.evaluation.omitted in repr(found.evaluation)


def test_draws_that_are_only_held_otherwise_are_of_the_same_policy():
    sampling = replace(SHORT, prompts=9, micro_batch_tokens=400)
    found = llm.Evaluation(HELD_OUT, sampling=sampling).run(tiny_policy(), game_of(), SHORT)
    assert (found.gap.kind, found.omitted) == (Kind.LOWER_BOUND, None)
    unasked = llm.Evaluation(HELD_OUT, sampling=replace(SHORT, temperature=0.5), replies=1)
    assert unasked.run(tiny_policy(), game_of(), SHORT).omitted is None


TWO = """
import os, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import stackelberg as sb, llm
from llm.testing import tiny_policy
assert os.environ["WORLD_SIZE"] == "2"
out, rank = Path(sys.argv[1]), os.environ["RANK"]
class Lost(Exception):
    "Cannot be sent: it wants two arguments."
    def __init__(self, one, two):
        super().__init__(one)
def fails(on, error):
    def judge(prompts, first, second):
        if rank == on:
            raise error
        return [0.5] * len(prompts)
    return judge
def tried(name, judge, **options):
    game = sb.StackelbergGame(judge, contexts=["Why?", "How?"], tau=0.1)
    solver = sb.StackelbergGDA(learning_rate=options.pop("rate", 1e-2))
    try:
        found = sb.solve(game, solver, tiny_policy(), steps=2, sampling=llm.Rollouts(prompts=2, max_new_tokens=3),
                         **options)
        said = found.status.name
    except Exception as error:
        said = " ".join([type(error).__name__, str(error), *getattr(error, "__notes__", [])])
    (out / f"{name}.{rank}").write_text(said)
tried("second", fails("1", ValueError("the judge is out")))
tried("lost", fails("1", Lost("cannot be sent", 2)))
tried("evaluated", fails("none", None), record=llm.Evaluation(["Who?"], judge=fails("0", KeyError("held out"))))
tried("fine", fails("none", None), checkpoint=out / "run")
tried("claimed", fails("none", None), checkpoint=out / "run", rate=0.5)
"""


@pytest.mark.parametrize("how", [["--multi_gpu"], ["--use_fsdp", "--fsdp_version", "2"]], ids=["plain", "fsdp"])
def test_every_process_ends_with_the_error_of_the_one_that_failed(tmp_path, how):
    script = tmp_path / "two.py"
    script.write_text(TWO)
    launch = [sys.executable, "-m", "accelerate.commands.launch", *how, "--num_processes", "2", "--main_process_port",
              "0", "--mixed_precision", "no", "--dynamo_backend", "no", "--num_machines", "1", str(script),
              str(tmp_path), str(ROOT)]  # fmt: skip
    done = subprocess.run(launch, cwd=ROOT, capture_output=True, text=True, check=False, timeout=90,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = {path.name: path.read_text() for path in tmp_path.iterdir() if path.suffix in (".0", ".1")}
    assert said["second.1"] == "ValueError the judge is out"
    assert said["second.0"] == "ValueError the judge is out This was raised on process 1, and ends all of them."
    assert said["lost.1"] == "Lost cannot be sent"
    assert said["lost.0"].startswith("RuntimeError Lost: cannot be sent This was raised on process 1")
    assert said["evaluated.0"] == "KeyError 'held out'"
    assert said["evaluated.1"].startswith("KeyError 'held out' This was raised on process 0")
    assert said["fine.0"] == said["fine.1"] == "RAN"
    assert all("was started otherwise: solver" in said[f"claimed.{rank}"] for rank in (0, 1))


CHANGED = {
    "prompts": {"prompts": ["When?", "Whom?"]},
    "judge": {"judge": later},
    "second judge": {"second_judge": later},
    "sampling": {"sampling": replace(SHORT, temperature=0.5)},
    "replies": {"replies": 2},
    "seed": {"seed": 1},
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_resumed_run_keeps_its_evaluation(tmp_path, name):
    options = {"prompts": HELD_OUT, "every": 1}
    solve(1, record=llm.Evaluation(**options), checkpoint=tmp_path)
    other = llm.Evaluation(**options | CHANGED[name])
    with pytest.raises(ValueError, match=rf"started otherwise: evaluation {name} \(") as found:
        solve(2, record=other, checkpoint=tmp_path)
    assert str(found.value).count("before") == 1


def test_an_evaluation_may_be_added_once_and_looked_at_more_often(tmp_path):
    solve(1, checkpoint=tmp_path)
    assert solve(1, record=llm.Evaluation(HELD_OUT), checkpoint=tmp_path).evaluation is not None
    with pytest.raises(ValueError, match="evaluation prompts"):
        solve(2, record=llm.Evaluation(["Whom?"]), checkpoint=tmp_path)
    assert solve(2, checkpoint=tmp_path).evaluation is None
    with pytest.raises(ValueError, match=r"evaluation prompts \(2 prompts, hash \w+ before, 1 prompts, hash \w+ now\)"):
        solve(2, record=llm.Evaluation(["Whom?"]), checkpoint=tmp_path)
    more = llm.Evaluation(HELD_OUT, every=1, samples=1)
    assert np.isfinite(solve(4, record=more, checkpoint=tmp_path).trajectory["eval/follower_gap"][-2:]).all()


def test_an_evaluation_is_read_as_its_table():
    found = llm.Evaluation(HELD_OUT, second_judge=later).run(nudge(tiny_policy()), game_of(), SHORT)
    for text in (str(found), repr(found)):
        assert found.tournament.table() in text
        assert "95 % interval" in text
        assert f"The Follower's gap: ≥ {found.gap.value:.2g}"[:24] in text
        assert f"The judges agree: {found.agreement}." in text
        assert "array(" not in text
        assert max(map(len, text.splitlines())) <= 120
    (warned,) = told(True).warnings
    assert warned in repr(told(True))


@pytest.mark.parametrize("kl", [None, RaoBlackwell()], ids=["to go", "exact"])
def test_no_steps_leave_a_trajectory_of_names(kl):
    sampling = SHORT if kl is None else replace(SHORT, kl=kl)
    none, one = (solve(steps, sampling=sampling).trajectory for steps in (0, 1))
    assert none.names == one.names
    assert none.rows == ()
    assert (none.steps.shape, none.steps.dtype) == ((0,), one.steps.dtype)
    assert (none["leader/kl"].shape, none["leader/kl"].dtype) == ((0,), np.dtype(float))
    with pytest.raises(KeyError, match="was not recorded"):
        none["nonesuch"]


def test_no_steps_hold_the_evaluation_of_the_start(tmp_path):
    record = llm.Evaluation(HELD_OUT, every=1)
    start = solve(0, record=record, checkpoint=tmp_path)
    assert list(start.trajectory.steps) == [0]
    assert start.trajectory["eval/follower_gap"][0] == start.gap.value
    assert np.isnan(start.trajectory["earned"]).all()
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["eval/follower_gap"] == start.gap.value
    assert (tmp_path / "metrics.csv").read_text().count("\n") == 2
    whole = solve(2, record=record)
    assert whole.trajectory.rows[0] == start.trajectory.rows[0]
    found = solve(2, record=record, checkpoint=tmp_path)
    assert list(found.trajectory.steps) == [0, 1, 2]
    again = solve(2, record=record, checkpoint=tmp_path)  # it was over: nothing is written twice
    assert list(again.trajectory.steps) == [0, 1, 2]


def test_a_language_model_warms_up():
    solver = sb.StackelbergGDA(learning_rate=sb.Warmup(2, then=sb.Linear(0.03, 0.0, steps=3)), kappa=5)
    found = solve(4, solver=solver)
    assert found.trajectory["learning_rate"] == pytest.approx([0.01, 0.02, 0.03, 0.02])


WARM = {"kind": "warmup", "steps": 2}
WRITTEN = [
    "warmup:2,(linear:0.03,0,3)",
    "warmup:2,then=(linear:0.03,0,steps=3)",
    WARM | {"then": "linear:0.03,0,3"},
    WARM | {"then": {"kind": "linear", "initial": 0.03, "final": 0.0, "steps": 3}},
]


@pytest.mark.parametrize("written", WRITTEN, ids=str)
def test_a_configuration_warms_up(tmp_path, written):
    (tmp_path / "prompts.txt").write_text("Why?\nHow?\n")
    values = {
        "model": {"kind": "tiny"},
        "prompts": {"file": str(tmp_path / "prompts.txt")},
        "judge": {"kind": "patterns", "found": ["e"]},
        "solver": {"kind": "stackelberg-gda", "learning_rate": written},
        "rollouts": {"prompts": 1, "max_new_tokens": 2},
        "steps": 1,
        "out": str(tmp_path / "run"),
    }
    found = checked(values).build()
    assert found.solver.learning_rate == sb.Warmup(2, then=sb.Linear(0.03, 0, 3))
    if isinstance(written, dict):
        return
    done = run_config(values)
    assert done.solution.trajectory["learning_rate"] == pytest.approx([0.01])
    again = run_config(kept(tmp_path / "run", steps=2))
    assert again.solution.trajectory["learning_rate"] == pytest.approx([0.01, 0.02])
    assert repr(again.config.solver) == repr(found.solver)  # by which a run is known: 0 or 0.0


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


def broken(prompts, first, second):
    raise OSError("the judge is out")


def test_a_run_that_took_no_step_gives_way_to_another(tmp_path):
    record = llm.Evaluation(HELD_OUT, judge=early, every=1, replies=1)
    with pytest.raises(OSError, match="the judge is out"):
        solve(2, game=game_of(broken), record=record, checkpoint=tmp_path)
    assert (tmp_path / "metrics.jsonl").exists()  # of the start, which says nothing of a step
    other = sb.StackelbergGDA(learning_rate=0.5)
    options = {"solver": other, "checkpoint": tmp_path, "record": llm.Evaluation(HELD_OUT[:1], every=1)}
    found = solve(1, **options)
    assert list(found.trajectory.steps) == [0, 1]
    with pytest.raises(ValueError, match=r"started otherwise: solver .* evaluation prompts"):
        solve(2, checkpoint=tmp_path, record=record)
    assert list(solve(2, **options).trajectory.steps) == [0, 1, 2]


@pytest.mark.parametrize("left", ["metrics.jsonl", "checkpoint-1", "half a line"])
def test_a_step_or_a_checkpoint_is_never_given_up(tmp_path, left):
    solve(1, checkpoint=tmp_path)
    log = tmp_path / "metrics.jsonl"
    lines = log.read_text()
    if left == "checkpoint-1":
        log.write_text("")
    else:
        (tmp_path / "checkpoint-1").rename(tmp_path.parent / f"{tmp_path.name}-moved")
        log.write_text(lines if left == "metrics.jsonl" else lines[:20])
    assert begun(tmp_path)
    with pytest.raises(ValueError, match="started otherwise: solver"):
        solve(1, solver=sb.StackelbergGDA(learning_rate=0.5), checkpoint=tmp_path)
