"""When Bradley–Terry rewards exist: which actions are compared, and who ever wins.

The likelihood has a finite maximiser, and then only one up to a constant, iff the graph with an arc i → j
wherever a pair is sampled and p_ij > 0 is strongly connected (Zermelo 1929, Ford 1957). Otherwise either the
sampled pairs fall into unconnected groups, or some group wins every sampled comparison against the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from stackelberg.validation import Array


@dataclass(frozen=True)
class Separation:
    """Why one game has no finite maximiser.

    Attributes:
        groups: indices of the actions of each group.
        compared: False where no sampled pair joins the groups; True where the first of two groups wins
            every sampled comparison against the second.
    """

    groups: tuple[tuple[int, ...], ...]
    compared: bool

    def explain(self, labels: Sequence[str], context: str = "") -> str:
        """The case in a sentence and what to do, with the actions by name.

        >>> Separation(((0, 2), (1,)), compared=True).explain(["A", "B", "C"])
        'The Bradley–Terry likelihood has no finite maximiser: {A, C} wins every sampled comparison ...'

        Args:
            labels: names of the actions.
            context: words to stand after the likelihood, such as " of context 3".
        """
        names = [listed(group, labels) for group in self.groups]
        if self.compared:
            return (
                f"The Bradley–Terry likelihood{context} has no finite maximiser: {names[0]} wins every "
                f"sampled comparison against {names[1]}, and their rewards drift apart without bound. Sample a "
                "pair that the losing side sometimes wins, or add half a win to each side of every pair."
            )
        return (
            f"The Bradley–Terry likelihood{context} has no unique maximiser: no sampled pair joins the "
            f"groups {_shortened(names)}, and rewards between them are free. Give a pair across the groups "
            "a positive sampling weight."
        )


def separated_groups(preferences: Array, sampling: Array) -> list[Separation | None]:
    """For each game what keeps it from having Bradley–Terry rewards, None where nothing does.

    Args:
        preferences: P with P + Pᵀ = 1, shape (batch, n, n).
        sampling: pair weights μ ≥ 0 that broadcast to (batch, n, n).

    >>> always = np.array([[[0.5, 1.0], [0.0, 0.5]]])
    >>> separated_groups(always, np.ones((2, 2)))
    [Separation(groups=((0,), (1,)), compared=True)]
    """
    arcs = (pair_weights(preferences, sampling) > 0) & (preferences > 0)
    complete = all_pairs(arcs)
    return [None if complete[game] else _separation(arcs[game]) for game in range(len(arcs))]


def _separation(arcs: NDArray[np.bool_]) -> Separation | None:
    """The separation of one graph (n, n) with an arc from i to j where i sometimes wins against j."""
    count, component = connected_components(arcs, directed=True, connection="strong")
    if count == 1:
        return None
    pieces, piece = connected_components(arcs, directed=False)
    if pieces > 1:
        return Separation(tuple(members(piece == each) for each in range(pieces)), compared=False)
    crossing = arcs & (component[:, None] != component[None])
    beaten = np.isin(component, component[crossing.any(axis=0)])  # someone in the component sometimes loses
    winners = component == component[np.argmin(beaten)]
    return Separation((members(winners), members(~winners)), compared=True)


def pair_weights(preferences: Array, sampling: Array) -> Array:
    """``μ + μᵀ`` off the diagonal, shaped as the preferences; the unordered pairs of a game sum to one.

    Raises:
        ValueError: a weight is negative or not finite.
    """
    given = np.broadcast_to(np.asarray(sampling, dtype=np.float64), preferences.shape)
    if not np.all((given >= 0) & np.isfinite(given)):
        raise ValueError("sampling weights must be finite and not negative. Give unsampled pairs weight 0.")
    given = given * ~np.eye(given.shape[-1], dtype=bool)
    for total in (np.max, np.sum):  # by the largest first, so that no sum overflows
        size = total(given, axis=(1, 2), keepdims=True)
        given = given / np.where(size > 0, size, 1.0)
    return np.asarray(given + np.swapaxes(given, -1, -2))


def all_pairs(arcs: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which graphs (batch, n, n) join every two actions directly: most do, and need no search."""
    return np.asarray((arcs | np.eye(arcs.shape[-1], dtype=bool)).all(axis=(1, 2)))


def members(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Indices where the mask (n,) holds."""
    return tuple(int(action) for action in np.flatnonzero(mask))


def listed(group: Sequence[int], labels: Sequence[str]) -> str:
    """The names of a group in braces, the first eight of them: ``{A, C}``."""
    return _shortened([labels[action] for action in group])


def _shortened(names: Sequence[str]) -> str:
    more = [f"and {len(names) - 8} more"] if len(names) > 8 else []
    return "{" + ", ".join([*names[:8], *more]) + "}"
