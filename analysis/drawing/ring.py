"""Which actions stand on the ring of the tournament graph, in which order, and the cycle drawn out."""

from __future__ import annotations

import networkx
import numpy as np

from analysis.tournament import Mask


def cycle_through(beats: Mask) -> list[int]:
    """A cycle in which each action beats the next, through as many actions as insertion reaches.

    Through all of them where the tournament is strongly connected and has no ties (Camion 1959: a cycle
    that one action, or two in a row, cannot enlarge is Hamiltonian). Empty where there is no cycle.

    Args:
        beats: (n, n) strict majority relation.

    Example:
        >>> import stackelberg as sb
        >>> from analysis.tournament import majority
        >>> cycle_through(majority(sb.PreferenceMatrix.cycle(5)))
        [0, 1, 2, 3, 4]
    """
    graph = networkx.DiGraph(np.argwhere(beats).tolist())
    try:
        ring = [int(winner) for winner, _ in networkx.find_cycle(graph)]
    except networkx.NetworkXNoCycle:
        return []
    while (longer := _enlarged(beats, ring)) is not None:
        ring = longer
    best = ring.index(min(ring, key=lambda y: (-int(beats[y].sum()), y)))
    return ring[best:] + ring[:best]


def _enlarged(beats: Mask, ring: list[int]) -> list[int] | None:
    """The cycle with one action, or two in a row, inserted somewhere; None where nothing fits."""
    outside = [y for y in range(len(beats)) if y not in ring]
    gaps = list(zip(ring, [*ring[1:], ring[0]], strict=True))
    for place, (winner, loser) in enumerate(gaps, 1):
        for y in outside:
            if beats[winner, y] and beats[y, loser]:
                return [*ring[:place], y, *ring[place:]]
    for place, (winner, loser) in enumerate(gaps, 1):
        for y in (y for y in outside if beats[winner, y]):
            for z in (z for z in outside if beats[z, loser] and beats[y, z]):
                return [*ring[:place], y, z, *ring[place:]]
    return None


def seats(order: list[int], rest: list[int]) -> tuple[list[int], np.ndarray]:
    """Who sits where on a circle: ``order`` clockwise about the top, ``rest`` (best first) down both sides.

    Returns:
        the actions clockwise, and the angle of each in radians (½π at the top).

    Example:
        >>> actions, angles = seats([0, 1, 2], [3, 4])
        >>> actions, np.degrees(angles).round().tolist()
        ([0, 1, 2, 3, 4], [162.0, 90.0, 18.0, -54.0, -126.0])
    """
    right, left = rest[0::2], rest[1::2]
    around = [*order, *right, *left[::-1]]
    first = (len(order) - 1) / 2 if rest else 0.0
    turn = 2 * np.pi / max(len(around), 1)
    return around, np.pi / 2 + turn * (first - np.arange(len(around)))
