"""How a refusal is looked at: both of its parts, and nothing of a library in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest


def refuses(act, error, wrong, mend):
    """Both parts of the message, and that there is nothing of a library's own in it."""
    with pytest.raises(error) as caught:
        act()
    message = str(caught.value)
    assert re.search(wrong, message), message
    assert re.search(mend, message), message
    assert not re.search(r"not supported between|ufunc|has no attribute|object is not|has no len", message), message


def cut(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
