"""What the analyses look like in a terminal: tables, and sentences for what they cannot hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.comparison import Comparison
from analysis.fit import Unavailable
from analysis.noise import NoiseTest
from analysis.structure import Structure
from stackelberg.commands import console, table

LEVEL = 0.05
"""Of the tests that are put into words."""
ACTIONS = 20
"""How many actions a comparison lists one by one."""


def show_structure(found: Structure) -> None:
    """The structure as two tables: the whole, and each action's chances."""
    rows: list[list[Any]] = [
        ["Condorcet winner", found.condorcet_winner or "none"],
        ["Condorcet loser", found.condorcet_loser or "none"],
        ["Smith set", few(found.smith_set)],
        ["minimax Leader", f"{few(found.minimax_leaders)} (worst case {found.minimax_value:.4f})"],
        ["top cycles", _cycles(found)],
        ["three-cycles", f"{found.three_cycles:,}"],
        ["cyclic share of the energy", f"{found.cyclic_share:.4f}"],
        ["stochastic transitivity", _transitivity(found)],
    ]
    if found.never_compared:
        rows.append(["never compared (p = ½ is a guess)", "; ".join(f"{a} – {b}" for a, b in found.never_compared[:6])])
    table("Structure", ["", "found"], rows)
    if isinstance(found.bootstrap, Unavailable):
        console().print(f"Uncertainty: {found.bootstrap.reason}")
        return
    sure = found.bootstrap
    chances = [
        [label, sure.condorcet_winner[label], sure.smith_set[label], sure.minimax_leader[label]]
        for label in found.labels
    ]
    columns = ["share of bootstrap draws in which it is", "Condorcet winner", "in the Smith set", "minimax Leader"]
    table(f"How sure ({sure.draws:,} draws)", columns, chances, _noise(found))


def few(names: Sequence[str], most: int = 8) -> str:
    """Names in a row, the first ones only where there are many.

    >>> few(["a", "b", "c"], most=2)
    'a, b, … 3 in all'
    """
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])}, … {len(names)} in all"


def _cycles(found: Structure) -> str:
    rings = found.top_cycles
    shown = "; ".join(" ≻ ".join([*ring, ring[0]]) for ring in rings.cycles[:3])
    return shown + (f" … {rings.number} in all" if len(rings.cycles) > 3 else "") if rings.cycles else "none"


def _transitivity(found: Structure) -> str:
    kinds = {
        "weak": found.transitivity.weak,
        "moderate": found.transitivity.moderate,
        "strong": found.transitivity.strong,
    }
    return ", ".join(
        f"{name} {'holds' if kind.holds else f'fails ({kind.violations} of {kind.triples})'}"
        for name, kind in kinds.items()
    )


def _noise(found: Structure) -> str:
    """The noise test in words."""
    test, sure = found.noise_test, found.bootstrap
    if isinstance(test, Unavailable) or isinstance(sure, Unavailable):
        return f"Noise test: {test.reason}" if isinstance(test, Unavailable) else ""
    guide = " Ballots decide many pairs at once, so the first p is a guide." if not test.independent else ""
    chance = test.no_condorcet_winner.expected
    return (
        f"No Condorcet winner: {sure.no_condorcet_winner:.1%} of the draws, and {chance:.1%} of simulated transitive "
        "(Bradley–Terry) worlds with as many comparisons. p-values: as much cyclic energy in such a world "
        f"{test.cyclic_energy.p_value:.3f}; somebody is in truth beaten by none {test.any_winner:.3f}. "
        f"{_verdict(test)}{guide}"
    )


def _verdict(test: NoiseTest) -> str:
    """What the two p-values say together, at the 5 % level."""
    if test.cyclic_energy.p_value > LEVEL:
        return "So: no more cyclic than scores and chance would have it."
    if test.any_winner > LEVEL:
        return "So: scores alone do not explain these preferences, but that nobody wins may still be chance."
    return "So: a cycle at the top, and more than chance."


def show_comparison(found: Comparison) -> None:
    """The concepts side by side, the likeliest actions first, and the reasons of those that have no answer."""
    policies = np.array([np.full(len(found.labels), np.nan) if r.policy is None else r.policy for r in found.rows])
    order = np.argsort(-np.nan_to_num(policies).max(axis=0), kind="stable")
    shown, rest = order[:ACTIONS], order[ACTIONS:]
    rows: list[list[Any]] = [[found.labels[y], *policies[:, y]] for y in shown]
    if len(rest):
        rows.append([f"… {len(rest)} more together", *policies[:, rest].sum(axis=-1)])
    measures = {
        "worst-case win rate": "worst_case",
        "exploitability": "exploitability",
        "entropy (nats)": "entropy",
        "win rate over the Leader": "win_rate_over_leader",
    }
    rows += [[title, *(getattr(row, name) for row in found.rows)] for title, name in measures.items()]
    columns = ["probability of", *(row.concept for row in found.rows)]
    title = f"RLHF, NLHF and SLHF on the same preferences (tau = {found.tau:g})"
    table(title, columns, rows, "The Follower sees the Leader's answer; its column is what it plays on average.")
    for row in found.rows:
        if row.reason:
            console().print(f"{row.concept}: {row.reason}")
