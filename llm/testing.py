"""A tiny tokenizer and a tiny causal language model, made on the spot: no hub, no files, the same on every run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from llm.lora import LoRA
    from llm.policy import TransformerPolicy

PAD, END = "<|pad|>", "<|end|>"
SYSTEM, USER, ASSISTANT = "<|system|>", "<|user|>", "<|assistant|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
LETTERS_TEMPLATE = "{% for message in messages %}{{ message['content'] + '<|end|>' }}{% endfor %}"


def tiny_tokenizer(letters: str | None = None) -> PreTrainedTokenizerFast:
    """A tokenizer with a chat template: 256 bytes and five marks, or a few letters and one end mark.

    Args:
        letters: each is a token, and ``<|end|>`` is one more, which also pads; so ``"abc"`` gives a vocabulary
            of four, whose completions can be listed. Text must be made of these letters. By default any text can
            be read, byte by byte.

    Example:
        >>> tokenizer = tiny_tokenizer()
        >>> tokenizer.decode(tokenizer("Grüße!")["input_ids"])
        'Grüße!'
        >>> tiny_tokenizer("abc")("cab")["input_ids"]
        [3, 1, 2]
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if letters is None:
        inside = Tokenizer(models.BPE(vocab=_byte_vocabulary(), merges=[]))
        inside.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        inside.decoder = decoders.ByteLevel()
        marks, pad, template = [PAD, END, SYSTEM, USER, ASSISTANT], PAD, CHAT_TEMPLATE
    else:
        inside = Tokenizer(models.WordLevel(vocab={END: 0} | {letter: i + 1 for i, letter in enumerate(letters)}))
        inside.pre_tokenizer = pre_tokenizers.Split("", "isolated")
        inside.decoder = decoders.Fuse()
        marks, pad, template = [END], END, LETTERS_TEMPLATE
    inside.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    kind: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerFast = kind(tokenizer_object=inside, eos_token=END, pad_token=pad)
    made.chat_template = template
    return made


def tiny_model(
    tokenizer: PreTrainedTokenizerFast,
    architecture: Any = None,
    *,
    width: int = 16,
    layers: int = 2,
    spread: float = 0.3,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """A causal language model with random weights, some thousand parameters, on the CPU.

    Args:
        tokenizer: whose vocabulary it speaks.
        architecture: a configuration class: ``transformers.LlamaConfig`` (rotary positions, the default) or
            ``transformers.GPT2Config`` (learnt positions, a model with dropout in its configuration).
        width: of the hidden states, a multiple of 4.
        layers: how many.
        spread: standard deviation of the weights; at 0.3 the next token is neither certain nor uniform.
        seed: of the weights. The global random state is left as it was.
        dtype: of the weights.

    Example:
        >>> model = tiny_model(tiny_tokenizer())
        >>> 2_000 < model.num_parameters() < 15_000
        True
    """
    import transformers

    kind: Any = transformers.LlamaConfig if architecture is None else architecture
    auto: Any = transformers.AutoModelForCausalLM
    marks = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 2}
    if kind is transformers.LlamaConfig:
        sizes |= {"intermediate_size": 2 * width, "max_position_embeddings": 1024}
    config = kind(
        vocab_size=len(tokenizer), initializer_range=spread, tie_word_embeddings=True, dtype=dtype, **sizes, **marks
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = auto.from_config(config, dtype=dtype).eval()
    return model


def _byte_vocabulary() -> dict[str, int]:
    from tokenizers import pre_tokenizers

    return {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}


def tiny_policy(letters: str | None = None, *, lora: LoRA | None = None, seed: int = 0) -> TransformerPolicy:
    """A tiny model as both players. With letters, the instruction is the last of them.

    Example:
        >>> tiny_policy("abc").dialogue.instruction
        'c'
    """
    from llm.dialogue import Dialogue
    from llm.policy import TransformerPolicy

    tokenizer = tiny_tokenizer(letters)
    dialogue = Dialogue() if letters is None else Dialogue(instruction=letters[-1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # peft draws an adapter's first matrix
        return TransformerPolicy.of(tiny_model(tokenizer, seed=seed), tokenizer, lora=lora, dialogue=dialogue)
