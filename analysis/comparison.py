"""One table: what RLHF, Borda, NLHF and SLHF make of the same preferences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import stackelberg as sb
from analysis.fit import Unavailable
from analysis.scoring import borda_scores, names, reward_policy, shared, winners
from analysis.tournament import Mask, one_context
from stackelberg.validation import Array, as_floats, check_shape

RLHF, CHOSEN, BORDA, NLHF = "RLHF", "RLHF (chosen sampling)", "Borda", "NLHF"
LEADER, FOLLOWER = "SLHF Leader", "SLHF Follower"
MODE_TIE = 1e-9
"""Probabilities closer than this are tied for the mode: no solver answers more exactly."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Row:
    """One concept's answer, and how it fares.

    Attributes:
        concept: its name.
        policy: (n,) probabilities, or None where there is no answer.
        modes: the labels of largest probability, ties included.
        worst_case: ``min_y' E_{y~policy} p(y ≻ y')``, its win rate against the best fixed reply.
        exploitability: ``max_y E_{y'~policy} p(y ≻ y') − ½``, in the unregularised preference game: what is
            lost to that answer, so ``½ − worst_case``.
        entropy: of the policy, in nats.
        win_rate_over_leader: for the Follower, ``E p(y' ≻ y)`` over the Leader's y and its own y', which it
            chooses having seen y; None for the others.
        reason: why there is no answer, where there is none.
    """

    concept: str
    policy: Array | None = None
    modes: tuple[str, ...] = ()
    worst_case: float | None = None
    exploitability: float | None = None
    entropy: float | None = None
    win_rate_over_leader: float | None = None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row as plain lists and numbers."""
        answer = dict(vars(self))
        answer["policy"] = None if self.policy is None else self.policy.tolist()
        answer["modes"] = list(self.modes)
        return answer


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """The answers of all concepts to one preference matrix.

    Attributes:
        preference: the matrix, of one context.
        tau: the KL coefficient of every regularised game, references uniform.
        rows: one a concept, in the order RLHF, RLHF under the chosen pair sampling (where one was given),
            Borda, NLHF, SLHF Leader, SLHF Follower.
        borda: (n,) Borda scores, the mean of p(y ≻ y') over the other actions y'.
        rlhf: the solution of the reward game, or None where the likelihood has no finite maximiser.
        chosen: the same under the chosen pair sampling; None also where no sampling was chosen.
        nash: the solution of the Nash game.
        stackelberg: the solution of the Stackelberg game.
    """

    preference: sb.PreferenceMatrix
    tau: float
    rows: tuple[Row, ...]
    borda: Array
    rlhf: sb.RewardSolution | None
    chosen: sb.RewardSolution | None
    nash: sb.NashSolution
    stackelberg: sb.StackelbergSolution

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the actions."""
        return self.preference.labels

    def row(self, concept: str) -> Row:
        """The row of a concept by its name, for example ``"SLHF Leader"``."""
        for row in self.rows:
            if row.concept == concept:
                return row
        raise ValueError(f"There is no row {concept!r}. The rows are: {', '.join(row.concept for row in self.rows)}.")

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain lists and numbers, in the stable form that ``compare --json`` prints."""
        answer: dict[str, Any] = {"labels": list(self.labels), "tau": self.tau}
        answer["never_compared"] = [list(pair) for pair in self.preference.never_compared]
        for key, concept in (("rlhf", RLHF), ("rlhf_chosen", CHOSEN)):
            row = next((row for row in self.rows if row.concept == concept), None)
            solution = self.rlhf if concept == RLHF else self.chosen
            if row is not None:
                answer[key] = solution.as_dict() if solution is not None else self._no_fit(row)
        answer["borda"] = {"scores": self.borda.tolist(), "winners": list(self.row(BORDA).modes)}
        answer["nash"] = self.nash.as_dict()
        answer["stackelberg"] = self.stackelberg.as_dict()
        answer["rows"] = [row.as_dict() for row in self.rows]
        return answer

    def _no_fit(self, row: Row) -> dict[str, Any]:
        return {"labels": list(self.labels), "policy": None, "rewards": None, "reason": row.reason}


def compare(
    P: sb.PreferenceMatrix, *, tau: float = 0.1, sampling: ArrayLike | None = None, context: int | None = None
) -> Comparison:
    """Solve the same preferences as RLHF, Borda, NLHF and SLHF do, and measure every answer alike.

    Where the Bradley–Terry likelihood has no finite maximiser, RLHF's row says why; the others still come.

    Args:
        P: preferences, one matrix, or one a context.
        tau: KL coefficient ≥ 0 of all the games; references are uniform. Borda knows no τ.
        sampling: a pair-sampling distribution μ, (n, n), up to a factor: adds a second row of RLHF.
        context: which context, where there are several.

    Example (the Condorcet paradox with annotator shares 0.4, 0.35, 0.25):
        >>> import stackelberg as sb
        >>> table = compare(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), tau=0)
        >>> for row in table.rows:
        ...     print(f"{row.concept:14} {row.policy.round(2)} worst case {row.worst_case:.2f}")
        RLHF           [0. 1. 0.] worst case 0.35
        Borda          [0. 1. 0.] worst case 0.35
        NLHF           [0.5 0.2 0.3] worst case 0.50
        SLHF Leader    [1. 0. 0.] worst case 0.40
        SLHF Follower  [0. 0. 1.] worst case 0.25
    """
    P = one_context(P, context)
    mu = None if sampling is None else check_shape(as_floats(sampling, "sampling"), (P.n, P.n), "sampling")
    rlhf = reward_policy(P, tau)
    chosen = None if mu is None else reward_policy(P, tau, mu)
    scores = borda_scores(P)
    nash = sb.solve(sb.NashGame(P, tau=tau))
    game = sb.solve(sb.StackelbergGame(P, tau=tau))
    rows = [
        _reward_row(RLHF, P, rlhf),
        *([] if chosen is None else [_reward_row(CHOSEN, P, chosen)]),
        measured(BORDA, P, shared(winners(scores))),
        measured(NLHF, P, nash.policy),
        measured(LEADER, P, game.leader, game.optimal_leaders),
        measured(FOLLOWER, P, game.leader @ game.follower, over_leader=follower_win_rate(game)),
    ]
    return Comparison(
        preference=P,
        tau=float(tau),
        rows=tuple(rows),
        borda=scores,
        rlhf=None if isinstance(rlhf, Unavailable) else rlhf,
        chosen=None if isinstance(chosen, Unavailable) else chosen,
        nash=nash,
        stackelberg=game,
    )


def follower_win_rate(solution: sb.StackelbergSolution) -> float:
    """``E p(y' ≻ y)`` over the Leader's y and the Follower's y' ~ ω(·|y), of a game without contexts.

    >>> import stackelberg as sb
    >>> follower_win_rate(sb.solve(sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0)))
    1.0
    """
    P = solution.game.preference.probabilities
    return float(np.einsum("y,yz,zy->", solution.leader, solution.follower, P))


def measured(
    concept: str,
    P: sb.PreferenceMatrix,
    policy: Array,
    modes: Mask | None = None,
    over_leader: float | None = None,
) -> Row:
    """A policy as a row of the table, measured in the unregularised game.

    >>> import stackelberg as sb
    >>> row = measured("pure", sb.PreferenceMatrix.cycle(3), np.array([1.0, 0.0, 0.0]))
    >>> row.modes, row.worst_case, row.exploitability
    (('0',), 0.0, 0.5)
    """
    modes = policy >= policy.max() - MODE_TIE if modes is None else modes
    return Row(
        concept=concept,
        policy=policy,
        modes=names(P.labels, modes),
        worst_case=sb.worst_case_win_rate(P, policy),
        exploitability=sb.exploitability(sb.NashGame(P, tau=0), policy),
        entropy=float(sb.entropy(policy)),
        win_rate_over_leader=over_leader,
    )


def _reward_row(concept: str, P: sb.PreferenceMatrix, fit: sb.RewardSolution | Unavailable) -> Row:
    if isinstance(fit, Unavailable):
        return Row(concept=concept, reason=fit.reason)
    return measured(concept, P, fit.policy, fit.optimal_actions)
