"""Judges around judges: both orders, a rate limit, and control for length."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from llm.fields import check_fields, check_kind
from llm.judges.protocol import Array, Judge, Prompt, ask, described, identity_of, kept


@dataclass(frozen=True)
class BothOrders:
    """The mean of both orders, ``(J(x, y, y') + 1 − J(x, y', y)) / 2``, so that p(y≻y') + p(y'≻y) = 1 exactly.

    Example:
        >>> first_is_better = lambda prompts, first, second: np.full(len(first), 0.9)
        >>> BothOrders(first_is_better)(["?"], ["a"], ["b"])
        array([0.5])
    """

    judge: Judge

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The means, (n,), from one call with both orders; NaN where either order was skipped."""
        n = len(prompts)
        p = ask(self.judge, [*prompts, *prompts], [*first, *second], [*second, *first])
        return (p[:n] + (1 - p[n:])) / 2

    @property
    def identity(self) -> str:
        """The judge's, in both orders."""
        return described("BothOrders", of=identity_of(self.judge))


class Pace:
    """Turns at no more than ``per_second``, in the long run and after the first ``burst``; shared by threads.

    Example:
        >>> pace = Pace(per_second=2.0, clock=lambda: 0.0)
        >>> [pace.reserve() for _ in range(3)]
        [0.0, 0.5, 1.0]
    """

    def __init__(self, per_second: float, burst: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        check_kind(per_second, float, "per_second")
        check_kind(burst, int, "burst")
        if not per_second > 0 or burst < 1:
            raise ValueError(f"A pace wants per_second > 0 and burst ≥ 1, not {per_second!r} and {burst!r}.")
        self._interval, self._slack, self._clock = 1 / per_second, (burst - 1) / per_second, clock
        self._next = clock()
        self._lock = threading.Lock()

    def reserve(self, turns: int = 1) -> float:
        """Take the next turns; the seconds to wait before the first of them may begin."""
        with self._lock:
            now = self._clock()
            start = max(self._next, now - self._slack)
            self._next = start + turns * self._interval
            return max(0.0, start - now)


@dataclass(frozen=True)
class RateLimited:
    """A judge asked about no more than ``per_second`` pairs a second, in groups of ``burst``.

    The judge of an endpoint has a limit of its own that counts calls and retries
    (``LanguageModelJudge(calls_per_second=...)``); this is for any other.

    Example:
        >>> waits = []
        >>> slow = RateLimited(lambda p, a, b: np.full(len(a), 0.5), per_second=100.0, burst=2, sleep=waits.append)
        >>> len(slow(["?"] * 5, ["a"] * 5, ["b"] * 5)), len(waits)
        (5, 3)
    """

    judge: Judge
    per_second: float
    burst: int = 1
    sleep: Callable[[float], None] = time.sleep
    _pace: Pace = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(self, above={"per_second": 0}, burst=1)
        object.__setattr__(self, "_pace", Pace(self.per_second))

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The judge's probabilities, (n,), unchanged."""
        parts = []
        for start in range(0, len(prompts), self.burst):
            rows = slice(start, start + self.burst)
            self.sleep(self._pace.reserve(len(prompts[rows])))
            parts.append(ask(self.judge, prompts[rows], first[rows], second[rows]))
        return np.concatenate([np.zeros(0), *parts])

    @property
    def identity(self) -> str:
        """That of the judge within: pace changes no answer."""
        return identity_of(self.judge)


@dataclass(frozen=True)
class LengthOnly:
    """The judge that sees lengths only: p = σ(coefficient · tanh((|y| − |y'|) / scale)), lengths in characters.

    The baseline that a preference model must beat, and what :class:`LengthControlled` takes out.

    Example:
        >>> LengthOnly(2.0, 10.0)(["?"], ["a long answer"], ["short"]).round(3)
        array([0.791])
    """

    coefficient: float
    scale: float

    def __post_init__(self) -> None:
        check_fields(self, above={"coefficient": -np.inf, "scale": 0})

    @classmethod
    def fit(cls, first: Sequence[str], second: Sequence[str], p: Array, weights: Array | None = None) -> LengthOnly:
        """Maximum likelihood from pairs and the probabilities (or 0/1 votes) of the first; NaN rows are left out.

        ``scale`` is the root mean square of the differences of length (1 where all are 0). The coefficient is
        sought in [−20, 20], since pairs that length separates perfectly have no finite maximum.

        Example:
            >>> LengthOnly.fit(["abcd", "a", "abc"], ["ab", "abc", "abc"], np.array([1.0, 0.5, 0.5]))
            LengthOnly(coefficient=..., scale=1.63...)
        """
        p = np.asarray(p, dtype=float)
        good = kept(p)
        difference = _longer(first, second)[good]
        weight = (np.ones(len(p)) if weights is None else np.asarray(weights, dtype=float))[good]
        scale = float(np.sqrt(np.mean(difference**2))) if difference.any() else 1.0
        x, target = np.tanh(difference / scale), p[good]

        def loss(coefficient: float) -> float:
            z = coefficient * x
            return float(weight @ (np.logaddexp(0, z) - target * z))

        return cls(float(minimize_scalar(loss, bounds=(-20, 20), method="bounded").x), scale)

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The probabilities, (n,)."""
        return expit(self.coefficient * np.tanh(_longer(first, second) / self.scale))

    @property
    def identity(self) -> str:
        """The two numbers."""
        return described("LengthOnly", coefficient=self.coefficient, scale=self.scale)


@dataclass(frozen=True)
class LengthControlled:
    """A judge with the effect of length taken out of its log-odds: σ(logit p − coefficient · tanh(Δ / scale)).

    Verdicts of exactly 0 or 1 stay what they are. The correction is that of length-controlled AlpacaEval, with a
    coefficient that you give or fit (:meth:`LengthOnly.fit`), and it is antisymmetric if the judge is.

    Source: Dubois et al., *Length-controlled AlpacaEval* (2024).

    Example:
        >>> judge = LengthControlled(lambda *pairs: np.array([0.8]), LengthOnly(1.0, 10.0))
        >>> judge(["?"], ["much longer than"], ["this"]).round(3), judge(["?"], ["same"], ["size"]).round(3)
        (array([0.635]), array([0.8]))
    """

    judge: Judge
    length: LengthOnly

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The corrected probabilities, (n,)."""
        p = ask(self.judge, prompts, first, second)
        return expit(logit(p) - logit(self.length(prompts, first, second)))

    @property
    def identity(self) -> str:
        """The judge's, and the two numbers."""
        return described("LengthControlled", of=identity_of(self.judge), by=self.length.identity)


def _longer(first: Sequence[str], second: Sequence[str]) -> Array:
    return np.array([len(y) - len(other) for y, other in zip(first, second, strict=True)], dtype=float)
