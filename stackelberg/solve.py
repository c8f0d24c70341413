"""``solve``: one door to every solver."""

from __future__ import annotations

from typing import overload

from stackelberg.exact import exact
from stackelberg.game import Game, NashGame, RewardGame, StackelbergGame
from stackelberg.solution import NashSolution, RewardSolution, Solution, StackelbergSolution


@overload
def solve(game: StackelbergGame) -> StackelbergSolution: ...
@overload
def solve(game: NashGame) -> NashSolution: ...
@overload
def solve(game: RewardGame) -> RewardSolution: ...
@overload
def solve(game: Game) -> Solution: ...


def solve(game: Game) -> Solution:
    """Solve a game exactly.

    - :class:`StackelbergGame`: closed form, O(n²) a context.
    - :class:`NashGame`: a globally convergent Newton method at τ > 0; at τ = 0 a maximal lottery, by a
      central path finished exactly on the support, or by a linear programme.
    - :class:`RewardGame`: Bradley–Terry maximum likelihood, then the KL-regularised policy.

    Args:
        game: the game; all its contexts are solved at once.

    Returns:
        A :class:`Solution` whose ``gap`` was computed afterwards from the answer itself.

    Raises:
        CertificateError: if the answer cannot be certified; nothing uncertified is ever returned.
        NoFiniteMaximiser: if the Bradley–Terry likelihood of a reward game has no finite maximiser.

    Example:
        >>> import stackelberg as sb
        >>> P = sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2])
        >>> solution = sb.solve(sb.StackelbergGame(P, tau=0))
        >>> solution.values, solution.leader
        (array([0.5, 0.3, 0.2]), array([1., 0., 0.]))
        >>> sb.solve(sb.NashGame(P, tau=0)).policy.round(12)
        array([0.6, 0. , 0.4])
    """
    return exact(game)
