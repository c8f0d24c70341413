"""Requests to a server that generates, many under way at once: failures are retried, and then stop the run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from llm.generation import GeneratorError
from llm.judges.protocol import JudgeError
from llm.judges.transport import Budget, Line, Retry, Tally, Words, certificates, first_failure, run_to_end

Answer = TypeVar("Answer")
Body = Mapping[str, Any]
WORDS = Words("completion", "request", "resume the run from its last checkpoint")


@dataclass(frozen=True)
class Client:
    """A way to a server.

    Args:
        url: its base address, such as ``http://localhost:8000/v1``.
        key: sent as a bearer token.
        concurrency: requests under way at once.
        timeout: seconds for one whole attempt.
        retry: attempts and waits.
        tally: what was spent so far.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    concurrency: int = 256
    timeout: float = 600.0
    retry: Retry = field(default_factory=Retry)
    tally: Tally = field(default_factory=Tally, compare=False)

    def post(self, path: str, bodies: Sequence[Body], readers: Sequence[Callable[[Any], Answer]]) -> list[Answer]:
        """What each reader makes of the server's JSON to its body; the first that fails for good cancels the others.

        Raises:
            GeneratorError: with the server's own words.
        """
        return self._post(path, bodies, readers, json.loads)

    def tell(self, path: str, body: Body) -> str:
        """The text with which the server accepts; vLLM's adapters are loaded so.

        Raises:
            GeneratorError: with the server's own words.
        """
        return self._post(path, [body], [str], bytes.decode)[0]

    def models(self) -> dict[str, str]:
        """From the names that the server knows to where they came from; one attempt.

        Raises:
            GeneratorError: if it does not answer, or not so.
        """
        import httpx2

        address = self._address("/models")
        try:
            reply = httpx2.get(address, headers=self._headers, timeout=self.timeout, verify=certificates())
            return {each["id"]: str(each.get("root")) for each in reply.json()["data"]}
        except (httpx2.HTTPError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise GeneratorError(f"{address} names no models ({type(error).__name__}: {error!s:.200}).") from None

    def _post(
        self,
        path: str,
        bodies: Sequence[Body],
        readers: Sequence[Callable[[Any], Answer]],
        decode: Callable[[bytes], Any],
    ) -> list[Answer]:
        found, failure = run_to_end(self._all(self._address(path), bodies, readers, decode))
        if failure is not None:
            raise GeneratorError(str(failure), failure.status) from failure
        return [found[i] for i in range(len(bodies))]

    async def _all(
        self,
        address: str,
        bodies: Sequence[Body],
        readers: Sequence[Callable[[Any], Answer]],
        decode: Callable[[bytes], Any],
    ) -> tuple[dict[int, Answer], JudgeError | None]:
        import httpx2

        found: dict[int, Answer] = {}
        failure: JudgeError | None = None
        work = iter(range(len(bodies)))
        limits = httpx2.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency)
        options: dict[str, Any] = {"headers": self._headers, "limits": limits, "verify": certificates()}
        async with httpx2.AsyncClient(timeout=None, **options) as client:
            line = Line(client, address, self.timeout, self.retry, Budget(), self.tally, words=WORDS, decode=decode)

            async def clerk(work: Iterator[int]) -> None:
                for i in work:
                    found[i] = await line.post(bodies[i], readers[i])

            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.concurrency, len(bodies))):
                        group.create_task(clerk(work))
            except* JudgeError as failures:
                failure = first_failure(failures)
        return found, failure

    @property
    def _headers(self) -> dict[str, str]:
        return {} if self.key is None else {"Authorization": f"Bearer {self.key}"}

    def _address(self, path: str) -> str:
        return self.url.rstrip("/") + path
