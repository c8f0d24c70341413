"""Answers against each other: base, Leader, Follower and whoever else, before a judge, with intervals."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

from llm.dialogue import check_prompts
from llm.fields import check_count, check_kind, check_speaks
from llm.intervals import interval_of, mean_of, stderr_of
from llm.judges.orders import watch_orders
from llm.judges.protocol import Array, Judge, Prompt, ask, kept
from llm.judges.wrappers import LengthOnly
from llm.players import answered, base_turns, players_of
from llm.rollouts import Rollouts
from stackelberg.preference import PreferenceMatrix

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy


@dataclass(frozen=True, eq=False)
class Tournament:
    """Who is preferred to whom.

    Attributes:
        names: of the k players.
        answers: of each player, one a prompt.
        judgements: (k, k, prompts): p(row's answer ≻ column's answer); NaN on the diagonal and where the judge skipped.
        length_only: (k, k): the mean that a judge would give who sees lengths alone, fitted to these judgements.
        lengths: (k,): mean tokens of an answer, its end mark left out; NaN where nobody counted.

    Example:
        >>> def shorter(prompts, first, second):
        ...     return [0.5 + 0.25 * ((len(a) < len(b)) - (len(a) > len(b))) for a, b in zip(first, second)]
        >>> found = judged({"long": ["aaa", "bbbb"], "short": ["a", "b"]}, ["?", "?"], shorter)
        >>> float(found.wins[1, 0]), found.asked, found.skipped, found.row("short", "long")
        (0.75, 2, 0, (0.75, 0.75, 0.75))
    """

    names: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    judgements: Array
    length_only: Array
    lengths: Array

    @property
    def wins(self) -> Array:
        """(k, k): the mean preference for the row's player over the column's; NaN on the diagonal."""
        return mean_of(self.judgements)

    @property
    def stderr(self) -> Array:
        """(k, k): its standard error over prompts; NaN where fewer than two were judged."""
        return stderr_of(self.judgements)

    @property
    def interval(self) -> Array:
        """(k, k, 2): its 95 % interval over prompts, see :func:`llm.intervals.interval_of`."""
        return interval_of(self.judgements)

    @property
    def preference(self) -> PreferenceMatrix:
        """The mean preferences as a game among the players.

        Raises:
            ValueError: if the judge skipped every prompt of some pair.
        """
        k = len(self.names)
        missing = np.argwhere(np.isnan(self.wins) & ~np.eye(k, dtype=bool))
        if len(missing):
            first, second = (self.names[i] for i in missing[0])
            raise ValueError(f"The judge skipped every pair of {first} and {second}. Leave one of the two out.")
        return PreferenceMatrix(np.where(np.eye(k, dtype=bool), 0.5, self.wins), self.names)

    @property
    def asked(self) -> int:
        """Pairs of answers that the judge was asked about."""
        return len(self.names) * (len(self.names) - 1) // 2 * self.judgements.shape[-1]

    @property
    def skipped(self) -> int:
        """Those of them that it skipped."""
        k = len(self.names)
        return int(np.isnan(self.judgements).sum() - k * self.judgements.shape[-1]) // 2

    def row(self, first: str, second: str) -> tuple[float, float, float]:
        """Mean preference of ``first`` over ``second`` and its :attr:`interval`."""
        i, j = self.names.index(first), self.names.index(second)
        low, high = self.interval[i, j]
        return float(self.wins[i, j]), float(low), float(high)

    def as_dict(self) -> dict[str, Any]:
        """Names and every pair's numbers as JSON has them: None where there is none."""
        pairs = []
        for j, i in itertools.combinations(range(len(self.names)), 2):
            numbers = {"mean": self.wins[i, j], "low": self.interval[i, j, 0], "high": self.interval[i, j, 1]}
            numbers |= {"stderr": self.stderr[i, j], "length_only": self.length_only[i, j]}
            plain = {name: _plain(value) for name, value in numbers.items()}
            pairs.append({"first": self.names[i], "second": self.names[j], **plain})
        lengths = {name: _plain(length) for name, length in zip(self.names, self.lengths, strict=True)}
        seen = {"asked": self.asked, "skipped": self.skipped, "lengths": lengths}
        return {"players": list(self.names), **seen, "pairs": pairs}

    def table(self) -> str:
        """A readable table: who against whom, how often preferred, the interval, and what length alone would give."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table("who", "against", "preferred", "95 % interval", "by length alone")
        for each in self.as_dict()["pairs"]:
            said = (each["first"], each["second"], _number(each["mean"]))
            interval = f"{_number(each['low'])} – {_number(each['high'])}"
            table.add_row(*map(Text, (*said, interval, _number(each["length_only"]))))
        stream = StringIO()
        Console(file=stream, width=120, force_terminal=False, color_system=None).print(table)
        return "\n".join([stream.getvalue().rstrip(), *self._notes()])

    def _notes(self) -> list[str]:
        """What stands below the table: mean lengths where they are known, and what was skipped."""
        known = [(name, length) for name, length in zip(self.names, self.lengths, strict=True) if length == length]
        lengths = "Mean tokens: " + ", ".join(f"{name} {length:.1f}" for name, length in known) + "."
        skipped = f"The judge skipped {self.skipped} of {self.asked} pairs."
        return [lengths] * bool(known) + [skipped] * bool(self.skipped)


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

    Raises:
        ValueError: if another has a name that is taken, or another number of answers than there are prompts.

    Example:
        >>> from llm.testing import tiny_policy
        >>> def shorter(prompts, first, second):
        ...     return [0.5 + 0.1 * ((len(a) < len(b)) - (len(a) > len(b))) for a, b in zip(first, second)]
        >>> found = tournament(tiny_policy(), ["Why?", "How?"], shorter, Rollouts(max_new_tokens=4))
        >>> found.names
        ('base', 'Leader', 'Follower')
    """
    check_speaks(policy)
    check_kind(judge, Judge, "judge")
    check_kind(sampling, Rollouts | None, "sampling")
    check_kind(others, Mapping[str, Sequence[str]] | None, "others")
    check_count("seed", seed, least=0)
    check_kind(follower, bool, "follower")
    sampling, others = Rollouts() if sampling is None else sampling, others or {}
    _check(prompts, others)
    episodes = answered(policy, prompts, sampling, seed=seed, followers=int(follower))
    players = players_of(base_turns(policy, prompts, sampling, seed=seed), episodes)
    for name in others.keys() & players.keys():
        raise ValueError(f"{name} is the policy's own player, and another has the name too. Give that one another.")
    texts = {name: said.texts for name, said in players.items()} | {name: tuple(said) for name, said in others.items()}
    lengths = {name: said.length for name, said in players.items()}
    lengths |= {name: _counted(policy, said) for name, said in others.items()}
    return judged(texts, prompts, judge, lengths=lengths)


