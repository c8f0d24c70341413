"""Preferences that vary with the context: a family is a callable from features to one matrix a context."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from stackelberg.preference import PreferenceMatrix
from stackelberg.simplex import softmax
from stackelberg.validation import Array, as_floats, shown


@dataclass(frozen=True, eq=False)
class AnnotatorMixture:
    """Annotator types, each with a ranking, whose shares vary smoothly with the context.

    ``share(x) = softmax(W x)`` and ``p(y ≻ y'|x) = Σ_k share_k(x) [type k ranks y above y']``: valid preferences
    for every x, and often cyclic, as with the three types of Condorcet. What is learned on some contexts can be
    tested on others: ``game.on(features)``.

    Args:
        rankings: (types, n) actions as indices, best first.
        weights: (types, d), W.

    Example:
        >>> import stackelberg as sb
        >>> mixture = sb.AnnotatorMixture([[0, 1, 2], [1, 2, 0], [2, 0, 1]], np.eye(3))
        >>> mixture([[0.0, 0.0, 0.0]]).probabilities.round(3)
        array([[[0.5  , 0.667, 0.333],
                [0.333, 0.5  , 0.667],
                [0.667, 0.333, 0.5  ]]])
    """

    rankings: Array
    weights: Array

    def __post_init__(self) -> None:
        rankings, weights = as_floats(self.rankings, "rankings").astype(int), as_floats(self.weights, "weights")
        if rankings.ndim != 2 or (np.sort(rankings) != np.arange(rankings.shape[-1])).any():
            raise ValueError("rankings must be (types, n), each row the numbers 0 to n − 1, best first.")
        if weights.ndim != 2 or len(weights) != len(rankings):
            raise ValueError(f"weights must be (types, d) with {len(rankings)} types, not of shape {weights.shape}.")
        object.__setattr__(self, "rankings", rankings)
        object.__setattr__(self, "weights", weights)

    @classmethod
    def random(cls, n: int, types: int, features: int, seed: int = 0, scale: float = 2.0) -> AnnotatorMixture:
        """Random rankings, and weights N(0, scale²/d), so that W x has deviation ``scale`` for x ~ N(0, 1).

        Args:
            n: number of actions.
            types: number of annotator types.
            features: d.
            seed: of all of it.
            scale: how strongly shares vary with the context.

        Example:
            >>> AnnotatorMixture.random(4, types=5, features=2, seed=0).weights.shape
            (5, 2)
        """
        for name, value in {"n": n, "types": types, "features": features}.items():
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{name} must be a positive whole number, not {shown(value)}.")
        rng = np.random.default_rng(seed)
        rankings = rng.permuted(np.tile(np.arange(n), (types, 1)), axis=1)
        return cls(rankings, rng.normal(scale=scale / np.sqrt(features), size=(types, features)))

    def shares(self, features: ArrayLike) -> Array:
        """(contexts, types) how many annotators are of each type, from features (contexts, d)."""
        x = as_floats(features, "features")
        if x.ndim != 2 or x.shape[1] != self.weights.shape[1]:
            raise ValueError(f"features must have shape (contexts, {self.weights.shape[1]}), not {x.shape}.")
        return softmax(x @ self.weights.T)

    def draw(self, contexts: int, seed: int = 0) -> Array:
        """Features of so many contexts, (contexts, d), independent N(0, 1)."""
        return np.random.default_rng(seed).normal(size=(contexts, self.weights.shape[1]))

    def __call__(self, features: ArrayLike) -> PreferenceMatrix:
        """The preferences in contexts with these features, (contexts, n, n)."""
        ranks = np.argsort(self.rankings, axis=1)  # of each action, 0 the best
        above = (1 + np.sign(ranks[:, None, :] - ranks[:, :, None])) / 2  # (types, n, n): 1, ½ with itself, 0
        won = np.tensordot(self.shares(features), above, axes=1)
        return PreferenceMatrix(won / (won + won.swapaxes(1, 2)))  # what shares sum to but for rounding is 1
