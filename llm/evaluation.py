"""How good a policy is on held-out prompts, while it is trained and afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from llm.evaluated import Evaluated
from llm.fields import check_fields
from llm.intervals import mean_of, stderr_of
from llm.judges.protocol import Array, Judge, Prompt
from llm.optimism import check_bounded, follower_gap
from llm.players import BASE, FOLLOWER, LEADER, POLICY, answered, base_turns, players_of
from llm.prompt_lengths import check_lengths
from llm.rollouts import Rollouts, Turn
from llm.samples import rows_of
from llm.sampling import Sampling
from llm.tournaments import Tournament, judged
from stackelberg.estimate import Estimate, Kind
from stackelberg.game import Game, RewardGame, StackelbergGame
from stackelberg.judged import check_prompt

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy


@dataclass(frozen=True)
class Evaluation:
    """What to ask of a policy every so often: the ``record`` of a language model's ``solve``.

    Every time the same prompts with the same random numbers, so that curves show the policy and not the draws. The
    base's answers are drawn once and kept while reference, prompts and sampling stay the same.

    Args:
        prompts: held out from training.
        every: steps between two evaluations; there is one before the first step and one after the last too.
        samples: how many prompts' answers are kept to be read.
        sampling: how answers are drawn; by default as in training. Where another temperature, length or end makes it
            another policy than the one that plays the game, the Follower's gap is left out, and
            :attr:`Evaluated.omitted` says so.
        seed: of the draws.
        replies: improvements an answer from which the Follower's gap is bounded; 1 leaves it out. The game's own judge
            is asked about each. They must be drawn untruncated, see :func:`llm.optimism.follower_gap`.
        judge: in place of the game's, for who is preferred to whom; in a reward game a preference is needed, and by
            default the higher reward wins. The Follower's gap is the game's, and stays with the game's own judge.
        second_judge: one more, for how often the two agree.
    """

    prompts: Sequence[Prompt]
    every: int = 50
    samples: int = 8
    sampling: Rollouts | None = None
    seed: int = 0
    replies: int = 4
    judge: Judge | None = None
    second_judge: Judge | None = None
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(self, every=1, replies=1, samples=0, seed=0)
        if not len(self.prompts):
            raise ValueError("prompts is empty. Pass a list of prompts.")
        for i, prompt in enumerate(self.prompts):
            check_prompt(prompt, f"prompts[{i}]")

    def run(self, policy: TransformerPolicy, game: Game[Any], sampling: Rollouts | None = None) -> Evaluated:
        """Ask now.

        Args:
            policy: as it is.
            game: over prompts, of which judge and τ are read.
            sampling: of the training: how answers are drawn, where the evaluation has no sampling of its own.

        Raises:
            ValueError: if the Follower's gap is asked for and the sampling leaves tokens out; or if a prompt is too
                long.

        Example:
            >>> import llm, stackelberg as sb
            >>> from llm.testing import tiny_policy
            >>> def shorter(prompts, first, second):
            ...     return [0.5 + 0.1 * ((len(a) < len(b)) - (len(a) > len(b))) for a, b in zip(first, second)]
            >>> game = sb.StackelbergGame(shorter, contexts=["Why?"], tau=0.1)
            >>> found = Evaluation(["How?", "Who?"]).run(tiny_policy(), game, llm.Rollouts(max_new_tokens=4))
            >>> found.tournament.names, found.gap.kind.value
            (('base', 'Leader', 'Follower'), 'a lower bound')
        """
        asked, judge = self.draws(sampling), self.judge or _preference(game)
        followers, omitted = self._followers(game, asked, sampling)
        if followers > 1:
            check_bounded(asked)
        episodes = answered(policy, self.prompts, asked, seed=self.seed, followers=followers)
        players = players_of(self._base(policy, asked), episodes)
        texts = {name: said.texts for name, said in players.items()}
        lengths = {name: said.length for name, said in players.items()}
        found = judged(texts, self.prompts, judge, lengths=lengths)
        gap = None
        if isinstance(game, StackelbergGame) and followers > 1:
            gap = follower_gap(policy, game, _preference(game), self.prompts, episodes, asked)
        agreement = None
        if self.second_judge is not None:
            agreement = agreement_of(found, judged(texts, self.prompts, self.second_judge))
        finished = {name: float(np.mean(said.finished)) for name, said in players.items()}
        return Evaluated(found, gap, agreement, finished, rows_of(found, self.prompts, self.samples), omitted)

    def draws(self, sampling: Rollouts | None = None) -> Rollouts:
        """How answers are drawn: as it says itself, else as in training."""
        return self.sampling or sampling or Rollouts()

    def check(self, policy: TransformerPolicy, game: Game[Any], sampling: Rollouts | None = None) -> None:
        """Refuse prompts that are too long: see :func:`llm.prompt_lengths.check_lengths`."""
        asked = self.draws(sampling)
        followers, _ = self._followers(game, asked, sampling)
        check_lengths(policy, self.prompts, replace(asked, followers=followers), "evaluation prompts")

    def _followers(self, game: Game[Any], asked: Rollouts, sampling: Rollouts | None) -> tuple[int, str | None]:
        """Improvements an answer, and why there is but one where more were asked for."""
        if not isinstance(game, StackelbergGame):
            return 0, None
        omitted = _unlike(asked, sampling) if self.replies > 1 and sampling is not None else None
        return self.replies if omitted is None else 1, omitted

    def _base(self, policy: TransformerPolicy, asked: Rollouts) -> list[Turn]:
        """The base's answers: drawn anew where anything they follow from is another than it was."""
        from llm.training.identity import fingerprint

        shown_ids = [policy.dialogue.leader_prompt(policy.tokenizer, prompt) for prompt in self.prompts]
        key = (fingerprint(policy), shown_ids, asked)
        if self._kept.get("key") != key:
            self._kept.update(key=key, turns=base_turns(policy, self.prompts, asked, seed=self.seed))
        turns: list[Turn] = self._kept["turns"]
        return turns


