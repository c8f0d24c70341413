"""Drawing completions, behind one small protocol; here by transformers' ``generate``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from llm.ending import Ending
from llm.fields import check_fields
from llm.products import drawing_quickly
from llm.sampling import Noise, Sampling
from llm.speaker import Speaker

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Completion:
    """What was drawn.

    Args:
        tokens: up to the first ending, an end mark included.
        log_probs: of each under the distribution it was drawn from; None from a generator that does not tell.
        finished: whether it ended by itself, not by ``max_new_tokens``.
    """

    tokens: Tokens
    log_probs: tuple[float, ...] | None
    finished: bool


@dataclass(frozen=True, eq=False)
class Generated:
    """Completions, one a prompt, and what the generator wants to remember of them (its own affair, or None)."""

    completions: list[Completion]
    memory: Any = None


class GeneratorError(RuntimeError):
    """A generator failed and the run stops: no completion is invented or left out.

    Attributes:
        status: the code with which a server refused, if that was it.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Generator(Protocol):
    """Anything that draws completions of token ids: transformers, a server, a test's table.

    One with an attribute ``schedules = True`` is given all prompts of a round at once, and holds in memory as many as
    it will; others are given micro-batches.
    """

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
        """One completion a prompt.

        Args:
            speaker: the policy to draw from; a server reads the name of its adapter.
            prompts: token ids.
            sampling: temperature, top_p, top_k and lengths. A generator that cannot do one of them refuses.
            ending: what ends a completion; use ``ending.cut``.
            tokenizer: to find stop strings.
            seeds: one a prompt. The same prompt, policy and seed give the same completion.
            memory: of an earlier call. If given, prompt i continues row ``i // (rows now / rows then)`` of
                that call: its prompt, its content without the end mark, and more. It may be ignored.
        """
        ...


@dataclass(frozen=True)
class TransformersGenerator:
    """``model.generate``. What comes after y starts from the key–value cache that y left behind.

    Args:
        reuse: whether the cache is kept. It is not where a layer forgets (sliding windows, recurrent states): there
            the rows are computed anew, with the same result.

    The model's own ``generation_config`` (a repetition penalty, a temperature) is set aside: it would make the
    distribution drawn from another than the policy.
    """

    reuse: bool = True

    def __post_init__(self) -> None:
        check_fields(self)

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
        """See :class:`Generator`."""
        rows = _fresh(prompts, ending.pad) if memory is None else _continued(prompts, memory, ending.pad)
        chooser = self._chooser(rows, sampling, list(seeds), speaker.device)
        stops = [_Stops(ending, tokenizer, rows.ids.shape[1])] if ending.stop else []
        quickly = drawing_quickly(speaker.core, len(prompts))
        with speaker.listening(), _own_settings(speaker.core, sampling, ending), quickly:
            out = speaker.core.generate(
                input_ids=rows.ids.to(speaker.device),
                attention_mask=rows.mask.to(speaker.device),
                past_key_values=_with_room(rows, speaker.core, sampling.max_new_tokens),
                logits_processor=[chooser],
                stopping_criteria=stops,
                synced_gpus=False,  # where weights are cut among processes, they are together while something is drawn
            )
        said = out.sequences[:, rows.ids.shape[1] :].tolist()
        drawn = [
            _completion(tokens, log_probs, ending, tokenizer)
            for tokens, log_probs in zip(said, chooser.log_probs(), strict=True)
        ]
        cache = out.past_key_values if self.reuse and _remembers_all(out.past_key_values) else None
        return Generated(drawn, None if cache is None else _remember(rows, prompts, drawn, ending, cache))

    def _chooser(self, rows: _Rows, sampling: Sampling, seeds: list[int], device: torch.device) -> _Chooser:
        """What draws the next token; :class:`llm.mixture.TokenMixture` has its own."""
        return _Chooser(sampling, seeds, device)


@dataclass(frozen=True, eq=False)
class _Rows:
    """A batch in slots: a masked slot is a hole, wherever it lies, and counts for no position."""

    ids: Tensor
    mask: Tensor
    cache: Any = None
    prefixes: tuple[Tokens, ...] = ()
    """What the open slots hold."""


def _fresh(prompts: Sequence[Tokens], pad: int) -> _Rows:
    ids, mask = padded(prompts, pad, left=True)
    return _Rows(ids, mask)


def _remember(rows: _Rows, prompts: Sequence[Tokens], drawn: list[Completion], ending: Ending, cache: Any) -> _Rows:
    """The slots of prompt and content; the cache may hold more slots behind them, which become holes."""
    contents = [ending.content(each.tokens) for each in drawn]
    ids, mask = padded(contents, ending.pad, left=False, least=cache.get_seq_length() - rows.ids.shape[1])
    prefixes = tuple((*prompt, *content) for prompt, content in zip(prompts, contents, strict=True))
    return _Rows(torch.cat([rows.ids, ids], 1), torch.cat([rows.mask, mask], 1), cache, prefixes)


