"""What a newcomer gives by mistake, and the two parts of every answer: what is wrong with the value, and what to do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from llm_refusals import refuses

import llm
import llm.judges as judges
import stackelberg as sb
from llm import preference_model
from llm.fields import check_kind, fits
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer
from stackelberg.gradient import LeaveOneOut, RewardToGo

SHORT = llm.Rollouts(prompts=1, max_new_tokens=2)


def even(prompts, first, second):
    return [0.5] * len(first)


NAMED = judges.Named(even, "even")
GAME = sb.StackelbergGame(even, contexts=["Why?"], tau=0.1)
NASH = sb.NashGame(even, contexts=["Why?"], tau=0.1)
REWARD = sb.RewardGame(lambda prompts, answers: [0.0] * len(answers), contexts=["Why?"], tau=0.1)
MATRIX = sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0.1)


@pytest.fixture(scope="module")
def policy():
    return tiny_policy()


GIVEN = {
    llm.Rollouts: {},
    llm.Training: {},
    llm.LoRA: {},
    llm.Evaluation: {"prompts": ["Why?"]},
    llm.Dialogue: {},
    judges.Retry: {},
    judges.Budget: {},
    llm.Server: {"url": "http://127.0.0.1:1", "model": "base", "adapter_folder": "adapters"},
}
FIELDS = [(kind, each.name) for kind in GIVEN for each in dataclasses.fields(kind) if each.init]


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=[f"{kind.__name__}-{name}" for kind, name in FIELDS])
def test_every_field_of_every_option_is_looked_at(kind, name):
    value = {1, 2}  # a set is none of them
    if (kind, name) == (llm.Training, "callbacks"):
        value = object()
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\({name}=\.\.\.\) must be .*, not "):
        kind(**GIVEN[kind] | {name: value})


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
    (lambda: llm.Sampling(stop=(3,)), TypeError, "a tuple, each a text, not", "Pass"),
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


@pytest.mark.parametrize(
    ("value", "hint", "answer"),
    [
        (1, int, True),
        (1, float, True),
        (True, float, False),
        (1.0, int, False),
        (float("inf"), float, False),
        (["a"], tuple[str, ...], True),
        ((), tuple[str, ...], True),
        ("a", tuple[str, ...], False),
        (even, llm.judges.Judge, True),
        (object(), llm.judges.Judge, False),
        (llm.TransformersGenerator(), llm.Generator, True),
        (llm.TransformersGenerator, llm.Generator, False),
    ],
)
def test_kinds(value, hint, answer):
    assert fits(value, hint) is answer
    if not answer:
        with pytest.raises((TypeError, ValueError)):
            check_kind(value, hint, "it")


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


def test_a_judge_without_prompts():
    refuses(lambda: sb.NashGame(even, tau=1), ValueError, "and there are none", "Pass contexts=features or prompts")


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


def test_judgements_are_kept_in_a_file_and_not_in_a_folder(tmp_path):
    refuses(lambda: judges.Cached(NAMED, tmp_path), ValueError, "is a folder", r"Pass a file in it: .*\.sqlite")


def test_a_template_that_refuses_a_prompt():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('no system here') }}"
    refuses(
        lambda: of(tokenizer=tokenizer), ValueError, "refuses a conversation of user.*no system", "another template"
    )
