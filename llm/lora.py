"""Low-rank adapters, as peft makes them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llm.fields import check_fields


@dataclass(frozen=True)
class LoRA:
    """Train ``W + (alpha / rank) B A`` with B starting at 0, and leave W as it is (Hu et al. 2021).

    Args:
        rank: of the change.
        alpha: its scale; twice the rank by default.
        targets: names of the layers that learn, such as ``("q_proj", "v_proj")``; every linear layer but the output
            by default. One text, which peft would read as a regular expression, is refused.

    There is no dropout: a log-probability is of the policy that speaks, and that has none.
    At step 0 the policy equals the base, which is its reference, exactly.

    Example:
        >>> LoRA(rank=64).config(None).lora_alpha
        128
    """

    rank: int = 64
    alpha: float | None = None
    targets: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        check_fields(self, rank=1)
        if self.alpha is not None and not self.alpha > 0:
            raise ValueError(f"alpha must be above 0; it is {self.alpha}: nothing would be learnt. Leave it out.")
        if self.targets is not None and not (self.targets and all(self.targets)):
            raise ValueError(
                f"targets names the layers that learn, and is {self.targets!r}: nothing, or no name. "
                "Leave it out for every linear layer."
            )

    def config(self, core: Any) -> Any:
        """The ``peft.LoraConfig`` for a model."""
        from peft import LoraConfig

        transposed = core is not None and any(type(part).__name__ == "Conv1D" for part in core.modules())
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            lora_alpha=2 * self.rank if self.alpha is None else self.alpha,  # type: ignore[arg-type]  # a number
            lora_dropout=0.0,
            target_modules="all-linear" if self.targets is None else list(self.targets),
            fan_in_fan_out=transposed,
        )

    def wrap(self, core: Any, name: str = "default") -> Any:
        """A ``peft.PeftModel`` round the model, which gets its adapter layers in place."""
        from peft import get_peft_model

        with old_names():
            return get_peft_model(core, self.config(core), adapter_name=name)


@contextmanager
def old_names() -> Iterator[None]:
    """No warning where peft 0.21 asks transformers 5.23 for a property by its old name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield
