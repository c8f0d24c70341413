"""``stackelberg train``: a YAML file is one ``solve``, every field is checked, the run's folder is enough to go on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import llm
import stackelberg as sb
from llm.config.judges import JUDGES, SCORES, STAND_INS
from llm.config.kinds import families, kinds_of
from llm.config.prompts import Prompts, read_prompts
from llm.config.reading import as_yaml, override, parse_yaml, read_config
from llm.config.recipes import fields_of
from llm.config.running import run
from llm.config.sections import checked, resolved
from llm.judges import AttributeVote, BradleyTerry, Cached, LanguageModelJudge, LengthControlled, Mean
from llm.train_cli import train
from stackelberg.cli import main, program

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "papers" / "slhf" / "configs"
FUNCTIONS = """
import os
import signal
import numpy as np
from llm.judges import JudgeError

def early(prompts, first, second):
    score = lambda texts: np.array([-sum(ord(sign) % 64 for sign in text) / 64 for text in texts])
    return 1 / (1 + np.exp(score(second) - score(first)))

def short(prompts, answers):
    return np.array([-float(len(answer)) for answer in answers])

def interrupting(prompts, first, second):
    signal.raise_signal(signal.SIGINT)
    return early(prompts, first, second)

def counting(prompts, first, second):
    open(f"rank-{os.environ.get('RANK')}", "w").close()
    return early(prompts, first, second)

def failing(prompts, first, second):
    raise JudgeError("the judge is out.")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in, with prompts, a module of judges, and the program as it is once installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_judges", raising=False)
    monkeypatch.setitem(program.commands, "train", train)
    Path("own_judges.py").write_text(FUNCTIONS)
    Path("prompts.txt").write_text("Why?\nHow?\n\nWho?\nWhat?\n")
    return tmp_path


def small(**changed):
    values = {
        "model": {"kind": "tiny"},
        "prompts": {"file": "prompts.txt"},
        "judge": {"function": "own_judges:early"},
        "game": {"tau": 0.05},
        "solver": {"kind": "stackelberg-gda", "learning_rate": 0.01, "kappa": 5},
        "rollouts": {"prompts": 3, "max_new_tokens": 4},
        "steps": 3,
        "out": "runs/a",
    }
    return values | changed


def written(path="config.yaml", **changed):
    Path(path).write_text(as_yaml(small(**changed)))
    return str(path)


def weights(folder):
    return torch.cat([each.flatten() for _, each in sorted(load_file(Path(folder) / "model.safetensors").items())])


# --- the file is the call --------------------------------------------------------------------------


def test_the_run_is_the_run_of_the_same_solve(place, capsys):
    assert main(["train", written(seed=3), "--no-progress"]) == 0
    sys.path.insert(0, str(place))
    from own_judges import early

    policy = llm.testing.tiny_policy()
    game = sb.StackelbergGame(early, contexts=["Why?", "How?", "Who?", "What?"], tau=0.05)
    sampling = llm.Rollouts(prompts=3, max_new_tokens=4)
    solver = sb.StackelbergGDA(learning_rate=0.01, kappa=5)
    sb.solve(game, solver, policy, steps=3, sampling=sampling, seed=3, checkpoint="by-hand").save("by-hand/policy")
    assert torch.equal(weights("runs/a/policy"), weights("by-hand/policy"))
    assert Path("runs/a/metrics.jsonl").read_text() == Path("by-hand/metrics.jsonl").read_text()
    said = capsys.readouterr().out
    assert "ran all 3 steps" in said
    assert "stackelberg train --resume runs/a --steps 6" in said
    loaded = llm.TransformerPolicy.from_pretrained("runs/a/policy")
    assert len(loaded.refine(["Why?"], rounds=1, sampling=llm.Sampling(4))[0]) == 2


def test_a_field_set_on_the_command_line_is_as_if_it_stood_in_the_file(place):
    written(seed=3, steps=2)
    given = ["--set", "solver.kappa=1", "--set", "rollouts.max-new-tokens=2", "--seed", "4", "--steps", "1"]
    assert main(["train", "config.yaml", *given, "--out", "runs/b", "--no-progress"]) == 0
    solver = {"kind": "stackelberg-gda", "learning_rate": 0.01, "kappa": 1}
    run(small(solver=solver, rollouts={"prompts": 3, "max_new_tokens": 2}, seed=4, steps=1, out="runs/c"))
    run(small(seed=4, steps=1, out="runs/d"))
    assert torch.equal(weights("runs/b/policy"), weights("runs/c/policy"))
    assert not torch.equal(weights("runs/b/policy"), weights("runs/d/policy"))


