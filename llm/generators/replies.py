"""Reading a reply of ``/v1/completions``: token ids and their log-probabilities, believed only where they agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from llm.judges.transport import RubbishError

PREFIX = "token_id:"
ROUNDING = 1e-4


def usable(reply: Any, body: Mapping[str, Any], vocabulary: int) -> tuple[Any, list[int]]:
    """The one choice of a reply and its token ids.

    Raises:
        RubbishError: if it answers another request, in another's name, or with ids that there cannot be.
    """
    (choice,) = reply["choices"]
    tokens = tokens_of(choice)
    if reply["model"] != body["model"]:
        raise RubbishError(f"{reply['model']!r:.60} answered for {body['model']!r}")
    if choice.get("prompt_token_ids", body["prompt"]) not in (body["prompt"], None):
        raise RubbishError("it answered another prompt than it was sent")
    if not 0 < len(tokens) <= body["max_tokens"]:
        raise RubbishError(f"{len(tokens)} tokens where 1 to {body['max_tokens']} were asked for")
    if any(not 0 <= token < vocabulary for token in tokens):
        raise RubbishError(f"token ids beyond a vocabulary of {vocabulary}")
    if choice["finish_reason"] not in ("stop", "length"):
        raise RubbishError(f"it ended with {choice['finish_reason']!r:.40}")
    return choice, tokens


def tokens_of(choice: Any) -> list[int]:
    """The ids that were drawn, from ``token_ids`` or from tokens told as ids; they must agree where both are there.

    Example:
        >>> tokens_of({"token_ids": [7, 2], "logprobs": {"tokens": ["token_id:7", "token_id:2"]}})
        [7, 2]
    """
    listed, texts = choice.get("token_ids"), (choice.get("logprobs") or {}).get("tokens")
    named = None if texts is None else [_id(text) for text in texts]
    tokens = named if listed is None else listed
    if tokens is None or any(type(token) is not int for token in tokens):
        raise RubbishError("it tells no token ids: it must know return_token_ids or return_tokens_as_token_ids")
    if named is not None and named != tokens:
        raise RubbishError("token_ids and logprobs tell different tokens")
    return list(tokens)


def told_by(choice: Any) -> list[float]:
    """The log-probability of each token.

    Example:
        >>> told_by({"token_ids": [7], "logprobs": {"token_logprobs": [-0.25]}})
        [-0.25]
    """
    told = choice["logprobs"]["token_logprobs"]
    if len(told) != len(tokens_of(choice)):
        raise RubbishError(f"{len(told)} log-probabilities of {len(tokens_of(choice))} tokens")
    if any(type(each) not in (int, float) or not -math.inf < each <= ROUNDING for each in told):
        raise RubbishError("log-probabilities that are none")
    return [float(each) for each in told]


def _id(text: str) -> int | None:
    return int(text[len(PREFIX) :]) if text.startswith(PREFIX) else None
