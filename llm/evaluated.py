"""What an evaluation found: win rates, the Follower's gap, and where length alone explains a gain."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llm.players import BASE
from llm.samples import Row, write
from llm.tournaments import Tournament
from stackelberg.estimate import Estimate

EXPLAINED = 0.8
"""The share of a gain that a judge of lengths alone must find to explain it."""


@dataclass(frozen=True, eq=False, repr=False)
class Evaluated:
    """What was found; its ``repr`` is a table to be read.

    Attributes:
        tournament: base, Leader and Follower against each other.
        gap: a lower bound of what the Follower leaves on the table in the game, and so of the duality gap; None without
            replies, and where ``omitted`` says why.
        agreement: the share of pairs on which the second judge takes the same side; None without one.
        finished: the share of each player's answers that ended by themselves.
        samples: rows to be read.
        omitted: why the gap was left out where it was asked for.

    Example:
        >>> from llm.tournaments import judged
        >>> from stackelberg.estimate import Kind
        >>> def later(prompts, first, second):
        ...     return [0.75 if a > b else 0.25 for a, b in zip(first, second)]
        >>> found = judged({"base": ["a", "b"], "Leader": ["c", "d"]}, ["?", "?"], later)
        >>> print(Evaluated(found, Estimate(0.02, Kind.LOWER_BOUND, 0.01), None, {"Leader": 0.5}, ()))
        ┏━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┓
        ┃ who    ┃ against ┃ preferred ┃ 95 % interval ┃ by length alone ┃
        ┡━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━┩
        │ Leader │ base    │ 0.750     │ 0.750 – 0.750 │ 0.500           │
        └────────┴─────────┴───────────┴───────────────┴─────────────────┘
        Ended by themselves: Leader 50%.
        The Follower's gap: ≥ 0.02 ± 0.01.
    """

    tournament: Tournament
    gap: Estimate | None
    agreement: Estimate | None
    finished: Mapping[str, float]
    samples: tuple[Row, ...]
    omitted: str | None = None

    def __repr__(self) -> str:
        """The table of win rates, and what else was found, a line each."""
        ended = ", ".join(f"{name} {share:.0%}" for name, share in self.finished.items())
        lines = [self.tournament.table(), *([f"Ended by themselves: {ended}."] if ended else [])]
        lines += [f"The Follower's gap: {self.gap}."] if self.gap is not None else []
        lines += [f"The judges agree: {self.agreement}."] if self.agreement is not None else []
        return "\n".join([*lines, *([self.omitted] if self.omitted else []), *self.warnings])

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
        """Where length alone explains a gain over the base: the words of :attr:`explained`."""
        return tuple(self.explained.values())

    @property
    def explained(self) -> dict[str, str]:
        """The players whose gain over the base length alone explains: who sees only lengths would find four fifths.

        Where a player's answers are longer to every prompt, nothing tells length from quality, and this is said too.
        """
        found, table = {}, self.tournament
        bases = [j for j, name in enumerate(table.names) if name == BASE]
        for j, (i, name) in itertools.product(bases, enumerate(table.names)):
            gain, alone = table.wins[i, j] - 0.5, table.length_only[i, j] - 0.5
            if table.interval[i, j, 0] > 0.5 and alone > EXPLAINED * gain:
                found[name] = (
                    f"{name} is preferred to the base in {gain + 0.5:.0%}, and length alone explains "
                    f"{alone + 0.5:.0%}. Look at the samples; llm.judges.LengthControlled takes length out."
                )
        return found

    def write(self, folder: Path, step: int) -> None:
        """The samples as a text to be read, ``step-N.md``, and as ``step-N.jsonl``."""
        opening = [f"# After {step} steps", "", "```", self.tournament.table(), "```", *self.warnings]
        write(folder, step, self.samples, opening)
