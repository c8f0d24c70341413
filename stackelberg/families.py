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
            raise ValueError(
                f"rankings must be (types, n), each row an order of 0 to n − 1, not {shown(self.rankings)}. "
                "Write the best action first, as in [[0, 1, 2], [2, 0, 1]]."
            )
        if weights.ndim != 2 or len(weights) != len(rankings):
            raise ValueError(
                f"weights must be (types, d) with {len(rankings)} types, not of shape {weights.shape}. "
                "Give one row of weights a ranking."
            )
        object.__setattr__(self, "rankings", rankings)
        object.__setattr__(self, "weights", weights)

    @classmethod
    def random(cls, n: int, types: int, features: int, seed: int = 0, scale: float = 1.0) -> AnnotatorMixture:
        """Condorcet's rankings first, then random ones; weights N(0, scale²/d), so W x ~ N(0, scale²) for x ~ N(0, 1).

        The first n types rank the turns of one random order, A≻B≻C, B≻C≻A, C≻A≻B: where their shares are alike
        there is a cycle. Types beyond n rank at random.

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
                raise ValueError(f"{name} must be a positive whole number, not {shown(value)}. Pass for example 3.")
        rng = np.random.default_rng(seed)
        turns = (np.arange(n) + np.arange(min(types, n))[:, None]) % n
        others = rng.permuted(np.tile(np.arange(n), (max(types - n, 0), 1)), axis=1)
        rankings = np.concatenate([rng.permutation(n)[turns], others])
        return cls(rankings, rng.normal(scale=scale / np.sqrt(features), size=(types, features)))

    def shares(self, features: ArrayLike) -> Array:
        """(contexts, types) how many annotators are of each type, from features (contexts, d)."""
        x = as_floats(features, "features")
        if x.ndim != 2 or x.shape[1] != self.weights.shape[1]:
            d = self.weights.shape[1]
            raise ValueError(f"features must have shape (contexts, {d}), not {x.shape}. Give {d} numbers a context.")
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
