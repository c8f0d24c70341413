"""The order in a preference matrix: the majority relation, its winners, and the sets that stand in for one.

Everything starts from ``beats = majority(P)``, a boolean (…, n, n) array, and most functions keep the leading
axes, so that a thousand bootstrap draws are one call. Answers are masks over the actions, (…, n).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stackelberg import PreferenceMatrix
from stackelberg.validation import Array

Mask = NDArray[np.bool_]

ROUNDING = 1e-12
"""Probabilities closer to ½ than this are ties: they differ from it by rounding alone."""


def one_context(P: PreferenceMatrix, context: int | None = None) -> PreferenceMatrix:
    """The single matrix that an analysis is about, with its labels and its evidence.

    Args:
        P: one matrix, or one a context.
        context: which context; needed where there are contexts, and refused where there are none.

    Raises:
        ValueError: no context chosen among several, or one that does not exist.

    Example:
        >>> import stackelberg as sb
        >>> one_context(sb.PreferenceMatrix.random(3, contexts=2), context=1).probabilities.shape
        (3, 3)
    """
    if context is not None:
        return P.at(context)
    if P.contexts is not None:
        raise ValueError(f"P has {P.contexts} contexts, and this is about one. Choose it: context=0 (--context 0).")
    return P


def margins(P: ArrayLike) -> Array:
    """``M = (P − Pᵀ)/2``, (…, n, n): p − ½, made exactly skew-symmetric.

    >>> margins([[0.5, 0.75], [0.25, 0.5]])
    array([[ 0.  ,  0.25],
           [-0.25,  0.  ]])
    """
    p = np.asarray(P, dtype=np.float64)
    return np.asarray((p - np.swapaxes(p, -1, -2)) / 2)


def majority(P: ArrayLike, tolerance: float = 0.0) -> Mask:
    """The strict majority relation: y beats y' where ``p(y ≻ y') > ½ + tolerance``.

    Args:
        P: (…, n, n) preferences.
        tolerance: margins up to it are ties, in [0, ½). 0 compares exactly, up to rounding (1e-12).

    Returns:
        beats: (…, n, n) booleans; never both ``beats[y, y']`` and ``beats[y', y]``, and neither in a tie.

    Example:
        >>> import stackelberg as sb
        >>> majority(sb.PreferenceMatrix.cycle(3)).astype(int)
        array([[0, 1, 0],
               [0, 0, 1],
               [1, 0, 0]])
    """
    return np.asarray(margins(P) > check_tolerance(tolerance))


def check_tolerance(tolerance: float) -> float:
    """``tolerance``, at least :data:`ROUNDING`, or a ``ValueError`` where it is not in [0, ½)."""
    if not 0 <= tolerance < 0.5:
        raise ValueError(f"tolerance is a margin around 1/2 and must be in [0, 0.5), not {tolerance!r}.")
    return max(float(tolerance), ROUNDING)


def condorcet_winner(beats: Mask) -> Mask:
    """The action that beats every other: a mask (…, n) with at most one True.

    >>> import stackelberg as sb
    >>> condorcet_winner(majority(sb.PreferenceMatrix.from_scores([1, 3, 2]))).tolist()
    [False, True, False]
    """
    return np.asarray(beats.sum(axis=-1) == beats.shape[-1] - 1)


def condorcet_loser(beats: Mask) -> Mask:
    """The action that every other beats: a mask (…, n) with at most one True.

    >>> import stackelberg as sb
    >>> condorcet_loser(majority(sb.PreferenceMatrix.from_scores([1, 3, 2]))).tolist()
    [True, False, False]
    """
    return np.asarray(beats.sum(axis=-2) == beats.shape[-1] - 1)


def weak_condorcet_winners(beats: Mask) -> Mask:
    """The actions that none beats (they may tie with some): a mask (…, n).

    >>> weak_condorcet_winners(majority([[0.5, 0.5, 0.9], [0.5, 0.5, 0.5], [0.1, 0.5, 0.5]])).tolist()
    [True, True, False]
    """
    return np.asarray(~beats.any(axis=-2))


def smith_set(beats: Mask) -> Mask:
    """The smallest non-empty set whose members each beat everyone outside it: a mask (…, n).

    A member of such a dominant set has more wins minus losses than anyone outside, ties or not, so dominant
    sets are prefixes of the order by that score; the shortest dominant prefix is found in O(n²) for every
    matrix of a batch at once. Equivalently the top strongly connected component of "is not beaten by".

    Source: Smith, *Aggregation of preferences with variable electorate*, Econometrica 41 (1973).

    Example:
        >>> import stackelberg as sb
        >>> smith_set(majority(sb.PreferenceMatrix.cycle(4))).tolist()
        [True, True, True, True]
    """
    n = beats.shape[-1]
    score = beats.sum(axis=-1, dtype=np.int64) - beats.sum(axis=-2, dtype=np.int64)
    order = np.argsort(-score, axis=-1, kind="stable")  # (…, n) best first
    ranked = np.take_along_axis(beats, order[..., :, None], axis=-2)
    ranked = np.take_along_axis(ranked, order[..., None, :], axis=-1)
    not_beaten = n - 1 - np.argmax(~ranked[..., ::-1], axis=-1)  # the last one that each does not beat
    reach = np.maximum.accumulate(not_beaten, axis=-1)
    size = 1 + np.argmax(reach == np.arange(n), axis=-1)  # the first k whose members all beat the rest
    members = np.zeros(beats.shape[:-1], dtype=bool)
    np.put_along_axis(members, order, np.arange(n) < size[..., None], axis=-1)
    return members


def schwartz_set(beats: Mask) -> Mask:
    """The union of the minimal undominated sets (no one outside beats a member): a mask (n,).

    These are the strongly connected components of "beats" that nothing outside beats. Within the Smith set,
    and equal to it where there are no ties; smaller, sometimes, where there are.

    Source: Schwartz, *Rationality and the myth of the maximum*, Noûs 6 (1972).

    Args:
        beats: (n, n) strict majority relation of a single matrix.

    Example:
        >>> beats = majority([[0.5, 0.9, 0.5], [0.1, 0.5, 0.5], [0.5, 0.5, 0.5]])  # A beats B, all tie with C
        >>> smith_set(beats).tolist(), schwartz_set(beats).tolist()
        ([True, True, True], [True, False, True])
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    members = np.flatnonzero(smith_set(beats))
    inside = beats[np.ix_(members, members)]
    answer = np.zeros(len(beats), dtype=bool)
    if not has_ties(inside):
        answer[members] = True
        return answer
    number, part = connected_components(csr_array(inside), directed=True, connection="strong")
    enters = inside & (part[:, None] != part[None, :])
    beaten = np.zeros(number, dtype=bool)
    beaten[part[enters.any(axis=0)]] = True
    answer[members] = ~beaten[part]
    return answer


def has_ties(beats: Mask) -> bool:
    """Whether any two different actions tie, in any matrix of the batch."""
    n = beats.shape[-1]
    return int(beats.sum()) < beats.size // (n * n) * (n * (n - 1) // 2)


def minimax_leaders(P: ArrayLike) -> Mask:
    """The actions with the best worst case, ``argmax_y min_y' p(y ≻ y')``, ties (1e-12) included: (…, n).

    The Simpson–Kramer rule, and the Leaders of the Stackelberg game at τ = 0. As there, y' may be y itself
    (p = ½), so that a Condorcet winner's worst case is ½.

    >>> import stackelberg as sb
    >>> minimax_leaders(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25])).tolist()
    [True, False, False]
    """
    worst = 0.5 + margins(P).min(axis=-1)
    return np.asarray(worst >= worst.max(axis=-1, keepdims=True) - ROUNDING)
