"""One look at a game over texts: rollouts, what a judge or a reward says of them, and what each row weighs."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from llm.judges.orders import watch_orders
from llm.judges.protocol import Array, ask, kept
from llm.judges.scores import BradleyTerry
from llm.rollouts import Episode, Rollouts, Turn, generate
from llm.training.directions import Look
from stackelberg.game import Game, NashGame, RewardGame, StackelbergGame
from stackelberg.validation import as_numbers, shown

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy

ROLLOUTS, OPPONENTS = 0, 1


@dataclass(frozen=True, eq=False)
class Draws:
    """Rollouts of one look, with what they earned.

    Args:
        episodes: those that were judged.
        earned: of each: p(y≻y') in a Stackelberg game; in a Nash game the mean of p(y≻y') over the opponents; the
            reward in a reward game.
        opponents: in a Nash game against a mixture, whom each y met.
        skipped: rollouts that the judge skipped (NaN), which are dropped.
        weights: of each in the expectation, where they are no draws alike but an enumeration.
    """

    episodes: list[Episode]
    earned: Array
    opponents: tuple[Turn, ...] | None = None
    skipped: int = 0
    weights: Array | None = None

    def only(self, judged: NDArray[np.bool_]) -> Draws:
        """The rollouts in a mask; the others count as skipped."""
        rows = [int(row) for row in np.flatnonzero(judged)]
        met = None if self.opponents is None else tuple(self.opponents[row] for row in rows)
        left_out = len(self.episodes) - len(rows)
        return Draws([self.episodes[row] for row in rows], self.earned[rows], met, self.skipped + left_out)

    def compared(self) -> Draws:
        """Those whose prompt has two rollouts or more left: leave-one-out has nothing to hold a lonely one against."""
        rows = collections.Counter(each.context for each in self.episodes)
        return self.only(np.array([rows[each.context] > 1 for each in self.episodes], dtype=bool))


@dataclass(frozen=True, eq=False)
class Share:
    """One process's part of a step's prompts.

    Args:
        prompts: the part.
        first: the place of its first prompt among the whole step's.
    """

    prompts: Sequence[Any]
    first: int = 0


@singledispatch
def draw(game: Game[Any], policy: TransformerPolicy, share: Share, sampling: Rollouts, look: Look, seed: int) -> Draws:
    """Draw rollouts of a game and have them judged.

    Args:
        game: whose ``preference`` is :class:`stackelberg.judged.Judged`.
        policy: as it is now.
        share: of the step's prompts.
        sampling: how.
        look: whose opponents are read.
        seed: of this look; a row's draws depend on it and on the row's place in the whole step.
    """
    raise TypeError(f"A language model cannot play a {type(game).__name__}. Use a Stackelberg, Nash or reward game.")


@draw.register
def _(game: StackelbergGame, policy: Any, share: Share, sampling: Rollouts, look: Look, seed: int) -> Draws:
    episodes = generate(policy, share.prompts, sampling, seed=seed, first=share.first)
    replies = [each.follower for each in episodes if each.follower is not None]
    p = _asked(game, share, episodes, [each.text for each in replies])
    return _kept(episodes, p)


@draw.register
def _(game: NashGame, policy: Any, share: Share, sampling: Rollouts, look: Look, seed: int) -> Draws:
    episodes = _answers(policy, share, sampling, seed)
    if look.opponents is None:
        return _kept(episodes, _against_each_other(game, share, episodes, sampling.leaders))
    from llm.mixture import mixed_turns

    met = mixed_turns(
        policy,
        share.prompts,
        sampling,
        look.opponents.weight,
        seed=seed,
        leaders=sampling.leaders,
        first=share.first,
    )
    return _kept(episodes, _asked(game, share, episodes, [each.text for each in met]), met)


@draw.register
def _(game: RewardGame, policy: Any, share: Share, sampling: Rollouts, look: Look, seed: int) -> Draws:
    episodes = _answers(policy, share, sampling, seed)
    prompts, answers = [share.prompts[each.context] for each in episodes], [each.leader.text for each in episodes]
    rewards = as_numbers(reward_of(judge_of(game))(prompts, answers), "The rewards")
    if rewards.shape != (len(answers),) or np.isinf(rewards).any():
        raise ValueError(
            f"The reward answered with shape {rewards.shape} for {len(answers)} answers, or with an infinite number. "
            "It must be a callable (prompts, answers) that gives one number an answer; NaN marks a skipped one."
        )
    return _kept(episodes, rewards)


def _answers(policy: TransformerPolicy, share: Share, sampling: Rollouts, seed: int) -> list[Episode]:
    """Rollouts of a game in which nobody follows."""
    return generate(policy, share.prompts, replace(sampling, followers=0), seed=seed, first=share.first)


def reward_of(judge: Callable[..., Any]) -> Callable[..., Any]:
    """The reward of a reward game: a Bradley–Terry judge's own, over its scale, or the callable itself."""
    if isinstance(judge, BradleyTerry):
        return lambda prompts, answers: np.asarray(judge.reward(prompts, answers)) / judge.scale
    return judge


