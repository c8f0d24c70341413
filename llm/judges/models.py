"""Judges that are transformers: a reward model reads one answer, a pairwise model reads both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.special import expit

from llm.fields import check_fields, check_tokenizer
from llm.judges.protocol import Array, Judge, OnFailure, Prompt, check_rows, described
from llm.judges.scores import BradleyTerry
from llm.judges.sequences import (
    check_lengths,
    context_length,
    conversation_ids,
    fingerprint,
    logits_of,
    pair_ids,
)
from llm.places import check_place, reading
from stackelberg.validation import shown

PAIRWISE, REWARD = "pairwise", "bradley-terry"


@dataclass(frozen=True, eq=False)
class Classifier:
    """A sequence classifier of transformers with its tokenizer: what both kinds of model share.

    Args:
        model: with a classification head, on its device, in its dtype.
        tokenizer: a fast one; its chat template is used where it has one.
        max_tokens: the longest text that is read, never cut; by default what model and tokenizer can read.
        batch_tokens: the most tokens a batch, padding included.
        on_failure: what to do with a text that is too long: stop, or skip (NaN).
    """

    model: Any
    tokenizer: Any
    max_tokens: int | None = None
    batch_tokens: int = 16384
    on_failure: OnFailure = OnFailure.STOP

    def __post_init__(self) -> None:
        check_fields(self, max_tokens=1, batch_tokens=1)
        if isinstance(self.model, (str, Path)) or not hasattr(self.model, "config"):
            raise TypeError(
                f"model must be a sequence classifier of transformers, not {shown(self.model)}. "
                f"Pass a folder or a hub name to {type(self).__name__}.from_pretrained."
            )
        check_tokenizer(self.tokenizer)
        if self.pad is None:
            raise ValueError("The tokenizer has neither pad_token nor eos_token. Set tokenizer.pad_token.")
        if self.model.config.pad_token_id is None:
            self.model.config.pad_token_id = self.pad

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        device: str = "cpu",
        dtype: str = "auto",
        max_tokens: int | None = None,
        batch_tokens: int = 16384,
        on_failure: OnFailure = OnFailure.STOP,
    ) -> Self:
        """Load from a folder or by a hub name; code of the repository is not run.

        Raises:
            ValueError: a pairwise model where a reward model is asked for, or the other way round.
        """
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        from llm.products import with_large_products

        check_place(path)
        with reading(path):
            model = AutoModelForSequenceClassification.from_pretrained(path, dtype=dtype).to(device)
            tokenizer = AutoTokenizer.from_pretrained(path)
        with_large_products(model)
        return cls(model, tokenizer, max_tokens, batch_tokens, on_failure)

    @property
    def pad(self) -> Any:
        """The id of the padding token, else of the end of a sequence."""
        pad = self.tokenizer.pad_token_id
        return self.tokenizer.eos_token_id if pad is None else pad

    @property
    def identity(self) -> str:
        """A hash of weights, vocabulary and template: two trainings of one model are two judges."""
        model = fingerprint(self.model, self.tokenizer)
        return described(type(self).__name__, model=model, name=str(self.model.config.name_or_path))

    def _logits(self, rows: list[list[int]]) -> Array:
        fits = check_lengths(rows, self.max_tokens or context_length(self.model, self.tokenizer), self.on_failure)
        out = np.full((len(rows), self.model.config.num_labels), np.nan)
        read = [row for row, fit in zip(rows, fits, strict=True) if fit]
        out[fits] = logits_of(self.model, self.pad, read, self.batch_tokens)
        return out


@dataclass(frozen=True, eq=False)
class RewardModel(Classifier):
    """Scores from a reward model: any ``AutoModelForSequenceClassification``, one label or several attributes.

    It is no judge by itself: ``BradleyTerry(model)`` is, or ``helpsteer2(model)`` for its five attributes.

    Example:
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> from llm.judges.testing import letters
        >>> config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, num_labels=1)
        >>> reward = RewardModel(BertForSequenceClassification(config), letters())
        >>> reward(["hello"], ["you"]).shape, BradleyTerry(reward)(["hello"], ["you"], ["you"])
        ((1,), array([0.5]))
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse(self.model, PAIRWISE, "a pairwise model", "PairwiseModel")

    def __call__(self, prompts: Sequence[Prompt], answers: Sequence[str]) -> Array:
        """The scores: (n,) with one label, else (n, labels); NaN where an answer was skipped."""
        check_rows(prompts, answers=answers)
        rows = [
            conversation_ids(self.tokenizer, prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)
        ]
        out = self._logits(rows)
        return out[:, 0] if out.shape[1] == 1 else out


@dataclass(frozen=True, eq=False)
class PairwiseModel(Classifier):
    """A judge that reads both answers at once, made antisymmetric: p = σ((g(x, y, y') − g(x, y', y)) / 2).

    The model has one label; it reads prompt, first and second answer with the separator token between them. It can
    hold preferences with cycles, which no reward can. p(y≻y') + p(y'≻y) = 1 to the precision of the model's dtype.

    Source: the preference model of Munos et al., *Nash learning from human feedback* (2023), here made antisymmetric.

    Example:
        >>> from transformers import BertConfig, BertForSequenceClassification
        >>> from llm.judges.testing import letters
        >>> config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, num_labels=1)
        >>> judge = PairwiseModel(BertForSequenceClassification(config), letters())
        >>> judge(["x", "x"], ["a", "b"], ["b", "a"]).sum().round(12)
        np.float64(1.0)
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse(self.model, REWARD, "a reward model", "BradleyTerry(RewardModel)")
        if self.model.config.num_labels != 1:
            raise ValueError(
                f"A pairwise model has one label; this one has {self.model.config.num_labels}. "
                "Train one with `stackelberg preference-model --kind pairwise`."
            )

    def __call__(self, prompts: Sequence[Prompt], first: Sequence[str], second: Sequence[str]) -> Array:
        """The probabilities, (n,); NaN where a pair was skipped."""
        check_rows(prompts, first=first, second=second)
        n = len(prompts)
        rows = [pair_ids(self.tokenizer, *row) for row in zip(prompts, first, second, strict=True)]
        rows += [pair_ids(self.tokenizer, *row) for row in zip(prompts, second, first, strict=True)]
        out = self._logits(rows)[:, 0]
        return expit((out[:n] - out[n:]) / 2)


def load_judge(path: str | Path, **options: Any) -> Judge:
    """The judge that ``stackelberg preference-model --out path`` trained; options as of ``from_pretrained``."""
    from transformers import AutoConfig

    check_place(path)
    with reading(path):
        kind = getattr(AutoConfig.from_pretrained(path), "preference_model", REWARD)
    if kind == PAIRWISE:
        return PairwiseModel.from_pretrained(path, **options)
    return BradleyTerry(RewardModel.from_pretrained(path, **options))


def _refuse(model: Any, kind: str, name: str, instead: str) -> None:
    if getattr(model.config, "preference_model", None) == kind:
        raise ValueError(f"{model.config.name_or_path or 'The model'} was trained as {name}. Use {instead}.")
