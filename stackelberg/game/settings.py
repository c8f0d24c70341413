"""What a game is told, checked: τ, references and weights, with their context axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from stackelberg.validation import Array, as_numbers, check_distribution, check_shape


def checked_tau(value: ArrayLike, contexts: int, name: str) -> Array:
    """τ of every context, (contexts,).

    >>> checked_tau(0.1, 2, "tau")
    array([0.1, 0.1])
    """
    tau = check_shape(as_numbers(value, name), (contexts,), name)
    if not ((tau >= 0) & np.isfinite(tau)).all():
        raise ValueError(f"{name} must be zero or positive and finite; it is {value!r}.")
    return tau


def checked_reference(given: ArrayLike | None, shape: tuple[int, ...], tau: Array, name: str) -> Array:
    """The reference, uniform where none was given, in its smallest shape with a context axis that broadcasts.

    Args:
        given: probabilities, or None.
        shape: of the policy that it is a reference of.
        tau: the checked τ of its player; where it is 0 the reference must not be.
        name: of the argument.

    Example:
        >>> checked_reference(None, (5, 2), np.ones(5), "reference")
        array([[0.5, 0.5]])
    """
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
    return reference.reshape((1,) * (len(shape) - reference.ndim) + reference.shape)


def checked_weights(given: ArrayLike | None, contexts: int) -> Array:
    """ρ, (contexts,), uniform where none was given.

    >>> checked_weights(None, 4)
    array([0.25, 0.25, 0.25, 0.25])
    """
    weights = np.full(contexts, 1 / contexts) if given is None else check_distribution(given, "context_weights")
    return check_shape(weights, (contexts,), "context_weights")


def check_left_out(**settings: Any) -> None:
    """Refuse what only a game over listed actions has, where texts are judged."""
    for name, given in settings.items():
        if given is not None:
            raise ValueError(
                f"{name} is for games whose actions are listed; here a policy that speaks brings its reference, "
                f"and prompts are drawn alike. Leave {name} out."
            )


def one_for_all(name: str, values: Array) -> Array | None:
    """A setting, (contexts, …) or (1, …), for contexts of which nothing is known; None where it is uniform weights."""
    if (values != values[:1]).any():
        raise ValueError(f"{name} differs from context to context. Pass {name}= for the new contexts.")
    return None if name == "context_weights" else values[:1]


def of_rollouts(tau: Array, contexts: ArrayLike | None) -> Any:
    """τ of every rollout: a number where no contexts are told apart."""
    return float(tau[0]) if contexts is None else tau[np.asarray(contexts)]
