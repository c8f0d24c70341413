"""How good a policy is on held-out prompts, while it is trained and afterwards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.special import logsumexp

from llm.judges.protocol import Array, Judge, Prompt, ask, kept
from llm.rollouts import Episode, Rollouts
from llm.tournament import BASE, FOLLOWER, LEADER, POLICY, Tournament, answered, judged, texts_of
from stackelberg.estimate import Estimate, Kind
from stackelberg.game import Game, RewardGame, StackelbergGame
from stackelberg.validation import shown

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy


@dataclass(frozen=True)
class Evaluation:
    """What to ask of a policy every so often: the ``record`` of a language model's ``solve``.

    Every time the same prompts with the same random numbers, so that curves show the policy and not the draws.

    Args:
        prompts: held out from training.
        every: steps between two evaluations; there is one before the first step and one after the last too.
        samples: how many prompts' answers are kept to be read.
        sampling: how answers are drawn; by default as in training.
        seed: of the draws.
        replies: improvements an answer from which the Follower's gap is bounded; 1 leaves it out. The judge is asked
            about each.
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

    def __post_init__(self) -> None:
        if isinstance(self.prompts, str) or not len(self.prompts):
            raise ValueError(f"prompts must be a list of prompts, not {shown(self.prompts)}.")
        for name in ("every", "replies"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} must be 1 or more; it is {getattr(self, name)}.")

    def run(self, policy: TransformerPolicy, game: Game[Any], sampling: Rollouts | None = None) -> Evaluated:
        """Ask now.

        Args:
            policy: as it is.
            game: over prompts, of which judge and τ are read.
            sampling: how answers are drawn, where the evaluation has none of its own.

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
        followers = self.replies if follows else 0
        episodes = answered(policy, self.prompts, asked, seed=self.seed, followers=followers)
        texts = texts_of(policy, self.prompts, asked, episodes, self.seed)
        found = judged(texts, self.prompts, judge)
        gap = None
        if isinstance(game, StackelbergGame) and self.replies > 1:
            gap = follower_gap(policy, game, judge, self.prompts, episodes, asked)
        agreement = None
        if self.second_judge is not None:
            agreement = _agreement(found, judged(texts, self.prompts, self.second_judge))
        return Evaluated(found, gap, agreement, _lengths(policy, texts), self._samples(found))

    def _samples(self, found: Tournament) -> tuple[dict[str, Any], ...]:
        rows = []
        for i in range(min(self.samples, len(self.prompts))):
            row: dict[str, Any] = {"prompt": self.prompts[i]}
            row |= {name: texts[i] for name, texts in zip(found.names, found.answers, strict=True)}
            for a in range(len(found.names)):
                for b in range(a):
                    row[f"p({found.names[a]} > {found.names[b]})"] = float(found.judgements[a, b, i])
            rows.append(row)
        return tuple(rows)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What was found.

    Attributes:
        tournament: base, Leader and Follower against each other.
        gap: a lower bound of what the Follower leaves on the table, and so of the duality gap; None without replies.
        agreement: the share of pairs on which the second judge takes the same side; None without one.
        lengths: mean tokens of each player's answers.
        samples: rows to be read.
    """

    tournament: Tournament
    gap: Estimate | None
    agreement: Estimate | None
    lengths: dict[str, float]
    samples: tuple[dict[str, Any], ...]

    @property
    def metrics(self) -> dict[str, float]:
        """The numbers by name, for a log."""
        found: dict[str, float] = {}
        names = self.tournament.names
        for j, second in enumerate(names):
            for i, first in list(enumerate(names))[j + 1 :]:
                name = f"eval/{first}_over_{second}".lower()
                found[name] = float(self.tournament.wins[i, j])
                found[f"{name}_stderr"] = float(self.tournament.stderr[i, j])
                found[f"{name}_by_length"] = float(self.tournament.length_only[i, j])
        found |= {f"eval/{name}_length".lower(): length for name, length in self.lengths.items()}
        found["eval/skipped"] = float(self.tournament.skipped)
        for name, estimate in {"eval/follower_gap": self.gap, "eval/agreement": self.agreement}.items():
            if estimate is not None:
                found |= {name: estimate.value, f"{name}_stderr": estimate.stderr}
        return found

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where length alone explains a gain: a judge that sees only lengths would find four fifths of it."""
        found = []
        for pair in self.tournament.as_dict()["pairs"]:
            gain, alone = pair["mean"] - 0.5, pair["length_only"] - 0.5
            if pair["second"] == BASE and pair["low"] > 0.5 and alone > 0.8 * gain:
                found.append(
                    f"{pair['first']} is preferred to the base in {pair['mean']:.0%}, and length alone explains "
                    f"{pair['length_only']:.0%}. Look at the samples; llm.judges.LengthControlled takes length out."
                )
        return tuple(found)

    def write(self, folder: Path, step: int) -> None:
        """The samples as a text to be read, ``step-N.md``, and as ``step-N.jsonl``."""
        folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.samples)
        (folder / f"step-{step:06d}.jsonl").write_text(lines, encoding="utf-8")
        text = [f"# After {step} steps", "", "```", self.tournament.table(), "```", *self.warnings]
        for i, row in enumerate(self.samples, 1):
            text += ["", f"## {i}"]
            for name, value in row.items():
                words = f"{value:.3f}" if isinstance(value, float) else _plain(value)
                text += [f"**{name}**: {words}", ""]
        (folder / f"step-{step:06d}.md").write_text("\n".join(text) + "\n", encoding="utf-8")


def follower_gap(
    policy: TransformerPolicy,
    game: StackelbergGame,
    judge: Judge,
    prompts: Sequence[Prompt],
    episodes: Sequence[Episode],
    sampling: Rollouts,
) -> Estimate:
    """A lower bound of the Follower's gap, ``E_y τ_F KL(ω(·|y) ‖ ω*(·|y))``, which is the Leader's optimism.

    With v_i = p(y≻y'_i) + τ_F ℓ_F(y'_i) for n replies to y, it is the mean over y of
    ``mean_i v_i + τ_F log mean_i e^{−v_i/τ_F}`` (at τ_F = 0, mean less least). The second term estimates −V(y) from
    below, since ``E_ω e^{−v/τ_F} = E_{ω_ref} e^{−p/τ_F}`` and log is concave: a lower bound in expectation for every n,
    never above ``max v − min v``, and 0 for ω*, whose v is the same for every reply.

    Args:
        policy: whose replies these are.
        game: for τ_F.
        judge: asked about every reply.
        prompts: by ``Episode.context``.
        episodes: several improvements of each answer; what the judge skips is left out.
        sampling: what they were drawn with.
    """
    p = ask(
        judge,
        [prompts[each.context] for each in episodes],
        [each.leader.text for each in episodes],
        [each.follower.text for each in episodes if each.follower is not None],
    )
    rows = [episodes[i] for i in np.flatnonzero(kept(p)).tolist()]
    tau = float(np.ravel(game.tau_follower)[0])
    ratios = _log_ratios(policy, rows, sampling) if tau else np.zeros(len(rows))
    answers, values = np.array([each.answer for each in rows]), p[kept(p)] + tau * ratios
    bounds = [_bound(values[answers == answer], tau) for answer in np.unique(answers)]
    if not bounds:
        return Estimate(float("nan"), Kind.LOWER_BOUND)
    stderr = float(np.std(bounds, ddof=1) / np.sqrt(len(bounds))) if len(bounds) > 1 else 0.0
    return Estimate(float(np.mean(bounds)), Kind.LOWER_BOUND, stderr)


def _bound(values: Array, tau: float) -> float:
    least = -tau * (logsumexp(-values / tau) - np.log(len(values))) if tau else values.min()
    return max(0.0, float(values.mean() - least))  # not below 0 by more than rounding


def _log_ratios(policy: TransformerPolicy, rows: Sequence[Episode], sampling: Rollouts) -> Array:
    """ℓ_F of every reply."""
    found = []
    free = replace(sampling, top_p=1.0, top_k=0)
    with torch.no_grad():
        for start in range(0, len(rows), 64):
            _, said = policy.score(rows[start : start + 64], free)
            if said is not None:
                found.append(said.log_ratios.sum(-1).double().cpu().numpy())
    return np.concatenate(found)


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


def _agreement(first: Tournament, second: Tournament) -> Estimate:
    k = len(first.names)
    below = np.tril_indices(k, -1)
    sides = [np.sign(each.judgements[below] - 0.5) for each in (first, second)]
    alike = np.where(np.isnan(sides[0] + sides[1]), np.nan, sides[0] == sides[1])
    prompts = np.nanmean(alike, axis=0)[~np.isnan(alike).all(axis=0)]
    if len(prompts) < 2:
        return Estimate(float(prompts.mean()) if len(prompts) else float("nan"), Kind.SAMPLED)
    return Estimate.mean(prompts)


def _lengths(policy: TransformerPolicy, texts: dict[str, list[str]]) -> dict[str, float]:
    tokens = policy.tokenizer
    return {
        name: float(np.mean([len(tokens(text, add_special_tokens=False)["input_ids"]) for text in said]))
        for name, said in texts.items()
    }


def _plain(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else " / ".join(f"{each['role']}: {each['content']}" for each in prompt)


__all__ = ["BASE", "FOLLOWER", "LEADER", "POLICY", "Evaluated", "Evaluation", "follower_gap"]
