"""Sensitivity to the pairs that annotators are shown: RLHF moves with them, NLHF and SLHF do not."""

from __future__ import annotations

import sys

import numpy as np
from settings import EVEN, SEED, SHARES

import stackelberg as sb
from analysis.figures import draw_sensitivity
from analysis.paper import Study
from analysis.sensitivity import sensitivity


def main() -> int:
    """The worked example at equal and at uneven shares, under random pair samplings."""
    study = Study.begin(__file__)
    draws = 60 if study.quick else 1000
    even = sensitivity(sb.PreferenceMatrix.condorcet(EVEN), tau=0.1, draws=draws, seed=SEED)
    elected = {"".join(row.pair): "ABC".index(row.rlhf[0]) for row in even.left_out}
    study.check("elected without AB, AC, BC (A = 0)", [elected[pair] for pair in ("AB", "AC", "BC")])
    rlhf = even.spread("RLHF")
    study.check("each elected in a third of the samplings", rlhf.frequency)
    still = [even.spread(name).distance for name in ("NLHF", "SLHF Leader", "SLHF Follower")]
    study.check("NLHF and SLHF move by", still)
    found = sensitivity(sb.PreferenceMatrix.condorcet(SHARES), tau=0.1, draws=draws, seed=SEED)
    study.check("RLHF moves by, low end of its interval", found.spread("RLHF").distance_low)
    columns = ["concept", "mean distance", "low", "high", *(f"{label} elected" for label in found.labels)]
    rows = [
        [spread.concept, spread.distance, spread.distance_low, spread.distance_high, *np.asarray(spread.frequency)]
        for spread in found.spreads
    ]
    study.table("sampling", columns, rows)
    study.draw(draw_sensitivity(found), SEED)
    return study.finish(SEED)


if __name__ == "__main__":
    sys.exit(main())
