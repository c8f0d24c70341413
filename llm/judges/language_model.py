"""A language model as judge, through an OpenAI-compatible endpoint, by the probabilities of two letters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from llm.fields import check_fields
from llm.judges.protocol import Array, JudgeError, OnFailure, Prompt, check_rows, described
from llm.judges.questions import Question
from llm.judges.transport import (
    Budget,
    Line,
    PairFailure,
    Retry,
    Tally,
    certificates,
    first_failure,
    run_to_end,
)
from llm.judges.wrappers import Pace


@dataclass(frozen=True)
class LanguageModelJudge:
    """p = p(A) / (p(A) + p(B)), the probabilities of the reply's first token, averaged over both orders.

    Wrap it in :class:`llm.judges.Cached`, so that nothing is paid for twice and a run that stops keeps what it had.

    Args:
        model: its name at the server.
        url: the server's base address, such as ``http://localhost:8000/v1``; ``/chat/completions`` is added.
        question: how a pair is put to it.
        key: sent as a bearer token, never shown or stored.
        concurrency: calls under way at once.
        timeout: seconds for one whole attempt.
        retry: attempts and waits.
        budget: calls and tokens, over this object's life.
        calls_per_second: at most, retries included; None is no limit.
        on_failure: after the last attempt at a pair: stop the run, or skip the pair (NaN) and count it in
            ``tally.skipped``. A spent budget, a wrong key and a wrong address always stop it.
        least_mass: of probability that the two letters must carry together; less is a failure, not a ½.
        top: log-probabilities asked for; OpenAI and vLLM allow 20.
        extra: more fields of the request body, such as ``{"chat_template_kwargs": {"enable_thinking": False}}``.

    Raises:
        JudgeError: the judge failed; its ``partial`` holds the judgements made.

    Source: Zheng et al., *Judging LLM-as-a-judge with MT-Bench and Chatbot Arena* (2023), on the bias of position.

    Example:
        >>> LanguageModelJudge("judge", "http://localhost:8000/v1", key="secret").tally
        Tally(calls=0, tokens=0, retries=0, judged=0, skipped=0)
    """

    model: str
    url: str
    question: Question = field(default_factory=Question)
    key: str | None = field(default=None, repr=False)
    concurrency: int = 16
    timeout: float = 60.0
    retry: Retry = field(default_factory=Retry)
    budget: Budget = field(default_factory=Budget)
    calls_per_second: float | None = None
    on_failure: OnFailure = OnFailure.STOP
    least_mass: float = 0.5
    top: int = 20
    extra: Mapping[str, Any] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally, init=False, repr=False, compare=False)
    _pace: Pace | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_fields(self, above={"calls_per_second": 0})
        if self.concurrency < 1 or not self.timeout > 0 or not 0 < self.least_mass <= 1 or self.top < 2:
            raise ValueError(
                "A judge wants concurrency ≥ 1, timeout > 0, 0 < least_mass ≤ 1 and top ≥ 2, not "
                f"{self.concurrency!r}, {self.timeout!r}, {self.least_mass!r}, {self.top!r}."
            )
        if self.calls_per_second is not None:
            object.__setattr__(self, "_pace", Pace(self.calls_per_second))

    @property
    def identity(self) -> str:
        """The model and the question, not the server's address, key or patience."""
        asked = {"instruction": self.question.instruction, "letters": self.question.letters}
        reading = {"least_mass": self.least_mass, "top": self.top, "extra": dict(self.extra)}
        return described("LanguageModelJudge", model=self.model, **asked, **reading)

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The probabilities, (n,); NaN where a pair was skipped."""
        check_rows(prompts, first=first, second=second)
        pairs = list(zip(prompts, first, second, strict=True))
        bodies = [self._body(*pair) for pair in pairs for pair in (pair, (pair[0], pair[2], pair[1]))]
        answers, failure = run_to_end(self._all(bodies))
        orders = answers.reshape(-1, 2)
        p = (orders[:, 0] + (1 - orders[:, 1])) / 2
        self.tally.judged += int((~np.isnan(p)).sum())
        if failure is not None:
            raise type(failure)(str(failure), partial=p, judge=self)
        self.tally.skipped += int(np.isnan(p).sum())
        return p

    def _body(self, prompt: Prompt, first: str, second: str) -> dict[str, Any]:
        asked = {"model": self.model, "messages": self.question.messages(prompt, first, second)}
        return {**asked, "max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": self.top, **self.extra}

    async def _all(self, bodies: list[dict[str, Any]]) -> tuple[Array, JudgeError | None]:
        """The answer to every body, NaN where there is none, and the failure that stopped it."""
        import httpx2

        answers, work = np.full(len(bodies), np.nan), iter(enumerate(bodies))
        failure: JudgeError | None = None
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        limits = httpx2.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency)
        async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=None, verify=certificates()) as client:
            line = Line(client, self._address, self.timeout, self.retry, self.budget, self.tally, self._pace)
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.concurrency, len(bodies))):
                        group.create_task(self._work(line, work, answers))
            except* JudgeError as failures:
                failure = first_failure(failures)
        return answers, failure

    async def _work(self, line: Line, work: Iterator[tuple[int, dict[str, Any]]], answers: Array) -> None:
        for i, body in work:
            try:
                answers[i] = await line.post(body, lambda reply: self.question.read(reply, self.least_mass))
            except PairFailure:
                if self.on_failure is OnFailure.STOP:
                    raise

    @property
    def _address(self) -> str:
        return self.url.rstrip("/") + "/chat/completions"
