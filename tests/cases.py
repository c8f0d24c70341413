"""What the laws range over: kinds of preference matrices, and one row a solution concept.

A new concept or solver is one more row of CONCEPTS; every law in tests/laws then holds it to account.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import stackelberg as sb


@dataclass(frozen=True)
class Concept:
    """A game, how it is built at one τ with one reference, and where its first mover's policy is read."""

    name: str
    game: Callable[..., Any]
    policy: Callable[[Any], np.ndarray]
    condorcet_consistent: bool


def _stackelberg(p, tau, reference=None):
    return sb.StackelbergGame(p, tau=tau, leader_reference=reference, follower_reference=reference)


CONCEPTS = [
    Concept("stackelberg", _stackelberg, lambda solution: solution.leader, True),
    Concept("nash", lambda p, tau, reference=None: sb.NashGame(p, tau, reference), lambda s: s.policy, True),
    Concept(
        "reward", lambda p, tau, reference=None: sb.RewardGame(p, tau, reference=reference), lambda s: s.policy, False
    ),
]
GAMES = [concept for concept in CONCEPTS if concept.condorcet_consistent]
TAUS = [1e-6, 1e-4, 1e-2, 0.1, 1.0, 30.0, 1e3]


def complete(upper: np.ndarray) -> np.ndarray:
    """The preference matrix with this strict upper triangle."""
    upper = np.triu(upper, 1)
    return upper + np.tril(1 - upper.T, -1) + 0.5 * np.eye(len(upper))


def relabelled(p: np.ndarray, order: np.ndarray) -> np.ndarray:
    return p[np.ix_(order, order)]


def tournaments(n: int) -> np.ndarray:
    """Every tournament without ties on n actions, (2^(n(n−1)/2), n, n)."""
    rows, columns = np.triu_indices(n, 1)
    bits = (np.arange(2 ** len(rows))[:, None] >> np.arange(len(rows))) & 1
    p = np.full((len(bits), n, n), 0.5)
    p[:, rows, columns] = bits
    p[:, columns, rows] = 1 - bits
    return p


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
references = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed))
shares = st.lists(st.floats(0.02, 1), min_size=3, max_size=3).map(np.array).map(lambda a: a / a.sum())
