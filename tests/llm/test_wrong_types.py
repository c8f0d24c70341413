"""What a newcomer gets wrong, and the two parts of every answer: what is wrong with the value, and what to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import llm
import llm.judges as judges
import stackelberg as sb
from llm import preference_model
from llm.fields import check_kind, fits
from llm.judges.orders import watch_orders
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer
from stackelberg.gradient import LeaveOneOut, RewardToGo

SHORT = llm.Rollouts(prompts=1, max_new_tokens=2)


def even(prompts, first, second):
    return [0.5] * len(first)


class Shorter:
    """A judge that can be kept and resumed with."""

    identity = "shorter"

    def __call__(self, prompts, first, second):
        return [0.5 + 0.1 * ((len(a) < len(b)) - (len(a) > len(b))) for a, b in zip(first, second, strict=True)]


NAMED = judges.Named(even, "even")
GAME = sb.StackelbergGame(even, contexts=["Why?"], tau=0.1)
NASH = sb.NashGame(even, contexts=["Why?"], tau=0.1)
REWARD = sb.RewardGame(lambda prompts, answers: [0.0] * len(answers), contexts=["Why?"], tau=0.1)
MATRIX = sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0.1)


@pytest.fixture(scope="module")
def policy():
    return tiny_policy()


def refuses(act, error, wrong, mend):
    """Both parts of the message, and that there is nothing of a library's own in it."""
    with pytest.raises(error) as caught:
        act()
    message = str(caught.value)
    assert re.search(wrong, message), message
    assert re.search(mend, message), message
    assert not re.search(r"not supported between|ufunc|has no attribute|object is not|has no len", message), message


