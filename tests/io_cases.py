"""Small files in several formats, and what it means that two matrices are the same."""

from __future__ import annotations

from pathlib import Path

from numpy.testing import assert_array_equal

from stackelberg import Ballots, Counts, PreferenceMatrix
from stackelberg.io import read_preferences

TOC = """# FILE NAME: 00000-00000001.toc
# TITLE: Breakfast, or: what to eat
# DATA TYPE: toc
# NUMBER ALTERNATIVES: 3
# NUMBER VOTERS: 6
# NUMBER UNIQUE ORDERS: 2
# ALTERNATIVE NAME 1: Müsli, warm
# ALTERNATIVE NAME 2: Toast: brown
# ALTERNATIVE NAME 3: 粥
4: 1, {2, 3}
2: 3,2,1
"""
WMD = """# DATA TYPE: wmd
# NUMBER ALTERNATIVES: 3
# NUMBER EDGES: 3
# ALTERNATIVE NAME 1: A
# ALTERNATIVE NAME 2: B
# ALTERNATIVE NAME 3: C
1,2,3.0
2, 1, 1.0
2,3,0.5
"""
JSONL = '{"chosen": "A", "rejected": "B", "count": 3}\n\n{"chosen": "B", "rejected": "A"}\n'


def read(content: str | bytes, ending: str, folder: Path, **options: object) -> PreferenceMatrix:
    path = folder / f"given{ending}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_preferences(path, **options)


def check_same(first: PreferenceMatrix, second: PreferenceMatrix) -> None:
    """The same matrix to the last bit, with the same labels and evidence."""
    assert first.labels == second.labels
    assert first.probabilities.tobytes() == second.probabilities.tobytes()
    assert first.probabilities.shape == second.probabilities.shape
    assert type(first.evidence) is type(second.evidence)
    if isinstance(first.evidence, Counts):
        assert_array_equal(first.evidence.wins, second.evidence.wins)
        assert_array_equal(first.evidence.ties, second.evidence.ties)
    if isinstance(first.evidence, Ballots):
        assert_array_equal(first.evidence.weights, second.evidence.weights)
        assert_array_equal(first.evidence.ranks, second.evidence.ranks)
        assert first.evidence.unranked is second.evidence.unranked
