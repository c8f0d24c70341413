"""How good a policy is on held-out prompts, while it is trained and afterwards."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llm.fields import check_fields
from llm.intervals import mean_of, stderr_of
from llm.judges.protocol import Array, Judge, Prompt
from llm.optimism import check_bounded, follower_gap
from llm.players import BASE, FOLLOWER, LEADER, POLICY, answered, base_turns, players_of
from llm.rollouts import Rollouts, Turn
from llm.samples import Row, rows_of, write
from llm.tournaments import Tournament, judged
from stackelberg.estimate import Estimate, Kind
from stackelberg.game import Game, RewardGame, StackelbergGame
from stackelberg.judged import check_prompts

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy

EXPLAINED = 0.8
"""The share of a gain that a judge of lengths alone must find to explain it."""


@dataclass(frozen=True)
class Evaluation:
    """What to ask of a policy every so often: the ``record`` of a language model's ``solve``.

    Every time the same prompts with the same random numbers, so that curves show the policy and not the draws. The
    base's answers are drawn once and kept while reference, prompts and sampling stay the same.

    Args:
        prompts: held out from training.
        every: steps between two evaluations; there is one before the first step and one after the last too.
        samples: how many prompts' answers are kept to be read.
        sampling: how answers are drawn; by default as in training.
        seed: of the draws.
        replies: improvements an answer from which the Follower's gap is bounded; 1 leaves it out. The judge is asked
            about each. They must be drawn untruncated, see :func:`llm.optimism.follower_gap`.
        judge: in place of the game's; in a reward game a preference is needed, and by default the higher reward wins.
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
        check_prompts(self.prompts)
        check_fields(self, least={"every": 1, "replies": 1, "samples": 0, "seed": 0})

    def run(self, policy: TransformerPolicy, game: Game[Any], sampling: Rollouts | None = None) -> Evaluated:
        """Ask now.

        Args:
            policy: as it is.
            game: over prompts, of which judge and τ are read.
            sampling: how answers are drawn, where the evaluation has none of its own.

        Raises:
            ValueError: if the Follower's gap is asked for and the sampling leaves tokens out.

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
        asked = self.sampling or sampling or Rollouts()
        follows, judge = isinstance(game, StackelbergGame), self.judge or _preference(game)
        if follows and self.replies > 1:
            check_bounded(asked)
        followers = self.replies if follows else 0
        episodes = answered(policy, self.prompts, asked, seed=self.seed, followers=followers)
        players = players_of(self._base(policy, asked), episodes)
        texts = {name: said.texts for name, said in players.items()}
        lengths = {name: said.length for name, said in players.items()}
        found = judged(texts, self.prompts, judge, lengths=lengths)
        gap = None
        if isinstance(game, StackelbergGame) and self.replies > 1:
            gap = follower_gap(policy, game, judge, self.prompts, episodes, asked)
        agreement = None
        if self.second_judge is not None:
            agreement = agreement_of(found, judged(texts, self.prompts, self.second_judge))
        finished = {name: float(np.mean(said.finished)) for name, said in players.items()}
        return Evaluated(found, gap, agreement, finished, rows_of(found, self.prompts, self.samples))

    def _base(self, policy: TransformerPolicy, asked: Rollouts) -> list[Turn]:
        """The base's answers: drawn anew where anything they follow from is another than it was."""
        from llm.training.identity import fingerprint

        shown_ids = [policy.dialogue.leader_prompt(policy.tokenizer, prompt) for prompt in self.prompts]
        key = (fingerprint(policy), shown_ids, asked)
        if self._kept.get("key") != key:
            self._kept.update(key=key, turns=base_turns(policy, self.prompts, asked, seed=self.seed))
        turns: list[Turn] = self._kept["turns"]
        return turns


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What was found.

    Attributes:
        tournament: base, Leader and Follower against each other.
        gap: a lower bound of what the Follower leaves on the table, and so of the duality gap; None without replies.
        agreement: the share of pairs on which the second judge takes the same side; None without one.
        finished: the share of each player's answers that ended by themselves.
        samples: rows to be read.
    """

    tournament: Tournament
    gap: Estimate | None
    agreement: Estimate | None
    finished: Mapping[str, float]
    samples: tuple[Row, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers by name, for a log."""
        found: dict[str, float] = {}
        table, names = self.tournament, self.tournament.names
        for j, second in enumerate(names):
            for i, first in list(enumerate(names))[j + 1 :]:
                name = f"eval/{first}_over_{second}".lower()
                found[name] = float(table.wins[i, j])
                found[f"{name}_stderr"] = float(table.stderr[i, j])
                found[f"{name}_by_length"] = float(table.length_only[i, j])
        found |= {f"eval/{name}_length".lower(): float(x) for name, x in zip(names, table.lengths, strict=True)}
        found |= {f"eval/{name}_finished".lower(): share for name, share in self.finished.items()}
        found["eval/skipped"] = float(table.skipped)
        for name, estimate in {"eval/follower_gap": self.gap, "eval/agreement": self.agreement}.items():
            if estimate is not None:
                found |= {name: estimate.value, f"{name}_stderr": estimate.stderr}
        return found

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where length alone explains a gain over the base: who sees only lengths would find four fifths of it.

        Where a player's answers are longer to every prompt, nothing tells length from quality, and this is said too.
        """
        found, table = [], self.tournament
        bases = [j for j, name in enumerate(table.names) if name == BASE]
        for j, (i, name) in itertools.product(bases, enumerate(table.names)):
            gain, alone = table.wins[i, j] - 0.5, table.length_only[i, j] - 0.5
            if table.interval[i, j, 0] > 0.5 and alone > EXPLAINED * gain:
                found.append(
                    f"{name} is preferred to the base in {gain + 0.5:.0%}, and length alone explains "
                    f"{alone + 0.5:.0%}. Look at the samples; llm.judges.LengthControlled takes length out."
                )
        return tuple(found)

    def write(self, folder: Path, step: int) -> None:
        """The samples as a text to be read, ``step-N.md``, and as ``step-N.jsonl``."""
        opening = [f"# After {step} steps", "", "```", self.tournament.table(), "```", *self.warnings]
        write(folder, step, self.samples, opening)


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
