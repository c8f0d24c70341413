"""Training of preference models from chosen and rejected answers: a Bradley–Terry reward, or a pairwise model."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm.fields import check_fields
from llm.judges.models import PAIRWISE, REWARD, load_judge
from llm.judges.pairs import PreferencePair, columns, judge_pairs
from llm.judges.protocol import JudgeError, OnFailure
from llm.judges.report import JudgeReport, report
from llm.judges.sequences import check_lengths, context_length, conversation_ids, pair_ids
from llm.judges.wrappers import LengthOnly
from llm.run_folder import claim, last_checkpoint, run_identity


class Kind(enum.Enum):
    """What the model reads."""

    REWARD = REWARD
    PAIRWISE = PAIRWISE


@dataclass(frozen=True)
class Training:
    """How a preference model is trained.

    Args:
        kind: a reward of one answer, or a comparison of two.
        epochs: passes over the pairs.
        learning_rate: of AdamW, after a warm-up, falling linearly to 0.
        batch_size: pairs a device and step.
        accumulate: batches an update.
        warmup: the share of updates in which the learning rate rises.
        weight_decay: of AdamW.
        max_tokens: the longest text that is read; by default the model's own limit. Nothing is cut.
        long: what to do with longer ones: stop, or skip the pair.
        bf16: compute in bfloat16; the weights stay in float32.
        save_every: updates between checkpoints.
        seed: of the order of pairs, dropout and a new head.
    """

    kind: Kind = Kind.REWARD
    epochs: float = 1.0
    learning_rate: float = 1e-5
    batch_size: int = 16
    accumulate: int = 1
    warmup: float = 0.03
    weight_decay: float = 0.0
    max_tokens: int | None = None
    long: OnFailure = OnFailure.STOP
    bf16: bool = False
    save_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("batch_size", "accumulate", "max_tokens", "save_every"), 1)
        above = {"epochs": 0, "learning_rate": 0}
        check_fields(self, above=above, **counts, warmup=0, weight_decay=0, seed=0)
        if self.warmup > 1:
            raise ValueError(f"warmup is a share of the updates, at most 1; it is {self.warmup}. Pass 0.03.")


@dataclass(frozen=True)
class Evaluation:
    """A preference model on test pairs, and beside it the judge that sees lengths only.

    Attributes:
        model: the trained judge.
        length_only: :class:`llm.judges.LengthOnly`, fitted on the training pairs.
        length: its two numbers; a positive coefficient says that people preferred the longer answer.
        train_pairs: how many pairs were trained on.
        left_out: training pairs too long to be read.
    """

    model: JudgeReport
    length_only: JudgeReport
    length: LengthOnly
    train_pairs: int
    left_out: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "model": self.model.as_dict(), "length_only": self.length_only.as_dict()}


def train_preference_model(
    train: Sequence[PreferencePair],
    test: Sequence[PreferencePair],
    base: str | Path,
    out: str | Path,
    training: Training | None = None,
    *,
    resume: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Train on ``train``, save into ``out``, and report on ``test``. Load the judge with ``llm.judges.load_judge``.

    Args:
        train: the pairs to learn from.
        test: the pairs to report on; none of their prompts should be among the others.
        base: any model of transformers, by folder or hub name. A new head is drawn where it has none.
        out: the folder for the model, its tokenizer, ``report.json``, and ``checkpoints/`` while it trains.
        training: settings.
        resume: go on from the last whole checkpoint in ``out`` (from the start where there is none yet).
        progress: show Trainer's bar and losses.

    Raises:
        ValueError: ``out`` holds another run's files, or these are not the pairs or settings it was started with.
        JudgeError: a text is too long.
    """
    training, out = training or Training(), Path(out)
    model, tokenizer = _load(base, training)
    rows = _rows(train, model, tokenizer, training)
    claim(out, run_identity(train, base, training), resume=resume)
    trainer = _trainer(model, tokenizer, rows, out, training, progress)
    trainer.train(resume_from_checkpoint=last_checkpoint(out / "checkpoints") if resume else None)
    trainer.save_model(str(out))
    tokenizer.save_pretrained(out)
    found = evaluate(out, train, test, training, trained=len(rows), device=str(trainer.args.device))
    text = json.dumps(found.as_dict(), indent=2, ensure_ascii=False)
    (out / "report.json").write_text(text + "\n", encoding="utf-8")
    return found


