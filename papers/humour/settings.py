"""Data, texts and models of the humour study: what is read, how it is split, and a small model pretrained on it."""

from __future__ import annotations

import csv
import gzip
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from llm.dialogue import Dialogue, PlainTemplate
from llm.judges.pairs import PreferencePair

SEED = 2019
BOOKS = ("fairytales/stories.txt.gz", "children-books/children_books.txt.gz")
END = "<|end|>"
INSTRUCTION = "Improve the previous answer!"
DIALOGUE = Dialogue(INSTRUCTION, PlainTemplate(user="Start: ", assistant="Line:", end="\n"))
OPENING = 2
"""Words of a line that are the prompt; the rest is the answer."""


@dataclass(frozen=True)
class Size:
    """How large everything is: the full study, and one that only shows that it runs."""

    vocabulary: int = 2048
    width: int = 256
    layers: int = 4
    characters: int = 6_000_000
    block: int = 128
    pretraining: int = 900
    tuning: int = 250
    judge_epochs: float = 2.0
    steps: int = 150
    prompts: int = 32
    held_out: int = 200


FULL = Size()
QUICK = Size(300, 16, 1, 20_000, 32, 4, 4, 0.02, 2, 4, 8)


def data() -> Path:
    """The folder of the shared data: ``$STACKELBERG_DATA``, else ``../shared/data`` beside the checkout."""
    folder = Path(os.environ.get("STACKELBERG_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / "humour-pairs").is_dir():
        sys.exit(f"No humour-pairs in {folder}. Name the folder of the data sets: STACKELBERG_DATA=...")
    return folder


def lines(folder: Path) -> dict[str, str]:
    """The one-liners by id."""
    with (folder / "humour-pairs" / "items.tsv").open(encoding="utf-8", newline="") as file:
        return {row["id"]: " ".join(row["text"].split()) for row in csv.DictReader(file, delimiter="\t")}


def split(texts: dict[str, str]) -> tuple[set[str], set[str]]:
    """Ids to learn from and a fifth held out: no text is on both sides."""
    ids = sorted(texts)
    random.Random(SEED).shuffle(ids)
    held_out = len(ids) // 5
    return set(ids[held_out:]), set(ids[:held_out])


def votes(folder: Path, texts: dict[str, str], ids: set[str]) -> list[PreferencePair]:
    """Pairs within ``ids`` that people judged, weighed by the votes that lead; even votes are ties."""
    with (folder / "humour-pairs" / "pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = [(r["item1"], r["item2"], int(r["votes1"]), int(r["votes2"])) for r in csv.DictReader(file)]
    found = []
    for one, other, first, second in rows:
        if one in ids and other in ids:
            better, worse = (one, other) if first >= second else (other, one)
            weight = float(abs(first - second) or 1)
            found.append(PreferencePair("", texts[better], texts[worse], weight=weight, tie=first == second))
    return found


def halves(text: str) -> tuple[str, str] | None:
    """The first words as a prompt, and the rest; None where nothing is left."""
    words = text.split()
    return (" ".join(words[:OPENING]), " ".join(words[OPENING:])) if len(words) > OPENING + 1 else None


def books(folder: Path, characters: int) -> str:
    """Plain text, the same share of each book's beginning."""
    return "\n".join(gzip.open(folder / name, "rt", encoding="utf-8").read(characters // len(BOOKS)) for name in BOOKS)


def tokenizer_of(text: str, size: Size) -> transformers.PreTrainedTokenizerFast:
    """Byte-pair encoding of the plain text and one end mark."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    inside = Tokenizer(models.BPE())
    inside.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inside.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size.vocabulary, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    inside.train_from_iterator(text.splitlines(), trainer)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inside, eos_token=END, pad_token=END)


def fresh(tokenizer: transformers.PreTrainedTokenizerFast, size: Size) -> transformers.PreTrainedModel:
    """A Llama with random weights."""
    torch.manual_seed(SEED)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        intermediate_size=2 * size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return transformers.AutoModelForCausalLM.from_config(config)


def pretrain(model, rows: list[list[int]], *, steps: int, batch: int, rate: float, out: Path) -> float:
    """Next-token prediction on rows of tokens; the mean loss of the last tenth, in nats a token."""
    longest = max(map(len, rows))
    ids = torch.full((len(rows), longest), model.config.pad_token_id)
    labels = torch.full((len(rows), longest), -100)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = labels[i, : len(row)] = torch.tensor(row)
    data = [{"input_ids": a, "labels": b, "attention_mask": (b >= 0).long()} for a, b in zip(ids, labels, strict=True)]
    arguments = transformers.TrainingArguments(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=batch,
        learning_rate=rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, steps // 20),
        logging_steps=max(1, steps // 10),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=SEED,
        use_cpu=not torch.accelerator.is_available(),
    )
    trainer = transformers.Trainer(model, arguments, train_dataset=data)
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    return [row["loss"] for row in trainer.state.log_history if "loss" in row][-1]


def blocks(tokenizer, text: str, size: Size) -> list[list[int]]:
    """The plain text in rows of equal length."""
    ids = tokenizer(text)["input_ids"]
    return [ids[at : at + size.block] for at in range(0, len(ids) - size.block, size.block)]


def conversations(tokenizer, texts: list[str]) -> list[list[int]]:
    """Each line twice: as the Leader's answer, and as an improvement of another line's rest."""
    rows, shuffled = [], random.Random(SEED).sample(texts, len(texts))
    for text, other in zip(texts, shuffled, strict=True):
        pair, before = halves(text), halves(other)
        if pair is None or before is None:
            continue
        opening = f"Start: {pair[0]}\nLine:"
        rows.append(tokenizer(f"{opening} {pair[1]}{END}")["input_ids"])
        bridge = f"\nStart: {INSTRUCTION}\nLine:"
        rows.append(tokenizer(f"{opening} {before[1]}{bridge} {pair[1]}{END}")["input_ids"])
    return rows
