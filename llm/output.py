"""From hidden states to log-probabilities: the output layer, a chunk of tokens at a time.

A chunk's logits are made, read and dropped; the backward pass makes them again. Those of the last chunk stay, because
the backward pass begins with them. So a matrix of tokens × vocabulary never exists beyond a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from llm.sampling import Sampling
from llm.speaker import Speaker
from stackelberg.gradient import position_kl

Columns = tuple[Tensor, Tensor | None, Tensor | None]
"""Log-probability, the reference's, and the exact KL: a number a token each."""


class _Taken(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        """Turns the logits into probabilities where they lie, and keeps those."""
        top = logits.amax(-1, keepdim=True)
        chosen = logits.gather(-1, targets[:, None]) - top
        probabilities = logits.sub_(top).exp_()
        total = probabilities.sum(-1, keepdim=True)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(probabilities.div_(total), targets)
        return (chosen - total.log_())[:, 0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        """``∂ log p(target) / ∂ logit_v = [v = target] − p(v)``."""
        probabilities, targets = ctx.saved_tensors
        column = upstream[:, None]
        return (probabilities * -column).scatter_add_(-1, targets[:, None], column), None


def taken(logits: Tensor, targets: Tensor) -> Tensor:
    """``log_softmax(logits)[i, targets[i]]`` for every row, (rows,).

    **The logits are overwritten**: no second matrix of rows × vocabulary is made forwards, and one backwards. Autograd
    notices where somebody else still needs them, and raises. It is differentiable once.

    Args:
        logits: (rows, V), in float32 or better; −∞ is probability 0.
        targets: (rows,).

    Example:
        >>> taken(torch.tensor([[0.0, 0.0], [0.0, -torch.inf]]), torch.tensor([1, 0]))
        tensor([-0.6931,  0.0000])
    """
    result: Tensor = _Taken.apply(logits, targets)  # type: ignore[no-untyped-call]
    return result


@dataclass(frozen=True, eq=False)
class Output:
    """The output layers of a policy and its reference.

    Args:
        sampling: the distribution that is scored.
        speaker: the policy.
        reference: its reference, if that is wanted.
        chunk: at most so many logits at once; by default 2²² on a CPU, 2²⁶ elsewhere.
    """

    sampling: Sampling
    speaker: Speaker
    reference: Speaker | None = None
    chunk: int | None = None

    def chunks(self, states: Tensor, targets: Tensor, far: Tensor | None, *, kl: bool) -> Iterator[Columns]:
        """The columns of a chunk after another.

        Args:
            states: the policy's hidden states, (tokens, width).
            targets: (tokens,).
            far: the reference's hidden states; None without one.
            kl: whether the exact KL is wanted.
        """
        vocabulary = self.speaker.core.get_output_embeddings().weight.shape[0]
        room = self.chunk or (1 << 22 if states.device.type == "cpu" else 1 << 26)
        step = max(1, room // vocabulary)
        for at in range(0, len(states), step):
            part = slice(at, at + step)
            beside = None if far is None else far[part]
            again = part.stop < len(states)
            yield self.columns(states[part], targets[part], beside, kl=kl, again=again)

    def columns(self, states: Tensor, targets: Tensor, far: Tensor | None, *, kl: bool, again: bool) -> Columns:
        """Those of one chunk; ``again`` says that the backward pass shall make its logits once more."""
        if kl and far is not None:
            exact: Columns = _perhaps(again, self._exactly, states, targets, far)
            return exact
        own: Tensor = _perhaps(again, self._own, states, targets)
        return own, None if far is None else self._others(far, targets).to(own.device), None

    def _own(self, states: Tensor, targets: Tensor) -> Tensor:
        with self.speaker.head():
            logits = self.sampling.unnormalised(self.speaker.logits(states))  # (tokens, V)
        return taken(logits, targets)

    def _others(self, far: Tensor, targets: Tensor) -> Tensor:
        reference = cast(Speaker, self.reference)  # whose states these are
        with torch.no_grad(), reference.head():
            return taken(self.sampling.unnormalised(reference.logits(far)), targets.to(far.device))

    def _exactly(self, states: Tensor, targets: Tensor, far: Tensor) -> Columns:
        reference = cast(Speaker, self.reference)
        with self.speaker.head():
            own = self.sampling.log_probs(self.speaker.logits(states))
        with torch.no_grad(), reference.head():
            theirs = self.sampling.log_probs(reference.logits(far)).to(own.device)
        column = targets[:, None]
        return own.gather(-1, column)[:, 0], theirs.gather(-1, column)[:, 0], position_kl(own, theirs)


def _perhaps(again: bool, score: Any, *arguments: Tensor) -> Any:
    """Score now, and, if so wanted, again in the backward pass."""
    if not again:
        return score(*arguments)
    return checkpoint(score, *arguments, use_reentrant=False, preserve_rng_state=False)
