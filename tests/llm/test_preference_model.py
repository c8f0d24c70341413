"""Training of preference models: they learn what is planted, resume exactly, report honestly, refuse clearly."""

import csv
import gzip
import json
import math
import shutil

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from llm.cli import preference_model
from llm.judges import LengthOnly, OnFailure, load_judge
from llm.judges.pairs import PreferencePair, hold_out, judge_pairs, read_pairs
from llm.judges.report import report
from llm.judges.testing import letters
from llm.preference_model import Kind, Training, train_preference_model
from llm.preference_trainer import PreferenceTrainer, preference_loss
from llm.run_folder import last_checkpoint

QUICK = {"learning_rate": 0.01, "batch_size": 16, "save_every": 5}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A tiny causal model without a classification head, in a folder."""
    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=30, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=96, pad_token_id=0, bos_token_id=None, eos_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    letters().save_pretrained(folder)
    return folder


def planted(n, seed=0):
    """Answers with a z are better; lengths say nothing."""
    random = np.random.default_rng(seed)
    word = lambda: "".join(random.choice(list("abcdefgh"), random.integers(3, 9)))  # noqa: E731
    return [PreferencePair(f"{word()} {i}", word() + "z", word() + "y") for i in range(n)]


def write(path, pairs):
    rows = [{"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected} for pair in pairs]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("kind", list(Kind))
def test_it_learns_what_is_planted_and_length_does_not_explain_it(base, tmp_path, kind):
    test = planted(60, seed=1)
    settings = Training(kind=kind, epochs=4, **QUICK)
    found = train_preference_model(planted(192), test, base, tmp_path / "out", settings)
    assert found.model.accuracy > 0.9
    assert found.model.low > found.length_only.high
    assert found.length_only.low < 0.5 < found.length_only.high
    assert found.model.log_loss < 0.4
    judge = load_judge(tmp_path / "out")
    assert report(judge_pairs(judge, test)).accuracy == found.model.accuracy
    saved = json.loads((tmp_path / "out" / "report.json").read_text())
    assert saved["model"]["accuracy"] == found.model.accuracy
    assert (found.train_pairs, found.left_out) == (192, 0)


def test_resume_gives_the_same_weights_as_no_interruption(base, tmp_path, monkeypatch):
    train, test = planted(96), planted(20, seed=1)
    settings = Training(epochs=2, **QUICK)  # 12 updates, checkpoints at 5 and 10
    train_preference_model(train, test, base, tmp_path / "whole", settings)
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    for path in (tmp_path / "cut").glob("*"):
        if path.name not in ("run.json", "checkpoints"):
            path.unlink()
    kept = sorted(path.name for path in (tmp_path / "cut" / "checkpoints").iterdir())
    assert "checkpoint-10" in kept
    for name in kept:
        if name not in ("checkpoint-10", "checkpoint-5"):
            shutil.rmtree(tmp_path / "cut" / "checkpoints" / name)
    (tmp_path / "cut" / "checkpoints" / "checkpoint-11").mkdir()  # a save that was killed before its state was written
    steps, compute = [], PreferenceTrainer.compute_loss
    monkeypatch.setattr(PreferenceTrainer, "compute_loss", lambda *a, **k: steps.append(1) or compute(*a, **k))
    train_preference_model(train, test, base, tmp_path / "cut", settings, resume=True)
    assert len(steps) == 2  # it went on from the tenth update
    one, other = (
        load_judge(tmp_path / name).reward.model.state_dict() for name in ("whole", "cut")
    )  # fmt: skip
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_only_a_whole_checkpoint_is_resumed(tmp_path):
    assert last_checkpoint(tmp_path) is None
    for step, state in ((5, "{}"), (20, "{"), (10, "{}")):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-30").mkdir()
    assert last_checkpoint(tmp_path).endswith("checkpoint-10")


def test_a_folder_belongs_to_one_run(base, tmp_path):
    train, test = planted(16), planted(4, seed=1)
    train_preference_model(train, test, base, tmp_path / "out", Training(epochs=1, **QUICK))
    with pytest.raises(ValueError, match="not empty"):
        train_preference_model(train, test, base, tmp_path / "out", Training(epochs=1, **QUICK))
    with pytest.raises(ValueError, match=r"started otherwise: epochs \(1 before, 2 now\)"):
        train_preference_model(train, test, base, tmp_path / "out", Training(epochs=2, **QUICK), resume=True)
    with pytest.raises(ValueError, match="started otherwise: pairs"):
        train_preference_model(train[:8], test, base, tmp_path / "out", Training(epochs=1, **QUICK), resume=True)


# --- the loss --------------------------------------------------------------------------------------


def test_the_loss_is_the_weighted_likelihood_with_margins_and_ties():
    lead, weight = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([1.0, 3.0, 0.5])
    margin, target = torch.tensor([0.0, 0.5, 0.0]), torch.tensor([1.0, 1.0, 0.5])
    log_sigmoid = lambda x: -math.log1p(math.exp(-x))  # noqa: E731
    by_hand = [log_sigmoid(0.3), 3 * log_sigmoid(-1.5), 0.5 * (log_sigmoid(2.0) + log_sigmoid(-2.0)) / 2]
    assert float(preference_loss(lead, weight, margin, target)) == pytest.approx(-sum(by_hand) / 3, rel=1e-6)


def test_ties_pull_scores_together_and_weights_decide_a_split(base, tmp_path):
    """One pair: 3 votes to 1, so the best fit is p = 3/4; with a tie in their place it is ½."""
    split = [PreferencePair("x", "aa", "bb", weight=3.0), PreferencePair("x", "bb", "aa", weight=1.0)] * 8
    tied = [PreferencePair("x", "aa", "bb", tie=True), PreferencePair("x", "cc", "dd")] * 8
    asked = [PreferencePair("x", "aa", "bb")]
    for rows, p in ((split, 0.75), (tied, 0.5)):
        out = tmp_path / str(p)
        train_preference_model(rows, asked, base, out, Training(epochs=80, **QUICK))
        assert judge_pairs(load_judge(out), asked)[0] == pytest.approx(p, abs=0.06)


# --- the report ------------------------------------------------------------------------------------


def test_report_by_hand():
    found = report(np.array([0.95, 0.95, 0.05, 0.55, 0.5, np.nan, 0.8]), weights=[1, 1, 1, 2, 1, 9, 4],
                   ties=[False] * 6 + [True])  # fmt: skip
    assert (found.pairs, found.ties, found.skipped) == (5, 1, 1)
    assert found.accuracy == pytest.approx((1 + 1 + 0 + 2 + 0.5) / 6)
    losses = [-math.log(0.95)] * 2 + [-math.log(0.05), -2 * math.log(0.55), -math.log(0.5)]
    losses += [-4 * (math.log(0.8) + math.log(0.2)) / 2]
    assert found.log_loss == pytest.approx(sum(losses) / 10)
    top, low = found.reliability[-1], next(each for each in found.reliability if each.low == 0.5)
    assert (top.weight, top.accuracy, top.confidence) == (3, pytest.approx(2 / 3), pytest.approx(0.95))
    # 0.55 stands on an edge: in binary it is just above or below, so both lower bins are read together
    second = found.reliability[1]
    assert low.weight + second.weight == 3
    assert found.calibration_error >= 3 / 6 * (0.95 - 2 / 3)


def test_wilson_is_scipys():
    from scipy.stats import binomtest

    found = report(np.array([0.9] * 37 + [0.2] * 13))
    interval = binomtest(37, 50).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_a_calibrated_judge_has_a_small_error_and_an_overconfident_one_a_large_one():
    random = np.random.default_rng(0)
    truth = random.uniform(0.02, 0.98, 20000)
    won = random.random(20000) < truth
    p = np.where(won, truth, 1 - truth)
    assert report(p).calibration_error < 0.015
    logit = 3 * (np.log(p) - np.log1p(-p))
    assert report(1 / (1 + np.exp(-logit))).calibration_error > 0.1


def test_nothing_to_report_is_refused():
    with pytest.raises(ValueError, match="none was judged"):
        report(np.array([np.nan, 0.3]), ties=[False, True])


# --- rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2"),
        ("[1]", "no JSON object"),
        ('{"prompt": "x", "chosen": "a"}', "no rejected"),
        ('{"prompt": "x", "chosen": 1, "rejected": "b"}', "chosen is 1"),
        ('{"prompt": "x", "chosen": "a", "rejected": "b", "weight": 0}', "weight is 0"),
        ('{"prompt": "x", "chosen": "a", "rejected": "b", "weight": true}', "weight is True"),
        ('{"prompt": "x", "chosen": "a", "rejected": "b", "margin": -1}', "margin is -1"),
        ('{"prompt": "x", "chosen": "a", "rejected": "b", "tie": 1}', "tie is 1"),
        ('{"prompt": "x", "chosen": "a", "rejected": "b", "tie": true, "margin": 1}', "cannot have a margin"),
        ('{"prompt": [{"role": "user"}], "chosen": "a", "rejected": "b"}', "Message 0"),
        ('{"prompt": "x", "chosen": [{"role": "user", "content": "a"}], "rejected": "b"}', "one assistant message"),
    ],
)
def test_rows_that_are_none_are_refused_with_their_line(tmp_path, line, says):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "x", "chosen": "a", "rejected": "b"}\n' + line + "\n")
    with pytest.raises(ValueError, match=f"line 2: .*{says}" if says != "line 2" else says):
        read_pairs(path)


def test_rows_of_both_forms_and_packed_files(tmp_path):
    answer = [{"role": "assistant", "content": "b\u2028"}]
    rows = [
        {"prompt": "x", "chosen": "a", "rejected": "b", "weight": 2, "margin": 0.5, "source": "votes"},
        {"prompt": [{"role": "user", "content": "x"}], "chosen": answer, "rejected": "c", "tie": True, "margin": None},
    ]
    with gzip.open(tmp_path / "rows.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.write("\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    one, other = read_pairs(tmp_path / "rows.jsonl.gz")
    assert (one.weight, one.margin, one.tie) == (2, 0.5, False)
    assert (other.chosen, other.tie) == ("b\u2028", True)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="no rows"):
        read_pairs(tmp_path / "empty.jsonl")


def test_whole_prompts_are_kept_back():
    pairs = [PreferencePair(str(i % 10), f"a{i}", "b") for i in range(50)]
    train, test = hold_out(pairs, 0.3, seed=0)
    assert (len(train), len(test)) == (35, 15)
    assert {pair.prompt for pair in train}.isdisjoint(pair.prompt for pair in test)
    assert hold_out(pairs, 0.3, seed=0) == (train, test)
    assert hold_out(pairs, 0.3, seed=1) != (train, test)
    with pytest.raises(ValueError, match="--test"):
        hold_out(pairs[:1], 0.1, seed=0)


# --- the command -----------------------------------------------------------------------------------


def run(capsys, *arguments):
    preference_model.main(list(map(str, arguments)), standalone_mode=False)
    return capsys.readouterr().out


def test_the_command_trains_reports_and_resumes(capsys, base, tmp_path):
    rows = write(tmp_path / "rows.jsonl", planted(48))
    asked = ["--base", base, "--out", tmp_path / "out", "--kind", "pairwise", "--held-out", "0.25", "--batch-size", "8"]
    shown = run(capsys, rows, *asked)
    for words in ("the model", "length only", "95 % interval", "log loss", "Trained on 36 pairs", "12 pairs kept back"):
        assert words in " ".join(shown.split())
    again = json.loads(run(capsys, rows, *asked, "--resume", "--json"))
    assert set(again) == {"model", "length_only", "length", "train_pairs", "left_out"}
    with pytest.raises(ValueError, match="not empty"):
        run(capsys, rows, *asked)


def test_the_command_refuses_long_texts_or_counts_them(capsys, base, tmp_path):
    pairs = [*planted(20), PreferencePair("x", "y" * 300, "z")]
    rows, test = write(tmp_path / "rows.jsonl", pairs), write(tmp_path / "test.jsonl", planted(5, seed=1))
    asked = [rows, "--base", base, "--test", test]
    with pytest.raises(ValueError, match="tokens and the judge reads 1 to 96"):
        run(capsys, *asked, "--out", tmp_path / "stop")
    found = json.loads(run(capsys, *asked, "--out", tmp_path / "skip", "--skip-long", "--json"))
    assert (found["train_pairs"], found["left_out"]) == (20, 1)
    with pytest.raises(ValueError, match="one of them"):
        run(capsys, *asked, "--out", tmp_path / "both", "--held-out", "0.1")


# --- real votes ------------------------------------------------------------------------------------


def humour(folder, limit):
    """Pairs of one-liners with their votes; no text of the test stands in training."""
    with open(folder / "items.tsv", encoding="utf-8", newline="") as file:
        texts = {row["id"]: row["text"] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)}
    with open(folder / "pairs.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["item1"] in texts and row["item2"] in texts]
    order = np.random.default_rng(0).permutation(sorted(texts))
    tested = set(order[: len(order) // 5].tolist())
    parts = {True: [], False: []}
    for row in rows:
        ours = [item in tested for item in (row["item1"], row["item2"])]
        votes = int(row["votes1"]), int(row["votes2"])
        if ours[0] == ours[1] and votes[0] != votes[1]:
            one, other = texts[row["item1"]], texts[row["item2"]]
            chosen, rejected = (one, other) if votes[0] > votes[1] else (other, one)
            parts[ours[0]].append(PreferencePair("Tell a joke.", chosen, rejected, weight=abs(votes[0] - votes[1])))
    return parts[False][:limit], parts[True]


def test_on_human_votes_on_humour_length_alone_predicts(shared_data, base, tmp_path):
    """The data are known to reward length; the report must show it, and a model trained on few pairs runs through."""
    train, test = humour(shared_data / "humour-pairs", limit=400)
    settings = Training(learning_rate=0.003, batch_size=16, long=OnFailure.SKIP)
    found = train_preference_model(train, test[:300], base, tmp_path / "out", settings)
    assert found.length.coefficient > 0.2
    assert found.length_only.low > 0.5
    assert found.model.pairs + found.model.skipped == 300
    assert found.model.pairs == found.length_only.pairs
    assert isinstance(found.length, LengthOnly)
