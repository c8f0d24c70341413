"""Whether a judge says of two answers the same in either order, as far as it was asked about both."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from llm.judges.protocol import Array, Judge, Prompt
from stackelberg.validation import shown

logger = logging.getLogger("llm")
APART = 0.1
"""How far p(y≻y') + p(y'≻y) may be from 1 before it is told."""
_TOLD: dict[int, Callable[[], Any]] = {}


def watch_orders(
    judge: Judge, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str], p: Array
) -> None:
    """Say in the log, once a judge, where p(y≻y') + p(y'≻y) is far from 1: the worst pair, and what to do.

    Only pairs that were asked in both orders anyway are looked at, two answers alike among them (p should be ½).
    :class:`llm.judges.BothOrders` asks both and takes the mean, so that nothing is told of it.

    Args:
        judge: who was asked.
        prompts: of each pair.
        first: answers.
        second: answers.
        p: what it said, (n,).

    Example:
        >>> import numpy as np
        >>> worst_pair(["?", "?"], ["a", "b"], ["b", "a"], np.array([0.9, 0.9]))  # of these it would be told
        (1, 0)
    """
    if _TOLD.get(id(judge), lambda: None)() is judge:
        return
    worst = worst_pair(prompts, first, second, p)
    if worst is None:
        return
    i, j = worst
    _TOLD[id(judge)] = _reference(judge)
    logger.warning(
        f"The judge prefers {shown(first[i])} to {shown(second[i])} with {p[i]:.3g} and the other way round with "
        f"{p[j]:.3g}: together {p[i] + p[j]:.3g}, and a preference adds up to 1. The order of the answers counts with "
        "it. Wrap it: llm.judges.BothOrders(judge)."
    )


def worst_pair(
    prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str], p: Array
) -> tuple[int, int] | None:
    """The rows of one pair in its two orders that are furthest from adding up to 1; None where all do, to 0.1."""
    rows: dict[Hashable, int] = {}
    worst, apart = None, APART
    for i, (prompt, y, other) in enumerate(zip(prompts, first, second, strict=True)):
        asked = prompt if isinstance(prompt, str) else repr(prompt)
        rows[asked, y, other] = i
        j = rows.get((asked, other, y))
        if j is not None and abs(p[i] + p[j] - 1) > apart:
            worst, apart = (i, j), float(abs(p[i] + p[j] - 1))
    return worst


def _reference(judge: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(judge)
    except TypeError:
        return lambda: judge
