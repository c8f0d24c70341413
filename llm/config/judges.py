"""The judges a configuration can name, and the scores some of them read; wrappers take the judge within as a field.

A Python function is one too: it is imported from the place it names, which runs that module's code.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm.config.models import secret, server
from llm.config.small_judges import Patterns, Stacked
from llm.judges import (
    AttributeVote,
    BothOrders,
    BradleyTerry,
    Budget,
    Cached,
    Checks,
    Judge,
    LanguageModelJudge,
    LengthControlled,
    LengthOnly,
    Mean,
    Named,
    OnFailure,
    PairwiseModel,
    Question,
    RateLimited,
    Retry,
    RewardModel,
    Scores,
    Vote,
    Weighted,
    helpsteer2,
    load_judge,
)
from llm.judges.protocol import described


def function(function: str, identity: str | None = None) -> Any:
    """A Python function, named ``package.module:name``; looked for in the current folder too. Its module is run.

    Args:
        function: the name.
        identity: what tells it from every other judge, where its judgements are kept.
    """
    module, colon, name = function.partition(":")
    if not (module and colon and name):
        raise ValueError(f"{function!r} names no function. Write package.module:name.")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{function!r} cannot be imported: {error}. Run where {module} is importable.") from error
    if not callable(found):
        raise ValueError(f"{function!r} is no function. Name one, or an object that can be called.")
    return found if identity is None else Named(found, identity)


def trained(
    path: str | Path,
    device: str = "auto",
    dtype: str = "auto",
    max_tokens: int | None = None,
    batch_tokens: int = 16384,
    on_failure: OnFailure = OnFailure.STOP,
) -> Judge:
    """What ``stackelberg preference-model --out PATH`` trained, a reward or a pairwise model."""
    return load_judge(path, **_loading(device, dtype, max_tokens, batch_tokens, on_failure))


def pairwise_model(
    path: str | Path,
    device: str = "auto",
    dtype: str = "auto",
    max_tokens: int | None = None,
    batch_tokens: int = 16384,
    on_failure: OnFailure = OnFailure.STOP,
) -> Judge:
    """A model that reads both answers."""
    return PairwiseModel.from_pretrained(path, **_loading(device, dtype, max_tokens, batch_tokens, on_failure))


def reward_model(
    path: str | Path,
    device: str = "auto",
    dtype: str = "auto",
    max_tokens: int | None = None,
    batch_tokens: int = 16384,
    on_failure: OnFailure = OnFailure.STOP,
) -> Scores:
    """Scores of any sequence classifier, by folder or hub name; code of the repository is not run."""
    return RewardModel.from_pretrained(path, **_loading(device, dtype, max_tokens, batch_tokens, on_failure))


def _loading(device: str, *rest: Any) -> dict[str, Any]:
    return dict(
        zip(
            ("device", "dtype", "max_tokens", "batch_tokens", "on_failure"),
            (own_device() if device == "auto" else device, *rest),
            strict=True,
        )
    )


def own_device() -> str:
    """The device of this process: with ``accelerate launch`` each has its own accelerator, where there are any."""
    import torch

    if not torch.accelerator.is_available():
        return "cpu"
    kind = torch.accelerator.current_accelerator()
    return f"{'cpu' if kind is None else kind.type}:{os.environ.get('LOCAL_RANK', '0')}"


def language_model(
    model: str,
    url: str,
    key_variable: str | None = None,
    question: Question | None = None,
    concurrency: int = 16,
    timeout: float = 60.0,
    retry: Retry | None = None,
    budget: Budget | None = None,
    calls_per_second: float | None = None,
    on_failure: OnFailure = OnFailure.STOP,
    least_mass: float = 0.5,
    top: int = 20,
    extra: Mapping[str, Any] | None = None,
) -> Judge:
    """A language model behind an OpenAI-compatible server: :class:`llm.judges.LanguageModelJudge`.

    Its key stays in the environment, under the name ``key_variable``, and never in a file; by default none is sent.
    """
    return LanguageModelJudge(
        model,
        url,
        question or Question(),
        secret(key_variable),
        concurrency,
        timeout,
        retry or Retry(),
        budget or Budget(),
        calls_per_second,
        on_failure,
        least_mass,
        top,
        extra or {},
    )


def cached(judge: Judge, path: Path, chunk: int = 256) -> Judge:
    """A judge whose judgements are kept in a file and asked for only once."""
    return Cached(judge, path, chunk)


def checks(of: str) -> Judge:
    """Verifiable checks: a Python function ``package.module:name`` from a prompt to its predicates."""
    return Checks(function(of), identity=described("Checks", of=of))


SCORES: dict[str, Callable[..., Any]] = {
    "function": function,
    "reward-model": reward_model,
    "weighted": Weighted,
    "stacked": Stacked,
}
JUDGES: dict[str, Callable[..., Any]] = {
    "function": function,
    "trained": trained,
    "bradley-terry": BradleyTerry,
    "pairwise-model": pairwise_model,
    "attribute-vote": AttributeVote,
    "helpsteer2": helpsteer2,
    "language-model": language_model,
    "checks": checks,
    "patterns": Patterns,
    "mean": Mean,
    "vote": Vote,
    "length-only": LengthOnly,
    "cached": cached,
    "both-orders": BothOrders,
    "rate-limited": RateLimited,
    "length-controlled": LengthControlled,
}


@dataclass(frozen=True)
class _NotLoaded:
    """What stands for whatever is slow to load, runs code or wants a key, while a configuration is checked."""

    identity: str = "not loaded"

    def __call__(self, *texts: Any) -> Any:
        raise RuntimeError("This judge was not loaded: the configuration is only checked.")


STAND_INS: dict[Callable[..., Any], Any] = dict.fromkeys(
    (function, trained, pairwise_model, reward_model, checks, language_model, server), _NotLoaded()
)
