"""A small language model learns to be funny: books, then one-liners, then human votes as the judge, then the game."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from settings import (
    DIALOGUE,
    FULL,
    QUICK,
    SEED,
    Size,
    blocks,
    books,
    conversations,
    data,
    fresh,
    halves,
    lines,
    pretrain,
    split,
    tokenizer_of,
    votes,
)

import llm
import stackelberg as sb
from analysis.drawing.panels import Curve, Panel, Words, draw_panels
from analysis.paper import Study
from llm.judges import BradleyTerry, RewardModel
from llm.preference_model import Training, train_preference_model
from llm.rollouts import Rollouts


def base_model(folder: Path, out: Path, size: Size, learn: list[str]) -> dict[str, float]:
    """Pretrain on books, then on one-liners in the roles' words; kept in ``out``, where it is found again."""
    report = out / "report.json"
    if report.exists():
        return json.loads(report.read_text(encoding="utf-8"))
    text = books(folder, size.characters)
    tokenizer = tokenizer_of(text + "\n".join(learn), size)
    model = fresh(tokenizer, size)
    found = {
        "books": pretrain(model, blocks(tokenizer, text, size), steps=size.pretraining, batch=16, rate=2e-3, out=out)
    }
    rows = conversations(tokenizer, learn)
    found["lines"] = pretrain(model, rows, steps=size.tuning, batch=32, rate=1e-3, out=out)
    found["parameters"] = float(model.num_parameters())
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    report.write_text(json.dumps(found), encoding="utf-8")
    return found


def judge_of(base: Path, out: Path, size: Size, pairs, test):
    """A reward trained on the human votes, as a judge of whole lines; and how good it is beside length alone."""
    settings = Training(epochs=size.judge_epochs, learning_rate=3e-4, batch_size=32, seed=SEED)
    found = train_preference_model(pairs, test, base, out, settings, resume=(out / "run.json").exists())
    reward = RewardModel.from_pretrained(out)

    def whole(prompts, answers):
        return reward([""] * len(prompts), [f"{x} {y}".strip() for x, y in zip(prompts, answers, strict=True)])

    return BradleyTerry(whole), found


def main() -> int:
    """All four, and what came of it."""
    study = Study.begin(__file__)
    size, folder = (QUICK if study.quick else FULL), data()
    work = study.out / ("work-quick" if study.quick else "work")
    texts = lines(folder)
    learn, held_out = split(texts)
    began = time.time()
    found = base_model(folder, work / "base", size, [texts[i] for i in sorted(learn)])
    sampling = Rollouts(prompts=size.prompts, max_new_tokens=24)
    pairs, test = votes(folder, texts, learn), votes(folder, texts, held_out)
    judge, report = judge_of(work / "base", work / "judge", size, pairs, test)
    study.table("judge", ["judge", "accuracy", "low", "high", "log loss"], [
        [name, each.accuracy, each.low, each.high, each.log_loss]
        for name, each in {"reward": report.model, "length alone": report.length_only}.items()
    ])  # fmt: skip
    starts, asked = ([pair[0] for i in sorted(ids) if (pair := halves(texts[i]))] for ids in (learn, held_out))
    game = sb.StackelbergGame(judge, contexts=starts, tau_leader=0.1, tau_follower=0.05)
    policy = llm.TransformerPolicy.from_pretrained(work / "base", dialogue=DIALOGUE)
    solver = sb.StackelbergGDA(sb.Linear(2e-4, 2e-5, size.steps), kappa=5)
    evaluation = llm.Evaluation(asked[: size.held_out], every=max(1, size.steps // 6), samples=12, replies=2)
    solution = sb.solve(game, solver, policy, steps=size.steps, sampling=sampling, seed=SEED, record=evaluation,
                        checkpoint=sb.Checkpoint(work / "run", every=25), progress=True)  # fmt: skip
    table = solution.evaluation.tournament
    print(table.table())
    duels = [("Leader", "base"), ("Follower", "base"), ("Follower", "Leader")]
    rows = [table.row(*pair) for pair in duels]
    alone = [table.length_only[table.names.index(who), table.names.index(whom)] for who, whom in duels]
    study.check("accuracy of the judge less that of length alone", report.model.accuracy - report.length_only.accuracy)
    study.check("Leader over base, Follower over base: low ends", [row[1] for row in rows[:2]])
    explained = [(by - 0.5) / (row[0] - 0.5) for by, row in zip(alone[:2], rows[:2], strict=True)]
    study.check("share of the gain over the base that length alone explains", explained)
    columns = ["who", "against", "mean", "low", "high", "by length alone"]
    lines_of = [[*pair, *row, by] for pair, row, by in zip(duels, rows, alone, strict=True)]
    study.table("tournament", columns, lines_of)
    words = Words(
        title="A small language model learns from human humour votes",
        subtitle="Held-out openings; the judge is a reward model of the same size; intervals in tournament.csv.",
        note=f"{found['parameters'] / 1e6:.1f} M parameters, κ = 5, {size.prompts} rollouts a step, one run.",
    )
    study.draw(draw_panels("humour", panels(solution.trajectory), words), SEED)
    print(f"{time.time() - began:.0f} s; base {found}; texts to read: {work / 'run' / 'samples'}")
    return study.finish(SEED)


def panels(log) -> list[Panel]:
    """Win rates against base, and lengths, by step."""
    seen = np.isfinite(log["eval/leader_over_base"])
    steps = log.steps[seen]
    names = {"Leader over base": "leader_over_base", "Follower over base": "follower_over_base",
             "Follower over Leader": "follower_over_leader"}  # fmt: skip
    wins = tuple(Curve(name=name, x=steps, rows=log[f"eval/{key}"][seen]) for name, key in names.items())
    lengths = tuple(
        Curve(name=name, x=steps, rows=log[f"eval/{name.lower()}_length"][seen])
        for name in ("base", "Leader", "Follower")
    )
    kl = tuple(Curve(name=name, x=log.steps[1:], rows=log[f"{name.lower()}/kl"][1:]) for name in ("Leader", "Follower"))
    return [
        Panel(title="preferred by the judge", x="steps", y="win rate", curves=wins, log=""),
        Panel(title="length", x="steps", y="tokens", curves=lengths, log=""),
        Panel(title="distance from the reference", x="steps", y="KL (nats an answer)", curves=kl, log=""),
    ]


if __name__ == "__main__":
    sys.exit(main())
