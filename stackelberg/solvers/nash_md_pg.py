"""Nash-MD-PG: the policy gradient against a mixture of oneself and the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, NashGame
from stackelberg.geometry import Geometry, Softmax
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import Solver


@dataclass(frozen=True)
class NashMDPG(Solver):
    """``θ⁺ = θ + η ∇_θ [E_{y~π_θ, y'~π^β} p(y≻y') − τ KL(π_θ‖π_ref)]``, ``π^β ∝ π^{1−β} π_ref^β`` (Munos et al. 2023).

    Guarantee: none. It settles where π best-responds to the mixture, which is the equilibrium at β = 0 only;
    the error is of order β (measured in ``tests/test_sampling.py``). At β = 0 it is :class:`GDA`.

    Args:
        learning_rate: η, a number or a schedule t ↦ η.
        mixture: β, the weight of the reference's logits in the opponent, in [0, 1]. It weights the reference, as
            ``mixture_coef`` did in TRL's code (its documentation did not say which of the two).

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.5, reference=[0.5, 0.3, 0.2])
        >>> solvers = [sb.NashMDPG(learning_rate=2.0, mixture=mixture) for mixture in (0.0, 0.0625, 0.125)]
        >>> gaps = [sb.solve(game, solver, steps=1000).gap for solver in solvers]
        >>> bool(gaps[0] < 1e-12), [f"{gap:.1e}" for gap in gaps[1:]]
        (True, ['1.7e-05', '7.0e-05'])
    """

    mixture: float = 0.125

    games: ClassVar[tuple[type[Game], ...]] = (NashGame,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.mixture <= 1:
            raise ValueError(f"mixture is the weight of the reference, in [0, 1], not {self.mixture}. Pass 0.125.")

    @property
    def moves_in(self) -> Geometry:
        """Logits, or the parameters of a network."""
        return Softmax()

    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """``g`` against the mixture, and ``r``."""
        return field(point, opponents=field.mixed(point, self.mixture)).total, state
