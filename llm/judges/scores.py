"""Judges made of scores: Bradley–Terry on a reward, votes of attributes, and means and votes of judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from llm.fields import check_fields
from llm.judges.protocol import Array, Judge, Prompt, Scores, ask, check_rows, described, identity_of
from stackelberg.validation import as_numbers


@dataclass(frozen=True)
class BradleyTerry:
    """p = σ((r(x, y) − r(x, y')) / scale), from a reward.

    Args:
        reward: scores of shape (n,), such as :class:`llm.judges.RewardModel`.
        scale: of the reward, > 0; towards 0 the better answer wins for certain.

    Source: Bradley and Terry, *Rank analysis of incomplete block designs*, Biometrika 39 (1952).

    Example:
        >>> judge = BradleyTerry(lambda prompts, answers: np.array([float(len(a)) for a in answers]))
        >>> judge(["?"], ["abc"], ["ab"]).round(3)
        array([0.731])
    """

    reward: Scores
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 < self.scale < np.inf:
            raise ValueError(f"scale must be a positive number, not {self.scale!r}. Use AttributeVote for scale 0.")

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The probabilities, (n,); NaN where a reward is."""
        one, other = both(self.reward, prompts, first, second)
        if one.ndim != 1:
            raise ValueError(
                f"The reward has {one.shape[1]} attributes an answer. "
                "Weigh them, BradleyTerry(Weighted(scores, weights)), or let them vote: AttributeVote(scores, signs)."
            )
        return expit((one - other) / self.scale)

    @property
    def identity(self) -> str:
        """The reward's name and the scale."""
        return described("BradleyTerry", reward=identity_of(self.reward), scale=self.scale)


@dataclass(frozen=True)
class Weighted:
    """A weighted sum of attributes as one reward: ``Σ_k w_k s_k``. A negative weight flips an attribute.

    Example:
        >>> reward = Weighted(lambda prompts, answers: np.array([[4.0, 2.0]] * len(answers)), (1.0, -0.5))
        >>> reward(["?"], ["a"])
        array([3.])
    """

    scores: Scores
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.weights or not np.isfinite(self.weights).all():
            raise ValueError(f"weights must be finite numbers, one an attribute, not {self.weights!r}. Pass (1.0,).")

    def __call__(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> Array:
        """The sums, (n,)."""
        return _attributes(self.scores(prompts, answers), len(prompts), len(self.weights)) @ np.array(self.weights)

    @property
    def identity(self) -> str:
        """The scores' name and the weights."""
        return described("Weighted", scores=identity_of(self.scores), weights=self.weights)


@dataclass(frozen=True)
class AttributeVote:
    """The share of attributes in which the first answer is better, ties ½: the judge of the SLHF paper.

    Args:
        scores: (n, attributes).
        signs: one an attribute: +1 where more is better, −1 where less is.

    Example:
        >>> known = {"short": (4.0, 1.0), "long": (4.0, 3.0)}
        >>> helpful_and_short = lambda prompts, answers: np.array([known[answer] for answer in answers])
        >>> AttributeVote(helpful_and_short, (1, -1))(["x"], ["short"], ["long"])
        array([0.75])
    """

    scores: Scores
    signs: tuple[int, ...]

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.signs or not all(sign in (1, -1) for sign in self.signs):
            raise ValueError(f"signs must be +1 or -1 for each attribute, not {self.signs!r}.")

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The shares, (n,); NaN where a score is."""
        one, other = both(self.scores, prompts, first, second)
        n = len(prompts)
        better = _attributes(one, n, len(self.signs)) - _attributes(other, n, len(self.signs))
        return np.mean((1 + np.sign(better) * np.array(self.signs)) / 2, axis=1)

    @property
    def identity(self) -> str:
        """The scores' name and the signs."""
        return described("AttributeVote", scores=identity_of(self.scores), signs=self.signs)


HELPSTEER2 = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
"""The attributes of HelpSteer2, in the order in which its reward models answer."""


def helpsteer2(scores: Scores) -> AttributeVote:
    """The five attributes of HelpSteer2 vote, complexity and verbosity flipped: less of either is better.

    Args:
        scores: (n, 5), in the order of ``HELPSTEER2``.

    Source: Wang et al., *HelpSteer2: Open-source dataset for training top-performing reward models* (2024).

    Example:
        >>> helpsteer2(lambda prompts, answers: np.zeros((len(answers), 5))).signs
        (1, 1, 1, -1, -1)
    """
    return AttributeVote(scores, (1, 1, 1, -1, -1))


@dataclass(frozen=True)
class Mean:
    """The weighted mean of the probabilities of several judges; a pair that one of them skips is skipped.

    Args:
        judges: one or more.
        weights: one a judge, ≥ 0, summing to 1; equal by default.

    Example:
        >>> Mean((lambda *pairs: [1.0], lambda *pairs: [0.5]))(["?"], ["a"], ["b"])
        array([0.75])
    """

    judges: tuple[Judge, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        _check_weights(len(self.judges), self.weights)

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The means, (n,)."""
        opinions = np.array([ask(judge, prompts, first, second) for judge in self.judges])
        return np.clip(np.average(opinions, axis=0, weights=self.weights), 0, 1)

    @property
    def identity(self) -> str:
        """The names of the judges, and the weights."""
        return described("Mean", judges=[identity_of(judge) for judge in self.judges], weights=self.weights)


@dataclass(frozen=True)
class Vote:
    """The weighted share of judges that prefer the first answer; a judge at exactly ½ gives each answer half a vote.

    Args:
        judges: one or more.
        weights: one a judge, ≥ 0, summing to 1; equal by default.

    Example:
        >>> Vote((lambda *pairs: [0.9], lambda *pairs: [0.6], lambda *pairs: [0.2], lambda *pairs: [0.5]))(
        ...     ["?"], ["a"], ["b"]
        ... )
        array([0.625])
    """

    judges: tuple[Judge, ...]
    weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        _check_weights(len(self.judges), self.weights)

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The shares, (n,)."""
        votes = [(1 + np.sign(ask(judge, prompts, first, second) - 0.5)) / 2 for judge in self.judges]
        return np.clip(np.average(votes, axis=0, weights=self.weights), 0, 1)

    @property
    def identity(self) -> str:
        """The names of the judges, and the weights."""
        return described("Vote", judges=[identity_of(judge) for judge in self.judges], weights=self.weights)


def both(scores: Scores, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> tuple[Array, Array]:
    """The scores of the first and of the second answers, from one call so that they share batches."""
    check_rows(prompts, first=first, second=second)
    n = len(prompts)
    values = as_numbers(scores([*prompts, *prompts], [*first, *second]), "The scores")
    if values.ndim not in (1, 2) or len(values) != 2 * n:
        raise ValueError(f"The scores of {2 * n} answers have shape {values.shape}. Answer one row an answer.")
    if np.isinf(values).any():
        raise ValueError("A score is infinite. Load the model in float32 or bfloat16, or mend the function.")
    return values[:n], values[n:]


def _attributes(values: Array, n: int, attributes: int) -> Array:
    values = as_numbers(values, "The scores")
    if values.shape != (n, attributes):
        raise ValueError(
            f"The scores have shape {values.shape}, not {(n, attributes)}. Give one weight or sign an attribute."
        )
    return values


def _check_weights(n: int, weights: tuple[float, ...] | None) -> None:
    if not n:
        raise ValueError("There are no judges. Give one or more.")
    if weights is None:
        return
    if len(weights) != n or min(weights) < 0 or abs(sum(weights) - 1) > 1e-9:
        raise ValueError(f"weights must be {n} numbers ≥ 0 that sum to 1, not {weights!r}.")
