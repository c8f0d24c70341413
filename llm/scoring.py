"""From episodes to the ground floor's ``Completions``: one sequence for both players, or one each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from llm.logprobs import Scorer, Span, Strip
from llm.rollouts import FOLLOWER, LEADER, Episode, Turn
from llm.sampling import Sampling
from llm.speaker import Speaker
from stackelberg.gradient import Completions

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy

Key = tuple[int, int]
"""A role and the place of a completion in it."""


@dataclass(frozen=True, eq=False)
class _Job:
    """Strips for one policy and its reference, and the completion that each span is, in order."""

    policy: Speaker
    reference: Speaker
    strips: list[Strip]
    keys: list[Key]


def score(
    policy: TransformerPolicy,
    episodes: Sequence[Episode],
    sampling: Sampling | None = None,
    *,
    kl: bool = False,
    scorer: Scorer | None = None,
    one_sequence: bool | None = None,
) -> tuple[Completions, Completions | None]:
    """Token log-probabilities of y and y', each (episodes, tokens), padded on the right.

    Args:
        policy: both roles and their references.
        episodes: rows. Those that share y (several improvements of one answer) have it scored once.
        sampling: what they were drawn with.
        kl: whether the exact KL to the reference is wanted at every position, for ``RaoBlackwell``.
        scorer: micro-batches, chunks, padding; the default takes all episodes in one batch.
        one_sequence: False scores each player in a sequence of its own; by default as the policy says.

    Returns:
        The Leader's completions and the Follower's, None without a Follower.

    Raises:
        ValueError: if the sampling leaves tokens out, since log-ratios would be infinite; see
            :meth:`llm.sampling.Sampling.check_trainable`.
    """
    sampling = Sampling() if sampling is None else sampling
    sampling.check_trainable()
    together = policy.one_sequence if one_sequence is None else one_sequence
    scorer = Scorer(sampling, micro_batch_tokens=2**62) if scorer is None else scorer
    found: dict[Key, tuple[Tensor, Tensor, Tensor | None]] = {}
    for job in _jobs(policy, episodes, together):
        with policy.computing.scoring(job.policy.device):
            scores = scorer(job.policy, job.strips, reference=job.reference, kl=kl)
        exact: Iterable[Tensor | None] = scores.kl or [None] * len(job.keys)
        found.update(zip(job.keys, zip(scores.log_prob, scores.reference or [], exact, strict=True), strict=True))
    leader = _completions([found[LEADER, each.answer] for each in episodes])
    if any(each.follower is None for each in episodes):
        return leader, None
    return leader, _completions([found[FOLLOWER, i] for i in range(len(episodes))])


def _jobs(policy: TransformerPolicy, episodes: Sequence[Episode], together: bool) -> list[_Job]:
    firsts = {each.answer: i for i, each in reversed(list(enumerate(episodes)))}
    own = {role: _Job(policy.speaker(role), policy.reference(role), [], []) for role in (LEADER, FOLLOWER)}
    for i, episode in enumerate(episodes):
        first = firsts[episode.answer] == i
        spans = [_span(episode.leader)] if first else []
        keys = [(LEADER, episode.answer)] if first else []
        if episode.follower is not None and together:
            follower = episode.follower
            own[LEADER].strips.append(Strip(_ids(follower), (*spans, _span(follower))))
            own[LEADER].keys.extend([*keys, (FOLLOWER, i)])
            continue
        if first:
            own[LEADER].strips.append(Strip(_ids(episode.leader), tuple(spans)))
            own[LEADER].keys.extend(keys)
        if episode.follower is not None:
            own[FOLLOWER].strips.append(Strip(_ids(episode.follower), (_span(episode.follower),)))
            own[FOLLOWER].keys.append((FOLLOWER, i))
    return [job for job in own.values() if job.strips]


def _ids(turn: Turn) -> tuple[int, ...]:
    return (*turn.prompt, *turn.content)


def _span(turn: Turn) -> Span:
    return Span(len(turn.prompt) - 1, turn.completion.tokens)


def _completions(rows: Sequence[tuple[Tensor, Tensor, Tensor | None]]) -> Completions:
    exact = [row[2] for row in rows if row[2] is not None]
    own = [row[0] for row in rows]
    mask = [torch.ones_like(row, requires_grad=False) for row in own]
    return Completions(_right(own), _right([row[1] for row in rows]), _right(mask), _right(exact) if exact else None)


def _right(rows: list[Tensor]) -> Tensor:
    return pad_sequence(rows, batch_first=True)
