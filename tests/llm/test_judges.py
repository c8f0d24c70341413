"""Judges that need no model: scores, votes, checks, wrappers, and the cache."""

import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import expit

from llm.judges import (
    HELPSTEER2,
    AttributeVote,
    BothOrders,
    BradleyTerry,
    Cached,
    Checks,
    JudgeError,
    LengthControlled,
    LengthOnly,
    Mean,
    Named,
    Pace,
    RateLimited,
    Vote,
    Weighted,
    ask,
    helpsteer2,
    kept,
)
from stackelberg import PreferenceMatrix


def constant(*values):
    return lambda prompts, first, second: np.array(values)


def table(scores):
    """Scores looked up by the answer, which is the row's number."""
    return lambda prompts, answers: np.array([scores[int(answer)] for answer in answers])


ROOT = Path(__file__).resolve().parents[2]
ROW = (["?"], ["a"], ["b"])
scores = arrays.arrays(float, (4, 5), elements=st.integers(0, 2).map(float))


# --- the protocol ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "says"),
    [([1.2], "is 1.2"), ([-0.1], "is -0.1"), ([np.inf], "is inf"), ([0.5, 0.5], r"shape \(2,\) for 1"),
     (0.5, r"shape \(\)"), (["high"], "real numbers")],
)  # fmt: skip
def test_ask_refuses_what_is_no_probability(answer, says):
    with pytest.raises(ValueError, match=says):
        ask(lambda *_: answer, *ROW)


@pytest.mark.parametrize(
    ("rows", "says"),
    [((["?"], ["a", "c"], ["b"]), "1 prompts but 2 in first"), ((["?"], "a", ["b"]), "one text"),
     ((["?"], ["a"], [7]), r"second\[0\] is 7")],
)  # fmt: skip
def test_ask_refuses_rows_that_do_not_belong_together(rows, says):
    with pytest.raises(ValueError, match=says):
        ask(constant(0.5), *rows)


def test_nothing_to_judge_asks_nobody():
    assert ask(lambda *_: pytest.fail("asked"), [], [], []).shape == (0,)


# --- scores ----------------------------------------------------------------------------------------


@given(scores)
def test_the_vote_of_attributes_is_the_ground_floors(s):
    """The oracle is PreferenceMatrix.from_attributes, with verbosity and complexity flipped by hand."""
    assert HELPSTEER2[3:] == ("complexity", "verbosity")
    first, second = map(list, zip(*[(str(i), str(j)) for i in range(4) for j in range(4)], strict=True))
    p = helpsteer2(table(s))(["?"] * 16, first, second).reshape(4, 4)
    expected = PreferenceMatrix.from_attributes(s * [1, 1, 1, -1, -1])
    np.testing.assert_allclose(p, expected.probabilities, atol=1e-12)


def test_bradley_terry_of_a_weighted_sum():
    judge = BradleyTerry(Weighted(table([[1.0, 2.0], [3.0, 0.5]]), (2.0, -1.0)), scale=2.0)
    np.testing.assert_allclose(judge(["?"], ["0"], ["1"]), expit((0.0 - 5.5) / 2), atol=1e-15)


def test_skipped_scores_are_skipped_pairs_and_never_ties():
    s = [[1.0, np.nan], [1.0, 2.0]]
    for judge in (AttributeVote(table(s), (1, 1)), BradleyTerry(Weighted(table(s), (1.0, 1.0)))):
        assert kept(judge(["?"] * 2, ["0", "1"], ["1", "1"])).tolist() == [False, True]


def test_a_pair_skipped_by_one_judge_is_skipped_by_all_of_them_together():
    both = (constant(0.9, 0.9), constant(np.nan, 0.2))
    for together in (Mean(both), Vote(both)):
        assert kept(together(["?"] * 2, ["a"] * 2, ["b"] * 2)).tolist() == [False, True]


