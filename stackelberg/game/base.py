"""What every game has, whoever moves in it: preferences over contexts, and how it is read there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stackelberg.game.settings import checked_tau, of_rollouts, one_for_all
from stackelberg.gradient import PolicyReturns, Returns
from stackelberg.judged import Judged, are_prompts
from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import Array, as_floats, check_distribution, check_features, check_shape

if TYPE_CHECKING:
    from typing import Self

Answer = TypeVar("Answer")
"""The kind of solution a game has."""

Family = Callable[[Array], Any]
"""From features, (contexts, d), to preferences, (contexts, n, n)."""


@dataclass(frozen=True, eq=False)
class Game(Generic[Answer]):
    """What every game has: preferences, and weights ρ over the contexts (uniform by default).

    Contexts may have features, (contexts, d), beside P of shape (contexts, n, n); P may also be a callable from
    features to such an array, which the game keeps as ``family``: then :meth:`on` is the game in other contexts.

    Where the contexts are prompts, the preference is a judge, ``(prompts, first, second) -> probabilities``: a game for
    policies that speak, which bring their references with them.
    """

    preference: PreferenceMatrix
    contexts: Any = field(default=None, kw_only=True)
    family: Family | None = field(default=None, init=False)

    _carried: ClassVar[tuple[str, ...]] = ()
    """What :meth:`on` hands on."""

    def __post_init__(self) -> None:
        given: Any = self.preference
        if are_prompts(self.contexts):
            prompts = tuple(self.contexts)
            self._keep(contexts=prompts, preference=Judged(given, prompts), family=given)
            return
        if self.contexts is not None:
            self._keep(contexts=check_features(self.contexts))
        if callable(given):
            if self.contexts is None:
                raise ValueError(
                    "P is a function of features, or a judge of prompts, and there are none. "
                    "Pass contexts=features or prompts."
                )
            self._keep(family=given)
            given = given(self.contexts)
        if not isinstance(given, PreferenceMatrix):
            given = PreferenceMatrix(given)
        self._keep(preference=given)
        if self.contexts is not None and len(self.contexts) != self.shape[0]:
            raise ValueError(
                f"There are features for {len(self.contexts)} contexts, but P has {self.shape[0]}. "
                "Give one row of features a matrix."
            )

    @property
    def judged(self) -> bool:
        """Whether a judge of texts stands where a matrix may stand."""
        return isinstance(self.preference, Judged)

    @property
    def features(self) -> Array:
        """(contexts, d): the contexts' features; one-hot, an indicator of each context, where none were given."""
        return np.eye(self.shape[0]) if self.contexts is None else self.contexts

    def on(self, contexts: ArrayLike, **changes: Any) -> Self:
        """The same game in other contexts, such as held-out ones: P is a callable, all else carries over.

        Args:
            contexts: features, (contexts, d).
            changes: arguments of the game that are to differ; needed where one differs from context to context.

        Example:
            >>> import stackelberg as sb
            >>> mixture = sb.AnnotatorMixture.random(3, types=4, features=2)
            >>> game = sb.StackelbergGame(mixture, tau=0.1, contexts=mixture.draw(8, seed=1))
            >>> game.on(mixture.draw(100, seed=2)).shape
            (100, 3)
        """
        if self.family is None:
            raise ValueError(
                "P is a table of these contexts and says nothing of others. "
                "Pass a function from features to (contexts, n, n) as P."
            )
        carried = [name for name in self._carried if name not in changes and getattr(self, name) is not None]
        kept = {name: one_for_all(name, getattr(self, name)) for name in carried}
        return type(self)(self.family, contexts=contexts, **kept | changes)  # type: ignore[arg-type]  # a callable P

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the actions."""
        return self.preference.labels

    @property
    def shape(self) -> tuple[int, int]:
        """(contexts, n), with one context for a single matrix."""
        return self.preference.stacked.shape[:2]

    @property
    def margins(self) -> Array:
        """``(P − Pᵀ)/2``, (contexts, n, n): skew-symmetric exactly, equal to P − ½ up to rounding."""
        p = self.preference.stacked
        return (p - np.swapaxes(p, -1, -2)) / 2

    def squeeze(self, stacked: NDArray[Any]) -> Any:
        """Drop the context axis where the preference has none (a 1-vector becomes a float)."""
        if self.preference.contexts is not None:
            return stacked
        return stacked[0] if stacked.ndim > 1 else stacked[0].item()

    def expectation(self, per_context: ArrayLike) -> float:
        """``Σ_x ρ(x) per_context[x]``: a value or gap over all contexts, weighted by ``context_weights``.

        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.random(3, contexts=2), context_weights=[0.25, 0.75])
        >>> game.expectation([1.0, 2.0])
        1.75
        """
        weights: Array = self.context_weights  # type: ignore[attr-defined]  # every game sets its own
        return float(weights @ check_shape(as_floats(per_context, "per_context"), weights.shape, "per_context"))

    def returns(self, contexts: ArrayLike | None = None) -> Returns:
        """What each learner earns from a rollout, as :func:`stackelberg.gradient.surrogates` reads it.

        Args:
            contexts: the context of each rollout, (B,); by default every rollout is of the first.
        """
        tau: Array = self.tau  # type: ignore[attr-defined]  # a game of one policy has one
        return PolicyReturns(of_rollouts(tau, contexts))

    def policy(self, values: ArrayLike, name: str) -> Array:
        """A policy from the user, (contexts, n), checked."""
        return check_shape(check_distribution(values, name), self.shape, name)

    def _tau(self, value: ArrayLike, name: str = "tau") -> Array:
        return checked_tau(value, 1 if self.judged else self.shape[0], name)

    def _keep(self, **checked: Any) -> None:
        """Put what was given in its checked form."""
        for name, value in checked.items():
            object.__setattr__(self, name, value)
