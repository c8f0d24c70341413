"""Values of the wrong kind: every refusal names what was given and what is wanted."""

from __future__ import annotations

import dataclasses

import pytest

import llm
import stackelberg as sb
from llm.fields import check_kind, fits
from llm.judges import Budget, Cached, Named, Retry
from llm.testing import tiny_model, tiny_policy, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
SHORT = llm.Rollouts(max_new_tokens=3)
OPTIONS = {
    llm.Rollouts: {},
    llm.Training: {},
    llm.LoRA: {},
    llm.Evaluation: {"prompts": ["Why?"]},
    llm.Dialogue: {},
    Retry: {},
    Budget: {},
    llm.Server: {"url": "http://127.0.0.1:1", "model": "base", "adapter_folder": "adapters"},
}
FIELDS = [(kind, each.name) for kind in OPTIONS for each in dataclasses.fields(kind) if each.init]


def judge(prompts, first, second):
    return [0.5] * len(first)


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=[f"{kind.__name__}-{name}" for kind, name in FIELDS])
def test_every_field_of_every_option_is_looked_at(kind, name):
    value = {1, 2}  # a set is none of them
    if (kind, name) == (llm.Training, "callbacks"):
        value = object()
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\({name}=\.\.\.\) must be .*, not "):
        kind(**OPTIONS[kind] | {name: value})


WRONG = [
    (lambda: llm.Rollouts(kl="seq"), "must be a KL, not 'seq'"),
    (lambda: llm.Rollouts(kl=sb.gradient.RewardToGo), "Pass an object, with brackets"),
    (lambda: llm.Rollouts(max_new_tokens="8"), "must be a whole number, not '8'"),
    (lambda: llm.Rollouts(prompts=2.5), "must be a whole number, not 2.5"),
    (lambda: llm.Rollouts(prompts=True), "must be a whole number, not True"),
    (lambda: llm.Rollouts(temperature=float("nan")), "must be a finite number, not nan"),
    (lambda: llm.Rollouts(stop=("",)), "stop holds an empty text"),
    (lambda: llm.Rollouts(stop=(3,)), "a tuple, each a text"),
    (lambda: llm.Rollouts(max_prompt_tokens=0), "max_prompt_tokens must be 1 or more"),
    (lambda: llm.Training(trackers="wandb"), "must be a tuple, each a text, not 'wandb'"),
    (lambda: llm.Training(weight_decay=-1), "weight_decay must be 0 or more; it is -1"),
    (lambda: llm.Training(max_grad_norm=-0.1), "max_grad_norm must be 0 or more"),
    (lambda: llm.LoRA(targets="q_proj"), "must be a tuple, each a text or None, not 'q_proj'"),
    (lambda: llm.LoRA(alpha=0), "nothing would be learnt"),
    (lambda: llm.Evaluation("Why?"), "must be a list, each a text or a list"),
    (lambda: llm.Evaluation([]), "prompts is empty"),
    (lambda: llm.Evaluation(["Why?"], every=1.5), "must be a whole number, not 1.5"),
    (lambda: llm.Evaluation(["Why?"], judge="j"), "must be a Judge or None, not 'j'"),
    (lambda: tiny_policy(lora=4), "lora must be a LoRA or None, not 4"),
    (lambda: tiny_policy(lora=llm.LoRA), "with brackets"),
    (
        lambda: llm.TransformerPolicy.of(tiny_model(TOKENIZER), TOKENIZER, roles="two"),
        "must be a Roles or None, not 'two'",
    ),
    (lambda: llm.TransformerPolicy.of("gpt2", TOKENIZER), "from_pretrained loads one by name"),
    (lambda: llm.TransformerPolicy.of(tiny_model(TOKENIZER), "gpt2"), "a tokenizer of transformers, not 'gpt2'"),
    (lambda: llm.TransformerPolicy.from_pretrained(3), "path must be a text or a Path, not 3"),
    (lambda: llm.TransformerPolicy.from_pretrained("./nowhere"), "is no folder"),
    (lambda: llm.TransformerPolicy.from_pretrained("a/b/c"), "is no folder"),
    (lambda: tiny_policy().generate("Why?", SHORT), "prompts is the one text 'Why"),
    (lambda: tiny_policy().generate([None], SHORT), "A prompt is a text or a list"),
    (lambda: tiny_policy().generate(["Why?"], 3), "sampling must be a Rollouts or None, not 3"),
    (lambda: tiny_policy().refine(["Why?"], rounds="2"), "rounds must be a whole number, not '2'"),
    (lambda: tiny_policy().refine(["Why?"], rounds=1, start="x"), "start is the one text 'x'"),
    (lambda: llm.tournament({"a": 3}, ["Why?"], judge), "must be a TransformerPolicy"),
    (lambda: llm.listed(sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=1), tiny_policy(), SHORT), "judge over prompts"),
    (lambda: sb.NashGame(judge, tau=1), "Pass contexts=features or prompts"),
    (lambda: sb.NashGame(judge, tau=1, contexts="Why?"), "the one text"),
    (lambda: sb.NashGame(judge, tau=1, contexts=[3]), "prompts are texts"),
    (lambda: sb.NashGame(judge, tau=1, contexts=["Why?", 3]), r"contexts\[1\] is 3"),
    (lambda: sb.NashGame(judge, tau=1, contexts=[[{"content": "Why?"}]]), r"contexts\[0\] is a text or a list"),
    (lambda: sb.NashGame(judge, tau=1, contexts=[[{"role": "user", "content": 3}]]), r"contexts\[0\] is a text"),
]


@pytest.mark.parametrize(("act", "words"), WRONG, ids=[words for _, words in WRONG])
def test_the_refusal_says_what_was_given_and_what_is_wanted(act, words):
    with pytest.raises((TypeError, ValueError), match=words):
        act()


def test_a_folder_is_no_file_and_an_empty_one_no_model(tmp_path):
    with pytest.raises(ValueError, match=r"is a folder. Pass a file in it: .*judgements.sqlite"):
        Cached(Named(judge, "half"), tmp_path)
    with pytest.raises(ValueError, match="holds no model"):
        llm.TransformerPolicy.from_pretrained(tmp_path)


def test_what_fits_a_game_of_prompts_is_named():
    game = sb.NashGame(judge, tau=0.1, contexts=["Why?"])
    with pytest.raises(ValueError, match="GDA serves every game"):
        sb.solve(game, sb.StackelbergGDA(), tiny_policy(), steps=1, sampling=SHORT)
    rollouts = llm.Rollouts(leaders=2, followers=5, max_new_tokens=3)
    with pytest.raises(ValueError, match="followers = 5, and in a NashGame nobody follows"):
        sb.solve(game, sb.GDA(), tiny_policy(), steps=1, sampling=rollouts)


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
        (judge, llm.judges.Judge, True),
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
