"""Kinds of preference matrices, as hypothesis draws them; tests import them from ``cases``."""

from __future__ import annotations

import numpy as np
from cases import complete
from hypothesis import strategies as st

import stackelberg as sb


@st.composite
def _from_entries(draw, entries, low=1, high=7):
    n = draw(st.integers(low, high))
    return complete(np.array(draw(st.lists(entries, min_size=n * n, max_size=n * n))).reshape(n, n))


@st.composite
def _duplicated(draw):
    """A matrix in which some action stands twice."""
    p = draw(_from_entries(st.floats(0, 1), 2, 5))
    order = np.append(np.arange(len(p)), draw(st.integers(0, len(p) - 1)))
    return p[np.ix_(order, order)]


@st.composite
def _blocks(draw):
    """Two groups: within each anything, between them one constant."""
    first, second = draw(_from_entries(st.floats(0, 1), 1, 4)), draw(_from_entries(st.floats(0, 1), 1, 4))
    between = draw(st.sampled_from([0.5, 0.6, 1.0]))
    top = np.full((len(first), len(second)), between)
    return np.block([[first, top], [1 - top.T, second]])


@st.composite
def _cycles(draw):
    return sb.PreferenceMatrix.cycle(draw(st.integers(1, 8)), draw(st.floats(0.5, 1.0))).probabilities


random_matrices = _from_entries(st.floats(0, 1))
tied_matrices = _from_entries(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
near_deterministic = _from_entries(st.sampled_from([1e-12, 1e-6, 1 - 1e-6, 1 - 1e-12, 0.0, 1.0]))
crowded = _from_entries(st.floats(0.5 - 1e-9, 0.5 + 1e-9))
preferences = st.one_of(
    random_matrices, tied_matrices, near_deterministic, crowded, _duplicated(), _blocks(), _cycles()
)
interior = _from_entries(st.floats(0.02, 0.98))
cyclic = _cycles()
references = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed))
shares = st.lists(st.floats(0.02, 1), min_size=3, max_size=3).map(np.array).map(lambda a: a / a.sum())
