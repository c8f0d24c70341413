"""Hypothesis profiles, and the way to real data sets that lie beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Drawings in tests go to files; no test opens a window.
os.environ.setdefault("MPLBACKEND", "Agg")

# The default always draws the same examples, so that a red test is red for everyone. `thorough` looks
# for new ones and prints how to repeat what it finds:
#     HYPOTHESIS_PROFILE=thorough make test
# Times are no part of a law: deadlines and the health check on speed are off.
settings.register_profile(
    "default",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "thorough",
    derandomize=False,
    deadline=None,
    max_examples=1000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

TESTS = Path(__file__).resolve().parent
CHECKOUT = TESTS.parent

# Helpers like cases.py are imported by the tests (`from cases import ...`). Collected for doctests they
# would be imported a second time, as tests.cases, with classes of their own.
collect_ignore = [
    str(path.relative_to(TESTS)) for path in TESTS.rglob("*.py") if not path.name.startswith(("test_", "conftest"))
]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: ``$STACKELBERG_DATA``, else ``../shared/data`` beside the checkout.

    The data sets are not part of the project. Where the folder is absent the test is skipped and says so.
    """
    named = os.environ.get("STACKELBERG_DATA")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if not folder.is_dir():
        where = "STACKELBERG_DATA names no folder" if named else "no ../shared/data beside the checkout"
        pytest.skip(f"real data sets are absent: {where}")
    return folder
