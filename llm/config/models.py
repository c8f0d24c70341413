"""The policies a configuration can start from."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from llm.dialogue import ChatTemplate, Dialogue, Template
from llm.generation import Generator
from llm.judges import Retry
from llm.lora import LoRA
from llm.roles import Roles

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy
    from llm.training.options import Training


class ModelSource(ABC):
    """Where a policy comes from."""

    @abstractmethod
    def policy(self, training: Training, seed: int) -> TransformerPolicy:
        """Load it, or make it.

        Args:
            training: how it will be trained.
            seed: of the first weights of adapters, the same in every process.
        """

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called."""


@dataclass(frozen=True, kw_only=True)
class Pretrained(ModelSource):
    """Any causal language model, by folder or hub name; see :meth:`llm.TransformerPolicy.from_pretrained`.

    Args:
        path: a folder or a hub name.
        lora: train adapters of this shape; all weights by default.
        roles: shared (default), two-adapters or two-models.
        instruction: what the Follower is asked; the paper's, or the saved policy's, by default.
        template: chat-template (default), or plain-template for base models.
        dtype: of the weights; float32 where they learn, as stored where adapters do.
        gradient_checkpointing: less memory, more time.
        attention: transformers' attn_implementation.
        quantization: fields of transformers' BitsAndBytesConfig, such as {load_in_4bit: true}.
        device_map: transformers' device_map.
        base: where the base of saved adapters is now.
        trust_remote_code: run code that comes with the model.
    """

    path: str | Path
    lora: LoRA | None = None
    roles: Roles | None = None
    instruction: str | None = None
    template: Template | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16", "float64"] | None = None
    gradient_checkpointing: bool = False
    attention: str | None = None
    quantization: Mapping[str, Any] | None = None
    device_map: str | None = None
    base: str | Path | None = None
    trust_remote_code: bool = False

    @property
    def name(self) -> str:
        """The folder or hub name."""
        return str(self.path)

    def policy(self, training: Training, seed: int) -> TransformerPolicy:
        """Load it."""
        from llm.policy import TransformerPolicy

        _seed(seed)
        try:
            return TransformerPolicy.from_pretrained(
                self.path,
                lora=self.lora,
                roles=self.roles,
                dialogue=_dialogue(self.instruction, self.template),
                dtype=self.dtype,
                gradient_checkpointing=self.gradient_checkpointing,
                attention=self.attention,
                quantization=self._quantized(),
                device_map=self.device_map,
                base=self.base,
                trust_remote_code=self.trust_remote_code,
                training=training,
            )
        except (OSError, ValueError) as error:
            raise ValueError(f"model.path: {error}") from error

    def _quantized(self) -> Any:
        if self.quantization is None:
            return None
        from transformers import BitsAndBytesConfig

        kind: Any = BitsAndBytesConfig
        return kind(**self.quantization)


@dataclass(frozen=True, kw_only=True)
class Tiny(ModelSource):
    """The tiny random Llama of :mod:`llm.testing` that reads bytes: no hub, no files; for tests and demonstrations.

    Args:
        width: of the hidden states, a multiple of 4.
        layers: how many.
        spread: standard deviation of the weights.
        seed: of the weights.
        lora: train adapters of this shape; all weights by default.
        roles: shared (default), two-adapters or two-models.
        instruction: what the Follower is asked.
        gradient_checkpointing: less memory, more time.
    """

    width: int = 16
    layers: int = 2
    spread: float = 0.3
    seed: int = 0
    lora: LoRA | None = None
    roles: Roles | None = None
    instruction: str | None = None
    gradient_checkpointing: bool = False

    @property
    def name(self) -> str:
        """What it is."""
        return "a tiny random model"

    def policy(self, training: Training, seed: int) -> TransformerPolicy:
        """Make it."""
        from llm.policy import TransformerPolicy
        from llm.testing import tiny_model, tiny_tokenizer

        tokenizer = tiny_tokenizer()
        model = tiny_model(tokenizer, width=self.width, layers=self.layers, spread=self.spread, seed=self.seed)
        _seed(seed)
        return TransformerPolicy.of(
            model,
            tokenizer,
            lora=self.lora,
            roles=self.roles,
            dialogue=_dialogue(self.instruction, None),
            gradient_checkpointing=self.gradient_checkpointing,
            training=training,
        )


def server(
    url: str,
    model: str,
    adapter_folder: str | Path,
    seen_as: str | None = None,
    key_variable: str | None = None,
    concurrency: int = 256,
    timeout: float = 600.0,
    retry: Retry | None = None,
) -> Generator:
    """A vLLM server that has the base and is sent the adapters: :class:`llm.Server`.

    Its key stays in the environment, under the name ``key_variable``, and never in a file; by default none is sent.
    """
    from llm.generators.server import Server

    return Server(
        url,
        model=model,
        adapter_folder=adapter_folder,
        seen_as=seen_as,
        key=secret(key_variable),
        concurrency=concurrency,
        timeout=timeout,
        retry=retry or Retry(),
    )


def secret(variable: str | None) -> str | None:
    """What an environment variable holds; None for no variable."""
    if variable is None:
        return None
    if not os.environ.get(variable):
        raise ValueError(f"the environment has no {variable}, which should hold a server's key. Export it.")
    return os.environ[variable]


def _dialogue(instruction: str | None, template: Template | None) -> Dialogue | None:
    if instruction is None and template is None:
        return None
    own = {} if instruction is None else {"instruction": instruction}
    return Dialogue(**own, template=ChatTemplate() if template is None else template)


def _seed(seed: int) -> None:
    """Adapters draw their first matrix from torch's own generator."""
    import torch

    torch.manual_seed(seed)
