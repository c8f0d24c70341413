"""What is drawn of the Follower's chain: which actions, in which order, with which replies, and where it ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import stackelberg as sb
from analysis.drawing.ring import seats
from analysis.drawing.style import shortened
from stackelberg.refinement import Refinement
from stackelberg.validation import Array

MOST, REPLIES, LEAST = 10, 3, 0.05
"""At most so many actions are drawn, so many replies of each, none less likely than this."""


@dataclass(frozen=True, eq=False)
class Walk:
    """What is drawn of a chain: the actions round the ring, and their likeliest replies."""

    refinement: Refinement
    follower: Array
    actions: list[int]
    angles: Array
    arcs: list[tuple[int, int]]
    independent: Array
    distinct: Array

    @property
    def start(self) -> Array:
        """(n,) the Leader's distribution."""
        return np.asarray(self.refinement.distributions[0])


def walk_of(solution: sb.StackelbergSolution, rounds: int, nash: sb.NashSolution | None) -> Walk:
    """Follow the chain, and choose what of it is drawn; ``nash`` is solved where it is not given."""
    game = solution.game
    if game.preference.contexts is not None:
        raise ValueError(f"This solution has {game.preference.contexts} contexts, and a chain is of one.")
    if nash is None:
        nash = sb.solve(sb.NashGame(game.preference, game.tau_leader, game.leader_reference[0]))
    refinement, follower = solution.refine(rounds), solution.follower
    reached = refinement.reached[-1]
    shown = {int(i) for i in np.argsort(-reached, kind="stable")[:MOST] if reached[i] >= 0.01}
    arcs = [
        (i, int(j))
        for i in sorted(shown)
        for j in np.argsort(-follower[i], kind="stable")[:REPLIES]
        if follower[i, j] >= LEAST and int(j) in shown
    ]
    order = _along(follower, refinement.distributions[0], shown)
    actions, angles = seats(order, [])
    baselines = (sb.independent_coverage(nash.policy, rounds), sb.distinct_coverage(nash.policy, rounds))
    return Walk(refinement, follower, actions, angles, arcs, *baselines)


def _along(follower: Array, start: Array, shown: set[int]) -> list[int]:
    """The shown actions in the order of the likeliest walk, from the Leader's likeliest answer on."""
    order: list[int] = []
    weights = start
    while len(order) < len(shown):
        rest = sorted(shown - set(order))
        order.append(max(rest, key=lambda i: (weights[i], start[i])))
        weights = follower[order[-1]]
    return order


def ending(solution: sb.StackelbergSolution) -> str:
    """Where endless refinement ends up, in words.

    >>> import stackelberg as sb
    >>> ending(sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), tau=0)))
    'It ends up walking round: A → C → B → A.'
    """
    chain, labels = sb.chain(solution.follower), solution.game.labels
    entered = [k for k in range(len(chain.classes)) if solution.leader @ chain.absorption[:, k] > 1e-12]
    if len(entered) > 1:
        return f"It ends in one of {len(entered)} groups that it never leaves."
    members, period = chain.classes[entered[0]], chain.periods[entered[0]]
    if len(members) == 1:
        return f"It ends at {shortened(labels[members[0]])}."
    if period == len(members) <= 6:
        step, ring = solution.follower, [int(max(members, key=lambda i: solution.leader[i]))]
        while len(ring) < len(members):
            ring.append(int(np.argmax(step[ring[-1]])))
        return f"It ends up walking round: {' → '.join(shortened(labels[i]) for i in [*ring, ring[0]])}."
    return f"In the long run it goes on among {len(members)} actions" + (f", period {period}." if period > 1 else ".")
