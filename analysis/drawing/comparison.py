"""Solution concepts side by side: every policy as bars, with what it is worth above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import stackelberg as sb
from analysis.comparison import FOLLOWER, LEADER, NLHF, RLHF, Comparison, Row, follower_win_rate, measured
from analysis.drawing.columns import Column, chosen_actions, draw_columns
from analysis.drawing.save import Drawing
from analysis.drawing.style import styled
from analysis.scoring import borda_scores
from stackelberg.validation import Array

FACTS = ("worst-case win rate", "exploitability", "entropy (nats)", "win rate over the Leader")


@styled
def draw_comparison(comparison: Comparison) -> Drawing:
    """The answers of all concepts to the same preferences, side by side.

    Example:
        >>> import stackelberg as sb
        >>> from analysis.comparison import compare
        >>> drawing = draw_comparison(compare(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]), tau=0))
        >>> drawing.columns
        ('concept', 'quantity', 'action', 'value')
        >>> [row for row in drawing.rows if row[0] == "SLHF Leader"][:3]
        [('SLHF Leader', 'worst-case win rate', '', 0.4),
         ('SLHF Leader', 'exploitability', '', 0.09999999999999998),
         ('SLHF Leader', 'entropy (nats)', '', 0.0)]
    """
    title = f"The same preferences, answered by each concept (τ = {comparison.tau:g})"
    reasons = [f"{row.concept} has no answer: {row.reason}" for row in comparison.rows if row.reason]
    return _drawn("comparison", comparison.rows, comparison.labels, comparison.borda, title, " ".join(reasons))


@styled
def draw_policy(solution: sb.Solution) -> Drawing:
    """The policy of one solution as bars: Leader and Follower, or the policy of a Nash or reward game.

    Args:
        solution: of a game without contexts.

    Example:
        >>> import stackelberg as sb
        >>> draw_policy(sb.solve(sb.NashGame(sb.PreferenceMatrix.cycle(3)))).name
        'policy'
    """
    P, game = solution.game.preference, solution.game
    if P.contexts is not None:
        raise ValueError(f"This solution has {P.contexts} contexts, and a picture is of one.")
    tau = float(np.max(game.tau_leader if isinstance(game, sb.StackelbergGame) else game.tau))  # type: ignore[attr-defined]
    title = {sb.StackelbergSolution: "Leader and Follower", sb.NashSolution: "The Nash equilibrium"}
    name = title.get(type(solution), "The policy for the fitted reward")
    return _drawn("policy", policy_rows(solution), P.labels, borda_scores(P), f"{name} (τ = {tau:g})", "")


def policy_rows(solution: sb.Solution) -> tuple[Row, ...]:
    """The rows of the comparison table that a solution without contexts gives."""
    P = solution.game.preference
    if isinstance(solution, sb.StackelbergSolution):
        reply = measured(FOLLOWER, P, solution.leader @ solution.follower, over_leader=follower_win_rate(solution))
        return measured(LEADER, P, solution.leader), reply
    if isinstance(solution, (sb.NashSolution, sb.RewardSolution)):
        return (measured(NLHF if isinstance(solution, sb.NashSolution) else RLHF, P, solution.policy),)
    raise ValueError(f"There is no picture of a {type(solution).__name__}. Pass what sb.solve returns.")


def _drawn(name: str, rows: Sequence[Row], labels: tuple[str, ...], borda: Array, title: str, note: str) -> Drawing:
    facts = FACTS if any(row.win_rate_over_leader is not None for row in rows) else FACTS[:3]
    columns = [
        Column(name=row.concept, values=row.policy, facts=_facts(row, len(facts)), missing="no finite fit")
        for row in rows
    ]
    shown = chosen_actions(columns, [int(i) for i in np.argsort(-borda, kind="stable")])
    cut = [
        Column(name=c.name, values=None if c.values is None else c.values[shown], facts=c.facts, missing=c.missing)
        for c in columns
    ]
    subtitle = "Bars: the probability that each action is played. Above: what the policy is worth."
    left_out = len(labels) - len(shown)
    notes = [
        "Worst case: against the fixed answer that beats the policy best. Exploitability: what that answer gains.",
        f"Not drawn: {left_out} actions that are played less." if left_out else "",
        note,
    ]
    words = (title, subtitle, " ".join(filter(None, ["By mean win rate, best first.", *notes])))
    page = draw_columns([labels[i] for i in shown], cut, facts, words, "probability")
    return Drawing(name, page.figure, ("concept", "quantity", "action", "value"), _rows(rows, labels, shown))


def _values(row: Row) -> tuple[float | None, ...]:
    return row.worst_case, row.exploitability, row.entropy, row.win_rate_over_leader


def _facts(row: Row, number: int) -> tuple[str, ...]:
    # an exploitability of −1e-17 is 0
    return tuple("" if value is None else f"{abs(value):.3f}" for value in _values(row)[:number])


def _rows(rows: Sequence[Row], labels: tuple[str, ...], shown: Sequence[int]) -> tuple[tuple[Any, ...], ...]:
    data: list[tuple[Any, ...]] = []
    for row in rows:
        facts = zip(FACTS, _values(row), strict=True)
        data += [(row.concept, name, "", value) for name, value in facts if value is not None]
        if row.policy is not None:
            data += [(row.concept, "probability", labels[i], float(row.policy[i])) for i in shown]
    return tuple(data)
