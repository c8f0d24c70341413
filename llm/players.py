"""Who takes part in a tournament: base, Leader and Follower of a policy, and what each says to the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from llm.judges.protocol import Prompt
from llm.rollouts import Episode, Rollouts, Turn, generate
from llm.sampling import seeds_for
from llm.speaker import Speaker

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy

BASE, LEADER, FOLLOWER, POLICY = "base", "Leader", "Follower", "policy"


@dataclass(frozen=True)
class Said:
    """What one player said.

    Args:
        texts: one a prompt, as a judge is shown them.
        tokens: how many each has, its end mark left out.
        finished: whether each ended by itself.
    """

    texts: tuple[str, ...]
    tokens: tuple[int, ...]
    finished: tuple[bool, ...]

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> Said:
        """From turns, one a prompt."""
        texts, tokens = tuple(each.text for each in turns), tuple(len(each.content) for each in turns)
        return cls(texts, tokens, tuple(each.completion.finished for each in turns))

    @property
    def length(self) -> float:
        """Mean tokens."""
        return float(np.mean(self.tokens))


def answered(
    policy: TransformerPolicy, prompts: Sequence[Prompt], sampling: Rollouts, *, seed: int, followers: int
) -> list[Episode]:
    """One answer a prompt and ``followers`` improvements of it."""
    return generate(policy, prompts, replace(sampling, leaders=1, followers=followers), seed=seed)


def base_turns(policy: TransformerPolicy, prompts: Sequence[Prompt], sampling: Rollouts, *, seed: int) -> list[Turn]:
    """One answer a prompt of the Leader's reference, from draws that are independent of the policy's.

    Example:
        >>> from llm.testing import tiny_policy
        >>> [turn] = base_turns(tiny_policy(), ["Why?"], Rollouts(max_new_tokens=4), seed=0)
        >>> len(turn.content) <= 4
        True
    """
    one = replace(sampling, leaders=1, followers=0)
    base: Any = _AsReference(policy)
    return [each.leader for each in generate(base, prompts, one, seed=seeds_for(seed, 1))]


def players_of(base: Sequence[Turn], episodes: Sequence[Episode]) -> dict[str, Said]:
    """The players: base, Leader and first Follower; or base and policy where nobody follows."""
    firsts = {each.context: each for each in reversed(episodes)}
    rows = [firsts[i] for i in sorted(firsts)]
    replies = [each.follower for each in rows if each.follower is not None]
    players = {BASE: Said.of(base), LEADER if replies else POLICY: Said.of([each.leader for each in rows])}
    return players | ({FOLLOWER: Said.of(replies)} if replies else {})


class _AsReference:
    """A policy whose speakers are its references."""

    def __init__(self, policy: TransformerPolicy) -> None:
        self._policy = policy

    def speaker(self, role: int) -> Speaker:
        return self._policy.reference(role)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)