OPTIONS = [
    (lambda: llm.Rollouts(kl="seq"), TypeError, "must be a KL, not 'seq'", r"Pass .*RewardToGo\("),
    (lambda: llm.Rollouts(kl=RewardToGo), TypeError, "must be a KL, not the class RewardToGo", "with brackets"),
    (lambda: llm.Rollouts(baseline=0.5), TypeError, "must be a Baseline or None, not 0.5", r"Constant\("),
    (lambda: llm.Rollouts(max_new_tokens="8"), TypeError, "whole number, not '8'", "Pass max_new_tokens=8, without"),
    (lambda: llm.Rollouts(prompts=2.5), TypeError, "must be a whole number, not 2.5", "Pass for example"),
    (lambda: llm.Rollouts(prompts=True), TypeError, "must be a whole number, not True", "Pass for example"),
    (lambda: llm.Rollouts(max_prompt_tokens=-1), ValueError, "1 or more; it is -1", "Leave it out"),
    (lambda: llm.Rollouts(generator="vllm"), TypeError, "must be a Generator or None, not 'vllm'", r"with generate\("),
    (lambda: llm.Rollouts(overlong=None), TypeError, "must be an Overlong, not None", r"TruncateLeft\("),
    (lambda: llm.Rollouts(missing_eos_penalty=np.inf), ValueError, "finite number, not inf", "Pass for example"),
    (lambda: llm.Rollouts(temperature=float("nan")), ValueError, "finite number, not nan", "Pass for example"),
    (lambda: llm.Sampling(stop="end"), TypeError, "tuple, each a text, not 'end'", r"stop=\('end',\)"),
    (lambda: llm.Sampling(stop=("end", "")), ValueError, "stop holds an empty text", "Leave it out"),
    (lambda: llm.Sampling(stop=None), TypeError, "must be a tuple, each a text, not None", r"stop=\(\) for none"),
    (lambda: llm.Training(trackers="wandb"), TypeError, "each a text, not 'wandb'", r"trackers=\('wandb',\)"),
    (lambda: llm.Training(callbacks=print), TypeError, "must be a tuple", r"callbacks=\("),
    (lambda: llm.Training(callbacks=(print,)), TypeError, r"callbacks\[0\] must be .*TrainerCallback", "Derive"),
    (lambda: llm.Training(weight_decay=-0.1), ValueError, "weight_decay must be 0 or more; it is -0.1", "Pass"),
    (lambda: llm.Training(max_grad_norm=-1), ValueError, "max_grad_norm must be 0 or more; it is -1", "Pass"),
    (lambda: llm.Training(bf16="yes"), TypeError, "must be True or False, not 'yes'", "Pass"),
    (lambda: llm.Training(arguments=()), TypeError, r"must be a dict, not \(\)", "Pass a dict"),
    (lambda: llm.LoRA(rank="8"), TypeError, "must be a whole number, not '8'", "Pass rank=8, without"),
    (lambda: llm.LoRA(targets="q_proj"), TypeError, "each a text or None, not 'q_proj'", r"targets=\('q_proj',\)"),
    (lambda: llm.LoRA(targets=()), ValueError, "targets .* nothing, or no name", "Leave it out"),
    (lambda: llm.LoRA(alpha=0), ValueError, "alpha must be above 0; it is 0", "Leave it out"),
    (lambda: llm.LoRA(alpha=-2.0), ValueError, "alpha must be above 0; it is -2", "Leave it out"),
    (lambda: llm.Dialogue(template="chat"), TypeError, "must be a Template, not 'chat'", r"PlainTemplate\("),
    (lambda: llm.Dialogue(instruction=None), TypeError, "must be a text, not None", "Improve"),
    (lambda: llm.ChatTemplate(options="fast"), TypeError, "must be a dict, not 'fast'", "Pass a dict"),
    (lambda: llm.PlainTemplate(end=2), TypeError, "must be a text, not 2", "Pass"),
    (lambda: llm.TruncateLeft(keep=-1), ValueError, "keep must be 0 or more; it is -1", "Pass"),
    (lambda: llm.TransformersGenerator(reuse="no"), TypeError, "must be True or False", "Pass"),
    (lambda: llm.ContinuousBatching(config="fast"), TypeError, "ContinuousBatchingConfig, not 'fast'", "Leave it out"),
    (lambda: llm.Server("http://x", model=None, adapter_folder="a"), TypeError, "must be a text", "Pass"),
    (
        lambda: llm.Evaluation("one string"),
        TypeError,
        "must be a list, .*not 'one string'",
        r"prompts=\['one string'\]",
    ),
    (lambda: llm.Evaluation([]), ValueError, "prompts is empty", "Pass a list"),
    (lambda: llm.Evaluation(3), TypeError, "must be a list, .*not 3", "Pass"),
    (lambda: llm.Evaluation(["a", None]), TypeError, r"each a text or a list.*, not \['a', None\]", "Pass"),
    (lambda: llm.Evaluation(["a"], every=1.5), TypeError, "must be a whole number, not 1.5", "Pass for example"),
    (lambda: llm.Evaluation(["a"], replies=0), ValueError, "replies must be 1 or more; it is 0", "Pass for example"),
    (lambda: llm.Evaluation(["a"], judge="gpt"), TypeError, "must be a Judge or None, not 'gpt'", "a callable"),
    (lambda: llm.Evaluation(["a"], sampling=llm.Sampling()), TypeError, "must be a Rollouts", r"Rollouts\("),
    (lambda: judges.BothOrders(None), TypeError, "must be a Judge, not None", "a callable"),
    (lambda: judges.Cached(even, 3), TypeError, "must be a text or a Path, not 3", "Pass"),
    (lambda: judges.Mean(even), TypeError, "must be a tuple, each a Judge", r"judges=\("),
    (lambda: judges.BradleyTerry("score"), TypeError, "must be .*, not 'score'", r"answers\)"),
    (lambda: judges.LengthOnly(1.0, 0.0), ValueError, "scale must be above 0", "Leave|Pass"),
    (lambda: judges.Question(letters=("A",)), TypeError, "must be a tuple of 2, each a text", "Pass"),
    (lambda: judges.Retry(attempts=0), ValueError, "attempts must be 1 or more; it is 0", "Pass"),
    (lambda: judges.Budget(calls=-1), ValueError, "calls must be 0 or more; it is -1", "Leave it out"),
    (lambda: judges.RateLimited(even, "fast"), TypeError, "must be a finite number, not 'fast'", "Pass"),
    (lambda: preference_model.Training(kind="reward"), TypeError, "must be a Kind", r"Kind\.REWARD"),
    (lambda: preference_model.Training(warmup=2), ValueError, "at most 1; it is 2", "Pass"),
]


