"""Calls to a server that may fail: deadlines, retries with back-off and jitter, a budget, a pace, and their tally."""

from __future__ import annotations

import asyncio
import email.utils
import json
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from llm.fields import check_fields
from llm.judges.protocol import JudgeError
from llm.judges.wrappers import Pace

Answer = TypeVar("Answer")
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Status codes that another attempt may mend."""
OF_THIS_PAIR = frozenset({400, 413, 422})
"""Status codes by which a server refuses this text, too long or malformed, and not every text."""


class RubbishError(ValueError):
    """A reply that holds no judgement."""


class PairFailure(JudgeError):
    """One pair could not be judged, after every attempt: it may be skipped, if so configured."""


class BudgetSpent(JudgeError):
    """The budget is spent. It stops the run even where failed pairs are skipped."""


@dataclass(frozen=True)
class Retry:
    """Attempts at one call, and the waits between: ``uniform(0, min(longest, first_wait · 2^k))`` (full jitter).

    A server's ``Retry-After`` is waited out before that jitter, up to ``longest``; a longer one ends the attempts.

    Args:
        attempts: in all, at least 1.
        first_wait: seconds.
        longest: seconds.

    Source: Brooker, *Exponential backoff and jitter*, AWS Architecture Blog (2015).

    Example:
        >>> 0 <= Retry(first_wait=0.5).wait(2, asked=None) <= 2.0
        True
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest: float = 60.0

    def __post_init__(self) -> None:
        check_fields(self, attempts=1, first_wait=0, longest=0)

    def wait(self, attempt: int, asked: float | None) -> float:
        """Seconds to wait after attempt k = 0, 1, …, where the server asked for ``asked``."""
        return (asked or 0.0) + random.uniform(0, min(self.longest, self.first_wait * 2.0**attempt))


@dataclass(frozen=True)
class Budget:
    """The most that a judge may spend in its life, retries included; None is no limit.

    Calls under way when the budget ends are still paid for, so tokens may pass the limit by those of one call for
    each of the judge's ``concurrency``; calls never pass theirs.
    """

    calls: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        check_fields(self, calls=0, tokens=0)


@dataclass
class Tally:
    """What a judge has spent and met so far."""

    calls: int = 0
    tokens: int = 0
    retries: int = 0
    judged: int = 0
    skipped: int = 0


@dataclass(frozen=True)
class Words:
    """How failures are told: what was wanted, what was asked with, and what to do."""

    wanted: str = "judgement"
    asked: str = "text"
    advice: str = "run again: judgements kept in a Cached judge are not asked for twice"


@dataclass(frozen=True)
class Line:
    """One way to a server: where, how patiently, and what it has cost so far.

    Args:
        client: an ``httpx2.AsyncClient``.
        url: where requests are posted.
        timeout: seconds for one whole attempt, from the first byte sent to the last received.
        retry: the attempts.
        budget: the most it may spend.
        tally: what it has spent.
        pace: turns for calls, if limited.
        words: how failures are told.
        decode: from the reply's bytes to what ``read`` is given.
    """

    client: Any
    url: str
    timeout: float
    retry: Retry
    budget: Budget
    tally: Tally
    pace: Pace | None = None
    words: Words = Words()
    decode: Callable[[bytes], Any] = json.loads

    async def post(self, body: Mapping[str, Any], read: Callable[[Any], Answer]) -> Answer:
        """What ``read`` makes of the server's JSON, after as many attempts as it takes.

        Raises:
            PairFailure: the attempts are used up, or the server refuses this text.
            BudgetSpent: no call is left.
            JudgeError: the server refuses every text (a wrong key, address or model).
        """
        for attempt in range(self.retry.attempts):
            await self._turn()
            asked: float | None = None
            try:
                return await self._attempt(body, read)
            except _Passing as error:
                problem, asked = str(error), error.asked
            if attempt + 1 == self.retry.attempts or (asked or 0) > self.retry.longest:
                break
            self.tally.retries += 1
            await asyncio.sleep(self.retry.wait(attempt, asked))
        raise PairFailure(
            f"{self.url} failed {attempt + 1} time(s) in a row, at last: {problem}. See to the server and "
            f"{self.words.advice}."
        )

    async def _turn(self) -> None:
        if self.pace is not None:
            await asyncio.sleep(self.pace.reserve())
        spent, allowed = self.tally, self.budget
        for name in ("calls", "tokens"):
            limit = getattr(allowed, name)
            if limit is not None and getattr(spent, name) >= limit:
                raise BudgetSpent(f"The budget of {limit} {name} is spent. Raise it and {self.words.advice}.")
        spent.calls += 1

    async def _attempt(self, body: Mapping[str, Any], read: Callable[[Any], Answer]) -> Answer:
        import httpx2

        try:
            async with asyncio.timeout(self.timeout):
                reply = await self.client.post(self.url, json=body)
        except TimeoutError:
            raise _Passing(f"no whole answer within {self.timeout:g} s") from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise _Passing(f"{type(error).__name__}: {error}") from None
        if reply.status_code in PASSING:
            raise _Passing(f"status {reply.status_code}", _retry_after(reply.headers.get("retry-after")))
        if reply.status_code in OF_THIS_PAIR:
            refused = f"{self.url} refused a {self.words.asked} with status {reply.status_code}"
            raise _of_status(PairFailure(f"{refused}: {reply.text[:300]}"), reply.status_code)
        if reply.status_code != 200:
            answered = f"{self.url} answers {reply.status_code}: {reply.text[:300]}."
            raise _of_status(JudgeError(f"{answered} Check the address, the key and the model."), reply.status_code)
        return self._read(reply, read)

    def _read(self, reply: Any, read: Callable[[Any], Answer]) -> Answer:
        try:
            answer = self.decode(reply.content)
            tokens = answer["usage"]["total_tokens"] if self.budget.tokens is not None else _tokens(answer)
            if type(tokens) is not int or tokens < 0:
                raise RubbishError(f"total_tokens is {tokens!r:.40}")
            self.tally.tokens += tokens
            return read(answer)
        except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
            problem = f"{type(error).__name__}: {error!s:.200}"
            raise _Passing(f"an answer that holds no {self.words.wanted} ({problem})") from None


class _Passing(Exception):
    """A failure that another attempt may mend."""

    def __init__(self, message: str, asked: float | None = None) -> None:
        super().__init__(message)
        self.asked = asked


@cache
def certificates() -> Any:
    """For an ``httpx2`` client; made once, for it takes a tenth of a second."""
    import httpx2

    return httpx2.create_ssl_context()


def run_to_end(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run it, in a thread of its own where an event loop is already running (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def first_failure(failures: BaseExceptionGroup[JudgeError]) -> JudgeError:
    """The first of those that tasks beside each other met."""
    failure = failures.exceptions[0]
    return failure if isinstance(failure, JudgeError) else first_failure(failure)


def _of_status(error: JudgeError, status: int) -> JudgeError:
    error.status = status
    return error


def _tokens(answer: Any) -> int:
    """The tokens a reply says it cost; 0 where it does not say and no budget needs it."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    return tokens if type(tokens) is int else 0


def _retry_after(value: str | None) -> float | None:
    """Seconds, from a number or an HTTP date; None where the header is absent or means nothing.

    >>> _retry_after("2.5"), _retry_after("Thu, 01 Jan 1970 00:00:00 GMT"), _retry_after("soon")
    (2.5, 0.0, None)
    """
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip()[:1].isdigit() else _until(value)
    except (ValueError, TypeError):
        return None
    return max(0.0, seconds)


def _until(date: str) -> float:
    return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