def check_draws(game: Game[Any], sampling: Rollouts, mixes: bool) -> None:
    """Refuse rollouts that a game has no use for.

    Args:
        game: the game.
        sampling: the rollouts.
        mixes: whether the solver brings opponents of its own.
    """
    judge_of(game)
    if isinstance(game, StackelbergGame):
        if not sampling.followers:
            raise ValueError("A Stackelberg game has a Follower, and followers = 0. Pass Rollouts(followers=1).")
    elif sampling.followers > 1:
        raise ValueError(
            f"followers = {sampling.followers}, and in a {type(game).__name__} nobody follows. Leave followers out."
        )
    if isinstance(game, NashGame) and not mixes and sampling.leaders < 2:
        raise ValueError(
            "In a Nash game a prompt's answers are compared with each other, and leaders = 1. Pass Rollouts(leaders=2)."
        )


def _asked(game: Game[Any], share: Share, episodes: Sequence[Episode], second: Sequence[str]) -> Array:
    prompts = [share.prompts[each.context] for each in episodes]
    return _watched(judge_of(game), prompts, [each.leader.text for each in episodes], second)


def _watched(judge: Any, prompts: Sequence[Any], first: Sequence[str], second: Sequence[str]) -> Array:
    p = ask(judge, prompts, first, second)
    watch_orders(judge, prompts, first, second, p)
    return p


def _against_each_other(game: Game[Any], share: Share, episodes: Sequence[Episode], count: int) -> Array:
    """The mean of p(y_i ≻ y_j) over the other answers to the prompt; each pair is asked once."""
    pairs = [
        (start + i, start + j)
        for start in range(0, len(episodes), count)
        for i in range(count)
        for j in range(i + 1, count)
    ]
    text = [each.leader.text for each in episodes]
    prompts = [share.prompts[episodes[i].context] for i, _ in pairs]
    p = _watched(judge_of(game), prompts, [text[i] for i, _ in pairs], [text[j] for _, j in pairs])
    sums, seen = np.zeros(len(episodes)), np.zeros(len(episodes))
    for (i, j), value in zip(pairs, p, strict=True):
        if not np.isnan(value):
            sums[[i, j]] += value, 1 - value
            seen[[i, j]] += 1
    return np.divide(sums, seen, out=np.full(len(episodes), np.nan), where=seen > 0)


def judge_of(game: Game[Any]) -> Any:
    """The judge, or the reward, of a game over prompts."""
    judge = getattr(game.preference, "judge", None)
    if judge is None:
        raise ValueError(
            f"A language model plays for a judge over prompts, and this game's preference is "
            f"{shown(game.preference)}. Make it so: {type(game).__name__}(judge, contexts=prompts)."
        )
    return judge


def _kept(episodes: list[Episode], earned: Array, opponents: Sequence[Turn] | None = None) -> Draws:
    return Draws(episodes, earned, None if opponents is None else tuple(opponents)).only(kept(earned))
