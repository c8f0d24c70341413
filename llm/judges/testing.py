"""A tokenizer made on the spot, for examples and tests of judges: no hub, no files."""

from __future__ import annotations

from typing import Any, cast

MARKS = ("[PAD]", "[SEP]", "[END]")


def letters(chat: bool = False) -> Any:
    """A tokenizer of 26 letters, a space for all other signs, and three marks.

    Args:
        chat: with a chat template, in which ``[END]`` closes every message.

    Example:
        >>> letters()("ab!")["input_ids"]
        [4, 5, 3]
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = [*MARKS, " ", *"abcdefghijklmnopqrstuvwxyz"]
    inside = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token=" "))
    inside.normalizer = normalizers.Lowercase()
    inside.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    inside.add_special_tokens(list(MARKS))
    made = cast(Any, PreTrainedTokenizerFast)(
        tokenizer_object=inside, pad_token="[PAD]", sep_token="[SEP]", eos_token="[END]", unk_token=" "
    )
    if chat:
        made.chat_template = "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + '[END]' }}{% endfor %}"
    return made
