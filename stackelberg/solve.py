"""``solve``: one door to every solver."""

from __future__ import annotations

import os
from typing import Any, Protocol, cast, runtime_checkable

from stackelberg.checkpoint import Checkpoint
from stackelberg.exact import exact
from stackelberg.expectation import Enumerate
from stackelberg.game import Answer, Game
from stackelberg.learn import learn
from stackelberg.record import Record
from stackelberg.solvers.base import Solver
from stackelberg.validation import shown

STEPS = 1000
EVERY_TENTH = Record()
EVERYTHING = Enumerate()


@runtime_checkable
class TrainsItself(Protocol):
    """A policy too large for points that never change: it is trained in place, by a loop of its own."""

    def train_on(self, game: Game[Any], solver: Solver, **options: Any) -> Any:
        """What :func:`solve` does with this policy; ``options`` are the keywords it was called with."""


def solve(
    game: Game[Answer],
    solver: Solver | None = None,
    policy: Any = None,
    *,
    steps: int | None = None,
    sampling: Any = EVERYTHING,
    seed: int = 0,
    record: Any = EVERY_TENTH,
    tolerance: float | None = None,
    start: Any = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Answer:
    """Solve a game exactly, or let its players learn by a solver's rule.

    Without a solver, exactly:

    - :class:`StackelbergGame`: closed form, O(n²) a context.
    - :class:`NashGame`: a globally convergent Newton method at τ > 0; at τ = 0 a maximal lottery, by a
      central path finished exactly on the support, or by a linear programme.
    - :class:`RewardGame`: Bradley–Terry maximum likelihood, then the KL-regularised policy.

    With a solver, ``steps`` steps of its rule on the exact field, every context a game of its own. The run
    ends early where the gap of every context is within the tolerance at a record, or where the iterates
    stop being finite; ``status`` and ``report`` say which, and the gap is always that of what is returned.

    Args:
        game: the game; all its contexts are solved at once.
        solver: a learning rule such as ``MirrorDescent(learning_rate=0.1)``; None solves exactly.
        policy: what learns: None or :class:`Tables` for fresh tables at the references, ``sb.Neural()`` for networks,
            or the ``model`` of a solution, to go on. It is never changed; what was trained is ``solution.model``.
            An ``llm.TransformerPolicy`` is trained in place, on a game of a judge and prompts.
        steps: the budget, 1000 by default.
        sampling: how the field is read: ``Enumerate()``, exactly, or ``Sample(n)``, from n draws a context;
            ``llm.Rollouts()`` for a language model.
        seed: of every random draw in the run.
        record: what to keep on the way; None keeps nothing, neither trajectory nor average. An ``llm.Evaluation`` for a
            language model.
        tolerance: stop at a record whose gap is at most this in every context.
        start: the first policy of tables, (leader, follower) in a Stackelberg game; the references by default.
        checkpoint: the folder of a resumable run, or a :class:`Checkpoint`. Called again with the same folder,
            ``solve`` goes on from there to the identical trajectory; see :func:`resume`.
        progress: show a progress bar.

    Returns:
        A :class:`Solution` whose ``gap`` was computed afterwards from the answer itself.

    Raises:
        CertificateError: if an exact answer cannot be certified; nothing uncertified is ever returned.
        NoFiniteMaximiser: if the Bradley–Terry likelihood of a reward game has no finite maximiser.
        ValueError: if the solver is not for this game, or the checkpoint's folder holds another run.
        OSError: if a checkpoint cannot be written; the earlier one is whole.

    Example:
        >>> import stackelberg as sb
        >>> P = sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2])
        >>> solution = sb.solve(sb.StackelbergGame(P, tau=0))
        >>> solution.values, solution.leader
        (array([0.5, 0.3, 0.2]), array([1., 0., 0.]))
        >>> sb.solve(sb.NashGame(P, tau=0)).policy.round(12)
        array([0.6, 0. , 0.4])
        >>> learned = sb.solve(sb.NashGame(P, tau=0.1), sb.EGPO(learning_rate=1.0), steps=2000, tolerance=1e-9)
        >>> learned.policy.round(4), learned.report
        (array([0.5852, 0.215 , 0.1997]), 'stopped at the tolerance 1e-09 after 90 steps')
    """
    if solver is not None:
        options: dict[str, Any] = {
            "steps": STEPS if steps is None else steps,
            "sampling": sampling,
            "seed": seed,
            "record": record,
            "tolerance": tolerance,
            "start": start,
            "checkpoint": checkpoint,
            "progress": progress,
        }
        if isinstance(policy, TrainsItself):
            return cast(Answer, policy.train_on(game, solver, **options))
        if getattr(game, "judged", False):
            raise TypeError(
                f"A game of texts needs a policy that speaks, and policy is {shown(policy)}. "
                "Pass llm.TransformerPolicy.from_pretrained(...), with sampling=llm.Rollouts()."
            )
        return cast(Answer, learn(game, solver, policy=policy, **options))
    unread = any(each is not None for each in (policy, steps, tolerance, start, checkpoint))
    if unread or progress or record is not EVERY_TENTH or sampling is not EVERYTHING or seed != 0:
        raise ValueError(
            "policy, steps, sampling, seed, record, tolerance, start, checkpoint and progress are for a solver; "
            "none was given. Pass sb.MirrorDescent()."
        )
    return cast(Answer, exact(game))
