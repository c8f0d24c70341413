"""The loss of a preference model, on transformers' Trainer: imported only where training begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import Trainer

from llm.judges.sequences import padded
from llm.products import with_large_products


@dataclass(frozen=True)
class PairCollator:
    """Rows to one batch of 2n sequences: n that should score higher, then their n rivals."""

    pad: int

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Padded ids and mask (2n, T); weight, margin and target (n,)."""
        ids, mask = padded([row["first"] for row in rows] + [row["second"] for row in rows], self.pad)
        numbers = {name: torch.tensor([row[name] for row in rows]) for name in ("weight", "margin", "target")}
        return {"input_ids": ids, "attention_mask": mask, **numbers}


def preference_loss(lead: Any, weight: Any, margin: Any, target: Any) -> Any:
    """Mean of ``−w [t log σ(d − m) + (1 − t) log σ(m − d)]``: d is the lead, t is 1, or ½ for a tie.

    Source: Bradley and Terry (1952); the margin: Touvron et al., *Llama 2* (2023).

    Example:
        >>> one = torch.ones(1)
        >>> round(float(preference_loss(0 * one, one, 0 * one, one)), 4)
        0.6931
    """
    log_sigmoid = torch.nn.functional.logsigmoid
    lead = lead - margin
    return -(weight * (target * log_sigmoid(lead) + (1 - target) * log_sigmoid(-lead))).mean()


class PreferenceTrainer(Trainer):
    """A Trainer whose batches are pairs; ``scale`` is 1 for a reward and ½ for an antisymmetrised pairwise model."""

    def __init__(self, model: Any, *arguments: Any, scale: float, **options: Any) -> None:
        with_large_products(model)
        super().__init__(model, *arguments, **options)
        self.scale = scale
        self.model_accepts_loss_kwargs = False  # the loss is a mean over the batch, to be divided when accumulated

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The loss of one batch."""
        output = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        winner, loser = output.logits[:, 0].float().chunk(2)
        lead = self.scale * (winner - loser)
        loss = preference_loss(lead, inputs["weight"], inputs["margin"], inputs["target"])
        return (loss, output) if return_outputs else loss
