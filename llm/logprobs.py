"""Token log-probabilities of one or two completions in a sequence, from one forward pass.

Hidden states are taken where a completion token is predicted, and only those meet the output layer, a chunk at a
time, computed again in the backward pass: the vocabulary × the sequence never exist together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from llm.generation import padded
from llm.output import Output
from llm.sampling import Sampling
from llm.speaker import Speaker


class Side(Enum):
    """Where a batch is padded."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True)
class Span:
    """A completion in a sequence.

    Args:
        start: the index of the token that its first token is predicted from.
        targets: its tokens. The last may be an end mark that is not in the sequence.
    """

    start: int
    targets: tuple[int, ...]


@dataclass(frozen=True)
class Strip:
    """A sequence and the completions in it that are scored.

    Raises:
        ValueError: if a span begins before the sequence or ends behind it.
    """

    ids: tuple[int, ...]
    spans: tuple[Span, ...]

    def __post_init__(self) -> None:
        for span in self.spans:
            if not 0 <= span.start <= span.start + len(span.targets) - 1 < len(self.ids):
                raise ValueError(
                    f"A span of {len(span.targets)} tokens predicted from token {span.start} on does not lie in a "
                    f"sequence of {len(self.ids)}. Give a prompt at least one token and a completion at least one."
                )


@dataclass(frozen=True, eq=False)
class Scores:
    """Of every span in order, each (tokens of the span,).

    Args:
        log_prob: under the policy; with a gradient where one is wanted.
        reference: under the reference, or None.
        kl: the exact KL of the next token at every position, or None.
    """

    log_prob: list[Tensor]
    reference: list[Tensor] | None = None
    kl: list[Tensor] | None = None


@dataclass(frozen=True)
class Scorer:
    """How strips are scored; no option changes a result by more than rounding.

    Args:
        sampling: temperature and truncation: what is scored is what was drawn from.
        micro_batch_tokens: at most so many tokens, padding included, go through the network at once.
        chunk: at most so many logits exist at once; by default 2²² on a CPU, 2²⁶ elsewhere.
        side: where a batch is padded. In float64 with eager attention, left padding makes NaN gradients.
    """

    sampling: Sampling
    micro_batch_tokens: int = 16384
    chunk: int | None = None
    side: Side = Side.RIGHT

    def __call__(
        self, speaker: Speaker, strips: Sequence[Strip], *, reference: Speaker | None = None, kl: bool = False
    ) -> Scores:
        """Score every span of the strips.

        Args:
            speaker: the policy; its gradients flow unless they are switched off.
            strips: sequences with their spans.
            reference: scored beside it, without gradients.
            kl: whether the exact KL to the reference is wanted at every position.
        """
        found: list[tuple[list[Tensor], ...] | None] = [None] * len(strips)
        for batch in micro_batches([len(strip.ids) for strip in strips], self.micro_batch_tokens):
            scored = self._batch(speaker, [strips[i] for i in batch], reference, kl)
            for i, row in zip(batch, scored, strict=True):
                found[i] = row
        columns = [[span for row in found if row is not None for span in row[k]] for k in range(3)]
        return Scores(columns[0], columns[1] if reference else None, columns[2] if kl else None)

    def _batch(
        self, speaker: Speaker, strips: list[Strip], reference: Speaker | None, kl: bool
    ) -> list[tuple[list[Tensor], ...]]:
        ids, mask = padded([strip.ids for strip in strips], 0, left=self.side is Side.LEFT)
        rows, places, targets = (each.to(speaker.device) for each in _scored(strips, mask, self.side))
        with speaker.active():
            states = _states(speaker, ids, mask)[rows, places]
        far = None
        if reference is not None:
            with reference.listening():
                far = _states(reference, ids, mask)[rows.to(reference.device), places.to(reference.device)]
        chunks = self._output(speaker, reference).chunks(states, targets, far, kl=kl)
        flat = [torch.cat(column) if column[0] is not None else None for column in zip(*chunks, strict=True)]
        lengths = [len(span.targets) for strip in strips for span in strip.spans]
        pieces = [iter(torch.split(column, lengths)) if column is not None else None for column in flat]
        return [
            tuple([next(column) for _ in strip.spans] if column is not None else [] for column in pieces)
            for strip in strips
        ]

    def _output(self, speaker: Speaker, reference: Speaker | None) -> Output:
        """What makes log-probabilities of hidden states; :mod:`llm.mixture` has its own."""
        return Output(self.sampling, speaker, reference, self.chunk)


def micro_batches(lengths: Sequence[int], budget: int, option: str = "micro_batch_tokens") -> list[list[int]]:
    """Indices in batches of like length, the longest first, each of at most ``budget`` tokens with padding.

    Args:
        lengths: of the sequences.
        budget: in tokens.
        option: what the budget was called by whoever set it.

    Raises:
        ValueError: if one alone is longer than the budget.

    Example:
        >>> micro_batches([3, 9, 4, 2], budget=10)
        [[1], [2, 0], [3]]
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    if order and lengths[order[0]] > budget:
        raise ValueError(
            f"A sequence has {lengths[order[0]]} tokens and {option} is {budget}. "
            f"Raise {option}, or shorten prompts or completions."
        )
    batches: list[list[int]] = []
    for i in order:
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def _states(speaker: Speaker, ids: Tensor, mask: Tensor) -> Tensor:
    """Hidden states with positions counted from the first token that is no padding."""
    mask = mask.to(speaker.device)
    return speaker.hidden(ids.to(speaker.device), mask, (mask.cumsum(-1) - 1).clamp_min(0))


def _scored(strips: list[Strip], mask: Tensor, side: Side) -> tuple[Tensor, Tensor, Tensor]:
    """Row, slot and target of every scored token."""
    rows: list[int] = []
    places: list[int] = []
    targets: list[int] = []
    for row, strip in enumerate(strips):
        shift = mask.shape[1] - len(strip.ids) if side is Side.LEFT else 0
        for span in strip.spans:
            rows += [row] * len(span.targets)
            places += range(shift + span.start, shift + span.start + len(span.targets))
            targets += span.targets
    return torch.tensor(rows), torch.tensor(places), torch.tensor(targets)
