"""Refinement: the Follower improves an answer, its own or any other model's, again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llm.dialogue import Prompt, check_prompts, conversation
from llm.fields import check_count, check_kind, check_speaks
from llm.generation import Tokens, TransformersGenerator
from llm.rollouts import FOLLOWER, LEADER
from llm.sampling import Sampling, seeds_for

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy


def refine(
    policy: TransformerPolicy,
    prompts: Sequence[Prompt],
    rounds: int = 3,
    start: Sequence[str] | None = None,
    *,
    sampling: Sampling | None = None,
    seed: int = 0,
    batch: int = 16,
    generator: Any = None,
) -> list[list[str]]:
    """For each prompt the first answer and ``rounds`` improvements of it.

    In every round the Follower is shown x, the answer before and its instruction, and nothing older: what it was
    trained on. Refinement need not be monotone: on a cycle of preferences it walks the cycle.

    Args:
        policy: whose Follower improves, and whose Leader answers first.
        prompts: texts or conversations.
        rounds: improvements, ≥ 0.
        start: first answers from elsewhere, one a prompt, in place of the Leader's.
        sampling: temperature and lengths; truncation is welcome here.
        seed: the same seed gives the same answers.
        batch: prompts at a time.
        generator: by default the one of ``sampling``, where it is :class:`llm.Rollouts` and has one.

    Example:
        >>> from llm.testing import tiny_policy
        >>> answers = refine(tiny_policy(), ["Why?"], rounds=2, start=["Because."], sampling=Sampling(4))
        >>> len(answers[0]), answers[0][0]
        (3, 'Because.')
    """
    check_speaks(policy)
    check_count("rounds", rounds, least=0)
    check_count("batch", batch)
    check_count("seed", seed, least=0)
    check_prompts(prompts)
    check_prompts([] if start is None else start, "start")
    check_kind(start, Sequence[str] | None, "start")
    check_kind(sampling, Sampling | None, "sampling")
    if start is not None and len(start) != len(prompts):
        raise ValueError(f"start has {len(start)} answers for {len(prompts)} prompts. Pass one a prompt.")
    sampling = Sampling() if sampling is None else sampling
    chosen = generator or getattr(sampling, "generator", None) or TransformersGenerator()
    say = _Say(policy, sampling, seed, batch, chosen)
    if start is None:
        texts, contents = say(0, LEADER, [_opening(policy, prompt) for prompt in prompts])
    else:
        texts, contents = list(start), [tuple(_encoded(policy, text)) for text in start]
    answers = [[text] for text in texts]
    for turn in range(1, rounds + 1):
        asked = [_shown(policy, *each) for each in zip(prompts, contents, texts, strict=True)]
        texts, contents = say(turn, FOLLOWER, asked)
        for given, text in zip(answers, texts, strict=True):
            given.append(text)
    return answers


class _Say:
    def __init__(self, policy: TransformerPolicy, sampling: Sampling, seed: int, batch: int, generator: Any) -> None:
        self.policy, self.sampling, self.seed, self.batch, self.generator = policy, sampling, seed, batch, generator

    def __call__(self, turn: int, role: int, prompts: list[Tokens]) -> tuple[list[str], list[Tokens]]:
        ending = self.policy.ending(self.sampling.stop)
        self._check(prompts)
        said = [each for at in range(0, len(prompts), self.batch) for each in self._batch(turn, role, prompts, at)]
        texts = [ending.text(each.tokens, self.policy.tokenizer) for each in said]
        return texts, [ending.content(each.tokens) for each in said]

    def _batch(self, turn: int, role: int, prompts: list[Tokens], at: int) -> Any:
        part = range(at, min(at + self.batch, len(prompts)))
        speaker = self.policy.speaker(role)
        with self.policy.computing.generating(speaker.device):
            return self.generator.generate(
                speaker,
                [prompts[i] for i in part],
                sampling=self.sampling,
                ending=self.policy.ending(self.sampling.stop),
                tokenizer=self.policy.tokenizer,
                seeds=[seeds_for(self.seed, turn, i) for i in part],
            ).completions

    def _check(self, prompts: list[Tokens]) -> None:
        room = self.policy.max_positions - self.sampling.max_new_tokens
        longest = max((len(prompt) for prompt in prompts), default=0)
        if longest > room:
            raise ValueError(
                f"A prompt with the answer to improve has {longest} tokens, and beside {self.sampling.max_new_tokens} "
                f"new ones the model has room for {room}. Lower max_new_tokens, or shorten prompts or answers."
            )


def _opening(policy: TransformerPolicy, prompt: Prompt) -> Tokens:
    return tuple(policy.dialogue.leader_prompt(policy.tokenizer, prompt))


def _encoded(policy: TransformerPolicy, text: str) -> list[int]:
    ids: list[int] = policy.tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _shown(policy: TransformerPolicy, prompt: Prompt, content: Tokens, text: str) -> Tokens:
    tokenizer, dialogue = policy.tokenizer, policy.dialogue
    if policy.keeps_earlier_turns:
        return (*_opening(policy, prompt), *content, *dialogue.bridge(tokenizer, conversation(prompt)))
    return tuple(dialogue.rewritten_prompt(tokenizer, prompt, text))
