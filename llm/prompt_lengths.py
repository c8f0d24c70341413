"""Whether every prompt fits, before anything is drawn."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from llm.dialogue import Prompt, Refuse, conversation
from llm.generation import TransformersGenerator
from llm.rollouts import Draw, Rollouts, takes_all
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
    that it can cut. A sequence as long as it may become must fit into ``micro_batch_tokens`` too.

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
        ValueError: 1 of 2 contexts has more tokens than there is room for: contexts[1] = 'Why? ...
    """
    if len(prompts) >= MANY:
        logger.info(f"Counting the tokens of {len(prompts):,} {what}.")
    found = [each for start in range(0, len(prompts), CHUNK) for each in _overlong(policy, prompts, sampling, start)]
    if not found:
        return
    longest = sorted(found, key=lambda each: each.room - each.tokens)[:WORST]
    words = [f"{what}[{at}] = {shown(prompts[at])} has {has}, {by} leave {room}" for at, has, room, by in longest]
    others = f", and {len(found) - WORST:,} more" if len(found) > WORST else ""
    raise ValueError(
        f"{len(found):,} of {len(prompts):,} {what} {'has' if len(found) == 1 else 'have'} more tokens than there is "
        f"room for: {'; '.join(words)}{others}. Leave them out, raise {' and '.join(_raised(found))}lower "
        "max_new_tokens, or pass overlong=TruncateLeft()."
    )


class _TooLong(NamedTuple):
    """A prompt that is refused.

    Args:
        place: among the prompts.
        tokens: that it has.
        room: that there is.
        by: what leaves no more.
    """

    place: int
    tokens: int
    room: int
    by: str


POSITIONS, ASKED, HELD = "the model's positions", "max_prompt_tokens", "micro_batch_tokens"


def _raised(found: Sequence[_TooLong]) -> list[str]:
    """The options that stand in the way, ready for a sentence."""
    names = [name for name in (ASKED, HELD) if any(each.by == name for each in found)]
    return [*names[:-1], *(f"{name}, " for name in names[-1:])] or [""]


def _overlong(
    policy: TransformerPolicy, prompts: Sequence[Prompt], sampling: Rollouts, start: int
) -> Iterator[_TooLong]:
    """The prompts of a chunk that are refused."""
    draw = Draw(policy, sampling, sampling.generator or TransformersGenerator(), 0, 0)
    chunk: Any = [conversation(each) for each in prompts[start : start + CHUNK]]
    usual = min(_room(draw, chunk[0])[0], _held(draw, chunk[0]))
    for at, ids in enumerate(policy.dialogue.leader_prompts(policy.tokenizer, chunk)):
        if 2 * len(ids) <= usual:
            continue
        (room, by), has = _room(draw, chunk[at]), len(ids)
        if has > room and isinstance(sampling.overlong, Refuse):
            yield _TooLong(start + at, has, room, by)
            continue
        if has > room:  # whoever cuts may have something to say against it
            has = len(sampling.overlong.fit(ids, has - room, room))
        if has > (held := _held(draw, chunk[at])):
            yield _TooLong(start + at, has, max(0, held), HELD)


def _room(draw: Draw, messages: Any) -> tuple[int, str]:
    """Tokens for x, and what leaves no more."""
    room = draw.budget(messages)
    return room, ASKED if room == draw.sampling.max_prompt_tokens else POSITIONS


def _held(draw: Draw, messages: Any) -> int:
    """Tokens that x may have for all of its sequence to be held at once."""
    if takes_all(draw.generator):
        return 2**62
    behind = draw.room((), messages)
    return draw.sampling.micro_batch_tokens // max(1, draw.sampling.followers) - behind
