"""Helpers for tests of language models."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch

from llm.dialogue import conversation
from llm.generation import Completion
from llm.policy import TransformerPolicy
from llm.rollouts import Episode, Turn


def nudge(policy: TransformerPolicy, size: float = 0.2, seed: int = 1) -> TransformerPolicy:
    """Move whatever learns away from the reference."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in policy.parameters():
            weight += size * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    return policy


def sentences(vocabulary: int, end: int, longest: int) -> Iterator[tuple[int, ...]]:
    """Every completion: ended by the mark, or cut off at the longest length."""
    letters = [token for token in range(vocabulary) if token != end]
    for length in range(longest):
        for said in itertools.product(letters, repeat=length):
            yield (*said, end)
    yield from itertools.product(letters, repeat=longest)


def enumerated(policy: TransformerPolicy, prompt: str, longest: int) -> list[Episode]:
    """Every episode, in the order of y, y'."""
    tokenizer, messages = policy.tokenizer, conversation(prompt)
    everything = list(sentences(len(tokenizer), tokenizer.eos_token_id, longest))
    opening = tuple(policy.dialogue.leader_prompt(tokenizer, prompt))
    bridge = policy.dialogue.bridge(tokenizer, prompt)

    def turn(shown: tuple[int, ...], tokens: tuple[int, ...]) -> Turn:
        ending = policy.ending()
        completion = Completion(tokens, None, tokens[-1] in ending.marks)
        return Turn(shown, completion, ending.content(tokens), ending.text(tokens, tokenizer))

    episodes = []
    for i, first in enumerate(everything):
        leader = turn(opening, first)
        shown = (*opening, *leader.content, *bridge)
        episodes += [Episode(0, i, messages, leader, turn(shown, second)) for second in everything]
    return episodes
