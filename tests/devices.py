"""The torch devices that tests run on: a fixture, and what chooses among them.

The processor always; a CUDA device where there is one. ``STACKELBERG_DEVICE`` names a single one in their place:
``cuda``, which then has to be there (``make cuda``), or ``far``, see ``far.py``.
"""

from __future__ import annotations

import os

import pytest

CHOSEN = os.environ.get("STACKELBERG_DEVICE")
NAMES = (CHOSEN,) if CHOSEN else ("cpu", "cuda")


@pytest.fixture(params=NAMES)
def device(request) -> str:
    """The name of a torch device that is here; skipped, with the reason, where it is not."""
    name: str = request.param
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if name == "far":
        import far

        assert name == far.NAME
    if name.startswith("cuda") and not torch.cuda.is_available():
        why = f"torch {torch.__version__} sees no CUDA device here"
        pytest.fail(why) if CHOSEN else pytest.skip(why)
    return name
