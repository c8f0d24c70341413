"""Gradient ascent of every player's own payoff: in probabilities, or in the parameters of a policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stackelberg.game import Game, StackelbergGame
from stackelberg.geometry import Geometry, Simplex, Softmax
from stackelberg.solvers.base import FollowsField, Scheduled


@dataclass(frozen=True)
class GDA(FollowsField):
    """Simultaneous gradient descent–ascent, ``θ⁺ = θ + η ∇_θ f`` for each player: the policy gradient.

    In a Nash game one policy climbs its payoff against itself held fixed (self-play), in a reward game it is
    plain gradient ascent.

    Guarantee: reward game, softmax parameters: linear last iterate at τ > 0 (Mei et al. 2020). Games: none in
    general; near the solution the rate is read from :func:`stackelberg.spectrum`.

    Args:
        learning_rate: η of who moves first, a number or a schedule t ↦ η.
        kappa: η_F/η_L.
        geometry: ``Softmax()``, the logits of a table or the parameters of a network; or ``Simplex()``.
        alternating: see :class:`~stackelberg.solvers.base.FollowsField`.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.5, reference=[0.5, 0.3, 0.2])
        >>> bool(sb.solve(game, sb.GDA(learning_rate=2.0), steps=500).gap < 1e-9)
        True
    """

    geometry: Geometry = Softmax()  # noqa: RUF009  # frozen

    @property
    def moves_in(self) -> Geometry:
        """Logits, or probabilities."""
        return self.geometry


@dataclass(frozen=True)
class StackelbergGDA(FollowsField):
    """Simultaneous gradient descent–ascent with two timescales, as published (SLHF, arXiv 2512.16626).

    ``π⁺ = Proj(π + η ∇_π f)``, ``ω⁺ = Proj(ω − κη ∇_ω f)``. ∇_ω f carries the factor π(y): rows that the Leader
    rarely plays learn slowly, and stop where π(y) = 0. With ``geometry=Softmax()`` the same gradient steps
    are taken in the logits, as networks take them in their parameters.

    Guarantee: the average iterate (the paper); its gap is measured in ``tests/laws/test_averages.py``. On the
    simplex ∇KL is unbounded at the boundary: near an equilibrium the explicit step settles only where
    about ``κη π(y) τ_F < 2 ω(y'|y)``; a larger one keeps jumping, average and all (shown there too).

    Args:
        learning_rate: η_L, a number or a schedule t ↦ η.
        kappa: η_F/η_L; 5 in the paper.
        geometry: ``Simplex()`` or ``Softmax()``; by default the simplex for tables, parameters for networks.
        alternating: see :class:`~stackelberg.solvers.base.FollowsField`.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2]), tau=0.1)
        >>> solution = sb.solve(game, sb.StackelbergGDA(learning_rate=0.02, kappa=5), steps=3000)
        >>> bool(solution.gap < 1e-6)
        True
    """

    kappa: Scheduled = 5.0
    geometry: Geometry | None = None

    games: ClassVar[tuple[type[Game], ...]] = (StackelbergGame,)

    @property
    def moves_in(self) -> Geometry:
        """Probabilities, or logits."""
        return self.geometry or Simplex()

    @property
    def moves_networks_in(self) -> Geometry:
        """Parameters."""
        return self.geometry or Softmax()
