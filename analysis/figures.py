"""Pictures of preferences and of what was made of them; each with its data and its provenance.

Example:
    >>> import tempfile
    >>> import stackelberg as sb
    >>> from analysis.figures import draw_tournament, save
    >>> drawing = draw_tournament(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.suffix for path in save(drawing, folder, command="an example")]
    ['.svg', '.png', '.csv', '.json']
"""

from __future__ import annotations

import os
from pathlib import Path

import stackelberg as sb
from analysis.drawing.chain import draw_refinement
from analysis.drawing.comparison import draw_comparison, draw_policy
from analysis.drawing.contexts import of_context
from analysis.drawing.convergence import Scale, draw_convergence
from analysis.drawing.heatmap import draw_heatmap
from analysis.drawing.kappa import draw_kappa
from analysis.drawing.runs import Measure
from analysis.drawing.save import Drawing, save
from analysis.drawing.sensitivity import draw_sensitivity
from analysis.drawing.simplex import draw_simplex
from analysis.drawing.spectrum import draw_spectrum
from analysis.drawing.timescales import draw_timescales
from analysis.drawing.tournament import draw_tournament
from analysis.drawing.trajectories import draw_trajectories
from analysis.timescales import timescales

__all__ = [
    "Drawing",
    "Measure",
    "Scale",
    "draw_comparison",
    "draw_convergence",
    "draw_heatmap",
    "draw_kappa",
    "draw_policy",
    "draw_refinement",
    "draw_sensitivity",
    "draw_simplex",
    "draw_solution",
    "draw_spectrum",
    "draw_timescales",
    "draw_tournament",
    "draw_trajectories",
    "save",
    "timescales",
]


def draw_solution(
    solution: sb.Solution,
    directory: str | os.PathLike[str],
    *,
    command: str,
    seed: int | None = None,
    context: int | None = None,
    rounds: int = 4,
) -> list[Path]:
    """Draw what suits a solution and write it: this is what ``--figures`` of the command line calls.

    Always the tournament, the heat map and the policy; for a Stackelberg game the refinement chain; for
    three actions the simplex.

    Args:
        solution: what ``sb.solve`` returned.
        directory: where to write; made where it does not exist.
        command: what made the solution, for the provenance.
        seed: of the random numbers behind it, if any.
        context: which context, where there are several.
        rounds: answers along the refinement chain, the first one included.

    Returns:
        the paths written.

    Raises:
        ValueError: the solution has several contexts and none is chosen.

    Example:
        >>> import tempfile
        >>> import stackelberg as sb
        >>> solution = sb.solve(sb.NashGame(sb.PreferenceMatrix.cycle(3)))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [path.name for path in draw_solution(solution, folder, command="example") if path.suffix == ".png"]
        ['tournament.png', 'heatmap.png', 'policy.png', 'simplex.png']
    """
    contexts = solution.game.preference.contexts
    if contexts is not None and context is None:
        raise ValueError(f"A picture is of one context, and this solution has {contexts}. Pass context=, from 0.")
    one = of_context(solution, context)
    P = one.game.preference
    drawings = [draw_tournament(P), draw_heatmap(P), draw_policy(one)]
    if isinstance(one, sb.StackelbergSolution):
        drawings.append(draw_refinement(one, rounds))
    if P.n == 3:
        drawings.append(draw_simplex(P, [one]))
    return [path for drawing in drawings for path in save(drawing, directory, command=command, seed=seed)]
