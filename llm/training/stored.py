"""A checkpoint's files as they are found again: whole, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError


@contextmanager
def whole(checkpoint: Path, *names: str) -> Iterator[None]:
    """Around the reading of some of a checkpoint's files, which may have been cut or changed since it was written.

    Raises:
        ValueError: if it cannot be read; with what to do.

    Example:
        >>> with whole(Path("runs/a/checkpoint-3"), "optimizer.pt"):
        ...     raise EOFError
        Traceback (most recent call last):
            ...
        ValueError: runs/a/checkpoint-3: optimizer.pt is damaged (EOFError). Delete runs/a/checkpoint-3 to ...
    """
    try:
        yield
    except (OSError, EOFError, ValueError, LookupError, RuntimeError, SafetensorError, UnpicklingError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        broken = [name for name in names if not is_zipfile(checkpoint / name)]  # as torch writes them
        raise ValueError(
            f"{checkpoint}: {' or '.join(broken or names)} is damaged ({type(error).__name__}). Delete {checkpoint} to "
            "go on from the checkpoint before it, or take a new folder."
        ) from error
