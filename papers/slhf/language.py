"""A language model learns: a tiny transformer whose answers can all be listed, against three judges, five seeds.

Everything is exact but the training: probabilities of all answers are read from the transformer, so win rates and gaps
have no sampling error, and the intervals are over seeds (of the weights and of every draw).
"""

from __future__ import annotations

import sys

import numpy as np
import transformers
from scipy import stats
from scipy.special import expit
from settings import SEED

import llm
import stackelberg as sb
from analysis.drawing.panels import Curve, Panel, Words, draw_panels
from analysis.paper import Study
from llm.judges import AttributeVote
from llm.testing import tiny_policy

PROMPTS = ["a", "b", "ab", "ca"]
TAU_LEADER, TAU_FOLLOWER = 0.3, 0.1
BEATS = {("a", "b"), ("b", "c"), ("c", "a")}
DUELS = ("Follower over Leader", "Leader over base", "Follower over base")


def transitive(prompts, first, second):
    """Bradley–Terry: a's are good, c's are bad, longer is better."""
    worth = [np.array([text.count("a") - text.count("c") + len(text) / 2 for text in side]) for side in (first, second)]
    return expit(2 * (worth[0] - worth[1]))


def cyclic(prompts, first, second):
    """Longer is better; of two that are as long the first letters decide: a beats b beats c beats a."""
    return [_rock_paper_scissors(*pair) for pair in zip(first, second, strict=True)]


def _rock_paper_scissors(first, second):
    if len(first) != len(second):
        return 0.85 if len(first) > len(second) else 0.15
    if first[:1] == second[:1]:
        return 0.5
    return 0.8 if (first[0], second[0]) in BEATS else 0.2


def attributes(prompts, answers):
    """Five numbers an answer."""
    rows = [(t.count("a"), t.count("b"), t.count("c"), len(set(t)), t[:1] == "b") for t in answers]
    return np.array(rows, dtype=float)


VOTE = AttributeVote(attributes, (1, 1, -1, 1, -1))
JUDGES = {"transitive": transitive, "cyclic": cyclic, "five attributes vote": VOTE}


class Watch(transformers.TrainerCallback):
    """Lists the game every so many steps."""

    def __init__(self, game, policy, sampling, every):
        self.game, self.policy, self.sampling, self.every = game, policy, sampling, every
        self.steps, self.rows = [], []

    def look(self, step):
        """Gap and win rates, averaged over the prompts."""
        listed = llm.listed(self.game, self.policy, self.sampling)
        solution = sb.evaluate(listed.game, listed)
        self.steps.append(step)
        self.rows.append([float(np.mean(solution.gap)), *duels(listed.game, *listed.policies)])

    def on_step_end(self, args, state, control, **_):
        """Between two steps."""
        if state.global_step % self.every == 0:
            self.look(state.global_step)


def duels(game, leader, follower):
    """The three win rates of DUELS: the Follower against the very answer it saw, the others drawn apart."""
    p, base = game.preference.stacked, game.leader_reference
    seen = leader[..., None] * follower
    improved = seen.sum(axis=1)
    over_base = [(side[:, :, None] * p * base[:, None, :]).sum(axis=(1, 2)).mean() for side in (leader, improved)]
    return [1 - (seen * p).sum(axis=(1, 2)).mean(), *over_base]


def train(judge, seed, steps, every, longest):
    """One run: steps, and at each record the gap and the win rates; and those of the equilibrium."""
    policy = tiny_policy("abc", seed=seed)
    game = sb.StackelbergGame(judge, contexts=PROMPTS, tau_leader=TAU_LEADER, tau_follower=TAU_FOLLOWER)
    sampling = llm.Rollouts(prompts=64, max_new_tokens=longest)
    watch = Watch(game, policy, sampling, every)
    policy.training = llm.Training(callbacks=(watch,))
    watch.look(0)
    start = llm.listed(game, policy, sampling).game
    exact = sb.solve(start)
    solver = sb.StackelbergGDA(sb.Cosine(1e-2, 1e-3, steps), kappa=5)
    sb.solve(game, solver, policy, steps=steps, sampling=sampling, seed=seed)
    return watch.steps, np.array(watch.rows), duels(start, exact.leader, exact.follower)


def interval(values):
    """Mean and 95 % interval (Student's t) over seeds."""
    mean, error = np.mean(values), stats.sem(values) if len(values) > 1 else np.inf
    half = stats.t.ppf(0.975, max(1, len(values) - 1)) * error
    return mean, mean - half, mean + half


def main() -> int:
    """Every judge, every seed."""
    study = Study.begin(__file__)
    seeds, steps, every, longest = (1, 4, 4, 2) if study.quick else (5, 300, 50, 3)
    panels, rows, lows, falls = [], [], [], []
    for name, judge in JUDGES.items():
        runs = [train(judge, seed, steps, every, longest) for seed in range(seeds)]
        at, found, exact = runs[0][0], np.array([run[1] for run in runs]), np.array([run[2] for run in runs])
        falls.append(found[:, -1, 0] / found[:, 0, 0])
        rows.append([name, "gap, last over first", "", *interval(falls[-1])])
        for i, duel in enumerate(DUELS):
            rows.append([name, duel, exact[:, i].mean(), *interval(found[:, -1, i + 1])])
            lows.append(rows[-1][-2])
        curves = [Curve(name=duel, x=np.array(at), rows=found[:, :, i + 1]) for i, duel in enumerate(DUELS)]
        theory = [Curve(name="equilibrium", x=np.array(at), rows=np.full(len(at), exact[:, i].mean()), theory=True)
                  for i in range(len(DUELS))]  # fmt: skip
        panels.append(Panel(title=name, x="steps", y="win rate", curves=(*curves, *theory), log=""))
    study.table("language", ["judge", "what", "equilibrium", "mean", "low", "high"], rows)
    study.check("exact gap, last over first, largest over judges and seeds", np.max(falls))
    study.check("win rates of the three duels, lowest end of an interval over judges", np.min(lows))
    words = Words(
        title="A tiny transformer learns the game: Follower over Leader over base",
        subtitle="Exact win rates under three judges while StackelbergGDA trains it; median, 10–90 % over seeds.",
        note=f"κ = 5, AdamW from 0.01 to 0.001, 64 rollouts a step, τ_L = {TAU_LEADER:g}, τ_F = {TAU_FOLLOWER:g}; "
        "40 answers of up to three letters, four prompts. Dotted: the exact equilibrium's, mean over seeds.",
    )
    study.draw(draw_panels("language", panels, words), SEED)
    return study.finish(SEED)


if __name__ == "__main__":
    sys.exit(main())
