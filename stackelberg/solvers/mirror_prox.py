"""Mirror prox: extragradient with the KL kept whole in both prox steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from stackelberg.field import Field
from stackelberg.game import Game, NashGame
from stackelberg.point import Joint, Point
from stackelberg.solvers.base import TwoPlayerSolver


@dataclass(frozen=True)
class MirrorProx(TwoPlayerSolver):
    """``θ½ = θ + η (g + r)/(1 + ητ)``, then ``θ⁺ = θ + η (g(θ½) + r)/(1 + ητ)`` (Nemirovski 2004, with KL).

    Each step is ``argmax_π η⟨g, π⟩ − ητ KL(π‖π_ref) − KL(π‖π_t)`` with g read at θ, then at θ½.

    Guarantee: the last iterate converges linearly at τ > 0 (measured in ``tests/laws/test_rates.py``; proved
    for the Nash game: see :class:`NashMirrorProx`).

    Args:
        learning_rate: η of who moves first, a number or a schedule t ↦ η.
        kappa: η_F/η_L.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2]), tau=0.1)
        >>> bool(sb.solve(game, sb.MirrorProx(learning_rate=5, kappa=2), steps=100).gap < 1e-12)
        True
    """

    def direction(self, t: int, point: Point, field: Field, state: Any) -> tuple[Joint, Any]:
        """``(g(θ½) + r) / (1 + ητ)``."""
        rates, here = self.rates(t, len(point.tables)), field(point)
        shrink = 1 + rates * here.tau
        ahead = point.step(rates, here.total / shrink)
        return (field(ahead).payoff + here.regulariser) / shrink, state


@dataclass(frozen=True)
class NashMirrorProx(MirrorProx):
    """Mirror prox in the Nash game (Nash-MP, Tiapkin et al. 2025): ``π^½``, then ``π⁺``, as :class:`MirrorProx`.

    Guarantee: last iterate, linear at τ > 0 (Tiapkin et al. 2025); measured in ``tests/laws/test_rates.py``.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.1, reference=[0.5, 0.3, 0.2])
        >>> bool(sb.solve(game, sb.NashMirrorProx(learning_rate=1.0), steps=300).gap < 1e-12)
        True
    """

    games: ClassVar[tuple[type[Game], ...]] = (NashGame,)
