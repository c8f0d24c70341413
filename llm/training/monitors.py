"""What is seen of a step: sums and counts that add up over micro-batches and processes, and warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from llm.objective import Part
from llm.rollouts import Turn
from llm.training.draws import Draws
from stackelberg.gradient import Completions

ROLES = ("leader", "follower")


@dataclass(eq=False)
class Tally:
    """Means under way: a sum and a count by name.

    Example:
        >>> tally = Tally()
        >>> tally.add("length", [3.0, 4.0])
        >>> tally.add("length", [8.0])
        >>> tally.means()
        {'length': 5.0}
    """

    sums: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, name: str, values: Any) -> None:
        """Count some values in."""
        numbers = torch.as_tensor(values, dtype=torch.float64)
        total, count = self.sums.get(name, (0.0, 0.0))
        self.sums[name] = total + float(numbers.sum()), count + numbers.numel()

    def as_tensor(self, names: Sequence[str]) -> Tensor:
        """(names, 2): to be added up with those of other processes."""
        return torch.tensor([self.sums.get(name, (0.0, 0.0)) for name in names], dtype=torch.float64)

    def means(self, numbers: Tensor | None = None, names: Sequence[str] = ()) -> dict[str, float]:
        """The means, of ``numbers`` if they were added up; what was never counted is left out."""
        rows = self.sums if numbers is None else dict(zip(names, map(tuple, numbers.tolist()), strict=True))
        return {name: total / count for name, (total, count) in rows.items() if count}


def names_of(players: int, *, exact: bool = False) -> list[str]:
    """What is measured of each step, in the same order on every process.

    Args:
        players: 2 with a Follower.
        exact: whether the KL over the vocabulary is at hand.

    Example:
        >>> names_of(1)[:4]
        ['earned', 'skipped', 'generator_gap', 'kl']
    """
    roles = ROLES if players == 2 else ("",)
    measured = ("kl", *(("kl_rao_blackwell",) if exact else ()), "entropy", "length", "finished")
    return ["earned", "skipped", "generator_gap", *(_named(role, each) for role in roles for each in measured)]


def observe(tally: Tally, part: Part, draws: Draws) -> None:
    """Count one micro-batch in.

    - ``earned``: what the rollouts earned who moves first, without KL.
    - ``kl``: the log-ratio of a whole answer to its reference, whose mean is the KL, in nats.
    - ``kl_rao_blackwell``: the same mean with less noise: the sum over an answer's tokens of the exact KL of the next
      token over the vocabulary. Where ``Rollouts(kl=RaoBlackwell())`` has it at hand, and only there.
    - ``entropy``: −log π of a token, whose mean is the entropy, in nats a token.
    - ``length``: tokens, the end mark included; ``finished``: whether the answer ended by itself.
    - ``generator_gap``: |log π as the generator had it − as the trainer has it| of a token: near rounding where
      rollouts are of the policy that learns from them.
    """
    tally.add("earned", draws.earned[list(part.rows)])
    said = [draws.episodes[row] for row in part.rows]
    sides: list[tuple[Completions, list[Turn]]] = [(part.batch.leader, [each.leader for each in said])]
    if part.batch.follower is not None:
        sides.append((part.batch.follower, [each.follower for each in said if each.follower is not None]))
    for role, (completions, turns) in zip(ROLES if len(sides) == 2 else ("",), sides, strict=True):
        _observe_role(tally, role, completions, turns)


def _observe_role(tally: Tally, role: str, said: Completions, turns: Sequence[Turn]) -> None:
    mask = said.mask > 0
    log_prob = said.log_prob.detach()
    tally.add(_named(role, "kl"), said.log_ratios.sum(-1))
    if said.kl is not None:
        tally.add(_named(role, "kl_rao_blackwell"), said.exact_kl.detach().sum(-1))
    tally.add(_named(role, "entropy"), -log_prob[mask])
    tally.add(_named(role, "length"), mask.sum(-1))
    tally.add(_named(role, "finished"), [float(turn.completion.finished) for turn in turns])
    for row, turn in enumerate(turns):
        if turn.completion.log_probs is not None:
            told = torch.tensor(turn.completion.log_probs, dtype=torch.float64)
            tally.add("generator_gap", (log_prob[row][mask[row]].double().cpu() - told).abs())


def observe_draws(tally: Tally, draws: Draws) -> None:
    """Count a look's rollouts in: how many the judge skipped."""
    tally.add("skipped", [0.0] * len(draws.episodes) + [1.0] * draws.skipped)


@dataclass(eq=False)
class Drift:
    """Says, once each, when a run leaves what it should stay near to.

    Args:
        most_kl: nats an answer, above which the reference is left.
        least_entropy: the share of the first steps' entropy below which answers have become one.
        most_length: the share by which answers may become longer or shorter.
        least_finished: by how much the share of answers that end by themselves may fall.
    """

    most_kl: float = 50.0
    least_entropy: float = 0.1
    most_length: float = 0.5
    least_finished: float = 0.2
    first: dict[str, float] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)

    def __call__(self, row: Mapping[str, float]) -> list[str]:
        """The warnings that a step gives for the first time; the first step is what later ones are held against."""
        if not self.first:
            self.first = dict(row)
        found = {}
        for name, value in row.items():
            who = name.split("/")[0] if "/" in name else "policy"
            measured, before = name.split("/")[-1], self.first.get(name, value)
            if measured == "kl" and value > self.most_kl:
                found[name] = f"{who}: KL {value:.3g} nats an answer: far from the reference. Raise tau."
            elif measured == "entropy" and value < self.least_entropy * before:
                found[name] = f"{who}: entropy fell from {before:.3g} to {value:.3g} nats a token: answers become one."
            elif measured == "length" and abs(value - before) > self.most_length * before:
                found[name] = (
                    f"{who}: answers went from {before:.3g} to {value:.3g} tokens: see whether length alone wins."
                )
            elif measured == "finished" and value < before - self.least_finished:
                found[name] = (
                    f"{who}: {value:.0%} of answers end by themselves, {before:.0%} did. Raise max_new_tokens."
                )
            elif measured == "generator_gap" and value > 0.1:
                found[name] = (
                    f"The generator's log-probabilities are {value:.2g} nats a token off the trainer's: rollouts are "
                    "not of the policy that learns. Look at temperature, precision and adapters."
                )
        new = {name: words for name, words in found.items() if name not in self.said}
        self.said |= set(new)
        return list(new.values())


def _named(role: str, what: str) -> str:
    return f"{role}/{what}" if role else what
