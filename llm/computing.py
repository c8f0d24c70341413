"""In which precision a policy's networks compute: the same in drawing as in scoring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Computing:
    """How a policy's networks are run; what draws and what scores both go through it.

    Were answers drawn in one precision and scored in another, the log-probabilities of the two would differ by more
    than rounding, and the gradient would be of a policy that did not speak.

    Args:
        precision: computed in by ``torch.autocast``, whatever the weights are kept in; None for that of the weights.

    Example:
        >>> layer = torch.nn.Linear(2, 2)
        >>> with Computing(torch.bfloat16).scoring(torch.device("cpu")):
        ...     layer(torch.ones(1, 2)).dtype, layer.weight.dtype
        (torch.bfloat16, torch.float32)
    """

    precision: torch.dtype | None = None

    @contextmanager
    def generating(self, device: torch.device) -> Iterator[None]:
        """Around everything that is drawn in one go."""
        with self._cast(device):
            yield

    @contextmanager
    def scoring(self, device: torch.device) -> Iterator[None]:
        """Around one forward pass. The backward pass is none of its business, and belongs outside."""
        with self._cast(device):
            yield

    @contextmanager
    def _cast(self, device: torch.device) -> Iterator[None]:
        if self.precision is None:
            yield
            return
        with torch.autocast(device.type, dtype=self.precision):
            yield
