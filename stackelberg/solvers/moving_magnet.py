"""Moving the reference to where one stands, again and again: from regularised games to the game itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, NashGame
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import Solver, positive


@dataclass(frozen=True)
class MPO(Solver):
    """Magnetic preference optimisation: ``π⁺ ∝ [π ρ^{ητ} exp(η Pπ)]^{1/(1+ητ)}``, ρ ← π every so often.

    Each stretch with one magnet ρ solves a regularised game (Sokota et al. 2022); moving ρ to its solution is
    a proximal-point method (Wang et al. 2024). It is for the game at τ = 0: ``magnet_tau`` is the method's own.

    Guarantee: the last iterate reaches an equilibrium of the game at τ = 0 where every stretch is solved well
    (Wang et al. 2024; proximal points, Rockafellar 1976); seen in ``tests/laws/test_learning_laws.py``.

    Args:
        learning_rate: η, a number or a schedule t ↦ η.
        magnet_tau: τ of the pull to the magnet.
        every: steps between two moves of the magnet.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), tau=0)
        >>> sb.solve(game, sb.MPO(learning_rate=0.5), steps=5000).policy.round(5)
        array([0.5, 0.2, 0.3])
    """

    magnet_tau: float = 0.1
    every: int = 100

    games: ClassVar[tuple[type[Game], ...]] = (NashGame,)
    keeps_regulariser: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        positive(self.magnet_tau, "magnet_tau")
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise ValueError(f"every must be a positive whole number of steps, not {self.every!r}. Pass 100.")

    def init(self, point: Point) -> Joint:
        """The magnet: where the run starts."""
        return point.logits

    def direction(self, t: int, point: Point, field: Field, state: Joint) -> tuple[Joint, Joint]:
        """``(g + τ(log ρ − log π)) / (1 + ητ)``; the state is log ρ."""
        magnet = point.logits if t and t % self.every == 0 else state
        return self._towards(t, point, field, magnet), magnet

    def _towards(self, t: int, point: Point, field: Field, magnet: Joint) -> Joint:
        pull = self.magnet_tau * (magnet - point.logits)
        return (field(point).payoff + pull) / (1 + self.magnet_tau * self.rates(t, len(pull)))


@dataclass(frozen=True)
class COMAL(MPO):
    """Convergent meta-alignment: solve the regularised game, move the reference to the solution, repeat.

    The inner rule is a mirror-prox step (:class:`MirrorProx`), whose last iterate is linear in each stretch.

    Guarantee: the last iterate converges to an exact equilibrium of the game at τ = 0 (Liu et al. 2025); seen
    in ``tests/laws/test_learning_laws.py``.

    Args:
        learning_rate: η, a number or a schedule t ↦ η.
        magnet_tau: τ of the regularised games.
        every: steps spent on each of them.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), tau=0)
        >>> sb.solve(game, sb.COMAL(learning_rate=1.0), steps=5000).policy.round(5)
        array([0.5, 0.2, 0.3])
    """

    def _towards(self, t: int, point: Point, field: Field, magnet: Joint) -> Joint:
        rates, pull = self.rates(t, len(magnet)), self.magnet_tau * (magnet - point.logits)
        shrink = 1 + self.magnet_tau * rates
        ahead = point.step(rates, (field(point).payoff + pull) / shrink)
        return (field(ahead).payoff + pull) / shrink