@pytest.mark.parametrize(("act", "error", "wrong", "mend"), OPTIONS)
def test_options_of_a_wrong_type_or_out_of_range(act, error, wrong, mend):
    refuses(act, error, wrong, mend)


def test_lists_serve_for_tuples_and_numbers_of_numpy_for_numbers():
    assert llm.Sampling(stop=["a"]).stop == ["a"]
    assert llm.Rollouts(prompts=np.int64(2), temperature=np.float32(1), leaders=2, baseline=LeaveOneOut()).rows == 4
    assert fits(None, int | None)
    assert not fits(None, int)
    check_kind((), tuple[str, ...], "callbacks")


def of(**options):
    tokenizer = tiny_tokenizer()
    given = {"model": tiny_model(tokenizer), "tokenizer": tokenizer, **options}
    return llm.TransformerPolicy.of(given.pop("model"), given.pop("tokenizer"), **given)


@pytest.mark.parametrize(
    ("options", "error", "wrong", "mend"),
    [
        ({"lora": 4}, TypeError, "lora must be a LoRA or None, not 4", r"Pass LoRA\("),
        ({"roles": "two"}, TypeError, "roles must be a Roles or None, not 'two'", r"TwoAdapters\("),
        ({"roles": llm.TwoModels}, TypeError, "the class TwoModels", "with brackets"),
        ({"dialogue": "Improve!"}, TypeError, "dialogue must be a Dialogue or None, not 'Improve!'", r"Dialogue\("),
        ({"training": {}}, TypeError, r"training must be a Training or None, not \{\}", r"Training\("),
        ({"gradient_checkpointing": None}, TypeError, "True or False, not None", "Pass"),
        ({"model": "some/model"}, TypeError, "in memory, not 'some/model'", "from_pretrained"),
        ({"tokenizer": None}, TypeError, "tokenizer must be .*, not None", "AutoTokenizer"),
    ],
)
def test_a_policy_of_wrong_parts(options, error, wrong, mend):
    refuses(lambda: of(**options), error, wrong, mend)


@pytest.mark.parametrize(
    ("contexts", "wrong", "mend"),
    [
        ([None], r"contexts\[0\] is None, neither a prompt", "Pass texts, or conversations"),
        ("a string", "the one text 'a string'", "Pass a list"),
        ([3], "contexts", "prompts are texts"),
        (3, "contexts must be a list, not 3", "Pass"),
        (["a", None], r"contexts\[1\] is None", "Pass texts"),
        ([{"role": "user", "content": "a"}], r"contexts\[0\] is \{", "Pass texts, or conversations"),
        ([[{"content": "a"}]], r"contexts\[0\] is a text or a list such as", "not "),
        ([[{"role": "user"}]], r"contexts\[0\] is a text or a list such as", "not "),
        ([[{"role": "user", "content": None}]], r"contexts\[0\] is a text or a list such as", "not "),
        ({"a": 1}, "contexts must be a list", "Pass"),
    ],
)
def test_prompts_of_a_game(contexts, wrong, mend):
    refuses(lambda: sb.StackelbergGame(even, contexts=contexts, tau=0.1), ValueError, wrong, mend)