def _continued(prompts: Sequence[Tokens], memory: _Rows, pad: int) -> _Rows:
    """What was remembered, repeated for every continuation of it, and the new tokens flush right."""
    times, rest = divmod(len(prompts), len(memory.prefixes))
    prefixes = [prefix for prefix in memory.prefixes for _ in range(times)]
    if rest or any(prompt[: len(prefix)] != prefix for prompt, prefix in zip(prompts, prefixes, strict=True)):
        raise ValueError("These prompts do not continue the remembered rows. Call generate without memory.")
    ids, mask = padded([p[len(prefix) :] for p, prefix in zip(prompts, prefixes, strict=True)], pad, left=True)
    if times > 1:
        memory.cache.batch_repeat_interleave(times)
    old = memory.ids.repeat_interleave(times, 0), memory.mask.repeat_interleave(times, 0)
    return _Rows(torch.cat([old[0], ids], 1), torch.cat([old[1], mask], 1), memory.cache)


def padded(rows: Sequence[Sequence[int]], pad: int, *, left: bool, least: int = 0) -> tuple[Tensor, Tensor]:
    """Rows of ids as one tensor, and its mask, both (rows, longest or ``least``).

    Example:
        >>> padded([[1, 2], [3]], 0, left=True)
        (tensor([[1, 2], [0, 3]]), tensor([[1, 1], [0, 1]]))
    """
    longest = max(least, *(len(row) for row in rows)) if rows else least
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for i, row in enumerate(rows):
        place = slice(longest - len(row), longest) if left else slice(0, len(row))
        ids[i, place] = torch.tensor(row, dtype=torch.long)
        mask[i, place] = 1
    return ids, mask


class _Chooser:
    """Draws the next token inside ``generate``: it adds the noise, and the argmax that follows takes the token.

    It keeps one number a token, never a step's vocabulary.
    """

    def __init__(self, sampling: Sampling, seeds: list[int], device: torch.device) -> None:
        self.sampling = sampling
        self.noise = Noise(seeds, device)
        self.steps: list[Tensor] = []

    def __call__(self, input_ids: Tensor, logits: Tensor) -> Tensor:
        log_probs = self.distribution(input_ids, logits)
        noisy = log_probs if self.sampling.temperature == 0 else log_probs + self.noise(log_probs.shape[-1])
        self.steps.append(log_probs.gather(-1, noisy.argmax(-1, keepdim=True)))
        return noisy

    def distribution(self, input_ids: Tensor, logits: Tensor) -> Tensor:
        """Log-probabilities of the next token, (rows, V), from the policy's logits."""
        return self.sampling.log_probs(logits)

    def log_probs(self) -> list[list[float]]:
        rows: list[list[float]] = torch.cat(self.steps, -1).tolist()
        return rows


class _Stops:
    """Which rows have written a stop string; ``Ending.cut`` finds afterwards where."""

    def __init__(self, ending: Ending, tokenizer: Any, prompt: int) -> None:
        self.ending, self.tokenizer, self.prompt = ending, tokenizer, prompt
        self.tail = 4 * max(len(stop) for stop in ending.stop) + 4  # tokens may be single bytes of a letter

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        new = input_ids[:, max(self.prompt, input_ids.shape[1] - self.tail) :].tolist()
        done = [self.ending.stopped(tuple(row), self.tokenizer) for row in new]
        return torch.tensor(done, device=input_ids.device)


def _completion(tokens: list[int], log_probs: list[float], ending: Ending, tokenizer: Any) -> Completion:
    kept, finished = ending.cut(tokens, tokenizer)
    return Completion(kept, tuple(log_probs[: len(kept)]), finished)


@contextmanager
def _own_settings(core: Any, sampling: Sampling, ending: Ending) -> Iterator[None]:
    """``generate`` fills whatever is unset from the model's settings, so those are exchanged, not overridden."""
    from transformers import GenerationConfig

    before = core.generation_config
    core.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=sampling.max_new_tokens,
        do_sample=False,  # the chooser has added the noise
        eos_token_id=list(ending.marks),
        pad_token_id=ending.pad,
        return_dict_in_generate=True,
        use_cache=True,
    )
    try:
        yield
    finally:
        core.generation_config = before


def _with_room(rows: _Rows, core: Any, new: int) -> Any:
    """The rows' cache, or an empty one, with room for what is drawn; None where ``generate`` makes its own."""
    from llm.cache import make_room, roomy_cache

    room = rows.ids.shape[1] + new
    if rows.cache is None:
        return roomy_cache(core, room)
    make_room(rows.cache, room)
    return rows.cache


def _remembers_all(cache: Any) -> bool:
    """Whether every layer keeps every token: no sliding window, no recurrent state."""
    layers = getattr(cache, "layers", None) or []
    return bool(layers) and all(type(layer).__name__ in ("DynamicLayer", "RoomyLayer") for layer in layers)
