"""The three games over one preference: who moves, what each sees, what each wants. No solver is known here.

Numbers, arrays and None are taken as given and kept as checked arrays with a leading context axis (one
context for a single matrix); what solutions and diagnostics return has that axis only where P has contexts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stackelberg.gradient import PolicyReturns, Returns, StackelbergReturns
from stackelberg.judged import Judged, are_prompts
from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import Array, as_floats, as_numbers, check_distribution, check_features, check_shape

if TYPE_CHECKING:
    from typing import Self

    from stackelberg.solution import NashSolution, RewardSolution, StackelbergSolution  # noqa: F401  # named below

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
            object.__setattr__(self, "contexts", tuple(self.contexts))
            object.__setattr__(self, "preference", Judged(given, self.contexts))
            object.__setattr__(self, "family", given)
            return
        if self.contexts is not None:
            object.__setattr__(self, "contexts", check_features(self.contexts))
        if callable(given):
            if self.contexts is None:
                raise ValueError(
                    "P is a function of features, or a judge of prompts, and there are none. "
                    "Pass contexts=features or prompts."
                )
            object.__setattr__(self, "family", given)
            given = given(self.contexts)
        if not isinstance(given, PreferenceMatrix):
            given = PreferenceMatrix(given)
        object.__setattr__(self, "preference", given)
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
        return PolicyReturns(_of_rollouts(tau, contexts))

    def policy(self, values: ArrayLike, name: str) -> Array:
        """A policy from the user, (contexts, n), checked."""
        return check_shape(check_distribution(values, name), self.shape, name)

    def _set_tau(self, attribute: str, value: ArrayLike, name: str = "tau") -> None:
        tau = check_shape(as_numbers(value, name), (1,) if self.judged else self.shape[:1], name)
        if not ((tau >= 0) & np.isfinite(tau)).all():
            raise ValueError(f"{name} must be zero or positive and finite; it is {value!r}.")
        object.__setattr__(self, attribute, tau)

    def _leave_out(self, *names: str) -> None:
        """Refuse what only a game over listed actions has."""
        for name in names:
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} is for games whose actions are listed; here a policy that speaks brings its reference, "
                    f"and prompts are drawn alike. Leave {name} out."
                )

    def _set_reference(self, name: str, shape: tuple[int, ...], tau: Array) -> None:
        """Store the reference in its smallest broadcastable shape, with the context axis."""
        given = getattr(self, name)
        n = shape[-1]
        uniform = np.full(n, 1 / n)
        reference = uniform if given is None else check_distribution(given, name)
        everywhere = check_shape(reference, shape, name)
        if (reference == 0).any() and (everywhere[tau == 0] == 0).any():
            raise ValueError(
                f"{name} gives some action probability 0 where tau = 0, and there is no KL term to say what that "
                "means. Leave the action out of P, or use tau > 0."
            )
        if len(shape) == 3 and reference.ndim == 2 and shape[0] != 1 and shape[0] == n:
            raise ValueError(
                f"{name} of shape {reference.shape} could mean a row a context or a row an action here. "
                f"Pass shape {(shape[0], 1, n)} or {(1, n, n)}."
            )
        object.__setattr__(self, name, reference.reshape((1,) * (len(shape) - reference.ndim) + reference.shape))

    def _set_weights(self) -> None:
        given = getattr(self, "context_weights", None)
        contexts = self.shape[0]
        weights = np.full(contexts, 1 / contexts) if given is None else check_distribution(given, "context_weights")
        object.__setattr__(self, "context_weights", check_shape(weights, (contexts,), "context_weights"))


@dataclass(frozen=True, eq=False)
class StackelbergGame(Game["StackelbergSolution"]):
    """SLHF: the Leader answers, the Follower sees the answer and improves it (arXiv 2512.16626).

    ``max_π min_ω E_{y~π}[ E_{y'~ω(·|y)} p(y≻y') + τ_F KL(ω(·|y)‖ω_ref(·|y)) ] − τ_L KL(π‖π_ref)``,
    averaged over the contexts.

    Args:
        preference: a :class:`PreferenceMatrix`, or an array that makes one.
        tau: both KL coefficients, ≥ 0; a number or one a context.
        tau_leader, tau_follower: τ_L and τ_F where they differ.
        leader_reference: π_ref, (n,) or (contexts, n); uniform by default.
        follower_reference: ω_ref, (n,) for every y alike, (n, n) with a row an observed action y, or
            (contexts, n, n); uniform by default. Zeros are allowed where that player's τ > 0.
        context_weights: ρ, (contexts,); uniform by default.
        contexts: features, (contexts, d), beside P of shape (contexts, n, n); P may be a function of them. Or
            prompts, beside a judge.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0.1)
        >>> sb.solve(game).leader.round(3)
        array([0.333, 0.333, 0.333])
    """

    tau: Any = 0.1
    tau_leader: Any = field(default=None, kw_only=True)
    tau_follower: Any = field(default=None, kw_only=True)
    leader_reference: Any = field(default=None, kw_only=True)
    follower_reference: Any = field(default=None, kw_only=True)
    context_weights: Any = field(default=None, kw_only=True)

    _carried: ClassVar = ("tau_leader", "tau_follower", "leader_reference", "follower_reference", "context_weights")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tau_leader", "tau_follower"):
            own = getattr(self, name)
            self._set_tau(name, *((self.tau,) if own is None else (own, name)))
        if self.judged:
            self._leave_out("leader_reference", "follower_reference", "context_weights")
            return
        contexts, n = self.shape
        self._set_reference("leader_reference", (contexts, n), self.tau_leader)
        self._set_reference("follower_reference", (contexts, n, n), self.tau_follower)
        self._set_weights()

    def returns(self, contexts: ArrayLike | None = None) -> Returns:
        """Leader ``p + τ_F ℓ_F − τ_L ℓ_L``, Follower ``p + τ_F ℓ_F``, which it lowers.

        Example:
            >>> StackelbergGame([[0.5, 1.0], [0.0, 0.5]], tau_leader=0.1, tau_follower=0.2).returns()
            StackelbergReturns(tau_leader=0.1, tau_follower=0.2, follower_kl=True)
        """
        return StackelbergReturns(_of_rollouts(self.tau_leader, contexts), _of_rollouts(self.tau_follower, contexts))

    def response(self, values: ArrayLike, name: str = "follower") -> Array:
        """A Follower from the user, (contexts, n, n) with a row an observed action, checked."""
        contexts, n = self.shape
        return check_shape(check_distribution(values, name), (contexts, n, n), name)


@dataclass(frozen=True, eq=False)
class NashGame(Game["NashSolution"]):
    """NLHF: ``max_π min_π' π P π' − τ KL(π‖π_ref) + τ KL(π'‖π_ref)`` (Munos et al. 2023).

    Args:
        preference: a :class:`PreferenceMatrix`, or an array that makes one.
        tau: KL coefficient ≥ 0, a number or one a context. At τ = 0 the solution is a maximal lottery.
        reference: π_ref, (n,) or (contexts, n); uniform by default. Zeros are allowed where τ > 0.
        context_weights: ρ, (contexts,); uniform by default.
        contexts: features, (contexts, d), beside P of shape (contexts, n, n); P may be a function of them. Or
            prompts, beside a judge.
    """

    tau: Any = 0.1
    reference: Any = None
    context_weights: Any = field(default=None, kw_only=True)

    _carried: ClassVar = ("tau", "reference", "context_weights")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_tau("tau", self.tau)
        if self.judged:
            self._leave_out("reference", "context_weights")
            return
        self._set_reference("reference", self.shape, self.tau)
        self._set_weights()


@dataclass(frozen=True, eq=False)
class RewardGame(Game["RewardSolution"]):
    """RLHF: maximise ``E_π r − τ KL(π‖π_ref)`` for the Bradley–Terry reward r fitted under pair sampling μ.

    Over prompts, the preference is a reward itself, a callable ``(prompts, answers) -> rewards``.

    Args:
        preference: a :class:`PreferenceMatrix`, or an array that makes one.
        tau: KL coefficient ≥ 0, a number or one a context.
        sampling: μ ≥ 0, (n, n) or (contexts, n, n); how often each pair is shown to annotators, up to a
            factor. By default every pair alike, but for those that were never compared
            (``preference.never_compared``), whose ½ is no observation. ``preference.comparisons`` weighs pairs
            by how often they were compared. Where P is not Bradley–Terry the answer depends on it.
        reference: π_ref, (n,) or (contexts, n); uniform by default. Zeros are allowed where τ > 0.
        context_weights: ρ, (contexts,); uniform by default.
        contexts: features, (contexts, d), beside P of shape (contexts, n, n); P may be a function of them. Or
            prompts, beside a judge.
    """

    tau: Any = 0.1
    sampling: Any = None
    reference: Any = field(default=None, kw_only=True)
    context_weights: Any = field(default=None, kw_only=True)

    _carried: ClassVar = ("tau", "sampling", "reference", "context_weights")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set_tau("tau", self.tau)
        if self.judged:
            self._leave_out("sampling", "reference", "context_weights")
            return
        contexts, n = self.shape
        self._set_reference("reference", self.shape, self.tau)
        self._set_weights()
        given = self.preference.compared if self.sampling is None else as_floats(self.sampling, "sampling")
        if (given < 0).any():
            raise ValueError(f"sampling weights must not be negative; the smallest is {given.min():.6g}.")
        object.__setattr__(self, "sampling", check_shape(given, (contexts, n, n), "sampling"))


def one_for_all(name: str, values: Array) -> Array | None:
    """A setting, (contexts, …) or (1, …), for contexts of which nothing is known; None where it is uniform weights."""
    if (values != values[:1]).any():
        raise ValueError(f"{name} differs from context to context. Pass {name}= for the new contexts.")
    return None if name == "context_weights" else values[:1]


def _of_rollouts(tau: Array, contexts: ArrayLike | None) -> Any:
    """τ of every rollout: a number where no contexts are told apart."""
    return float(tau[0]) if contexts is None else tau[np.asarray(contexts)]