@pytest.mark.parametrize(
    ("act", "error", "wrong", "mend"),
    [
        (lambda p: llm.generate(p, "Why?"), ValueError, r"the one text 'Why\?'", "Pass a list"),
        (lambda p: llm.generate(p, [3]), ValueError, "A prompt is a text or .*, not 3", "such as"),
        (lambda p: llm.generate("gpt2", ["Why?"]), TypeError, "policy must be .*, not 'gpt2'", "from_pretrained"),
        (lambda p: llm.generate(p, ["Why?"], llm.Sampling()), TypeError, "sampling must be a Rollouts", "Pass"),
        (lambda p: llm.generate(p, ["Why?"], seed="one"), TypeError, "seed must be a whole number", "Pass"),
        (lambda p: p.refine(["Why?"], rounds=1.5), TypeError, "rounds must be a whole number, not 1.5", "Pass"),
        (lambda p: p.refine(["Why?"], start="Because"), ValueError, "the one text 'Because'", "Pass a list"),
        (lambda p: p.refine(["Why?"], sampling=sb.Sample(3)), TypeError, "sampling must be a Sampling", "Pass"),
        (lambda p: llm.listed(MATRIX, p, SHORT), ValueError, "a judge over prompts", r"\(judge, contexts=prompts\)"),
        (lambda p: llm.listed("game", p, SHORT), TypeError, "game must be a Game, not 'game'", "Pass"),
        (lambda p: llm.listed(GAME, p, 3), TypeError, "sampling must be a Rollouts, not 3", r"Rollouts\("),
        (lambda p: llm.tournament(None, ["a"], even), TypeError, "policy must be .*, not None", "from_pretrained"),
        (lambda p: llm.tournament(p, ["a"], "judge"), TypeError, "must be a Judge, not 'judge'", "callable"),
        (lambda p: llm.tournament(p, [], even), ValueError, "no prompts to answer", "Pass one or more"),
        (lambda p: llm.tournament(p, ["a"], even, others=["b"]), TypeError, r"others must be .*, not \['b'\]", "dict"),
        (lambda p: llm.tournament(p, ["a"], even, others={"b": "c"}), TypeError, "each a text, not 'c'", r"\['c'\]"),
        (lambda p: llm.tournament(p, ["a"], even, others={"b": [3]}), TypeError, "answers of b must be", "Pass"),
        (lambda p: llm.keeps_earlier_turns("gpt2"), TypeError, "tokenizer must be .*, not 'gpt2'", "AutoTokenizer"),
        (lambda p: list(llm.losses(p, [3], [0.5], GAME.returns(), sampling=SHORT)), TypeError, "episodes must", "Pass"),
        (lambda p: list(llm.losses(p, [], [], None, sampling=SHORT)), TypeError, "returns must be a Returns", "Pass"),
        (lambda p: llm.generator_gap([], None), TypeError, "leader must be a Completions, not None", "Pass"),
        (lambda p: judges.ask(None, ["a"], ["b"], ["c"]), TypeError, "must be a Judge, not None", "callable"),
        (lambda p: judges.ask(even, None, ["b"], ["c"]), ValueError, "must be a list, not None", "Pass"),
    ],
)
def test_functions_given_something_else(policy, act, error, wrong, mend):
    refuses(lambda: act(policy), error, wrong, mend)


def learn(game, policy=None, sampling=SHORT, solver=None, **options):
    solver = sb.StackelbergGDA(learning_rate=1e-3) if solver is None else solver
    return sb.solve(game, solver, policy, steps=1, sampling=sampling, **options)


def test_one_kind_of_sampling_for_tables_and_one_for_texts(policy):
    refuses(lambda: learn(GAME, policy, sb.Sample(3)), TypeError, r"sampling is Sample\(", r"llm\.Rollouts\(\)")
    refuses(lambda: learn(MATRIX, None, SHORT), TypeError, r"not Rollouts\(", r"Pass sb\.Sample\(")


def test_nobody_follows_in_a_nash_game(policy):
    many = llm.Rollouts(prompts=1, leaders=2, followers=5, max_new_tokens=2)
    for game, solver in ((NASH, sb.NashMDPG(learning_rate=1e-3)), (REWARD, sb.RLOO(learning_rate=1e-3))):
        refuses(
            lambda g=game, s=solver: learn(g, policy, many, s), ValueError, "followers = 5.*nobody follows", "Leave"
        )


