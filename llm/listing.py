"""A language small enough to list: the same game and the same policy as tables, so that gaps are exact."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from llm.dialogue import Prompt, conversation
from llm.fields import check_kind, check_speaks
from llm.generation import Completion, Tokens
from llm.judges.protocol import ask
from llm.rollouts import Episode, Rollouts, Turn
from llm.training.draws import judge_of, reward_of
from stackelberg.game import Game, NashGame, RewardGame, StackelbergGame
from stackelberg.policy import Tabular
from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import COMPLEMENT_TOLERANCE, Array, shown

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy

MOST = 2000
"""Answers that are listed at most: a Follower's table has the square."""


@dataclass(frozen=True, eq=False)
class Listed:
    """A game over texts with all its answers listed, and where a policy stands in it.

    Attributes:
        game: over the listed answers, a context a prompt, held to the policy's references.
        texts: of the answers, as a judge is shown them.
        policies: the Leader's table (prompts, n) and, in a Stackelberg game, the Follower's (prompts, n, n).

    It is a model for :func:`stackelberg.evaluate`: ``sb.evaluate(listed.game, listed)`` has the exact gap.
    """

    game: Game[Any]
    texts: tuple[str, ...]
    policies: tuple[Array, ...]

    def tables(self, game: Game[Any]) -> tuple[Tabular, ...]:
        """The policies in a game of this shape."""
        return tuple(Tabular.from_probabilities(each) for each in self.policies)


def listed(game: Game[Any], policy: TransformerPolicy, sampling: Rollouts) -> Listed:
    """List every answer that a policy can give and read its probabilities.

    Args:
        game: of a judge over prompts; the judge is asked about all pairs.
        policy: over few tokens; answers that the length cuts off count as answers.
        sampling: whose ``max_new_tokens`` and ``temperature`` are read.

    Raises:
        ValueError: if there are more than 2000 answers.

    Example:
        >>> import llm, stackelberg as sb
        >>> from llm.testing import tiny_policy
        >>> def shorter(prompts, first, second):
        ...     return [0.5 + 0.25 * (len(b) > len(a)) - 0.25 * (len(a) > len(b)) for a, b in zip(first, second)]
        >>> game = sb.StackelbergGame(shorter, contexts=["ab"], tau=0.5)
        >>> found = listed(game, tiny_policy("abc"), llm.Rollouts(max_new_tokens=2))
        >>> found.game.shape, found.texts[:5]
        ((1, 13), ('', 'a', 'b', 'c', 'aa'))
        >>> bool(sb.evaluate(found.game, found).gap > 0)
        True
    """
    check_kind(game, Game, "game")
    judge_of(game)
    check_speaks(policy)
    check_kind(sampling, Rollouts, "sampling")
    answers = list(_answers(policy, sampling))
    roles = 2 if isinstance(game, StackelbergGame) else 1
    rows = [_probabilities(policy, prompt, answers, roles, sampling) for prompt in game.contexts]
    own, reference = ([np.stack(tables) for tables in zip(*side, strict=True)] for side in zip(*rows, strict=True))
    ending = policy.ending()
    texts = tuple(ending.text(each, policy.tokenizer) for each in answers)
    return Listed(_tabular(game, texts, reference), texts, tuple(own))


def _answers(policy: TransformerPolicy, sampling: Rollouts) -> Iterator[Tokens]:
    """Ended by a mark, shortest first, and then those that the length cuts off."""
    marks = set(policy.ending().marks)
    letters = [
        token for token in range(policy.speaker(0).core.config.get_text_config().vocab_size) if token not in marks
    ]
    longest = sampling.max_new_tokens
    count = len(marks) * sum(len(letters) ** length for length in range(longest)) + len(letters) ** longest
    if count > MOST:
        raise ValueError(
            f"{len(letters)} tokens and {len(marks)} end marks make {count} answers of at most {longest} tokens, and "
            f"{MOST} can be listed. Lower max_new_tokens."
        )
    for length in range(longest):
        for said in itertools.product(letters, repeat=length):
            for mark in sorted(marks):
                yield (*said, mark)
    yield from itertools.product(letters, repeat=longest)


