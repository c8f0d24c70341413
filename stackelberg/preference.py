"""Preferences: P[y, y'] = p(y ≻ y' | x), transitive or not, one matrix or one a context."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.special import expit

from stackelberg.evidence import Ballots, Counts, Unranked
from stackelberg.validation import Array, as_floats, check_labels, check_preferences, check_square, shown

if TYPE_CHECKING:
    from typing import Self


@dataclass(frozen=True, eq=False, repr=False)
class PreferenceMatrix:
    """Pairwise preferences, validated and never repaired.

    ``P[y, y']`` is the probability that action y is preferred to action y' (given context x). Any matrix
    with ``P + Pᵀ = 1`` (to 1e-9), diagonal ½ and entries in [0, 1] is allowed, intransitive ones included.

    Args:
        probabilities: (n, n), or (contexts, n, n) with one matrix a context.
        labels: n distinct names of the actions; "0", "1", … by default.
        evidence: the :class:`Counts` or :class:`Ballots` behind the numbers, where there are any. The
            constructors ``from_counts`` and ``from_rankings`` keep it; uncertainty is told from it.

    Raises:
        ValueError: naming the first offending cell and the likely cause.

    Example:
        >>> import stackelberg as sb
        >>> P = sb.PreferenceMatrix([[0.5, 0.9], [0.1, 0.5]], labels=["tea", "coffee"])
        >>> P.n, P.labels
        (2, ('tea', 'coffee'))
    """

    probabilities: Array
    labels: tuple[str, ...] = None  # type: ignore[assignment]  # None is replaced by names on construction
    evidence: Counts | Ballots | None = None

    def __post_init__(self) -> None:
        p = as_floats(self.probabilities, "P")
        check_preferences(p)
        p.flags.writeable = False
        object.__setattr__(self, "probabilities", p)
        object.__setattr__(self, "labels", check_labels(self.labels, p.shape[-1]))
        self._check_evidence()

    def _check_evidence(self) -> None:
        match self.evidence:
            case None:
                return
            case Counts(wins=wins):
                shape = wins.shape
            case Ballots(ranks=ranks):
                shape = (ranks.shape[-1], ranks.shape[-1])
            case _:
                raise ValueError(f"evidence must be Counts, Ballots or None, not {shown(self.evidence)}.")
        if shape != self.probabilities.shape:
            raise ValueError(f"The evidence is for shape {shape}, but P has shape {self.probabilities.shape}.")

    # ------------------------------------------------------------------ constructors

    @classmethod
    def from_counts(cls, wins: ArrayLike, ties: ArrayLike | None = None, labels: Sequence[str] | None = None) -> Self:
        """From how often y beat y': ``p = (wins + ties/2) / comparisons``.

        Pairs that were never compared get p = ½ and are listed in :attr:`never_compared`.

        Args:
            wins: (n, n) or (contexts, n, n), ``wins[y, y']`` = number of times y was preferred to y'.
            ties: the same shape, symmetric; a tie is half a win for each.
            labels: names of the actions.

        Example:
            >>> P = PreferenceMatrix.from_counts([[0, 3, 0], [1, 0, 2], [0, 2, 0]], labels=list("ABC"))
            >>> P.probabilities[0, 1], P.never_compared
            (np.float64(0.75), (('A', 'C'),))
        """
        counts = Counts.checked(wins, ties)
        return cls(counts.probabilities(), labels, counts)  # type: ignore[arg-type]

    @classmethod
    def from_rankings(
        cls,
        rankings: Iterable[tuple[float, Sequence[Any]]],
        labels: Sequence[str] | None = None,
        unranked: Unranked = Unranked.BELOW,
    ) -> Self:
        """From ballots: rows ``(count, ranking)``, best first; a tuple or set inside a ranking is a tie.

        Args:
            rankings: for example ``[(3, ["A", "B", "C"]), (2, ["C", ("A", "B")])]``.
            labels: the candidates; by default those named, in order of first appearance.
            unranked: what a partial ballot says about the candidates it leaves out.

        Example:
            >>> P = PreferenceMatrix.from_rankings([(2, ["A", "B", "C"]), (1, ["C", ("A", "B")])])
            >>> P.probabilities.round(3)
            array([[0.5  , 0.833, 0.667],
                   [0.167, 0.5  , 0.667],
                   [0.333, 0.333, 0.5  ]])
        """
        ballots, names = Ballots.checked(rankings, labels, unranked)
        return cls(ballots.counts().probabilities(), names, ballots)

    @classmethod
    def from_scores(cls, scores: ArrayLike, labels: Sequence[str] | None = None) -> Self:
        """Bradley–Terry: ``p(y ≻ y') = σ(r(y) − r(y'))`` from rewards r of shape (n,) or (contexts, n).

        >>> PreferenceMatrix.from_scores([0.0, np.log(3)]).probabilities
        array([[0.5 , 0.25],
               [0.75, 0.5 ]])
        """
        r = as_floats(scores, "scores")
        if r.ndim not in (1, 2) or not r.size:
            raise ValueError(f"scores must have shape (n,) or (contexts, n), not {r.shape}.")
        with np.errstate(over="ignore"):
            return cls(expit(r[..., :, None] - r[..., None, :]), labels)  # type: ignore[arg-type]

    @classmethod
    def from_attributes(cls, scores: ArrayLike, labels: Sequence[str] | None = None) -> Self:
        """The share of attributes in which y is better than y' (ties ½): the judge of the SLHF paper.

        Args:
            scores: (n, attributes) or (contexts, n, attributes), higher is better.
            labels: names of the actions.

        Example:
            >>> PreferenceMatrix.from_attributes([[1, 2], [0, 2]]).probabilities
            array([[0.5 , 0.75],
                   [0.25, 0.5 ]])
        """
        s = as_floats(scores, "scores")
        if s.ndim not in (2, 3) or not s.size:
            raise ValueError(f"scores must have shape (n, attributes) or (contexts, n, attributes), not {s.shape}.")
        total = np.zeros((*s.shape[:-1], s.shape[-2]))
        with np.errstate(over="ignore"):  # the sign of a difference too large for float64 is right
            for attribute in np.moveaxis(s, -1, 0):
                total += 0.5 * np.sign(attribute[..., :, None] - attribute[..., None, :])
        return cls(0.5 + total / s.shape[-1], labels)  # type: ignore[arg-type]

    @classmethod
    def from_margins(cls, margins: ArrayLike, labels: Sequence[str] | None = None) -> Self:
        """From margins ``M = P − Pᵀ`` in [−1, 1]: ``P = (1 + M) / 2``.

        >>> PreferenceMatrix.from_margins([[0, 0.5], [-0.5, 0]]).probabilities
        array([[0.5 , 0.75],
               [0.25, 0.5 ]])
        """
        m = as_floats(margins, "margins")
        check_square(m, "margins")
        if np.abs(m).max() > 1:
            raise ValueError(
                f"margins must lie in [-1, 1]; the largest is {np.abs(m).max():.6g}. "
                "Divide by the number of comparisons."
            )
        skew = m + np.swapaxes(m, -1, -2)
        if np.abs(skew).max() > 1e-9:
            cell = np.unravel_index(np.abs(skew).argmax(), skew.shape)
            raise ValueError(f"margins must be skew-symmetric; M + Mᵀ at {tuple(map(int, cell))} is {skew[cell]:.6g}.")
        return cls((1 + m) / 2, labels)  # type: ignore[arg-type]

    @classmethod
    def cycle(cls, n: int, strength: float = 1.0) -> Self:
        """Rock, paper, scissors for n: each action beats the next ⌊(n−1)/2⌋, ties with an opposite one.

        >>> PreferenceMatrix.cycle(3).probabilities
        array([[0.5, 1. , 0. ],
               [0. , 0.5, 1. ],
               [1. , 0. , 0.5]])
        """
        _check_size(n, "n", "actions")
        if not isinstance(strength, Real) or not 0 <= strength <= 1:
            raise ValueError(f"strength must be a probability, in [0, 1], not {shown(strength)}.")
        ahead = (np.arange(n)[None, :] - np.arange(n)[:, None]) % n
        sign = np.where(ahead == 0, 0, np.sign(n - 2 * ahead))
        return cls(0.5 + sign * (strength - 0.5))

    @classmethod
    def random(cls, n: int, seed: int = 0, contexts: int | None = None) -> Self:
        """Independent uniform preferences above the diagonal, reproducible from ``seed``.

        >>> PreferenceMatrix.random(4, seed=1, contexts=2).probabilities.shape
        (2, 4, 4)
        """
        _check_size(n, "n", "actions")
        if contexts is not None:
            _check_size(contexts, "contexts", "contexts")
        if not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ValueError(f"seed must be a whole number, not negative, not {shown(seed)}.")
        shape = (n, n) if contexts is None else (contexts, n, n)
        upper = np.triu(np.random.default_rng(seed).random(shape), 1)
        lower = np.tril(1 - np.swapaxes(upper, -1, -2), -1)
        return cls(upper + lower + 0.5 * np.eye(n))

    @classmethod
    def condorcet(cls, shares: Sequence[float]) -> Self:
        """The Condorcet paradox: annotator type k, with the k-th share, ranks k ≻ k+1 ≻ … ≻ k−1 (cyclically).

        With three types A, B, C: p(A≻B) = 1 − α₂, p(B≻C) = 1 − α₃, p(C≻A) = 1 − α₁.

        >>> P = PreferenceMatrix.condorcet([0.5, 0.3, 0.2])
        >>> P.labels, P.probabilities[0, 1].round(12)
        (('A', 'B', 'C'), np.float64(0.7))
        """
        alpha = as_floats(shares, "shares")
        if alpha.ndim != 1:
            raise ValueError(f"shares must be one number an annotator type, not of shape {alpha.shape}.")
        names = [chr(ord("A") + i) if len(alpha) <= 26 else f"y{i}" for i in range(len(alpha))]
        rows = [(share, names[k:] + names[:k]) for k, share in enumerate(alpha.tolist()) if share != 0]
        return cls(cls.from_rankings(rows, labels=names).probabilities, tuple(names))  # shares are no counts of anybody

    # ------------------------------------------------------------------ views

    @property
    def n(self) -> int:
        """Number of actions."""
        return int(self.probabilities.shape[-1])

    @property
    def contexts(self) -> int | None:
        """Number of contexts, or None for a single matrix."""
        return int(self.probabilities.shape[0]) if self.probabilities.ndim == 3 else None

    @property
    def stacked(self) -> Array:
        """(contexts, n, n), with one context for a single matrix; a view."""
        return self.probabilities.reshape(-1, self.n, self.n)

    def at(self, context: int) -> PreferenceMatrix:
        """The single matrix of one context, counted from 0, with its labels and its evidence.

        >>> PreferenceMatrix.random(3, contexts=2).at(1).probabilities.shape
        (3, 3)
        """
        if self.contexts is None:
            raise ValueError(f"P is one matrix without contexts, so it has no context {context!r}.")
        if isinstance(context, bool) or not isinstance(context, (int, np.integer)):
            raise ValueError(f"A context is a whole number from 0 to {self.contexts - 1}, not {context!r}.")
        if not 0 <= context < self.contexts:
            raise ValueError(f"There is no context {context}: P has {self.contexts}, counted from 0.")
        evidence = self.evidence
        if isinstance(evidence, Counts):
            evidence = Counts(evidence.wins[context], evidence.ties[context])
        return PreferenceMatrix(self.probabilities[context], self.labels, evidence)

    @property
    def counts(self) -> Counts | None:
        """The pairwise counts behind the numbers, or None where they are not known."""
        return self.evidence.counts() if isinstance(self.evidence, Ballots) else self.evidence

    @property
    def comparisons(self) -> Array | None:
        """How often each pair was compared, shaped as P, or None where that is not known."""
        counts = self.counts
        return None if counts is None else counts.comparisons

    @property
    def compared(self) -> Array:
        """1 where a pair of different actions was compared, 0 elsewhere; shaped as P. Without evidence all were."""
        comparisons = self.comparisons
        known = np.ones(self.probabilities.shape) if comparisons is None else (comparisons > 0).astype(float)
        return np.asarray(known * (1 - np.eye(self.n)))

    @property
    def never_compared(self) -> tuple[tuple[str, str], ...]:
        """The pairs (in any context) of which no comparison is known and whose ½ is therefore a guess."""
        comparisons = self.comparisons
        if comparisons is None:
            return ()
        missing = np.triu((comparisons.reshape(-1, self.n, self.n) == 0).any(axis=0), 1)
        return tuple((self.labels[i], self.labels[j]) for i, j in np.argwhere(missing))

    def resample(self, rng: np.random.Generator) -> PreferenceMatrix:
        """A bootstrap draw from the evidence (pair by pair, or ballot by ballot where ballots are known)."""
        if self.evidence is None:
            raise ValueError("Only probabilities are known, no counts, so nothing can be resampled. Use from_counts.")
        drawn = self.evidence.resample(rng)
        counts = drawn.counts() if isinstance(drawn, Ballots) else drawn
        return PreferenceMatrix(counts.probabilities(), self.labels, drawn)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to ``path``; the ending chooses the format (see :func:`stackelberg.read_preferences`)."""
        from stackelberg.io import save_preferences

        save_preferences(self, path)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.probabilities, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        where = "" if self.contexts is None else f", contexts={self.contexts}"
        names = ", ".join(self.labels[:6]) + (", …" if self.n > 6 else "")
        return f"PreferenceMatrix(n={self.n}{where}, labels=({names}))"


def _check_size(value: int, name: str, things: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 1 <= value < 2**31:
        raise ValueError(f"{name} must be a positive whole number of {things}, not {shown(value)}.")
