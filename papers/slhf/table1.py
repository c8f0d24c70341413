"""The Condorcet paradox: what SLHF, NLHF and RLHF answer, and how soon a user meets a favourite."""

from __future__ import annotations

import sys

import numpy as np
from settings import EVEN, SHARES

import stackelberg as sb
from analysis.figures import draw_simplex
from analysis.paper import Study

PAIRS = {"all pairs": (), "without A, B": (0, 1), "without A, C": (0, 2), "without B, C": (1, 2)}


def concepts(study: Study) -> None:
    """SLHF and NLHF as τ → 0, at uneven shares."""
    P = sb.PreferenceMatrix.condorcet(SHARES)
    slhf, nlhf = sb.solve(sb.StackelbergGame(P, tau=0)), sb.solve(sb.NashGame(P, tau=0))
    study.check("SLHF Leader", slhf.leader)
    study.check("SLHF Leader's worst-case values", slhf.values)
    study.check("SLHF Follower, rows A, B, C", slhf.follower)
    study.check("NLHF", nlhf.policy)
    study.check("largest certificate", max(slhf.gap, nlhf.gap))
    rows = [["SLHF Leader", *slhf.leader], ["SLHF V(y)", *slhf.values], ["NLHF", *nlhf.policy]]
    rows += [[f"SLHF Follower after {label}", *row] for label, row in zip(P.labels, slhf.follower, strict=True)]
    study.table("concepts", ["concept", *P.labels], rows)
    study.draw(draw_simplex(P, tau=0.0))


def learned(study: Study) -> None:
    """The same Leader and Follower, learned at a small τ by cascade mirror descent."""
    P = sb.PreferenceMatrix.condorcet(SHARES)
    game = sb.StackelbergGame(P, tau=0.005)
    run = sb.solve(game, sb.MirrorDescent(learning_rate=20.0, kappa=5), steps=300)
    study.check("learned Leader at tau = 0.005", run.leader)
    study.check("learned Follower at tau = 0.005", run.follower)


def rewards(study: Study) -> None:
    """RLHF at equal shares: whom it elects is decided by the pairs that were sampled."""
    P = sb.PreferenceMatrix.condorcet(EVEN)
    rows = []
    for name, left_out in PAIRS.items():
        sampling = np.ones((3, 3)) - np.eye(3)
        if left_out:
            sampling[left_out] = sampling[left_out[::-1]] = 0
        reward = sb.solve(sb.RewardGame(P, tau=0, sampling=sampling))
        study.check(f"RLHF, {name}", reward.rewards)
        rows.append([name, *reward.rewards, ", ".join(np.array(P.labels)[reward.optimal_actions])])
    study.table("rlhf", ["pairs shown", *P.labels, "elected"], rows)


def coverage(study: Study) -> None:
    """The chance that a user's favourite is among N answers, N = 1, 2, 3, at equal shares."""
    P = sb.PreferenceMatrix.condorcet(EVEN)
    slhf, nlhf = sb.solve(sb.StackelbergGame(P, tau=0)), sb.solve(sb.NashGame(P, tau=0))
    found = {
        "NLHF, independent": sb.independent_coverage(nlhf.policy, 3),
        "SLHF": slhf.refine(rounds=3).coverage(),
        "NLHF, without replacement": sb.distinct_coverage(nlhf.policy, 3),
    }
    for name, shares in found.items():
        study.check(f"favourite within N, {name}", shares)
    study.table("coverage", ["concept", "N = 1", "N = 2", "N = 3"], [[name, *row] for name, row in found.items()])


def main() -> int:
    """All of the table."""
    study = Study.begin(__file__)
    for part in (concepts, learned, rewards, coverage):
        part(study)
    return study.finish()


if __name__ == "__main__":
    sys.exit(main())