def evaluate(
    folder: Path,
    train: Sequence[PreferencePair],
    test: Sequence[PreferencePair],
    training: Training,
    *,
    trained: int,
    device: str = "cpu",
) -> Evaluation:
    """The judge saved in ``folder`` on the test pairs, and the length-only judge fitted on the training pairs."""
    judge = load_judge(folder, device=device, max_tokens=training.max_tokens, on_failure=training.long)
    given: dict[str, Any] = {"weights": [pair.weight for pair in test], "ties": [pair.tie for pair in test]}
    _, chosen, rejected = columns(train)
    votes = np.array([0.5 if pair.tie else 1.0 for pair in train])
    length = LengthOnly.fit(chosen, rejected, votes, np.array([pair.weight for pair in train]))
    p = judge_pairs(judge, test)
    other = np.where(np.isnan(p), np.nan, judge_pairs(length, test))
    return Evaluation(report(p, **given), report(other, **given), length, trained, len(train) - trained)


def _load(base: str | Path, training: Training) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    set_seed(training.seed)
    tokenizer = AutoTokenizer.from_pretrained(base)
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise ValueError(f"The tokenizer of {base} has neither pad_token nor eos_token. Set one and save it.")
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype="float32")
    model.config.pad_token_id = tokenizer.pad_token_id
    model.config.preference_model = training.kind.value
    return model, tokenizer


def _rows(train: Sequence[PreferencePair], model: Any, tokenizer: Any, training: Training) -> list[dict[str, Any]]:
    def both(pair: PreferencePair) -> list[list[int]]:
        if training.kind is Kind.REWARD:
            return [conversation_ids(tokenizer, pair.prompt, answer) for answer in (pair.chosen, pair.rejected)]
        orders = [(pair.chosen, pair.rejected), (pair.rejected, pair.chosen)]
        return [pair_ids(tokenizer, pair.prompt, *order) for order in orders]

    texts = [both(pair) for pair in train]
    longest = training.max_tokens or context_length(model, tokenizer)
    fits = check_lengths([ids for pair in texts for ids in pair], longest, training.long)
    mean = float(np.mean([pair.weight for pair in train]))
    rows = [
        {
            "first": one,
            "second": other,
            "weight": pair.weight / mean,
            "margin": float(pair.margin),
            "target": 0.5 if pair.tie else 1.0,
        }
        for i, (pair, (one, other)) in enumerate(zip(train, texts, strict=True))
        if fits[2 * i] and fits[2 * i + 1]
    ]
    if not rows:
        raise JudgeError(f"None of {len(train)} pairs is short enough for max_tokens={longest}. Pass a larger one.")
    return rows


def _trainer(model: Any, tokenizer: Any, rows: list[Any], out: Path, training: Training, progress: bool) -> Any:
    from transformers import PrinterCallback, TrainingArguments

    from llm.preference_trainer import PairCollator, PreferenceTrainer

    updates = math.ceil(len(rows) / (training.batch_size * training.accumulate)) * training.epochs
    arguments = TrainingArguments(
        output_dir=str(out / "checkpoints"),
        per_device_train_batch_size=training.batch_size,
        gradient_accumulation_steps=training.accumulate,
        num_train_epochs=training.epochs,
        learning_rate=training.learning_rate,
        warmup_steps=math.ceil(training.warmup * updates),
        weight_decay=training.weight_decay,
        bf16=training.bf16,
        seed=training.seed,
        save_strategy="steps",
        save_steps=training.save_every,
        save_total_limit=2,
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=not progress,
        dataloader_pin_memory=False,
    )
    collator = PairCollator(tokenizer.pad_token_id)
    scale = 1.0 if training.kind is Kind.REWARD else 0.5
    trainer = PreferenceTrainer(model, arguments, collator, rows, scale=scale)
    if not progress:
        trainer.remove_callback(PrinterCallback)
    return trainer