def agreement_of(first: Tournament, second: Tournament) -> Estimate:
    """The share of pairs on which two judges take the same side of ½, and its standard error over prompts.

    Two ties are alike, a tie and a side are not; a pair that either judge skipped counts nowhere.

    Example:
        >>> answers, prompts = {"one": ["a", "b"], "two": ["c", "d"]}, ["?", "?"]
        >>> judges = (lambda x, a, b: [0.9, 0.9]), (lambda x, a, b: [0.6, 0.1])
        >>> print(agreement_of(*(judged(answers, prompts, judge) for judge in judges)))
        0.5 ± 0.5
    """
    below = np.tril_indices(len(first.names), -1)
    sides = [np.sign(each.judgements[below] - 0.5) for each in (first, second)]
    shares = mean_of(np.where(np.isnan(sides[0] + sides[1]), np.nan, sides[0] == sides[1]).T)
    return Estimate(float(mean_of(shares)), Kind.SAMPLED, float(stderr_of(shares)))


def _unlike(asked: Rollouts, trained: Rollouts) -> str | None:
    """Why the Follower's gap is not the game's where answers are drawn as ``asked``; None where it is."""
    told = [
        f"{name} = {getattr(asked, name)!r} (in training {getattr(trained, name)!r})"
        for name in (*(each.name for each in fields(Sampling)), "missing_eos_penalty")
        if getattr(asked, name) != getattr(trained, name)
    ]
    if not told:
        return None
    return (
        f"The Follower's gap is left out: the evaluation draws with {', '.join(told)}, and so from another policy than "
        "the one that plays the game. Leave Evaluation(sampling=) out to have it."
    )


def _preference(game: Game[Any]) -> Judge:
    from llm.training.draws import judge_of, reward_of

    judge: Judge = judge_of(game)
    if not isinstance(game, RewardGame):
        return judge
    reward = reward_of(judge)

    def higher(prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        apart = np.asarray(reward(prompts, first), float) - np.asarray(reward(prompts, second), float)
        return np.asarray(np.where(np.isnan(apart), np.nan, 0.5 + 0.5 * np.sign(apart)))

    return higher


__all__ = ["BASE", "FOLLOWER", "LEADER", "POLICY", "Evaluated", "Evaluation", "agreement_of", "follower_gap"]