@pytest.mark.parametrize("lora", [None, {"rank": 2}], ids=["all weights", "lora"])
def test_the_folder_alone_goes_on_to_the_identical_run(place, lora, monkeypatch):
    model = {"kind": "tiny", "lora": lora}
    evaluation = {"every": 2, "samples": 1, "replies": 1}
    changed = {"model": model, "prompts": {"file": "prompts.txt", "held_out": 0.4}, "evaluation": evaluation}
    written(**changed)
    assert main(["train", "config.yaml", "--no-progress", "--steps", "4", "--out", "runs/whole"]) == 0
    assert main(["train", "config.yaml", "--no-progress", "--steps", "2", "--out", "runs/parts"]) == 0
    Path("runs/parts").rename("runs/moved")
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")  # relative paths of the file were resolved when it began
    torch.manual_seed(99)
    assert main(["train", "--resume", str(place / "runs/moved"), "--steps", "4", "--no-progress"]) == 0
    whole, parts = place / "runs/whole", place / "runs/moved"
    assert (whole / "metrics.jsonl").read_text() == (parts / "metrics.jsonl").read_text()
    name = "model.safetensors" if lora is None else "adapter_model.safetensors"
    first, second = (load_file(folder / "policy" / name) for folder in (whole, parts))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert read_config(parts / "config.yaml")["steps"] == 4
    assert not (place / "runs/parts").exists()
    rows = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    assert "eval/leader_over_base" in rows[-1]