def episodes(
    policy: TransformerPolicy, prompt: Prompt, answers: Sequence[Tokens], followers: bool = True
) -> list[Episode]:
    """Every episode over listed answers, in the order of y, then y'."""
    tokenizer, messages, ending = policy.tokenizer, conversation(prompt), policy.ending()
    if followers and not policy.keeps_earlier_turns:
        raise ValueError("Only a chat template that keeps earlier turns can be listed. Use a PlainTemplate.")
    opening = tuple(policy.dialogue.leader_prompt(tokenizer, messages))
    bridge = tuple(policy.dialogue.bridge(tokenizer, messages)) if followers else ()

    def turn(shown: Tokens, tokens: Tokens) -> Turn:
        said = Completion(tokens, None, tokens[-1] in ending.marks)
        return Turn(shown, said, ending.content(tokens), ending.text(tokens, tokenizer))

    heads = [Episode(0, i, messages, turn(opening, each)) for i, each in enumerate(answers)]
    if not followers:
        return heads
    return [
        replace(head, follower=turn((*opening, *head.leader.content, *bridge), each))
        for head in heads
        for each in answers
    ]


def _probabilities(
    policy: TransformerPolicy, prompt: Prompt, answers: Sequence[Tokens], roles: int, sampling: Rollouts
) -> tuple[list[Array], list[Array]]:
    """The tables of the policy and of its reference for one prompt."""
    n, rows = len(answers), episodes(policy, prompt, answers, followers=roles == 2)
    sums: dict[str, list[list[Tensor]]] = {"log_prob": [[], []], "reference_log_prob": [[], []]}
    block = max(1, n if roles == 2 else len(rows))
    with torch.no_grad():
        for start in range(0, len(rows), block):  # a Leader's answer at a time
            for role, said in enumerate(policy.score(rows[start : start + block], sampling)):
                for name, found in sums.items():
                    if said is not None:
                        values = torch.where(said.mask > 0, getattr(said, name), 0.0)
                        found[role].append(values.double().sum(-1).cpu())
    own, reference = ([torch.cat(found).numpy() for found in sums[name][:roles]] for name in sums)
    if roles == 2:
        own, reference = ([side[0][::n], side[1].reshape(n, n)] for side in (own, reference))
    return [_normalised(each) for each in own], [_normalised(each) for each in reference]


def _normalised(log_probs: Array) -> Array:
    probabilities = np.exp(log_probs)
    total = probabilities.sum(-1, keepdims=True)
    if np.abs(total - 1).max() > 1e-3:
        raise ValueError(
            f"The listed answers have probability {total.min():.4g} to {total.max():.4g} together, not 1. "
            "Please report the model."
        )
    return np.asarray(probabilities / total)


def _antisymmetric(p: Array, texts: Sequence[str]) -> Array:
    """Refuse judgements whose two orders do not add up to 1: of such no table can be made."""
    apart = np.abs(p + p.T - 1)
    if (apart > COMPLEMENT_TOLERANCE).any():
        i, j = (int(each) for each in np.unravel_index(np.argmax(apart), apart.shape))
        raise ValueError(
            f"The judge prefers {shown(texts[i])} to {shown(texts[j])} with {p[i, j]:.6g} and the other way round with "
            f"{p[j, i]:.6g}, which must add up to 1. Wrap it: llm.judges.BothOrders(judge)."
        )
    return p


def _tabular(game: Game[Any], texts: Sequence[str], reference: list[Array]) -> Game[Any]:
    n = len(texts)
    first, second = ([texts[i] for i in index.ravel().tolist()] for index in np.indices((n, n)))
    tables = []
    for prompt in game.contexts:
        if isinstance(game, RewardGame):
            tables.append(PreferenceMatrix.from_scores(reward_of(judge_of(game))([prompt] * n, texts)).probabilities)
        else:
            tables.append(_antisymmetric(ask(judge_of(game), [prompt] * n**2, first, second).reshape(n, n), texts))
    P = PreferenceMatrix(np.stack(tables))
    match game:
        case StackelbergGame():
            taus = {"tau_leader": game.tau_leader[0], "tau_follower": game.tau_follower[0]}
            return StackelbergGame(P, leader_reference=reference[0], follower_reference=reference[1], **taus)
        case NashGame():
            return NashGame(P, tau=game.tau[0], reference=reference[0])
        case RewardGame():
            return RewardGame(P, tau=game.tau[0], reference=reference[0])
    raise TypeError(f"A {type(game).__name__} cannot be listed. Use a Stackelberg, Nash or reward game.")
