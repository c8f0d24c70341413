"""Preferences over texts: a judge and prompts, where a matrix stands over actions that can be listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NoReturn

from stackelberg.validation import shown


@dataclass(frozen=True, eq=False)
class Judged:
    """``p(y ≻ y' | x)`` from a judge: a callable ``(prompts, first, second) -> probabilities`` over texts.

    It is what ``game.preference`` is where a game was made with a judge and ``contexts=prompts``. Nothing that lists
    actions can be asked of it: such a game is for policies that speak, not for tables.

    Args:
        judge: the callable; in a reward game ``(prompts, answers) -> rewards``.
        prompts: texts, or conversations ``[{"role": ..., "content": ...}]``.

    Example:
        >>> import stackelberg as sb
        >>> def shorter(prompts, first, second):
        ...     return [float(len(a) < len(b)) for a, b in zip(first, second)]
        >>> game = sb.StackelbergGame(shorter, contexts=["Why?", "How?"], tau=0.1)
        >>> game.judged, len(game.contexts), game.returns()
        (True, 2, StackelbergReturns(tau_leader=0.1, tau_follower=0.1, follower_kl=True))
    """

    judge: Callable[..., Any]
    prompts: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not callable(self.judge):
            raise ValueError(
                f"The contexts are prompts, but the preference is {shown(self.judge)}. "
                "Pass a judge: a callable (prompts, first, second) -> probabilities."
            )
        for i, prompt in enumerate(self.prompts):
            if not is_prompt(prompt):
                raise ValueError(
                    f"contexts[{i}] is {shown(prompt)}, but the first is a prompt. "
                    "Pass texts, or conversations [{'role': 'user', 'content': '...'}]."
                )
            check_prompt(prompt, f"contexts[{i}]")

    @property
    def stacked(self) -> NoReturn:
        """No matrix: the actions are texts."""
        raise ValueError(
            "The actions of this game are texts, which cannot be listed. "
            "Pass a policy that speaks: sb.solve(game, solver, llm.TransformerPolicy.from_pretrained(...), "
            "sampling=llm.Rollouts())."
        )

    labels = contexts = n = never_compared = compared = stacked


def is_prompt(value: Any) -> bool:
    """Whether this is a text or a conversation, and no row of features.

    >>> is_prompt("Why?"), is_prompt([{"role": "user", "content": "Why?"}]), is_prompt([0.5, 1.0]), is_prompt([])
    (True, True, False, False)
    """
    if isinstance(value, str):
        return True
    return isinstance(value, Sequence) and len(value) > 0 and all(isinstance(each, Mapping) for each in value)


def check_prompt(prompt: Any, name: str = "A prompt") -> None:
    """Refuse what is neither a text nor a conversation whose messages have texts for role and content.

    >>> check_prompt([{"role": "user"}])
    Traceback (most recent call last):
    ValueError: A prompt is a text or a list such as [{"role": "user", "content": "..."}], not [{'role': 'user'}].
    """
    messages = prompt if is_prompt(prompt) and not isinstance(prompt, str) else ()
    texts = [isinstance(each.get(key), str) for each in messages for key in ("role", "content")]
    if not is_prompt(prompt) or not all(texts):
        raise ValueError(
            f'{name} is a text or a list such as [{{"role": "user", "content": "..."}}], not {shown(prompt)}.'
        )


def are_prompts(contexts: Any) -> bool:
    """Whether contexts are prompts, by the first of them; one text alone is taken for a mistake."""
    if isinstance(contexts, str):
        raise ValueError(f"contexts is the one text {shown(contexts)}. Pass a list of prompts.")
    if isinstance(contexts, (list, tuple)) and not contexts:
        raise ValueError("contexts is empty. Pass one prompt, or one row of features, or more.")
    if isinstance(contexts, (Mapping, Real)):
        raise ValueError(f"contexts must be a list, not {shown(contexts)}. Pass a list of prompts or rows of features.")
    if isinstance(contexts, (list, tuple)) and (contexts[0] is None or isinstance(contexts[0], Mapping)):
        raise ValueError(
            f"contexts[0] is {shown(contexts[0])}, neither a prompt nor a row of features. Pass texts, or "
            "conversations [{'role': 'user', 'content': '...'}]."
        )
    try:
        return contexts is not None and len(contexts) > 0 and is_prompt(contexts[0])
    except (TypeError, KeyError, IndexError):
        return False
