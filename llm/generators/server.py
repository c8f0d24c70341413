"""An OpenAI-compatible server that loads LoRA adapters while it runs, such as vLLM: generation on many GPUs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from llm.ending import Ending
from llm.fields import check_fields
from llm.generation import Completion, Generated, GeneratorError, Tokens
from llm.generators.adapters import Adapters
from llm.generators.client import Client
from llm.generators.replies import tokens_of, told_by, usable
from llm.judges.transport import Retry, Tally
from llm.sampling import Sampling
from llm.speaker import Speaker

COLDEST = 0.01
"""vLLM raises a lower temperature to this one, and says so only in its own log."""


@dataclass(frozen=True)
class Server:
    r"""vLLM's ``/v1/completions``: token ids go there and come back, nothing is decoded and encoded again.

    Before every round the adapter is compared with the one that the server has; one that has learnt since is saved to
    ``adapter_folder`` and loaded there under a new name (``/v1/load_lora_adapter``), and its predecessor unloaded.
    Leader and Follower have an adapter each where ``roles=TwoAdapters()``. A whole model that learns is refused.

    Every option of :class:`llm.Sampling` and every end mark is sent with each prompt, so that the server's own defaults
    change nothing; each prompt has its seed. Sampling is the server's: how far a seed reproduces a draw is its affair.
    Watch :func:`llm.generator_gap`: a server of another precision, or on another base, shows there.

    Start the server with the policy's base model, for example::

        VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve BASE --enable-lora --max-loras 2 --max-lora-rank 64 \
            --logprobs-mode processed_logprobs

    Without that mode it tells log-probabilities before temperature and truncation, which is found out with a prompt and
    refused where it matters. Where several processes train, each loads adapters of its own.

    A call that fails (408, 409, 425, 429, 5xx, no whole answer in time, rubbish) is made again with the same seed, and
    after the last attempt the run stops: what is hard to generate is not left out.

    Args:
        url: the server's base address, such as ``http://localhost:8000/v1``.
        model: the base model's name there.
        adapter_folder: on a file system that the server sees.
        seen_as: what the server calls that folder, if something else.
        key: sent as a bearer token, never shown or stored.
        concurrency: prompts under way at once.
        timeout: seconds for one whole attempt.
        retry: attempts and waits.

    Raises:
        GeneratorError: the server failed for good.
        ValueError: the policy or the sampling is of a kind that the server cannot have.

    Source: vLLM's documentation, *OpenAI-compatible server* and *LoRA adapters*.

    Example:
        >>> server = Server("http://localhost:8000/v1", model="base", adapter_folder="/shared/adapters", key="secret")
        >>> server  # an address, a folder or patience change no draw, so a run resumes with others
        Server(model='base')
    """

    url: str = field(repr=False)
    model: str = field(kw_only=True)
    adapter_folder: str | Path = field(kw_only=True, repr=False)
    seen_as: str | None = field(default=None, kw_only=True, repr=False)
    key: str | None = field(default=None, kw_only=True, repr=False)
    concurrency: int = field(default=256, kw_only=True, repr=False)
    timeout: float = field(default=600.0, kw_only=True, repr=False)
    retry: Retry = field(default_factory=Retry, kw_only=True, repr=False)
    tally: Tally = field(default_factory=Tally, init=False, repr=False, compare=False)
    _adapters: Adapters = field(init=False, repr=False, compare=False)
    schedules: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, above={"timeout": 0}, concurrency=1)
        object.__setattr__(self, "_adapters", Adapters(self.model, Path(self.adapter_folder), self.seen_as))

    def generate(
        self,
        speaker: Speaker,
        prompts: Sequence[Tokens],
        *,
        sampling: Sampling,
        ending: Ending,
        tokenizer: Any,
        seeds: Sequence[int],
        memory: Any = None,
    ) -> Generated:
        """See :class:`llm.Generator`."""
        _check(sampling, ending)
        if not prompts:
            return Generated([])
        vocabulary = speaker.core.config.get_text_config().vocab_size
        try:
            name = self._adapters.name(speaker, self._client)
            told = self._told(name, prompts[0], sampling)
            bodies = [_body(name, *each, sampling, ending) for each in zip(prompts, seeds, strict=True)]
            read = partial(_completion, sampling=sampling, ending=ending, tokenizer=tokenizer, vocabulary=vocabulary)
            readers = [partial(read, body=body, told=told) for body in bodies]
            return Generated(self._client.post("/completions", bodies, readers))
        except GeneratorError:
            self._adapters.distrust()
            raise

    def close(self) -> None:
        """Unload this object's adapters from the server and remove their folders; it may be used again after."""
        self._adapters.close(self._client)

    @property
    def _client(self) -> Client:
        return Client(self.url, self.key, self.concurrency, self.timeout, self.retry, self.tally)

    def _told(self, name: str, prompt: Tokens, sampling: Sampling) -> Callable[[Any], list[float]]:
        """How log-probabilities are read, once it is known that they are those of the sampling distribution."""
        if sampling.temperature == 0:
            return lambda choice: [0.0] * len(tokens_of(choice))  # the token is certain; the server tells how likely
        if sampling.temperature != 1 or sampling.truncates:
            self._check_processed(name, prompt)
        return told_by

    def _check_processed(self, name: str, prompt: Tokens) -> None:
        """Two tokens at a great heat: either has probability ½ in the distribution that is drawn from.

        Raises:
            GeneratorError: if the server tells another one, that of the unheated model.
        """
        hot = Sampling(max_new_tokens=1, temperature=1000.0, top_k=2)
        body = _body(name, prompt, 0, hot, Ending((), 0))
        ((log_prob,),) = self._client.post("/completions", [body], [lambda reply: told_by(reply["choices"][0])])
        if abs(log_prob - math.log(0.5)) > 0.1:
            raise GeneratorError(
                f"{self.url} tells log-probabilities before temperature and truncation ({log_prob:.3g} where "
                f"{math.log(0.5):.3g} is drawn from). Start it with --logprobs-mode processed_logprobs, or draw at "
                "temperature 1 with top_p=1 and top_k=0."
            )


def _check(sampling: Sampling, ending: Ending) -> None:
    if 0 < sampling.temperature < COLDEST:
        raise ValueError(
            f"vLLM draws at {COLDEST} where {sampling.temperature:g} is asked for. Use a temperature of {COLDEST} or "
            "more, or 0 for the likeliest token."
        )


def _body(name: str, prompt: Tokens, seed: int, sampling: Sampling, ending: Ending) -> dict[str, Any]:
    """A request in which nothing is left to the server's defaults."""
    drawn = {
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k or -1,
        "seed": seed,
    }
    plain = {"min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0, "n": 1}
    ends = {"stop": list(ending.stop), "stop_token_ids": list(ending.marks), "ignore_eos": True}
    answer = {"logprobs": 0, "return_token_ids": True, "return_tokens_as_token_ids": True}
    return {"model": name, "prompt": list(prompt), **drawn, **plain, **ends, **answer}


def _completion(
    reply: Any,
    *,
    body: dict[str, Any],
    told: Callable[[Any], list[float]],
    sampling: Sampling,
    ending: Ending,
    tokenizer: Any,
    vocabulary: int,
) -> Completion:
    choice, tokens = usable(reply, body, vocabulary)
    kept, finished = ending.cut(tokens, tokenizer)
    if not finished and len(tokens) < sampling.max_new_tokens:
        raise ValueError(f"it stopped after {len(tokens)} of {sampling.max_new_tokens} tokens, where none is an ending")
    return Completion(kept, tuple(told(choice)[: len(kept)]), finished)
