"""Mirror descent: everybody follows the natural field where they stand."""

from __future__ import annotations

from dataclasses import dataclass

from stackelberg.solvers.base import FollowsField


@dataclass(frozen=True)
class MirrorDescent(FollowsField):
    """Simultaneous mirror descent, the natural gradient: ``θ⁺ = θ + η (g + r)``.

    Stackelberg game: ``ω⁺ ∝ ω^{1−ητ_F} ω_ref^{ητ_F} exp(−η p)``, ``π⁺ ∝ π^{1−η'τ_L} π_ref^{η'τ_L} exp(η' V̂)``.

    Guarantee: a cascade at τ > 0. The Follower's log-error shrinks by 1 − κητ_F a step whatever the Leader does,
    then the Leader's last iterate converges linearly at max(1 − ητ_L, (1 − κητ_F)²), for every κ with
    κητ_F < 2 and ητ_L < 2 (theory.md; measured in ``tests/laws/test_rates.py``). Nash game: see
    :class:`OnlineIPO`. Reward game: linear at 1 − ητ.

    Args:
        learning_rate: η of who moves first, a number or a schedule t ↦ η.
        kappa: η_F/η_L.
        alternating: see :class:`~stackelberg.solvers.base.FollowsField`.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2]), tau=0.1)
        >>> sb.solve(game, sb.MirrorDescent(learning_rate=1.0, kappa=10), steps=200).leader.round(6)
        array([0.740894, 0.187473, 0.071633])
        >>> sb.solve(game).leader.round(6)
        array([0.740894, 0.187473, 0.071633])
    """
