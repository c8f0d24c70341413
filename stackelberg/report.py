"""What solutions look like in a terminal."""

from __future__ import annotations

from typing import Any

from stackelberg.commands import table
from stackelberg.validation import Array

SHARED = ("labels", "never_compared")
"""What a solution says once, for all its contexts."""


def show_solution(solution: Any, name: str) -> None:
    """The answer as a table, one a context."""
    document = solution.as_dict()
    contexts = solution.game.preference.contexts
    for context in range(contexts or 1):
        here = {key: value if contexts is None or key in SHARED else value[context] for key, value in document.items()}
        title = {"stackelberg": "Stackelberg game (SLHF)", "nash": "Nash game (NLHF)", "reward": "Reward (RLHF)"}[name]
        where = "" if contexts is None else f", context {context}"
        columns, rows = _rows(here, name, name == "stackelberg" and bool(solution.game.tau_follower.any()))
        table(title + where, columns, rows, f"value {here['value']:.6f}   {_certificate(here, name)}")


def _certificate(here: dict[str, Any], name: str) -> str:
    gap = f"duality gap {max(here['gap'], 0):.1e}"
    if name == "nash":
        gap += f"   exploitability {max(here['exploitability'], 0):.1e}"
        size = f"a face of dimension {here['dimension']}, maximum entropy shown"
        return gap if here["unique"] is None else f"{gap}   {'unique' if here['unique'] else size}"
    return f"{gap}   residual {here['residual']:.1e}" if name == "reward" else gap


def _rows(here: dict[str, Any], name: str, soft: bool) -> tuple[list[str], list[list[Any]]]:
    labels = here["labels"]
    if name == "stackelberg":
        replies = [", ".join(here["best_responses"][label][:4]) for label in labels]
        optimal = ["●" if label in here["optimal_leaders"] else "" for label in labels]
        value = "soft worst case V(y)" if soft else "worst case V(y)"
        columns = ["answer y", "Leader π(y)", value, "largest V", "Follower's best reply"]
        return columns, [
            list(row) for row in zip(labels, here["leader"], here["values"], optimal, replies, strict=True)
        ]
    if name == "nash" and here["support"] is None:  # learned: nothing is known of other equilibria
        return ["answer y", "policy π(y)"], [list(row) for row in zip(labels, here["policy"], strict=True)]
    if name == "nash":
        played = ["●" if label in here["support"] else "" for label in labels]
        columns = ["answer y", "policy π(y)", "in some equilibrium"]
        return columns, [list(row) for row in zip(labels, here["policy"], played, strict=True)]
    columns = ["answer y", "policy π(y)", "reward r(y)"]
    return columns, [list(row) for row in zip(labels, here["policy"], here["rewards"], strict=True)]


def show_refinement(document: dict[str, Any], distributions: Array) -> None:
    """The chain round by round, and where it ends up."""
    labels = document["labels"]
    columns = ["answer", "most likely", "p(y_k ≻ y_1)", "coverage", "Nash, independent", "Nash, no repeats"]
    rows = [
        [f"y_{k + 1}", f"{labels[row.argmax()]} ({row.max():.2f})"]
        + [document[key][k] for key in ("win_rate", "coverage", "nash_independent", "nash_distinct")]
        for k, row in enumerate(distributions)
    ]
    ends = "; ".join(
        f"{{{', '.join(group[:6])}{', …' if len(group) > 6 else ''}}} with period {period}"
        for group, period in zip(document["recurrent"], document["periods"], strict=True)
    )
    table("Refinement along the Follower's chain", columns, rows, f"In the long run: {ends}.")
