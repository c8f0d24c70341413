"""A checkpoint's files as they are found again: whole, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError


@contextmanager
def whole(checkpoint: Path, name: str) -> Iterator[None]:
    """Around the reading of a checkpoint's file, which may have been cut or changed since it was written.

    Raises:
        ValueError: if it cannot be read; with what to do.

    Example:
        >>> with whole(Path("runs/a/checkpoint-3"), "optimizer.pt"):
        ...     raise EOFError
        Traceback (most recent call last):
            ...
        ValueError: runs/a/checkpoint-3: optimizer.pt is damaged (EOFError). Delete runs/a/checkpoint-3 to go on from ...
    """
    try:
        yield
    except (OSError, EOFError, ValueError, LookupError, RuntimeError, SafetensorError, UnpicklingError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        first = next((line for line in str(error).splitlines() if line), "").rstrip(".")
        raise ValueError(
            f"{checkpoint}: {name} is damaged ({': '.join(filter(None, (type(error).__name__, first[:120])))}). Delete "
            f"{checkpoint} to go on from the checkpoint before it, or take a new folder."
        ) from error