def test_the_end_as_json(place, capsys):
    evaluation = {"every": 2, "samples": 1, "replies": 2}
    written(prompts={"file": "prompts.txt", "held_out": 0.5, "max_tokens": 4}, evaluation=evaluation, steps=1)
    assert main(["train", "config.yaml", "--json", "--no-progress"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["prompts"], found["left_out"]) == ("ran", 1, 1)  # What? has five bytes
    assert found["evaluation"]["players"] == ["base", "Leader", "Follower"]
    assert Path(found["policy"], "stackelberg.json").exists()
    assert main(["train", "config.yaml", "--no-progress"]) == 0  # the finished run, shown again
    said = capsys.readouterr().out
    assert "Follower │ Leader" in said
    assert "on 1 prompts (1 too long were left out)" in said


def test_every_kind_of_run(place, capsys):
    rewards = {"kind": "reward", "tau": 0.05}
    two = {"prompts": 2, "leaders": 2, "max_new_tokens": 3}
    runs = {
        "rloo": {"game": rewards, "solver": "rloo", "judge": {"function": "own_judges:short"}, "rollouts": two},
        "bt": {"game": rewards, "solver": "rloo", "rollouts": two,
               "judge": {"kind": "bradley-terry", "reward": {"function": "own_judges:short"}}},
        "nash": {"game": {"kind": "nash"}, "solver": {"kind": "nash-mdpg", "learning_rate": "inverse-time:1,20"}},
        "two": {"model": {"kind": "tiny", "lora": {"rank": 2}, "roles": "two-adapters", "instruction": "Again!"}},
        "patterns": {"judge": {"kind": "patterns", "found": ["e"], "absent": ["x"]}},
    }  # fmt: skip
    for name, changed in runs.items():
        found = run(small(**changed, steps=1, out=f"runs/{name}"))
        assert found.solution.status is sb.Status.RAN, name
    assert found.config.judge(["?"], ["e"], ["x"]) == [1.0]


# --- how runs end ----------------------------------------------------------------------------------


def test_an_interrupt_saves_and_says_how_to_go_on(place, capsys):
    written(judge={"function": "own_judges:interrupting"})
    assert main(["train", "config.yaml", "--no-progress"]) == 130
    said = capsys.readouterr().err
    assert "stopped after 1 steps; saved in" in said
    assert "stackelberg train --resume runs/a" in said
    assert Path("runs/a/checkpoint-1/trainer_state.json").exists()


def test_a_judge_that_fails_stops_the_run_with_a_sentence(place, capsys):
    written(judge={"function": "own_judges:failing"})
    assert main(["train", "config.yaml", "--no-progress"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: the judge is out. The run is kept up to its last save: stackelberg train --resume")


def test_a_run_that_diverges_ends_with_1(place, capsys):
    Path("own_judges.py").write_text(
        "def much(prompts, answers):\n    return [1e39 * i for i in range(len(answers))]\n"
    )
    written(game={"kind": "reward"}, solver="rloo", judge={"function": "own_judges:much"},
            rollouts={"prompts": 2, "leaders": 2, "max_new_tokens": 3})  # fmt: skip
    assert main(["train", "config.yaml", "--no-progress"]) == 1
    assert "error: diverged at step 1" in capsys.readouterr().err


def test_a_folder_belongs_to_one_run(place, capsys):
    written(steps=1)
    assert main(["train", "config.yaml", "--no-progress"]) == 0
    assert main(["train", "config.yaml", "--no-progress", "--set", "solver.kappa=2"]) == 2
    assert "runs/a was started otherwise: solver.kappa (5.0 before, 2.0 now)" in capsys.readouterr().err
    assert main(["train", "--resume", "runs/a", "--seed", "3"]) == 2
    assert "--resume takes everything from the folder, --seed too" in capsys.readouterr().err
    assert main(["train", "config.yaml", "--out", "."]) == 2
    assert "not empty, and holds no run" in capsys.readouterr().err
    assert Path("config.yaml").read_text() == as_yaml(small(steps=1))
    assert main(["train", "--resume", "runs"]) == 2
    assert "holds no config.yaml" in capsys.readouterr().err
    assert main(["train"]) == 2
    assert "Name a CONFIG" in capsys.readouterr().err


def test_a_run_that_never_began_leaves_its_folder_to_the_next(place, capsys, monkeypatch):
    written(model={"path": str(place / "nothing")})
    assert main(["train", "config.yaml", "--no-progress"]) == 2
    assert "error: model.path: " in capsys.readouterr().err

    def refuses(*arguments, **options):
        assert Path("runs/a/config.yaml").exists()
        raise ValueError("no")

    with monkeypatch.context() as patch:
        patch.setattr(sb, "solve", refuses)
        assert main(["train", written(), "--no-progress"]) == 2
    assert not any(Path("runs/a").iterdir())
    assert main(["train", written(steps=1), "--no-progress"]) == 0


# --- two processes ---------------------------------------------------------------------------------


def test_two_processes_launched_as_the_help_says_are_one(place):
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["stackelberg.commands"]
    installed = place / "stackelberg_here-0.dist-info"  # the program finds its commands where they are installed
    installed.mkdir()
    lines = [f"{name} = {target}" for name, target in points.items()]
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: stackelberg-here\nVersion: 0\n")
    (installed / "entry_points.txt").write_text("\n".join(["[stackelberg.commands]", *lines]))
    prompts, evaluation = {"file": "prompts.txt", "held_out": 0.25}, {"every": 2, "samples": 1, "replies": 1}
    judge = {"function": "own_judges:counting"}
    written(training={"optimizer": "sgd", "max_grad_norm": 0.0}, prompts=prompts, evaluation=evaluation, judge=judge)
    run(read_config("config.yaml") | {"out": "runs/one"})
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
              "--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no", "--num_machines", "1",
              "-m", "stackelberg.cli", "train", "config.yaml", "--out", "runs/two"]  # fmt: skip
    path = os.pathsep.join([str(place), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(launch, capture_output=True, text=True, check=False, timeout=120,
                          env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("ran all 3 steps") == 1  # one process speaks
    assert sorted(path.name for path in place.glob("rank-*")) == ["rank-0", "rank-1", "rank-None"]  # two there were
    torch.testing.assert_close(weights("runs/one/policy"), weights("runs/two/policy"), rtol=1e-5, atol=1e-6)


# --- checking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.yaml")))
def test_the_papers_settings_are_valid_and_print_what_they_are(name, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setitem(program.commands, "train", train)
    assert main(["train", str(CONFIGS / name), "--check"]) == 0
    printed = parse_yaml(capsys.readouterr().out, "printed")
    assert resolved(checked(printed)) == printed
    assert set(printed) == {"model", "prompts", "judge", "game", "solver", "steps", "rollouts", "training",
                            "evaluation", "seed", "out", "checkpoint"}  # fmt: skip


def test_the_papers_numbers_are_read_as_they_stand(monkeypatch):
    monkeypatch.chdir(ROOT)
    small_model, large = (checked(read_config(CONFIGS / f"{name}.yaml")) for name in ("helpsteer2", "tulu3"))
    config = small_model.build(STAND_INS)
    assert config.solver == sb.StackelbergGDA(learning_rate=1e-5, kappa=5)
    assert config.judge.signs == (1, 1, 1, -1, -1)
    assert config.training.arguments == {"adam_epsilon": 1e-6}
    assert config.model.lora == llm.LoRA(rank=64, alpha=128)
    config = large.build(STAND_INS)
    assert config.solver == sb.StackelbergGDA(learning_rate=sb.Linear(5e-6, 0, 8500), kappa=2)


def test_the_offline_setting_runs(place, monkeypatch):
    monkeypatch.chdir(ROOT)
    values = read_config(CONFIGS / "offline.yaml") | {"steps": 2, "out": str(place / "run")}
    found = run(values)
    assert found.solution.status is sb.Status.RAN
    assert len(found.solution.evaluation.tournament.answers[0]) == 16


REFUSED = [
    ("rollouts.promts=8", r"rollouts.promts: there is no such field. Did you mean prompts\? The fields are max_new"),
    ("rollout.prompts=8", r"rollout: there is no such field. Did you mean rollouts\?"),
    ("rollouts.prompts=many", "rollouts.prompts must be a whole number, and is 'many'"),
    ("rollouts.prompts=2.5", "rollouts.prompts must be a whole number, and is 2.5"),
    ("rollouts.prompts=true", "rollouts.prompts must be a whole number, and is True"),
    ("rollouts.prompts=0", "rollouts: prompts must be 1 or more"),
    ("rollouts.stop=x", r"rollouts.stop must be a list, and is 'x'. Write \['x'\]"),
    ("rollouts.top-p=0.9", "top_p = 0.9"),
    ("training.bf16=1", "training.bf16 must be true or false, and is 1"),
    ("training.optimizer=3", 'Write it in quotes: "3"'),
    ("training.arguments={max_steps: 3}", "solve\\(steps=\\) has the steps"),
    ("training.callbacks=[]", "training.callbacks: there is no such field"),
    ("solver.kind=stackelberg", r"there is no kind 'stackelberg'. Did you mean stackelberg-gda\?"),
    ("solver.learning_rate=-1", "solver: learning_rate must be a positive number"),
    ("solver.learning_rate=inverse-tme:2", "'inverse-tme' is not known here"),
    ("solver.learning_rate=softmax", "there is no kind 'softmax'"),
    ("solver.kind=mirror-descent", "moves in policies"),
    ("solver.kind=rloo", "RLOO is a rule for a RewardGame"),
    ("game.kind=nash", "StackelbergGDA is a rule for a StackelbergGame"),
    ("game.tau=-1", "tau"),
    ("rollouts.followers=0", "followers"),
    ("rollouts.baseline=leave-one-out", "leaders = 1"),
    ("model.path=x", "model.path: there is no such field"),
    ("model={path: x, dtype: float}", r"model.dtype is 'float'. Did you mean float64\?"),
    ("model.lora.rank=0", "model.lora: rank must be 1 or more"),
    ("prompts.file=nowhere.txt", "there is no file"),
    ("prompts.dataset=x", "Write either file or dataset"),
    ("prompts.held_out=1", "share from 0 to below 1"),
    ("evaluation.every=5", "evaluation needs held-out prompts"),
    ("checkpoint.every=0", "every must be a positive number"),
    ("judge.function=x", "out is missing|names no function"),
    ("judge={kind: helpsteer2}", "judge.scores is missing"),
    ("judge={kind: reward-model, path: x}", "judge: reward-model scores one answer"),
    ("judge={kind: mean, judges: [{kind: vote, judges: []}]}", r"judge.judges.0: There are no judges"),
    ("judge={kind: language-model, model: a, url: b, key: secret}", r"judge.key: there is no such field"),
    ("judge={path: x}", r"judge.path: .* Another kind than function\? The kinds are"),
    ("steps=null", "steps must be a whole number, and is None"),
    ("steps=-1", "steps and seed must be 0 or more"),
    ("steps.x=1", "steps is 3, which has no fields"),
    ("kappa", "this is no KEY=VALUE"),
    ("judge=[", "cannot be read as YAML"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED, ids=[given for given, _ in REFUSED])
def test_what_is_wrong_is_refused_by_its_path_before_anything_is_loaded(place, capsys, given, words):
    written(out=None)  # whatever is not refused when it is checked is refused for want of a folder
    assert main(["train", "config.yaml", "--set", given]) == 2
    said = capsys.readouterr().err
    assert re.search(words, said), said


def test_checking_loads_nothing_and_runs_nobodys_code(place, capsys, monkeypatch):
    Path("own_judges.py").write_text("raise SystemExit('this was run')")
    monkeypatch.setattr(llm.TransformerPolicy, "of", None)
    assert main(["train", written(), "--check"]) == 0
    printed = parse_yaml(capsys.readouterr().out, "printed")
    assert printed["judge"] == {"kind": "function", "function": "own_judges:early", "identity": None}
    assert printed["prompts"]["file"] == str(place / "prompts.txt")
    assert not Path("runs").exists()


def test_help_and_keys_teach(place, capsys):
    assert main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    example = said[said.index("model: {path") : said.index("Any field may")]
    values = parse_yaml("\n".join(line[4:] for line in ("    " + example).splitlines()), "help")
    Path("prompts.jsonl").write_text('{"prompt": "Why?"}\n')
    assert resolved(checked(values))["solver"]["learning_rate"] == 1e-5
    assert main(["train", "--keys"]) == 0
    said = capsys.readouterr().out
    for kind in (*JUDGES, *SCORES, "two-adapters", "inverse-time", "server", "nash-mdpg"):
        assert f"\n  {kind} " in said, kind


# --- the parts -------------------------------------------------------------------------------------


def test_every_kind_of_everything_can_be_described_and_read_back(place):
    """A new field whose type cannot be written in a text shows here."""
    for family in families().values():
        for name, maker in kinds_of(family).items():
            assert fields_of(maker) is not None, name
    deep = """
      kind: length-controlled
      length: {coefficient: 1, scale: 100}
      judge:
        kind: mean
        weights: [0.25, 0.75]
        judges:
          - {kind: attribute-vote, signs: [1, -1], scores: {kind: stacked, of: [{function: "own_judges:short"},
             {function: "own_judges:short"}]}}
          - kind: cached
            path: kept.sqlite
            judge: {kind: language-model, model: m, url: "http://localhost:1/v1", key_variable: OWN_KEY,
                    on_failure: skip, retry: {attempts: 2}, question: {letters: ["1", "2"]}}
    """
    recipe = checked(small(judge=parse_yaml(deep, "deep")))
    assert resolved(checked(parse_yaml(as_yaml(resolved(recipe)), "again"))) == resolved(recipe)
    with pytest.raises(ValueError, match="the environment has no OWN_KEY"):
        recipe.arguments["judge"].build()
    os.environ["OWN_KEY"] = "secret"
    try:
        judge = recipe.arguments["judge"].build()
    finally:
        del os.environ["OWN_KEY"]
    assert isinstance(judge, LengthControlled)
    assert isinstance(judge.judge, Mean)
    vote, kept = judge.judge.judges
    assert isinstance(vote, AttributeVote)
    assert vote(["?"], ["a"], ["abc"]) == [0.5]
    assert isinstance(kept, Cached)
    assert isinstance(kept.judge, LanguageModelJudge)
    assert (kept.judge.key, kept.judge.retry.attempts, kept.judge.question.letters) == ("secret", 2, ("1", "2"))
    assert "secret" not in as_yaml(resolved(recipe))


def test_a_trained_judge_is_loaded_by_its_folder(place):
    from transformers import BertConfig, BertForSequenceClassification

    from llm.judges.testing import letters

    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, num_labels=1)
    BertForSequenceClassification(config).save_pretrained("judge")
    letters().save_pretrained("judge")
    reward = {"kind": "reward-model", "path": "judge", "device": "cpu"}
    judges = [{"kind": "trained", "path": "judge"}, {"kind": "bradley-terry", "reward": reward}]
    one, other = (checked(small(judge=each)).arguments["judge"].build() for each in judges)
    assert isinstance(one, BradleyTerry)
    assert one(["x"], ["a"], ["b"]) == other(["x"], ["a"], ["b"])


def test_a_function_that_is_none_is_refused(place):
    refused = {"own_judges": "names no function", "own_judges:none": "cannot be imported",
               "no_such_module:a": "cannot be imported", "own_judges:np.pi": "is no function"}  # fmt: skip
    for named, words in refused.items():
        with pytest.raises(ValueError, match=words):
            checked(small(judge={"function": named})).arguments["judge"].build()


def test_yaml_has_no_surprises():
    text = "a: 1e-5\nb: yes\nc: 2026-01-01\nd: 010\ne: .5\nf: -3\ng: null\nh: 'true'\ni: 1_000\nj:\nk: 0x10\nl: -1.5E+3"
    found = {"a": 1e-5, "b": "yes", "c": "2026-01-01", "d": 10, "e": 0.5, "f": -3, "g": None, "h": "true",
             "i": "1_000", "j": None, "k": "0x10", "l": -1500.0}  # fmt: skip
    assert parse_yaml(text, "text") == found
    assert parse_yaml(as_yaml(found), "again") == found
    with pytest.raises(ValueError, match=r"text, line 3, column 1.*a stands here a second time"):
        parse_yaml("a: 1\nb: 2\na: 3", "text")
    with pytest.raises(ValueError, match="cannot be read as YAML"):
        parse_yaml("!!python/object/apply:os.getcwd []", "text")


def test_a_folder_that_is_there_is_kept_by_its_whole_path_and_a_hub_name_as_it_is(place):
    Path("models/a").mkdir(parents=True)
    for path, kept in {"models/a": str(place / "models/a"), "some/model": "some/model"}.items():
        assert resolved(checked(small(model={"path": path})))["model"]["path"] == kept


def test_overrides_reach_into_lists_names_and_what_is_absent():
    values = {"judge": {"kind": "mean", "judges": [{"kind": "checks", "of": "a:b"}, {"kind": "vote"}]}, "kl": "x"}
    for given in ("judge.judges.0.of=c:d", "kl.y=[1, 2]", "model.lora.rank=8", "judge.judges.1.kind=mean"):
        override(values, given)
    assert values == {
        "judge": {"kind": "mean", "judges": [{"kind": "checks", "of": "c:d"}, {"kind": "mean"}]},
        "kl": {"kind": "x", "y": [1, 2]},
        "model": {"lora": {"rank": 8}},
    }
    override(values, "judge.kind=vote")  # the fields were of the other kind
    assert values["judge"] == {"kind": "vote"}
    with pytest.raises(ValueError, match="a place from 0 to 1"):
        override({"a": [1, 2]}, "a.2=3")


def test_prompts_are_read_and_held_out(place, monkeypatch):
    talk = [{"role": "user", "content": "Hello"}]
    rows = [{"prompt": "a", "x": 1}, {"prompt": talk}, {"prompt": "a"}]
    Path("p.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    Path("p.json").write_text(json.dumps(["a", talk]))
    assert read_prompts(Path("p.jsonl")) == ["a", talk, "a"]
    assert read_prompts(Path("p.json")) == ["a", talk]
    assert read_prompts(Path("prompts.txt")) == ["Why?", "How?", "Who?", "What?"]
    assert Prompts(file=Path("p.jsonl"), unique=True).read() == (["a", talk], [], 0)
    assert Prompts(file=Path("p.jsonl"), held_out_file=Path("p.json"), limit=2).read() == (["a", talk], ["a", talk], 0)
    Path("many.txt").write_text("\n".join(f"{i % 40}" for i in range(80)))
    learn, back, _ = Prompts(file=Path("many.txt"), held_out=0.25, held_out_limit=15).read()
    assert (len(learn), len(back), len(set(back))) == (60, 15, 10)
    assert not set(learn) & set(back)
    refused = [("a.csv", "x", "are not read"), ("a.jsonl", "{", "is no JSON"), ("b.jsonl", "[]", r"is \[\]"),
               ("c.jsonl", '{"q": "x"}', "has no prompt; it has q"), ("a.txt", "\n", "no prompts"),
               ("a.json", "{}", "is a list")]  # fmt: skip
    for name, text, words in refused:
        Path(name).write_text(text)
        with pytest.raises(ValueError, match=words):
            read_prompts(Path(name))


def test_a_data_set_is_read_by_its_package_or_asked_for(place, monkeypatch):
    prompts = Prompts(dataset="some/set", name="main", split="train", column="text", held_out_split="test")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match="pip install datasets"):
        prompts.read()
    asked = []

    def load_dataset(path, name, split):
        asked.append((path, name, split))
        return [{"text": f"{split} {i}"} for i in range(2)]

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    assert prompts.read() == (["train 0", "train 1"], ["test 0", "test 1"], 0)
    assert asked == [("some/set", "main", "train"), ("some/set", "main", "test")]
