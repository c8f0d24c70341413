"""transformers' continuous batching: a completion that ends makes room for the next at once, in one process."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from llm.ending import Ending
from llm.fields import check_fields
from llm.generation import Completion, Generated, GeneratorError, Tokens
from llm.sampling import Sampling, seeds_for
from llm.speaker import Speaker
from stackelberg.validation import shown


@dataclass(frozen=True)
class ContinuousBatching:
    """transformers' continuous batching on the model itself: no second copy, no weights to send anywhere.

    It pays where completions differ much in length: no row waits for the longest of its batch.

    - Log-probabilities are those of the sampling distribution, as the library tells them.
    - Draws are **not reproducible row by row**: all rows share one stream of random numbers, seeded from all seeds
      together, so the same call gives the same completions on the CPU, and a row in other company gives others. Use
      :class:`llm.TransformersGenerator` where the same prompt and seed must give the same completion. The caller's
      own random state is left as it was.
    - Stop strings are looked for afterwards: such a row is computed to its end mark or ``max_new_tokens``, and cut.
    - The cache of y is not kept for y'; within one call equal beginnings of prompts are computed once.

    Args:
        cache_tokens: places in the key–value cache. By default the accelerator's free memory decides, or on a CPU what
            the call can use, up to 65,536; prompts beyond it wait their turn.
        config: a ``transformers.ContinuousBatchingConfig`` for all else; its ``return_logprobs`` and ``seed`` are set
            here, and where transformers has ``auto_switch_to_flash`` it is off by default, so that the attention that
            generates is the one that scores.

    Raises:
        GeneratorError: transformers gave no completion for some prompt.
        ValueError: the policy is scored in another precision than it would be drawn in.

    Source: Yu et al., *Orca: a distributed serving system for transformer-based generative models* (2022); Kwon et
    al., *Efficient memory management for large language model serving with PagedAttention* (2023).

    Example:
        >>> import llm
        >>> from llm.testing import tiny_policy
        >>> sampling = llm.Rollouts(max_new_tokens=4, generator=ContinuousBatching())
        >>> policy = tiny_policy()
        >>> episodes = llm.generate(policy, ["Why?", "How?"], sampling)
        >>> llm.generator_gap(episodes, *policy.score(episodes, sampling)) < 1e-4
        True
    """

    cache_tokens: int | None = None
    config: Any = None
    schedules: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, cache_tokens=1)
        if self.config is not None and not hasattr(self.config, "return_logprobs"):
            raise TypeError(
                f"config must be a transformers.ContinuousBatchingConfig, not {shown(self.config)}. Leave it out, or "
                "pass one."
            )

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
        _check_precision(speaker)
        longest = max((len(prompt) for prompt in prompts), default=0) + sampling.max_new_tokens
        config = self._config(speaker.device, longest, len(prompts))
        config.seed = seeds_for(*seeds) if seeds else 0
        with speaker.listening(), _random_state_kept(speaker.device):
            outputs = _run(speaker.core, prompts, _settings(sampling, ending), config)
        return Generated([_completion(each, sampling, ending, tokenizer) for each in outputs])

    def _config(self, device: torch.device, longest: int, rows: int) -> Any:
        from transformers.generation.configuration_utils import ContinuousBatchingConfig

        config: Any = ContinuousBatchingConfig() if self.config is None else copy.deepcopy(self.config)
        config.return_logprobs = True
        if self.config is None and hasattr(config, "auto_switch_to_flash"):
            config.auto_switch_to_flash = False
        page: int = config.page_size if hasattr(config, "page_size") else config.block_size  # up to transformers 5.17
        pages = -(-longest // page) + 1
        if self.cache_tokens is not None:
            config.num_blocks = max(pages, -(-self.cache_tokens // page))
        elif device.type == "cpu" and config.num_blocks is None:
            config.num_blocks = max(pages, min(pages * rows, 65536 // page))
        if device.type == "cpu" and config.max_batch_tokens is None:
            config.max_batch_tokens = 1024  # the mask of transformers' own 8192 takes half a gigabyte
        return config


def _check_precision(speaker: Speaker) -> None:
    """Refuse autocast, which is of one thread, and transformers draws in another."""
    kind, dtype = speaker.device.type, speaker.core.get_input_embeddings().weight.dtype
    if torch.is_autocast_enabled(kind) and dtype != torch.get_autocast_dtype(kind):
        raise ValueError(
            f"Continuous batching would draw in {dtype}, the precision of the weights, and Training(bf16=True) scores "
            "in bfloat16. Train adapters on a base in bfloat16, or use TransformersGenerator."
        )


def _settings(sampling: Sampling, ending: Ending) -> Any:
    """The model's own settings stay out of it; transformers grumbles at options that a greedy choice does not read."""
    from transformers import GenerationConfig

    drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}
    return GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=sampling.max_new_tokens,
        do_sample=sampling.temperature > 0,
        eos_token_id=list(ending.marks),
        pad_token_id=ending.pad,
        **(drawn if sampling.temperature > 0 else {}),
    )


@contextmanager
def _random_state_kept(device: torch.device) -> Iterator[None]:
    """The library seeds torch's own generators, which belong to the caller."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _run(core: Any, prompts: Sequence[Tokens], settings: Any, config: Any) -> list[Any]:
    """The outputs in the order of prompts. All wait before the work begins, so that the batches are always the same."""
    manager = core.init_continuous_batching(generation_config=settings, continuous_batching_config=config)
    try:
        names = manager.add_requests([list(prompt) for prompt in prompts], max_new_tokens=settings.max_new_tokens)
        manager.start()
        found: dict[str, Any] = {}
        while len(found) < len(prompts):
            output = manager.get_result(timeout=1)
            if output is not None:
                found[output.request_id] = output
            elif not manager.is_running():
                break
    finally:
        manager.stop(block=True, hard_stop=True)
        manager.destroy()
    errors = {name: found[name].error if name in found else "no answer" for name in names}
    if missing := [error for error in errors.values() if error]:
        cause = getattr(manager.background_thread_status, "fatal_error", None) or missing[0]
        raise GeneratorError(
            f"Continuous batching failed on {len(missing)} of {len(names)} prompts: {cause}. Lower cache_tokens or "
            "prompts, or use TransformersGenerator."
        )
    return [found[name] for name in names]


def _completion(output: Any, sampling: Sampling, ending: Ending, tokenizer: Any) -> Completion:
    kept, finished = ending.cut(output.generated_tokens, tokenizer)
    told = [0.0] * len(kept) if sampling.temperature == 0 else output.logprobs[: len(kept)]
    if len(told) != len(kept) or not kept:
        raise GeneratorError(
            f"Continuous batching told {len(output.logprobs)} log-probabilities of {len(output.generated_tokens)} "
            "tokens. Use TransformersGenerator with this version of transformers."
        )
    return Completion(kept, tuple(told), finished)