def test_mean_and_vote_weigh_their_judges():
    judges = (constant(0.9), constant(0.6), constant(0.1))
    assert Mean(judges, (0.5, 0.25, 0.25))(*ROW) == pytest.approx([0.625])
    assert Vote(judges, (0.2, 0.2, 0.6))(*ROW) == pytest.approx([0.4])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Mean(()), "no judges"),
        (lambda: Vote((constant(1.0),), (0.5,)), "sum to 1"),
        (lambda: BradleyTerry(table([1.0]), scale=0.0), "scale"),
        (lambda: AttributeVote(table([[1.0]]), (2,)), "signs"),
        (lambda: AttributeVote(table([[1.0]]), (1, 1))(["?"], ["0"], ["0"]), "shape"),
        (lambda: BradleyTerry(table([[1.0, 2.0]]))(["?"], ["0"], ["0"]), "2 attributes"),
        (lambda: BradleyTerry(table([np.inf]))(["?"], ["0"], ["0"]), "infinite"),
        (lambda: Pace(0.0), "per_second"),
    ],
)
def test_refusals(make, says):
    with pytest.raises(ValueError, match=says):
        make()


# --- checks ----------------------------------------------------------------------------------------


def test_the_share_of_checks_decides_and_equal_shares_tie():
    judge = Checks(lambda prompt: [lambda answer, word=word: word in answer for word in prompt.split()])
    p = judge(["a b c"] * 4, ["a b", "a", "a", ""], ["c", "a b c", "b", ""])
    assert p.tolist() == [1.0, 0.0, 0.5, 0.5]
    assert judge.shares(["a b c"], ["a c"]).tolist() == [2 / 3]


def test_checks_of_ifeval_prompts(shared_data):
    """The real prompts: those that ask for no commas, judged by that."""
    lines = (shared_data / "prompts" / "ifeval_input_data.jsonl").read_text(encoding="utf-8").splitlines()
    known = {row["prompt"]: row["instruction_id_list"] for row in map(json.loads, lines)}
    asked = [prompt for prompt, names in known.items() if "punctuation:no_comma" in names]
    assert len(asked) > 50
    judge = Checks(
        lambda prompt: [lambda answer: "," not in answer for name in known[prompt] if name.endswith("comma")]
    )
    assert judge(asked, ["no commas"] * len(asked), ["well, some"] * len(asked)).tolist() == [1.0] * len(asked)


def test_checks_refuse_what_decides_nothing():
    with pytest.raises(ValueError, match="no checks"):
        Checks(lambda prompt: [])(*ROW)
    with pytest.raises(ValueError, match="True or False"):
        Checks(lambda prompt: [lambda answer: None])(*ROW)
    with pytest.raises(KeyError):
        Checks(lambda prompt: {}[prompt])(*ROW)


# --- wrappers --------------------------------------------------------------------------------------


def by_letters(prompts, first, second):
    """A biased judge: another opinion in the other order."""
    return np.array([expit(len(a) - 0.5 * len(b) + 0.3) for a, b in zip(first, second, strict=True)])


def test_both_orders_is_antisymmetric_and_keeps_skips():
    judge, rows = BothOrders(by_letters), (["?"] * 3, ["a", "abc", "ab"], ["abcd", "a", "ab"])
    p, q = judge(*rows), judge(rows[0], rows[2], rows[1])
    np.testing.assert_allclose(p + q, 1, atol=1e-15)
    np.testing.assert_allclose(p, (by_letters(*rows) + 1 - by_letters(rows[0], rows[2], rows[1])) / 2)
    skips = BothOrders(lambda prompts, first, second: np.where(np.array(first) == "x", np.nan, 0.7))
    assert kept(skips(["?"] * 2, ["a", "a"], ["x", "b"])).tolist() == [False, True]


def test_a_rate_is_kept_over_calls():
    now, waits = [0.0], []

    def sleep(seconds):
        waits.append(seconds)
        now[0] += seconds

    judge = RateLimited(by_letters, per_second=10.0, burst=2, sleep=sleep)
    object.__setattr__(judge, "_pace", Pace(10.0, clock=lambda: now[0]))
    rows = (["?"] * 5, list("abcde"), list("fghij"))
    np.testing.assert_array_equal(judge(*rows), by_letters(*rows))
    judge(*rows)
    assert now[0] == pytest.approx(0.9)  # the last of ten pairs starts nine tenths after the first
    assert judge(["?"][:0], [], []).shape == (0,)


def test_a_pace_lets_a_burst_go_and_no_more_after_it():
    now = [0.0]
    pace = Pace(1.0, burst=3, clock=lambda: now[0])
    now[0] = 100.0
    assert [pace.reserve() for _ in range(5)] == [0.0, 0.0, 0.0, 1.0, 2.0]


