"""Where a completion ends: end-of-sequence marks, stop strings and padding, handled here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ending:
    """The ways a completion can end.

    Args:
        marks: token ids that end a sequence. A mark is a token that was chosen, so it is scored; it is no part of the
            answer, so the Follower is not shown it (the template closes y's turn itself).
        pad: the token behind a finished completion in a batch; it may be one of the marks.
        stop: texts that end a completion too. The tokens that spell one are scored and stay in the Follower's
            context as they were generated; the text given to judges ends before it.
    """

    marks: tuple[int, ...]
    pad: int
    stop: tuple[str, ...] = ()

    @classmethod
    def of(cls, tokenizer: Any, model: Any, stop: Sequence[str] = ()) -> Ending:
        """The tokenizer's mark and those in the model's generation settings.

        Raises:
            ValueError: if neither has a mark.
        """
        settings = getattr(model, "generation_config", None)
        given = getattr(settings, "eos_token_id", None)
        listed = [] if given is None else [given] if isinstance(given, int) else list(given)
        marks = tuple(dict.fromkeys(each for each in [tokenizer.eos_token_id, *listed] if each is not None))
        if not marks:
            raise ValueError("Neither the tokenizer nor the model names an end mark. Set tokenizer.eos_token.")
        pad = marks[0] if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        return cls(marks, pad, tuple(stop))

    def cut(self, tokens: Sequence[int], tokenizer: Any) -> tuple[tuple[int, ...], bool]:
        """The tokens up to the first ending, the ending included, and whether there is one.

        Example:
            >>> Ending(marks=(0,), pad=0).cut([5, 7, 0, 0], None)
            ((5, 7, 0), True)
            >>> Ending(marks=(0,), pad=0).cut([5, 7], None)
            ((5, 7), False)
        """
        end = next((i + 1 for i, token in enumerate(tokens) if token in self.marks), None)
        kept = tuple(tokens[:end])
        if self.stop and self.stopped(kept, tokenizer):
            first = next(n for n in range(1, len(kept) + 1) if self.stopped(kept[:n], tokenizer))
            return kept[:first], True
        return kept, end is not None

    def content(self, tokens: tuple[int, ...]) -> tuple[int, ...]:
        """The tokens without an end mark.

        Example:
            >>> Ending(marks=(0,), pad=0).content((5, 7, 0))
            (5, 7)
        """
        return tokens[:-1] if tokens and tokens[-1] in self.marks else tokens

    def text(self, tokens: tuple[int, ...], tokenizer: Any) -> str:
        """What was said, without marks and before any stop string."""
        said: str = tokenizer.decode(self.content(tokens), skip_special_tokens=True)
        return said[: min([said.find(stop) for stop in self.stop if stop in said], default=len(said))]

    def stopped(self, tokens: tuple[int, ...], tokenizer: Any) -> bool:
        """Whether a stop string stands in the tokens."""
        said = tokenizer.decode(tokens, skip_special_tokens=True)
        return any(stop in said for stop in self.stop)
