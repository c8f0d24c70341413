"""Maximal lotteries: the Nash equilibria of a preference game at τ = 0 (Kreweras 1965, Fishburn 1984)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackelberg.equilibrium.central_path import Point, advance, bordered, start, times, unique_equilibria
from stackelberg.equilibrium.face import Face, face_around
from stackelberg.equilibrium.projection import closest
from stackelberg.errors import CertificateError
from stackelberg.validation import Array

STEPS = 60
"""Steps along the central path before the linear programme decides; 5 to 20 are usual."""

EXPLOITABILITY = 1e-10
"""The largest exploitability that is returned, relative to max |A| of the game; 1e-15 is usual."""


@dataclass(frozen=True, eq=False)
class Lottery:
    """The equilibria of symmetric zero-sum games, and one of them.

    Attributes:
        policy: (batch, n) the equilibrium closest to the reference in KL(x‖reference).
        support: (batch, n) the actions played in some equilibrium (the essential set).
        dimension: (batch,) of the face of all equilibria: 0 where there is only one.
        exploitability: (batch,) ``max(A @ policy)``, computed from the policy itself, in units of preference
            probability: how much more than ½ the best response wins. Rounding can leave it just below zero.
    """

    policy: Array
    support: NDArray[np.bool_]
    dimension: NDArray[np.int_]
    exploitability: Array


def maximal_lottery(margins: Array, reference: Array) -> Lottery:
    """The equilibria x of each symmetric zero-sum game A: ``x ≥ 0``, ``Σ x = 1``, ``A x ≤ 0``.

    A primal-dual predictor–corrector method (Mehrotra 1992) follows the central path of all games at once, to the
    point where the partition into played and unplayed actions shows (Goldman and Tucker 1956: one equilibrium is
    strictly complementary). A linear solve on the played actions then gives the equilibrium to rounding, and the
    partition is checked at it: played actions have x > 0, the others A x < 0. Where there are several equilibria,
    the one closest to the reference is chosen, for a uniform reference the one of maximum entropy; so the answer
    does not depend on the order of the actions.

    An equilibrium counts as unique where no more than one singular value of A, restricted to the played actions,
    is below 1e-13 of the largest (and of max |A|): margins that differ by less than about 1e-13 of max |A| are
    taken for ties.

    Args:
        margins: (batch, n, n) A = P − ½, skew-symmetric to rounding.
        reference: (batch, n) distributions of full support.

    Returns:
        A certified :class:`Lottery`; where the central path ends in doubt, a linear programme has decided.

    Raises:
        CertificateError: an answer is exploitable by more than 1e-10 · max |A|, and is not returned.

    Example:
        Rock is there twice; both together are played one time in three.

        >>> rock, paper, scissors = [0.0, 0.0, -0.5, 0.5], [0.5, 0.5, 0.0, -0.5], [-0.5, -0.5, 0.5, 0.0]
        >>> lottery = maximal_lottery(np.array([[rock, rock, paper, scissors]]), np.full((1, 4), 0.25))
        >>> lottery.policy.round(6), lottery.dimension
        (array([[0.166667, 0.166667, 0.333333, 0.333333]]), array([1]))
    """
    scale = np.abs(margins).max(axis=(-2, -1))
    games = np.ldexp(margins, -np.frexp(scale)[1][:, None, None])  # exact: max |A| is now in [½, 1)
    policy, support, dimension = _equilibria(games, reference)
    exploitability = times(margins, policy).max(axis=-1)
    _certify(exploitability, scale)
    return Lottery(policy, support, dimension, exploitability)


def _equilibria(games: Array, reference: Array) -> tuple[Array, NDArray[np.bool_], NDArray[np.int_]]:
    """Policy, support and dimension of each game; games leave the batch as soon as they are solved."""
    policy = reference / reference.sum(axis=-1, keepdims=True)  # the answer where every pair is tied
    support, dimension = np.ones(policy.shape, bool), np.full(len(policy), policy.shape[-1] - 1)
    live = np.flatnonzero(games.any(axis=(-2, -1)))
    systems = bordered(games[live])
    point = start(systems)
    for _ in range(STEPS):
        if not len(live):
            break
        with np.errstate(all="ignore"):  # a game that overflows never shows its support
            point = advance(systems, point)
        found, dimensions = _finish(systems, point, reference[live])
        done = dimensions >= 0
        if done.any():
            rows = live[done]
            policy[rows], support[rows], dimension[rows] = found[done], point.support[done], dimensions[done]
            live, systems, point = live[~done], systems[~done], point[~done]
    for row in live:
        policy[row], support[row], dimension[row] = _by_linear_programme(games[row], reference[row])
    return np.maximum(policy, 0) / np.maximum(policy, 0).sum(axis=-1, keepdims=True), support, dimension


def _finish(systems: Array, point: Point, reference: Array) -> tuple[Array, NDArray[np.int_]]:
    """Exact equilibria (batch, n) of the games whose support already shows, and their dimension, −1 elsewhere."""
    policy, dimension = np.zeros(point.slack.shape), np.full(len(systems), -1)
    support, blur = point.support, point.blur
    clear = np.flatnonzero(blur < 1e-2)
    policy[clear], unique = unique_equilibria(systems[clear], support[clear])
    dimension[clear[unique]] = 0
    for row in np.flatnonzero((dimension < 0) & ((blur < 1e-8) | (point.gap < 1e-20))):
        face = face_around(-systems[row, :-1, :-1], support[row], point.policy[row])
        if face is not None and face.interior:
            policy[row], dimension[row] = _chosen(face, support[row], reference[row]), face.dimension
    return policy, dimension


def _chosen(face: Face, support: NDArray[np.bool_], reference: Array) -> Array:
    """The equilibrium of the face that is closest to the reference, among all actions, (n,)."""
    policy = np.zeros(len(support))
    policy[support] = closest(face, reference[support])
    return policy


def _by_linear_programme(game: Array, reference: Array) -> tuple[Array, NDArray[np.bool_], int]:
    """Policy, support and dimension of one game from a strictly complementary solution that HiGHS finds.

    Tucker (1956): every skew-symmetric A has x ≥ 0 with A x ≤ 0 and x − A x > 0; scaled, x − A x ≥ 1.
    """
    from scipy.optimize import linprog  # slow to import, rarely needed

    n = len(game)
    result = linprog(np.ones(n), np.vstack([game, game - np.eye(n)]), np.repeat([0.0, -1.0], n))
    if result.x is not None:
        support = result.x > -game @ result.x
        face = face_around(game, support, result.x / result.x.sum())
        if face is not None and face.interior:
            return _chosen(face, support, reference), support, face.dimension
    raise CertificateError(
        f"Neither the central path nor the linear programme found the equilibria of a game of {n} actions (HiGHS: "
        f"{result.message}). Its margins span {np.abs(game[game != 0]).min():.1e} to 1; round those that are tied "
        "but for noise."
    )


def _certify(exploitability: Array, scale: Array) -> None:
    """Refuse any answer above the tolerance, or not a number."""
    bad = np.flatnonzero(~(exploitability <= EXPLOITABILITY * scale))
    if len(bad):
        worst = bad[np.argmax(exploitability[bad])]
        raise CertificateError(
            f"Game {worst} of the batch: the policy found is exploitable by {exploitability[worst]:.3e}, which must be "
            f"at most {EXPLOITABILITY * scale[worst]:.3e} (1e-10 of the largest margin). It is not returned; remove "
            "margins that are many orders of magnitude below the largest one."
        )