@pytest.mark.parametrize(
    ("game", "solver"),
    [
        (GAME, sb.NashMDPG(learning_rate=0.1)),
        (NASH, sb.StackelbergGDA(learning_rate=0.1)),
        (REWARD, sb.StackelbergGDA(learning_rate=0.1)),
    ],
)
def test_the_solver_named_serves_the_game(policy, game, solver):
    refuses(lambda: learn(game, policy, solver=solver), ValueError, "is a rule for a", "GDA serves every game")
    sampling = llm.Rollouts(prompts=1, leaders=2, max_new_tokens=1)
    assert learn(game, tiny_policy(), sampling, sb.GDA(learning_rate=1e-4)).report == "ran all 1 steps"
    refuses(lambda: learn(MATRIX, solver=sb.RLOO()), ValueError, "not for a", "MirrorDescent serves")


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ([0.5], "shape"), (["yes", "no"], "texts|type"), ([0.5, 1.5], "pair 1 is 1.5"), ([np.inf, 0.5], "pair 0 is inf"),  # noqa: E501
        (0.5, "shape"), ([[0.5], [0.5]], "shape"),
    ],
)  # fmt: skip
def test_what_a_judge_may_not_say(said, wrong):
    refuses(lambda: judges.ask(lambda *_: said, ["x"] * 2, ["a"] * 2, ["b"] * 2), ValueError, wrong, "must|Pass")


def test_a_judge_whose_order_counts_is_told_of_once(caplog):
    def first(prompts, one, other):
        return np.full(len(one), 0.9)

    asked = ["?"] * 4, ["long", "b", "c", "d"], ["short", "b", "d", "c"]
    fair = judges.BothOrders(first)
    watch_orders(fair, *asked, judges.ask(fair, *asked))
    assert not caplog.records
    for _ in range(2):
        watch_orders(first, *asked, np.array([0.9, 0.6, 0.9, 0.9]))
    (record,) = caplog.records
    assert "prefers 'd' to 'c' with 0.9 and the other way round with 0.9: together 1.8" in record.getMessage()
    assert "BothOrders(judge)" in record.getMessage()


def test_another_judge_at_the_address_of_one_told_of_is_told_of_too(caplog):
    for count in (1, 2):
        judge = judges.Named(even, f"judge {count}")
        watch_orders(judge, ["?"], ["a"], ["a"], np.array([0.9]))
        del judge
        assert len(caplog.records) == count


def test_training_tells_of_a_judge_whose_order_counts(caplog):
    game = sb.NashGame(lambda x, a, b: np.full(len(a), 0.9), contexts=["ab"], tau=0.1)
    sampling = llm.Rollouts(prompts=1, leaders=8, max_new_tokens=1)
    learn(game, tiny_policy("ab"), sampling, sb.NashMDPG(learning_rate=1e-4, mixture=0.0))
    assert sum("together 1.8" in each.getMessage() for each in caplog.records) == 1


def test_no_table_is_made_of_a_judge_whose_order_counts():
    game = sb.StackelbergGame(lambda x, a, b: [0.9] * len(a), contexts=["ab"], tau=0.1)
    sampling = llm.Rollouts(max_new_tokens=1)
    refuses(lambda: llm.listed(game, tiny_policy("ab"), sampling), ValueError, "0.9 and the other way", "BothOrders")


def test_judgements_are_kept_in_a_file_and_not_in_a_folder(tmp_path):
    refuses(lambda: judges.Cached(NAMED, tmp_path), ValueError, "is a folder", r"Pass a file in it: .*\.sqlite")


def test_a_template_that_refuses_a_prompt():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('no system here') }}"
    refuses(
        lambda: of(tokenizer=tokenizer), ValueError, "refuses a conversation of user.*no system", "another template"
    )


@pytest.fixture
def hub(monkeypatch):
    """The hub counts how often it is asked, and cannot be reached."""
    import huggingface_hub

    asked = []

    def model_info(name, **_):
        asked.append(name)
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "model_info", model_info)
    return asked


load = llm.TransformerPolicy.from_pretrained


@pytest.mark.parametrize("name", ["./missing", "/missing", "~missing", "~/missing", "a/b/c", "../a", "", ".\\missing"])
def test_what_can_only_be_a_path_is_not_looked_for_in_the_hub(name, hub):
    refuses(lambda: load(name), ValueError, re.escape(name) if name else "empty text", "Name|Pass")
    refuses(lambda: judges.load_judge(name), ValueError, re.escape(name) if name else "empty text", "Name|Pass")
    assert not hub


