"""Whether every prompt fits, before anything is drawn."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from llm.dialogue import Prompt, Refuse, conversation
from llm.generation import TransformersGenerator
from llm.rollouts import Rollouts, _Draw
from stackelberg.validation import shown

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy

logger = logging.getLogger("llm")

CHUNK, MANY, WORST = 1000, 10_000, 3
"""Prompts encoded in one call; from how many on the log says that they are counted; how many are named."""


def check_lengths(policy: TransformerPolicy, prompts: Sequence[Prompt], sampling: Rollouts, what: str) -> None:
    """Refuse prompts for which there is no room, all of them at once.

    Each is written as the Leader is shown it and encoded once, many in one call of the tokenizer: some 50 µs a short
    prompt on one core. What stands behind x, the instruction among it, is measured for the prompts that take more than
    half the room. With ``TruncateLeft``, or an :class:`~llm.dialogue.Overlong` of one's own, nothing is refused
    that it can cut.

    Where the chat template rewrites earlier turns, the Follower's prompt depends on how y is written; whether it fits
    is seen when y is there.

    Args:
        policy: its tokenizer, templates and positions are read.
        prompts: of the game, or of an evaluation.
        sampling: with the followers that the game has.
        what: what an error calls the prompts.

    Raises:
        ValueError: with how many there are, and the longest ones; or where the model has no room at all.

    Example:
        >>> from llm.testing import tiny_policy
        >>> check_lengths(tiny_policy(), ["Why?", "Why? " * 9], Rollouts(max_prompt_tokens=20), "contexts")
        Traceback (most recent call last):
        ...
        ValueError: 1 of 2 contexts has more tokens than there is room for: contexts[1] = 'Why? Why? Why? ... ...
    """
    if len(prompts) >= MANY:
        logger.info(f"Counting the tokens of {len(prompts):,} {what}.")
    found = [each for start in range(0, len(prompts), CHUNK) for each in _overlong(policy, prompts, sampling, start)]
    if not found:
        return
    longest = sorted(found, key=lambda each: each[2] - each[1])[:WORST]
    words = [f"{what}[{at}] = {shown(prompts[at])} has {has} where {room} fit" for at, has, room in longest]
    others = f", and {len(found) - WORST:,} more" if len(found) > WORST else ""
    raise ValueError(
        f"{len(found):,} of {len(prompts):,} {what} {'has' if len(found) == 1 else 'have'} more tokens than there is "
        f"room for: {'; '.join(words)}{others}. Leave them out, raise max_prompt_tokens, lower max_new_tokens, or pass "
        "overlong=TruncateLeft()."
    )


def _overlong(
    policy: TransformerPolicy, prompts: Sequence[Prompt], sampling: Rollouts, start: int
) -> Iterator[tuple[int, int, int]]:
    """Place, tokens and room of the prompts of a chunk that are refused."""
    draw = _Draw(policy, sampling, TransformersGenerator(), 0, 0)
    chunk: Any = [conversation(each) for each in prompts[start : start + CHUNK]]
    usual = draw.budget(chunk[0])
    for at, ids in enumerate(policy.dialogue.leader_prompts(policy.tokenizer, chunk)):
        if 2 * len(ids) <= usual or len(ids) <= (room := draw.budget(chunk[at])):
            continue
        if isinstance(sampling.overlong, Refuse):
            yield start + at, len(ids), room
        else:
            sampling.overlong.fit(ids, len(ids) - room, room)  # it may have something to say against it
