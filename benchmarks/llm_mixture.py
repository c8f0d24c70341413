"""Drawing from the mixture of Leader and reference, against plain generation in the same run.

    OMP_NUM_THREADS=1 python benchmarks/llm_mixture.py

6.3 million parameters (4 layers of 256, vocabulary 8,192, random weights), 8 prompts of 32 tokens, 128 new tokens,
no end mark before the last. Two models read every token, so the aim is a ratio of 2.

"no cache" is the straightforward way: both models read everything again for every token; it runs once, since it
takes long. For scale: a published trainer's whole Nash-MD step was 40 s at
this shape, where its plain step was 6 s; no step is measured here, only the drawing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import transformers
from _harness import compare, record, seconds_of
from transformers import LlamaConfig, LlamaForCausalLM

import llm
from llm.ending import Ending
from llm.generation import TransformersGenerator
from llm.mixture import TokenMixture
from llm.testing import tiny_tokenizer

VOCABULARY, PROMPT, NEW, BATCH = 8192, 32, 128, 8
NEVER = Ending(marks=(VOCABULARY,), pad=0)  # a mark that is no token: every answer has its full length


def policy(lora: llm.LoRA | None) -> llm.TransformerPolicy:
    """4 × (4·256² + 3·256·1024) + 8,192·256 weights."""
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=1024, num_hidden_layers=4, num_attention_heads=4,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=257, pad_token_id=256,
    )  # fmt: skip
    torch.manual_seed(0)
    made = llm.TransformerPolicy.of(LlamaForCausalLM(config), tiny_tokenizer(), lora=lora)
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.01 * torch.randn_like(weight)
    return made


def prompts() -> torch.Tensor:
    return torch.randint(1, VOCABULARY, (BATCH, PROMPT), generator=torch.Generator().manual_seed(1))


def drawing(policy: llm.TransformerPolicy, generator: TransformersGenerator) -> Callable[[], Any]:
    asked = prompts().tolist()

    def act() -> None:
        drawn = generator.generate(
            policy.speaker(0),
            [tuple(prompt) for prompt in asked],
            sampling=llm.Sampling(NEW),
            ending=NEVER,
            tokenizer=policy.tokenizer,
            seeds=range(BATCH),
        )
        assert all(len(each.tokens) == NEW for each in drawn.completions)

    return act


def without_cache(policy: llm.TransformerPolicy) -> None:
    own, theirs = policy.speaker(0).core, policy.reference(0).core
    ids = prompts()
    with torch.no_grad():
        for _ in range(NEW):
            logits = [each(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, 0] for each in (own, theirs)]
            chances = (0.875 * logits[0] + 0.125 * logits[1]).softmax(-1)
            ids = torch.cat([ids, torch.multinomial(chances, 1)], 1)


def ratio(lora: llm.LoRA | None) -> dict[str, Any]:
    made = policy(lora)
    mixed = TokenMixture(reference=made.reference(0), mixture=0.125)
    return compare(drawing(made, mixed), drawing(made, TransformersGenerator()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    record(
        "llm_mixture",
        {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "threads": torch.get_num_threads(),
            "all weights learn, reference a frozen copy: mixture over plain (target 2)": ratio(None),
            "LoRA of rank 16, reference the base: mixture over plain (target 2)": ratio(llm.LoRA(rank=16)),
            "no cache, every prefix read again, all weights: seconds": seconds_of(lambda: without_cache(policy(None))),
        },
    )