def test_a_name_that_the_hub_cannot_be_asked_for_is_asked_for_once(hub):
    refuses(lambda: load("missing/folder"), OSError, "no folder missing/folder, and the hub cannot be asked", "Check")
    assert hub == ["missing/folder"]
    with pytest.raises(OSError, match="missing/folder") as caught:
        load("missing/folder")
    assert isinstance(caught.value.__cause__, ConnectionError)
    refuses(lambda: load("a b"), ValueError, "cannot be written so", "Check the spelling")


def test_a_folder_or_a_file_without_a_model(tmp_path, hub, policy):
    refuses(lambda: load(tmp_path), ValueError, "folder without a config.json", "Name a folder")
    policy.save_pretrained(tmp_path / "policy")
    refuses(lambda: load(tmp_path), ValueError, "without a config.json", f"Did you mean {tmp_path / 'policy'}?")
    file = tmp_path / "policy" / "config.json"
    refuses(lambda: load(file), ValueError, "is a file", re.escape(f"Name the folder: {file.parent}"))
    refuses(lambda: load(3), TypeError, "path must be a text or a Path, not 3", "Pass")
    refuses(lambda: load(tmp_path / "policy", lora=4), TypeError, "lora must be a LoRA or None, not 4", "Pass")
    assert not hub


@pytest.fixture(scope="module")
def saved(tmp_path_factory, policy):
    folder = tmp_path_factory.mktemp("saved") / "policy"
    policy.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors", "stackelberg.json"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_a_damaged_policy_names_the_file(saved, tmp_path, name, share):
    folder = shutil.copytree(saved, tmp_path / "copy")
    cut(folder / name, share)
    refuses(lambda: load(folder), ValueError, f"{re.escape(str(folder / name))} is damaged", "[Ss]ave")
    (folder / "config.json").unlink()
    (folder / "stackelberg.json").unlink()
    refuses(lambda: load(folder), ValueError, "without a config.json", "Name")


def test_a_policy_that_lost_a_file(saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "copy")
    (folder / "model.safetensors").unlink()
    refuses(lambda: load(folder), ValueError, "cannot be read: .*model.safetensors", "See that its files are all there")


def cut(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])


def run(folder, steps):
    game = sb.StackelbergGame(Shorter(), contexts=["Why?"], tau=0.1)
    return sb.solve(
        game,
        sb.StackelbergGDA(learning_rate=1e-3),
        tiny_policy(),
        steps=steps,
        sampling=SHORT,
        checkpoint=sb.Checkpoint(folder, every=1),
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    run(folder, 2)
    return folder


FILES = ["learned.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"]


@pytest.mark.parametrize("name", FILES)
def test_a_cut_checkpoint_names_the_file_and_the_run_goes_on_without_it(trained, tmp_path, name):
    folder = shutil.copytree(trained, tmp_path / "run")
    newest = folder / "checkpoint-2"
    cut(newest / name, 0.5)
    refuses(lambda: run(folder, 3), ValueError, f"checkpoint-2: {name} is damaged", f"Delete {re.escape(str(newest))}")
    shutil.rmtree(newest)  # what it says to do
    assert run(folder, 3).report == "ran all 3 steps"


@pytest.mark.parametrize("text", ["", "[]", '{"game":'])
def test_a_damaged_run_json_is_named(trained, tmp_path, text):
    folder = shutil.copytree(trained, tmp_path / "run")
    (folder / "run.json").write_text(text)
    refuses(lambda: run(folder, 3), ValueError, r"run\.json is damaged", "Put it back")


def test_a_log_that_lost_lines_is_told_of(trained, tmp_path, caplog):
    folder = shutil.copytree(trained, tmp_path / "run")
    cut(folder / "metrics.jsonl", 0.75)
    assert run(folder, 3).report == "ran all 3 steps"
    assert any("whole lines end at step 1, and the run has taken 2" in each.getMessage() for each in caplog.records)


def test_a_cut_solution_names_the_file(tmp_path):
    path = sb.solve(MATRIX, sb.StackelbergGDA(), steps=5).save(tmp_path / "solution.npz")
    whole = path.read_bytes()
    for share in (0, 0.3, 0.9):
        path.write_bytes(whole[: int(share * len(whole))])
        refuses(lambda: sb.load(path), ValueError, re.escape(str(path)), r"\. [A-Z]")