def judged(
    players: Mapping[str, Sequence[str]],
    prompts: Sequence[Prompt],
    judge: Judge,
    *,
    lengths: Mapping[str, float] | None = None,
) -> Tournament:
    """A tournament of answers that are there already.

    Args:
        players: names and answers, one a prompt.
        prompts: each is one independent observation.
        judge: asked once about every pair of answers, in either order for every other prompt: a judge that likes
            whatever comes first favours nobody.
        lengths: mean tokens of the players' answers, for the table.

    Raises:
        ValueError: if there are no prompts, or a player has another number of answers than there are prompts.
        TypeError: if the players are no names with answers.
    """
    check_kind(players, Mapping[str, Sequence[str]], "players")
    check_kind(judge, Judge, "judge")
    if len(players) < 2:
        raise ValueError(f"A tournament wants two players or more, not {len(players)}. Pass {{name: answers, ...}}.")
    _check(prompts, players)
    names, k, n = tuple(players), len(players), len(prompts)
    pairs = list(itertools.combinations(range(k), 2))
    first, second = ([text for pair in pairs for text in players[names[pair[side]]]] for side in (1, 0))
    turned = np.tile(np.arange(n) % 2 == 1, len(pairs))
    shown = [(b, a) if swap else (a, b) for a, b, swap in zip(first, second, turned, strict=True)]
    asked = list(prompts) * len(pairs), [a for a, _ in shown], [b for _, b in shown]
    p = ask(judge, *asked)
    watch_orders(judge, *asked, p)
    p = np.where(turned, 1 - p, p)
    fitted = LengthOnly.fit(first, second, p)([], first, second) if kept(p).any() else np.full(len(p), np.nan)
    judgements, alone = np.full((k, k, n), np.nan), np.full((k, k), np.nan)
    for (j, i), seen, by_length in zip(pairs, p.reshape(-1, n), fitted.reshape(-1, n), strict=True):
        judgements[i, j], judgements[j, i] = seen, 1 - seen
        alone[i, j], alone[j, i] = by_length.mean(), 1 - by_length.mean()
    counted = np.array([(lengths or {}).get(name, np.nan) for name in names])
    return Tournament(names, tuple(tuple(players[name]) for name in names), judgements, alone, counted)


def _check(prompts: Sequence[Prompt], players: Mapping[str, Sequence[str]]) -> None:
    check_prompts(prompts)
    if not len(prompts):
        raise ValueError("There are no prompts to answer. Pass one or more.")
    for name, texts in players.items():
        check_kind(texts, Sequence[str], f"The answers of {name}")
        if len(texts) != len(prompts):
            raise ValueError(f"{name} has {len(texts)} answers for {len(prompts)} prompts. Give one a prompt.")


def _counted(policy: TransformerPolicy, texts: Sequence[str]) -> float:
    """Mean tokens of texts from elsewhere, as the policy's tokenizer cuts them."""
    return float(np.mean([len(policy.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]))


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
