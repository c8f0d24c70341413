"""Texts to tokens and tokens to logits, for judges that are transformers with a classification head.

Nothing that stands in a prompt or an answer becomes a control token: a text that holds ``<|im_end|>`` is read as
those letters. The chat template never sees the texts, only marks in their places, so it cannot trim or split them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from llm.judges.protocol import Array, JudgeError, OnFailure, Prompt, messages_of


def conversation_ids(tokenizer: Any, prompt: Prompt, answer: str | None = None) -> list[int]:
    """The tokens of a conversation with an answer, by the tokenizer's chat template, else plainly, line by line.

    Raises:
        ValueError: the template leaves a message out or repeats it.
    """
    messages = messages_of(prompt)
    if answer is not None:
        messages.append({"role": "assistant", "content": answer})
    texts = [message["content"] for message in messages]
    if not tokenizer.chat_template:
        return text_ids(tokenizer, "\n".join(texts), ends=True)
    marks = [_mark(i, texts) for i in range(len(texts))]
    asked = [{**message, "content": mark} for message, mark in zip(messages, marks, strict=True)]
    rest, template = tokenizer.apply_chat_template(asked, tokenize=False), []
    for mark in marks:
        if rest.count(mark) != 1:
            raise ValueError(
                f"The chat template writes a message {rest.count(mark)} times in order, not once. "
                "Set tokenizer.chat_template to one that keeps every message."
            )
        before, rest = rest.split(mark)
        template.append(before)
    return _woven(tokenizer, [*template, rest], texts)


def text_ids(tokenizer: Any, text: str, *, ends: bool = False) -> list[int]:
    """The tokens of a plain text, none of them a control token, but for those the tokenizer puts at the ends."""
    return list(tokenizer(text, add_special_tokens=ends, split_special_tokens=True, verbose=False)["input_ids"])


def pair_ids(tokenizer: Any, prompt: Prompt, first: str, second: str) -> list[int]:
    """Prompt, first and second answer with the separator token between them, which no text can contain."""
    separator = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    if separator is None:
        raise ValueError("The tokenizer has no sep_token and no eos_token to stand between answers. Set one.")
    start = conversation_ids(tokenizer, prompt)
    start += [] if start and start[-1] == separator else [separator]
    return [*start, *text_ids(tokenizer, first), separator, *text_ids(tokenizer, second)]


def check_lengths(rows: list[list[int]], longest: int, on_failure: OnFailure) -> list[bool]:
    """Which rows can be read; too long ones are refused, with the numbers, unless they are to be skipped."""
    fits = [0 < len(ids) <= longest for ids in rows]
    if not all(fits) and on_failure is OnFailure.STOP:
        i = fits.index(False)
        raise JudgeError(
            f"Text {i} has {len(rows[i])} tokens and the judge reads 1 to {longest}. "
            "Shorten the answers, pass a larger max_tokens, or on_failure=OnFailure.SKIP to leave such pairs out."
        )
    return fits


def logits_of(model: Any, pad: int, rows: list[list[int]], batch_tokens: int) -> Array:
    """The model's logits, (n, labels), float64: sorted by length, batches of at most ``batch_tokens`` with padding.

    Equal rows are read once.
    """
    import torch

    place = {row: i for i, row in enumerate(dict.fromkeys(map(tuple, rows)))}
    where, rows = [place[tuple(row)] for row in rows], [list(row) for row in place]
    out = np.full((len(rows), model.config.num_labels), np.nan)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in by_length(rows, batch_tokens):
                ids, mask = (each.to(model.device) for each in padded([rows[i] for i in batch], pad))
                out[batch] = model(input_ids=ids, attention_mask=mask).logits.double().cpu().numpy()
    finally:
        model.train(training)
    if not np.isfinite(out).all():
        raise JudgeError("The judge's model answered with a number that is not finite. Load it with dtype='float32'.")
    return out[where]


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Any, Any]:
    """Token ids and attention mask, (rows, longest), padded on the right."""
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    return ids, mask


def by_length(rows: Sequence[list[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Batches of rows, the longest first, each of at most ``batch_tokens`` with its padding, one row at least.

    The same rows in another order make the same batches, and so the same numbers to the last bit.

    >>> list(by_length([[7], [7, 7, 7, 7, 7], [7, 8]], 6))
    [[1], [2, 0]]
    """
    batch: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: (-len(rows[i]), rows[i])):
        if batch and len(rows[batch[0]]) * (len(batch) + 1) > batch_tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def context_length(model: Any, tokenizer: Any) -> int:
    """The most tokens that both the model and its tokenizer say they can read."""
    config = model.config.get_text_config()
    return min(getattr(config, "max_position_embeddings", None) or 10**9, tokenizer.model_max_length)


def fingerprint(model: Any, tokenizer: Any) -> str:
    """A hash of the weights, the vocabulary and the template: another after any training."""
    import torch

    seen = hashlib.sha256(repr((sorted(tokenizer.get_vocab().items()), tokenizer.chat_template)).encode())
    for name, values in sorted(model.state_dict().items()):
        seen.update(repr((name, tuple(values.shape), values.dtype)).encode())
        seen.update(values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return seen.hexdigest()[:16]


def _woven(tokenizer: Any, template: list[str], texts: list[str]) -> list[int]:
    """Tokens of template and texts in turn: as one text where no text holds a control token, else piece by piece."""
    control = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    if not any(token in text for text in texts for token in control):
        whole = template[0] + "".join(text + after for text, after in zip(texts, template[1:], strict=True))
        return list(tokenizer(whole, add_special_tokens=False, verbose=False)["input_ids"])
    ids: list[int] = []
    for before, text in zip(template, [*texts, ""], strict=True):
        ids += tokenizer(before, add_special_tokens=False, verbose=False)["input_ids"] if before else []
        ids += text_ids(tokenizer, text) if text else []
    return ids


def _mark(i: int, texts: list[str]) -> str:
    """A word that stands in no text."""
    return "m" + hashlib.sha256(repr((i, texts)).encode()).hexdigest()[:24] + "m"