def test_length_control_finds_and_removes_a_planted_effect():
    random = np.random.default_rng(0)
    first, second = ([("x" * n) for n in random.integers(1, 60, 4000)] for _ in range(2))
    planted = LengthOnly(1.7, 20.0)
    quality = random.normal(size=4000)
    prompts = ["?"] * 4000
    logits = np.log(planted(prompts, first, second)) - np.log1p(-planted(prompts, first, second))

    def biased(prompts, first, second):
        return expit(quality + logits)

    clean = LengthControlled(biased, planted)(prompts, first, second)
    np.testing.assert_allclose(clean, expit(quality), atol=1e-12)
    votes = (random.random(4000) < planted(prompts, first, second)).astype(float)
    fitted = LengthOnly.fit(first, second, votes)
    np.testing.assert_allclose(fitted(prompts, first, second), planted(prompts, first, second), atol=0.03)


def test_length_control_leaves_certain_verdicts_and_skips():
    p = LengthControlled(constant(0.0, 1.0, np.nan), LengthOnly(2.0, 3.0))(["?"] * 3, ["aaa"] * 3, ["b"] * 3)
    assert p[:2].tolist() == [0.0, 1.0]
    assert np.isnan(p[2])


@given(st.lists(st.tuples(st.text("ab", max_size=9), st.text("ab", max_size=9), st.floats(0, 1)), min_size=1))
def test_the_fit_of_length_is_a_minimum(rows):
    first, second, p = map(list, zip(*rows, strict=True))
    best = LengthOnly.fit(first, second, np.array(p))

    def loss(coefficient):
        q = LengthOnly(coefficient, best.scale)(p, first, second)
        return -np.sum(p * np.log(q) + (1 - np.array(p)) * np.log1p(-q))

    at = loss(best.coefficient)
    assert all(at <= loss(best.coefficient + step) + 1e-4 for step in (-0.1, 0.1) if abs(best.coefficient) < 19.8)


# --- the cache -------------------------------------------------------------------------------------


class Counting:
    """A judge that remembers what it was asked, and fails or skips on order."""

    identity = "counting"

    def __init__(self, fail_at=None, skip=()):
        self.asked, self.fail_at, self.skip = [], fail_at, skip

    def __call__(self, prompts, first, second):
        p = by_letters(prompts, first, second)
        for i, row in enumerate(zip(prompts, first, second, strict=True)):
            if row[1] == self.fail_at:
                p[i:] = np.nan
                raise JudgeError("failed", partial=p, judge=self)
            if row[1] in self.skip:
                p[i] = np.nan
            self.asked.append(row)
        return p


def test_each_pair_is_asked_once_whatever_the_batch(tmp_path):
    inner = Counting()
    judge = Cached(inner, tmp_path / "new" / "j.sqlite", chunk=2)
    rows = (["?", "?", "!", "?", "?"], ["a", "bb", "a", "a", "ccc"], ["x", "x", "x", "x", ""])
    p = judge(*rows)
    np.testing.assert_array_equal(p, by_letters(*rows))
    assert len(inner.asked) == 4
    again = Cached(Counting(fail_at="a"), tmp_path / "new" / "j.sqlite")
    np.testing.assert_array_equal(again(*rows), p)
    assert judge([], [], []).shape == (0,)


def test_order_prompt_and_judge_are_parts_of_the_key(tmp_path):
    path = tmp_path / "j.sqlite"
    inner = Counting()
    judge = Cached(inner, path)
    judge(["?"], ["a"], ["b"])
    judge(["?"], ["b"], ["a"])
    judge([[{"role": "user", "content": "?"}]], ["a"], ["b"])
    judge([[{"content": "?", "role": "user"}]], ["a"], ["b"])  # the order of keys says nothing
    assert len(inner.asked) == 3
    assert Cached(Named(constant(0.1), "other"), path)(["?"], ["a"], ["b"]) == [0.1]
    assert {row["judge"] for row in judge.rows()} == {"counting", "other"}


def test_what_was_judged_before_a_failure_is_kept(tmp_path):
    judge = Cached(Counting(fail_at="d"), tmp_path / "j.sqlite", chunk=3)
    rows = (["?"] * 5, list("abcde"), ["x"] * 5)
    with pytest.raises(JudgeError, match="failed"):
        judge(*rows)
    assert [row["first"] for row in judge.rows()] == ["a", "b", "c"]
    inner = Counting()
    np.testing.assert_array_equal(Cached(inner, tmp_path / "j.sqlite")(*rows), by_letters(*rows))
    assert [row[1] for row in inner.asked] == ["d", "e"]


