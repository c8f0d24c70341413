"""What a judge is: a callable ``(prompts, first, second) -> probabilities``, and what can go wrong with one."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from llm.fields import check_fields, check_kind
from stackelberg.validation import as_numbers, shown

Array: TypeAlias = NDArray[np.float64]
Prompt: TypeAlias = str | Sequence[Mapping[str, str]]
"""A text, or a conversation: ``[{"role": "user", "content": "..."}]``."""


class Judge(Protocol):
    """p(first ≻ second | prompt) for every row: any function with this signature is a judge.

    The answer is an array of shape (n,) in [0, 1]; NaN marks a pair that the judge skipped (:func:`kept`).
    """

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str], /) -> Array:
        """The probabilities that ``first[i]`` is preferred to ``second[i]`` as an answer to ``prompts[i]``."""
        ...


class Scores(Protocol):
    """A number, or a row of attributes, for every answer: shape (n,) or (n, attributes), higher is more of it."""

    def __call__(self, prompts: Sequence[Prompt], answers: Sequence[str], /) -> Array:
        """The scores of ``answers[i]`` as an answer to ``prompts[i]``."""
        ...


class OnFailure(enum.Enum):
    """What a judge does with a pair it cannot judge."""

    STOP = "stop"
    SKIP = "skip"


class JudgeError(RuntimeError):
    """A judge failed and the run stops.

    Attributes:
        partial: the judgements it had made, (n,), NaN where there are none; None where there are none at all.
            :class:`llm.judges.Cached` saves them before it lets the error pass.
        judge: whose judgements ``partial`` are: a wrapper between that changes them must not keep them as its own.
        status: the code with which a server refused, if that was it.
    """

    status: int | None = None

    def __init__(self, message: str, partial: Array | None = None, judge: Any = None) -> None:
        super().__init__(message)
        self.partial = partial
        self.judge = judge


@dataclass(frozen=True)
class Named:
    """A Python function with a name of its own, so that its judgements can be kept (:class:`llm.judges.Cached`).

    Args:
        function: a judge.
        identity: what tells it from every other judge. Change it whenever the function's answers change.

    Example:
        >>> shorter = Named(lambda prompts, first, second: [float(len(a) < len(b)) for a, b in zip(first, second)], "s")
        >>> shorter(["?"], ["yes"], ["perhaps"]), shorter.identity
        (array([1.]), 's')
    """

    function: Callable[..., Any]
    identity: str

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """What the function says, as an array."""
        return np.asarray(self.function(prompts, first, second), dtype=float)


def ask(judge: Judge, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
    """The judge's probabilities, (n,), checked: what a trainer calls.

    Raises:
        ValueError: prompts and answers of different number; answers that are no texts; probabilities of another
            shape, outside [0, 1] or infinite. NaN is a skipped pair, see :func:`kept`.

    Example:
        >>> ask(lambda prompts, first, second: [0.75], ["2 + 2?"], ["4"], ["5"])
        array([0.75])
    """
    check_kind(judge, Judge, "judge")
    check_rows(prompts, first=first, second=second)
    if not len(prompts):
        return np.zeros(0)
    return check_probabilities(judge(prompts, first, second), len(prompts))


def kept(probabilities: Array) -> NDArray[np.bool_]:
    """Where there is a judgement: False on the pairs that were skipped, which a trainer must drop.

    Example:
        >>> kept(np.array([0.25, np.nan]))
        array([ True, False])
    """
    return ~np.isnan(probabilities)


def check_rows(prompts: Sequence[Prompt], **answers: Sequence[str]) -> None:
    """Refuse prompts and answers that do not belong together."""
    for name, texts in {"prompts": prompts, **answers}.items():
        if isinstance(texts, str):
            raise ValueError(f"{name} is the one text {shown(texts)}. Pass a list of them.")
        if not hasattr(texts, "__len__"):
            raise ValueError(f"{name} must be a list, not {shown(texts)}. Pass one entry a pair.")
        if len(texts) != len(prompts):
            raise ValueError(f"There are {len(prompts)} prompts but {len(texts)} in {name}. Give one a prompt.")
    for name, texts in answers.items():
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(f"{name}[{i}] is {shown(text)}, no text. Pass the decoded answer.")


def check_probabilities(values: Any, n: int) -> Array:
    """``values`` as an array of n probabilities or NaN, or a ``ValueError`` with the first bad one."""
    p = as_numbers(values, "The judge's probabilities")
    if p.shape != (n,):
        raise ValueError(f"The judge answered with shape {p.shape} for {n} pairs. It must answer one number a pair.")
    wrong = ~np.isnan(p) & ~((p >= 0) & (p <= 1))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise ValueError(
            f"The judge's probability of pair {i} is {p[i]:.6g}. It must lie in [0, 1]; NaN marks a skipped pair."
        )
    return p


def identity_of(judge: Any) -> str:
    """The judge's ``identity``, or a ``ValueError`` that says how to give it one.

    >>> identity_of(Named(len, "mine"))
    'mine'
    """
    identity = getattr(judge, "identity", None)
    if not isinstance(identity, str) or not identity:
        raise ValueError(
            f"{shown(judge)} has no identity, so its judgements could be taken for another judge's. "
            "Wrap it: Named(judge, 'a name that changes when its answers change')."
        )
    return identity


def described(kind: str, **parts: Any) -> str:
    """An identity: JSON of what a judge's answers depend on.

    >>> described("Vote", of=["a", "b"])
    '{"judge": "Vote", "of": ["a", "b"]}'
    """
    return json.dumps({"judge": kind, **parts}, ensure_ascii=False)


def messages_of(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt as a conversation; a text is one message of the user.

    >>> messages_of("Hello")
    [{'role': 'user', 'content': 'Hello'}]
    """
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    messages = [dict(message) for message in prompt]
    for i, message in enumerate(messages):
        if not isinstance(message.get("role"), str) or not isinstance(message.get("content"), str):
            raise ValueError(
                f"Message {i} of a prompt is {shown(message)}. Write {{'role': 'user', 'content': 'a text'}}."
            )
    return messages
