"""How good a judge is on pairs that people judged: accuracy with its interval, calibration, log loss."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from llm.judges.protocol import Array, check_probabilities, kept

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Pairs judged with about the same confidence max(p, 1 − p).

    Attributes:
        low: of the confidences, the lower bound.
        high: the upper bound.
        weight: of the pairs, in all.
        confidence: their mean; NaN in an empty bin.
        accuracy: the share in which the judge was right; NaN in an empty bin.
    """

    low: float
    high: float
    weight: float
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class JudgeReport:
    """A judge against votes.

    Attributes:
        pairs: judged, ties left out.
        ties: judged equal by people; they count in ``log_loss`` only.
        skipped: by the judge; they count nowhere.
        accuracy: the weighted share of pairs on the right side of ½; exactly ½ is half right.
        low: the lower end of its 95 % Wilson interval, with (Σw)²/Σw² pairs.
        high: the upper end. Pairs are taken as independent: where they share prompts or answers it is too narrow.
        log_loss: the mean of −log p(chosen) in nats, a tie counting half of either order; log 2 = 0.693 is chance.
        calibration_error: Σ (bin's weight / all) · |its accuracy − its confidence|. 0 is perfect; noise in small
            bins pushes it up.
        reliability: the bins.
    """

    pairs: int
    ties: int
    skipped: int
    accuracy: float
    low: float
    high: float
    log_loss: float
    calibration_error: float
    reliability: tuple[Bin, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: empty bins are left out."""
        bins = [asdict(each) for each in self.reliability if each.weight]
        return {**asdict(self), "reliability": bins}


def report(p: Array, *, weights: ArrayLike | None = None, ties: ArrayLike | None = None) -> JudgeReport:
    """Report on a judge's p(chosen ≻ rejected), (n,), NaN where it skipped a pair.

    Args:
        p: one a pair.
        weights: one a pair, > 0; 1 by default.
        ties: True where people judged the answers equal.

    Raises:
        ValueError: no pair was judged that is not a tie.

    Source: Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927); Guo et
    al., *On calibration of modern neural networks* (2017).

    Example:
        >>> found = report(np.array([0.9, 0.8, 0.6, 0.4]))
        >>> found.accuracy, round(found.low, 2), round(found.high, 2), round(found.log_loss, 3)
        (0.75, 0.3, 0.95, 0.439)
    """
    p = check_probabilities(p, len(p))
    weight = np.ones(len(p)) if weights is None else np.asarray(weights, dtype=float)
    tied = np.zeros(len(p), dtype=bool) if ties is None else np.asarray(ties, dtype=bool)
    judged = kept(p)
    decided = judged & ~tied
    if not decided.any():
        raise ValueError(f"Of {len(p)} pairs none was judged that is not a tie. Pass pairs with a preference.")
    right = (1 + np.sign(p[decided] - 0.5)) / 2
    low, high = _wilson(right, weight[decided])
    bins = _bins(np.maximum(p, 1 - p)[decided], right, weight[decided])
    total = weight[decided].sum()
    return JudgeReport(
        pairs=int(decided.sum()),
        ties=int((judged & tied).sum()),
        skipped=int((~judged).sum()),
        accuracy=float(np.average(right, weights=weight[decided])),
        low=low,
        high=high,
        log_loss=_log_loss(p[judged], tied[judged], weight[judged]),
        calibration_error=float(sum(b.weight / total * abs(b.accuracy - b.confidence) for b in bins if b.weight)),
        reliability=bins,
    )


def _wilson(right: Array, weight: Array, level: float = 0.95) -> tuple[float, float]:
    n = weight.sum() ** 2 / (weight**2).sum()
    share, z = np.average(right, weights=weight), norm.ppf((1 + level) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _log_loss(p: Array, tied: Array, weight: Array) -> float:
    """Infinite where a judge was certain and wrong: that is what certainty costs."""
    with np.errstate(divide="ignore"):
        won, lost = -np.log(p), -np.log1p(-p)
    loss = np.where(tied, (won + lost) / 2, won)
    return float(np.average(loss, weights=weight))


def _bins(confidence: Array, right: Array, weight: Array) -> tuple[Bin, ...]:
    edges = np.linspace(0.5, 1.0, BINS + 1)
    index = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, BINS - 1)

    def one(i: int) -> Bin:
        here = index == i
        total = float(weight[here].sum())
        confident, correct = (
            float(np.average(values[here], weights=weight[here])) if total else np.nan for values in (confidence, right)
        )
        return Bin(float(edges[i]), float(edges[i + 1]), total, confident, correct)

    return tuple(one(i) for i in range(BINS))
