"""What to keep of a run, and what was kept: an argument of the solve, not of the solver."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackelberg.validation import shown


@dataclass(frozen=True)
class Record:
    """What a run keeps, and how often. The first and the last iterate are always recorded.

    Args:
        every: steps between two records.
        gap: the duality gap at each record, and that of the average iterate where one is kept.
        distance: the KL from the exact solution at each record (which is computed first).
        average: keep the running mean of all iterates; it becomes ``solution.average``.
        best: keep the recorded iterate of smallest gap (over contexts, of smallest ρ-weighted gap); it becomes
            ``solution.best``. It costs no time, and the memory of one more iterate. Needs ``gap``.
        policies: keep the policies of each record.
        forces: the norm of the field at each record, and what it says of its Lipschitz constant.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.5, reference=[0.5, 0.3, 0.2])
        >>> record = Record(every=20, distance=True, average=False)
        >>> trajectory = sb.solve(game, sb.EGPO(learning_rate=0.5), steps=40, record=record).trajectory
        >>> trajectory.steps, [f"{distance:.0e}" for distance in trajectory.distance]
        (array([ 0, 20, 40]), ['2e-02', '9e-08', '5e-13'])
    """

    every: int = 10
    gap: bool = True
    distance: bool = False
    average: bool = True
    best: bool = True
    policies: bool = False
    forces: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, (int, np.integer)) or self.every < 1:
            raise ValueError(f"every must be a positive whole number of steps, not {shown(self.every)}. Pass 10.")


@dataclass(frozen=True, eq=False, kw_only=True)
class Trajectory:
    """What a run recorded: arrays (records,), or (records, contexts) where P has contexts; None where not kept.

    Attributes:
        steps: (records,) how many steps had been taken.
        gap: the duality gap.
        value: what who moves first earns: f(π, ω), ½ in a Nash game, E r − τ KL in a reward game.
        kl: of who moves first, from its reference.
        average_gap: the duality gap of the mean of the iterates so far.
        distance: ``KL(π*‖π)``, in a Stackelberg game that of the pairs (y, y'):
            ``KL(π*‖π) + E_{y~π*} KL(ω*(·|y)‖ω(·|y))``.
        gradient_norm: ``‖v‖`` of the field v of all players in the solver's coordinates (probabilities on the
            simplex, else logits), without learning rates, up to the constant of each row; 0 at a solution.
        lipschitz: the largest ``‖v(a) − v(b)‖ / ‖a − b‖`` of two successive records so far, a lower bound of the
            field's Lipschitz constant along the run; 0 at the first record.
        policies: of each player, (records, [contexts,] n) or (records, [contexts,] n, n).
    """

    steps: NDArray[np.int64]
    value: Any
    kl: Any
    gap: Any = field(default=None)
    average_gap: Any = field(default=None)
    distance: Any = field(default=None)
    gradient_norm: Any = field(default=None)
    lipschitz: Any = field(default=None)
    policies: tuple[Any, ...] | None = field(default=None)

    def __len__(self) -> int:
        return len(self.steps)