def test_skipped_pairs_are_not_kept(tmp_path):
    rows = (["?"] * 3, list("abc"), ["x"] * 3)
    p = Cached(Counting(skip="b"), tmp_path / "j.sqlite")(*rows)
    assert kept(p).tolist() == [True, False, True]
    inner = Counting()
    Cached(inner, tmp_path / "j.sqlite")(*rows)
    assert [row[1] for row in inner.asked] == ["b"]


def test_export_writes_every_judgement(tmp_path):
    judge = Cached(Counting(), tmp_path / "j.sqlite")
    texts = ['{"a": 1}\n', "Grüße \u2028 \x00 '; DROP TABLE judgements; --", ""]
    conversation = [{"role": "user", "content": "Hallo ü"}]
    p = judge([conversation] * 3, texts, ["x"] * 3)
    assert judge.export(tmp_path / "out.jsonl") == 3
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").split("\n")[:-1]
    rows = [json.loads(line) for line in lines]
    assert list(rows[0]) == ["judge", "prompt", "first", "second", "probability", "time"]
    assert [row["first"] for row in rows] == texts
    assert [row["probability"] for row in rows] == p.tolist()
    assert rows[0]["prompt"] == conversation
    assert rows[0]["time"] > 1.7e9


JUDGING = """
import sys, time
from llm.judges import Cached, Named
def slow(prompts, first, second):
    time.sleep(0.01)
    print(len(first), flush=True)
    return [1 / (1 + len(answer)) for answer in first]
start = int(sys.argv[2])
Cached(Named(slow, "shared"), sys.argv[1], chunk=5)(["?"] * 60, ["a" * i for i in range(start, start + 60)], ["b"] * 60)
"""


def test_processes_share_one_file_and_one_that_is_killed_loses_only_its_last_chunk(tmp_path):
    path = tmp_path / "j.sqlite"
    killed, whole = (
        subprocess.Popen([sys.executable, "-c", JUDGING, path, start], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for start in ("100", "130")
    )
    said = [killed.stdout.readline() for _ in range(4)]  # three chunks are saved once a fourth is judged
    killed.kill()
    whole.communicate()
    killed.communicate()
    assert (said, killed.returncode, whole.returncode) == (["5\n"] * 4, -9, 0)
    rows = {len(row["first"]): row["probability"] for row in Cached(Named(len, "shared"), path).rows()}
    assert set(range(100, 115)) | set(range(130, 190)) <= set(rows)
    assert all(p == 1 / (1 + length) for length, p in rows.items())
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_may_open_a_new_file_at_once(tmp_path):
    """SQLite answers two who switch a new file to its write-ahead log with "locked", however long they would wait."""
    judge, together = Named(lambda prompts, first, second: [0.25] * len(first), "quarter"), Barrier(6)

    def ask_in(file):
        together.wait()
        return Cached(judge, tmp_path / f"{file}.sqlite")(["?"], ["a"], ["b"]).tolist()

    with ThreadPoolExecutor(6) as pool:
        for file in range(40):
            assert list(pool.map(ask_in, [file] * 6)) == [[0.25]] * 6


def test_the_cache_refuses_what_it_cannot_keep_apart(tmp_path):
    with pytest.raises(ValueError, match="no identity"):
        Cached(by_letters, tmp_path / "j.sqlite")
    with pytest.raises(ValueError, match="no identity"):
        Cached(Mean((by_letters,)), tmp_path / "j.sqlite")
    with pytest.raises(ValueError, match="no identity"):
        Cached(Checks(lambda prompt: []), tmp_path / "j.sqlite")
    Path(tmp_path / "text").write_text("no database, but a text that is long enough to be taken for one" * 20)
    with pytest.raises(ValueError, match="cannot be used"):
        Cached(Counting(), tmp_path / "text")(*ROW)


def test_wrappers_have_identities_of_their_own():
    inner = Counting()
    length = LengthOnly(1.0, 2.0)
    made = [
        inner, BothOrders(inner), Mean((inner,)), Vote((inner,)), LengthControlled(inner, length), length,
        LengthControlled(inner, LengthOnly(1.5, 2.0)), BradleyTerry(inner), BradleyTerry(inner, 2.0),
        AttributeVote(inner, (1,)), AttributeVote(inner, (-1,)), Weighted(inner, (1.0,)),
    ]  # fmt: skip
    assert len({judge.identity for judge in made}) == len(made)
    assert RateLimited(inner, 1.0).identity == inner.identity
