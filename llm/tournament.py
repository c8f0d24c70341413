"""Answers against each other: base, Leader, Follower and whoever else, before a judge, with intervals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from llm.judges.protocol import Array, Judge, Prompt, ask, kept
from llm.judges.wrappers import LengthOnly
from llm.rollouts import Episode, Rollouts, generate
from llm.sampling import seeds_for
from llm.speaker import Speaker

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy

BASE, LEADER, FOLLOWER, POLICY = "base", "Leader", "Follower", "policy"
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Tournament:
    """Who is preferred to whom.

    Attributes:
        names: of the k players.
        answers: of each player, one a prompt.
        judgements: (k, k, prompts): p(row's answer ≻ column's answer); NaN on the diagonal and where the judge skipped.
        length_only: (k, k): the mean that a judge would give who sees lengths alone, fitted to these judgements.

    Example:
        >>> def shorter(prompts, first, second):
        ...     return [0.5 + 0.25 * ((len(a) < len(b)) - (len(a) > len(b))) for a, b in zip(first, second)]
        >>> found = judged({"long": ["aaa", "bbbb"], "short": ["a", "b"]}, ["?", "?"], shorter)
        >>> float(found.wins[1, 0]), found.skipped, found.row("short", "long")
        (0.75, 0, (0.75, 0.75, 0.75))
    """

    names: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    judgements: Array
    length_only: Array

    @property
    def wins(self) -> Array:
        """(k, k): the mean preference for the row's player over the column's; NaN on the diagonal."""
        return _mean(self.judgements)

    @property
    def stderr(self) -> Array:
        """(k, k): its standard error over prompts."""
        count = (~np.isnan(self.judgements)).sum(-1)
        spread = np.sqrt(_mean((self.judgements - self.wins[..., None]) ** 2) * count / np.maximum(count - 1, 1))
        return np.where(count > 1, spread / np.sqrt(np.maximum(count, 1)), np.nan)

    @property
    def skipped(self) -> int:
        """Pairs of answers that the judge skipped."""
        k = len(self.names)
        return int(np.isnan(self.judgements).sum() - k * self.judgements.shape[-1]) // 2

    def row(self, first: str, second: str) -> tuple[float, float, float]:
        """Mean preference of ``first`` over ``second`` and its 95 % interval (Student's t over prompts, in [0, 1])."""
        i, j = self.names.index(first), self.names.index(second)
        count = int((~np.isnan(self.judgements[i, j])).sum())
        half = stats.t.ppf((1 + LEVEL) / 2, max(count - 1, 1)) * self.stderr[i, j]
        mean = self.wins[i, j]
        return float(mean), float(max(mean - half, 0)), float(min(mean + half, 1))

    def as_dict(self) -> dict[str, Any]:
        """Names and every pair's numbers."""
        pairs = []
        for second, first in itertools.combinations(self.names, 2):
            mean, low, high = self.row(first, second)
            i, j = self.names.index(first), self.names.index(second)
            alone = float(self.length_only[i, j])
            pairs.append(
                {"first": first, "second": second, "mean": mean, "low": low, "high": high, "length_only": alone}
            )
        return {"players": list(self.names), "skipped": self.skipped, "pairs": pairs}

    def table(self) -> str:
        """A readable table: who against whom, how often preferred, the interval, and what length alone would give."""
        from rich.console import Console
        from rich.table import Table

        table = Table("who", "against", "preferred", "95 % interval", "by length alone", title_justify="left")
        for each in self.as_dict()["pairs"]:
            interval = f"{each['low']:.3f} – {each['high']:.3f}"
            table.add_row(each["first"], each["second"], f"{each['mean']:.3f}", interval, f"{each['length_only']:.3f}")
        stream = StringIO()
        Console(file=stream, width=100).print(table)
        return stream.getvalue().rstrip()


def tournament(
    policy: TransformerPolicy,
    prompts: Sequence[Prompt],
    judge: Judge,
    sampling: Rollouts | None = None,
    *,
    seed: int = 0,
    follower: bool = True,
    others: Mapping[str, Sequence[str]] | None = None,
) -> Tournament:
    """Let base, Leader and Follower answer each prompt once, and a judge compare them all.

    Args:
        policy: the Leader's reference is the base; the Follower is shown the Leader's answer.
        prompts: each is one independent observation.
        judge: asked once about every pair of answers.
        sampling: how answers are drawn.
        seed: the same seed gives the same answers.
        follower: whether somebody follows; else there are the base and the policy.
        others: further players with their answers, one a prompt.

    Example:
        >>> from llm.testing import tiny_policy
        >>> def shorter(prompts, first, second):
        ...     return [0.5 + 0.1 * ((len(a) < len(b)) - (len(a) > len(b))) for a, b in zip(first, second)]
        >>> found = tournament(tiny_policy(), ["Why?", "How?"], shorter, Rollouts(max_new_tokens=4))
        >>> found.names
        ('base', 'Leader', 'Follower')
    """
    sampling = Rollouts() if sampling is None else sampling
    episodes = answered(policy, prompts, sampling, seed=seed, followers=int(follower))
    return judged({**texts_of(policy, prompts, sampling, episodes, seed), **(others or {})}, prompts, judge)


def answered(
    policy: TransformerPolicy, prompts: Sequence[Prompt], sampling: Rollouts, *, seed: int, followers: int
) -> list[Episode]:
    """One answer a prompt and ``followers`` improvements of it."""
    return generate(policy, prompts, replace(sampling, leaders=1, followers=followers), seed=seed)


def base_answers(policy: TransformerPolicy, prompts: Sequence[Prompt], sampling: Rollouts, *, seed: int) -> list[str]:
    """One answer a prompt of the Leader's reference, from draws that are independent of the policy's."""
    one = replace(sampling, leaders=1, followers=0)
    base: Any = _AsReference(policy)
    return [each.leader.text for each in generate(base, prompts, one, seed=seeds_for(seed, 1))]


def texts_of(
    policy: TransformerPolicy, prompts: Sequence[Prompt], sampling: Rollouts, episodes: Sequence[Episode], seed: int
) -> dict[str, list[str]]:
    """The players' answers: base, Leader and first Follower; or base and policy."""
    firsts = {each.context: each for each in reversed(episodes)}
    rows = [firsts[i] for i in range(len(prompts))]
    players = {BASE: base_answers(policy, prompts, sampling, seed=seed)}
    replies = [each.follower.text for each in rows if each.follower is not None]
    players[LEADER if replies else POLICY] = [each.leader.text for each in rows]
    return players | ({FOLLOWER: replies} if replies else {})


def judged(players: Mapping[str, Sequence[str]], prompts: Sequence[Prompt], judge: Judge) -> Tournament:
    """A tournament of answers that are there already.

    Raises:
        ValueError: if a player has another number of answers than there are prompts.
    """
    names, k, n = tuple(players), len(players), len(prompts)
    for name, texts in players.items():
        if len(texts) != n:
            raise ValueError(f"{name} has {len(texts)} answers for {n} prompts. Give one a prompt.")
    pairs = list(itertools.combinations(range(k), 2))
    first, second = ([text for pair in pairs for text in players[names[pair[side]]]] for side in (1, 0))
    p = ask(judge, list(prompts) * len(pairs), first, second)
    fitted = LengthOnly.fit(first, second, p)([], first, second) if kept(p).any() else np.full(len(p), np.nan)
    judgements, alone = np.full((k, k, n), np.nan), np.full((k, k), np.nan)
    for (j, i), seen, by_length in zip(pairs, p.reshape(-1, n), fitted.reshape(-1, n), strict=True):
        judgements[i, j], judgements[j, i] = seen, 1 - seen
        alone[i, j], alone[j, i] = by_length.mean(), 1 - by_length.mean()
    return Tournament(names, tuple(tuple(players[name]) for name in names), judgements, alone)


class _AsReference:
    """A policy whose speakers are its references."""

    def __init__(self, policy: TransformerPolicy) -> None:
        self._policy = policy

    def speaker(self, role: int) -> Speaker:
        return self._policy.reference(role)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)


def _mean(values: Array) -> Array:
    seen = ~np.isnan(values)
    sums = np.where(seen, values, 0.0).sum(-1)
    return np.asarray(np.divide(sums, seen.sum(-1), out=np.full(sums.shape, np.nan), where=seen.any(-1)))
