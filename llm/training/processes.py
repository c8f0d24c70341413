"""Several processes as one: how a step's prompts are divided, and sums over all."""

from __future__ import annotations

import atexit
import gc
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import nn

from llm.objective import Part
from llm.training.draws import Share

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those that share a run.

    Args:
        index: which it is.
        count: how many there are.

    Example:
        >>> Processes(1, 2).share(["a", "b", "c"])
        Share(prompts=['b', 'c'], first=1)
    """

    index: int = 0
    count: int = 1

    def share(self, prompts: Sequence[Any]) -> Share:
        """This process's part of a step's prompts; parts differ by one prompt at most."""
        begin, end = (len(prompts) * i // self.count for i in (self.index, self.index + 1))
        return Share(list(prompts[begin:end]), begin)

    def total(self, number: float) -> float:
        """The sum over all processes."""
        return float(self.totals(torch.tensor([number], dtype=torch.float64))[0])

    def totals(self, numbers: torch.Tensor) -> torch.Tensor:
        """The sums over all processes, of numbers on the CPU."""
        if self.count == 1:
            return numbers
        there = numbers.to(_device())
        torch.distributed.all_reduce(there)
        return there.cpu()

    def whole(self) -> AbstractContextManager[None]:
        """Within, every weight is here, and this process may draw as much or as little as it likes."""
        return nullcontext()

    def pull(self, parts: Iterator[Part], count: int, nothing: Callable[[], Part]) -> Iterator[Part]:
        """Take the micro-batches one by one, each followed by its backward pass.

        Args:
            parts: whose losses are made as they are asked for.
            count: how many there are.
            nothing: makes one that weighs nothing, for processes that must all make as many.
        """
        for part in parts:
            part.loss.backward()  # type: ignore[no-untyped-call]
            yield part

    def add_up(self, weights: Sequence[nn.Parameter]) -> None:
        """Make every gradient the sum of all processes'; one that a process does not have counts as 0."""
        if self.count == 1:
            return
        has = self.totals(torch.tensor([float(weight.grad is not None) for weight in weights]))
        for weight, some in zip(weights, has.tolist(), strict=True):
            if not some:
                continue
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            torch.distributed.all_reduce(weight.grad)

    def agree(self, weights: Sequence[nn.Parameter]) -> None:
        """Begin where the first process begins: adapters are drawn anew in each."""
        if self.count > 1:
            for weight in weights:
                torch.distributed.broadcast(weight.data, 0)

    def same(self, value: Any) -> Any:
        """What the first process has, on all."""
        return self.each(value)[0]

    def each(self, value: Any) -> list[Any]:
        """What every process has, on all."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(found, value)
        return found

    def together(self, act: Callable[[], T]) -> T:
        """Do what may fail on one process alone, such as asking a judge: then all of them end with its error.

        Every process calls this, and none goes on before all are done.

        Args:
            act: done here; within it no process may wait for another.

        Raises:
            Exception: that of ``act`` here, else that of the first process on which it failed, which a note names.

        Example:
            >>> ALONE.together(lambda: 2)
            2
        """
        if self.count == 1:
            return act()
        done: list[T] = []
        error: Exception | None = None
        try:
            done.append(act())
        except Exception as raised:  # of any judge; raised again below, when all know of it
            error = raised
        if self.total(float(error is not None)):
            told = self.each(None if error is None else _told(error))
            self._leave_at_the_end()
            index = next(index for index, each in enumerate(told) if each is not None)
            raise error or _understood(told[index], index)
        return done[0]

    def part(self) -> None:
        """Wait for the others, and see to it that the program's end takes leave of them: an abrupt one aborts."""
        if self.count > 1:
            self.total(0.0)
            self._leave_at_the_end()

    def _leave_at_the_end(self) -> None:
        atexit.unregister(_take_leave)
        atexit.register(_take_leave)


ALONE = Processes()


def _take_leave() -> None:
    if torch.distributed.is_initialized():
        gc.collect()  # what still knows the group would keep its threads alive into the interpreter's end
        torch.distributed.destroy_process_group()


def _told(error: Exception) -> tuple[bytes | None, str]:
    """An error for other processes: itself where it can be sent, and its words."""
    words = f"{type(error).__name__}: {error}"
    try:
        sent = pickle.dumps(error)
        return (sent if isinstance(pickle.loads(sent), Exception) else None), words
    except Exception:  # whatever an error's own methods raise
        return None, words


def _understood(told: tuple[bytes | None, str], index: int) -> Exception:
    """The error of another process."""
    sent, words = told
    error: Exception = RuntimeError(words) if sent is None else pickle.loads(sent)
    error.add_note(f"This was raised on process {index}, and ends all of them.")
    return error


def _device() -> torch.device:
    return torch.device("cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
