"""How tokens are drawn: one function from logits to the distribution, read by generation and by scoring alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from llm.fields import check_fields


@dataclass(frozen=True)
class Sampling:
    """Options of drawing a completion.

    Args:
        max_new_tokens: at most, the end mark included.
        temperature: T > 0 draws from softmax(logits / T); 0 takes the likeliest token (probability 1).
        top_p: draws from the fewest tokens that together have probability top_p at temperature T.
        top_k: draws from the k likeliest tokens; 0 means all.
        stop: texts that end a completion.

    Log-probabilities are always of exactly the distribution that is drawn from: at temperature T, and
    renormalised over the tokens that top-k and then top-p keep.

    Raises:
        TypeError: if a field is not of its kind.
        ValueError: if a number is out of its range.
    """

    max_new_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self, max_new_tokens=1, temperature=0, top_k=0)
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is a probability above 0 and at most 1; it is {self.top_p}. 1 keeps every token.")
        if "" in self.stop:
            raise ValueError("stop holds an empty text, which ends every completion at once. Leave it out.")

    @property
    def truncates(self) -> bool:
        """Whether some tokens can never be drawn."""
        return self.top_p < 1 or self.top_k > 0 or self.temperature == 0

    def log_probs(self, logits: Tensor) -> Tensor:
        """The log-probabilities of the next token, (..., V), in float32 or better.

        Example:
            >>> logits = torch.tensor([0.5, 0.3, 0.2]).log()
            >>> Sampling(top_k=2).log_probs(logits).exp()
            tensor([0.6250, 0.3750, 0.0000])
            >>> Sampling(top_p=0.4).log_probs(logits).exp()
            tensor([1., 0., 0.])
        """
        return self.unnormalised(logits).log_softmax(-1)

    def unnormalised(self, logits: Tensor) -> Tensor:
        """:meth:`log_probs` but for one number a row: the logits at T, −∞ where a token is left out.

        Example:
            >>> Sampling(temperature=0.5).unnormalised(torch.tensor([1.0, 2.0]))
            tensor([2., 4.])
        """
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if self.temperature == 0:
            chosen = torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1])
            return chosen.to(logits.dtype).log()
        scaled = logits if self.temperature == 1 else logits / self.temperature
        if self.top_k:
            least = scaled.topk(min(self.top_k, scaled.shape[-1]), dim=-1).values[..., -1:]
            scaled = scaled.masked_fill(scaled < least, -torch.inf)
        if self.top_p < 1:
            scaled = scaled.masked_fill(~self._nucleus(scaled), -torch.inf)
        return scaled

    def _nucleus(self, logits: Tensor) -> Tensor:
        """A token is kept while the likelier ones have not yet reached top_p."""
        ordered, index = logits.softmax(-1).sort(-1, descending=True)
        before = ordered.cumsum(-1) - ordered
        return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, index, before < self.top_p)

    def check_trainable(self) -> None:
        """Refuse options under which log-ratios to the reference are infinite.

        A token that the reference keeps and the policy does not, or the other way round, has no finite log-ratio.
        """
        if self.truncates:
            raise ValueError(
                f"Training needs log-ratios to the reference, which are infinite where top_p = {self.top_p:g}, "
                f"top_k = {self.top_k} or temperature = {self.temperature:g} leave tokens out. "
                "Train with top_p=1, top_k=0 and temperature > 0, and use these for evaluation."
            )


class Noise:
    """Gumbel noise for each row from a seed of its own: whoever shares the batch, a row draws the same tokens.

    ``argmax(log p + noise)`` is a draw from p (Gumbel-max), at the cost of one random number a token, as
    ``torch.multinomial`` has. A uniform number of 63 bits is made into a waiting time −log(1 − u) of mean 1, which is
    exact where it matters, near 0 (torch's ``exponential_`` is so too, and takes three times as long on a CPU), and
    the noise is −log of that.
    """

    def __init__(self, seeds: list[int], device: torch.device) -> None:
        self.device = device
        self.generators = [torch.Generator(device=device).manual_seed(seed) for seed in seeds]

    def __call__(self, vocabulary: int) -> Tensor:
        """The noise of the next step, (rows, V)."""
        bits = torch.empty((len(self.generators), vocabulary), dtype=torch.int64, device=self.device)
        for row, generator in zip(bits, self.generators, strict=True):
            row.random_(generator=generator)  # 0 … 2⁶³ − 1
        waits = bits.float().add_(0.5).mul_(-(2.0**-63)).log1p_().neg_()
        return waits.log_().neg_()


def seeds_for(seed: int, *keys: int) -> int:
    """A seed of 63 bits for a place in a run, such as (prompt, answer, role).

    Example:
        >>> seeds_for(0, 1, 2) == seeds_for(0, 1, 2), seeds_for(0, 1, 2) == seeds_for(0, 2, 1)
        (True, False)
    """
    return int(np.random.SeedSequence((seed, *keys)).generate_state(1, np.uint64)[0] >> 1)
