"""Reading preferences: every layout of every format, from files and from streams."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from io_cases import JSONL, TOC, WMD, check_same, read
from numpy.testing import assert_array_equal

from stackelberg import Ballots, Counts, PreferenceMatrix, Unranked
from stackelberg.io import minneapolis, read_preferences

# --- CSV -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("diagonal", ["0.5", "", " "])
def test_a_square_table_of_probabilities(diagonal: str, tmp_path: Path) -> None:
    P = read(f"who,tea, coffee\ntea,{diagonal},0.7\ncoffee,0.3,{diagonal}\n", ".csv", tmp_path)
    assert P.labels == ("tea", "coffee")
    assert_array_equal(P.probabilities, [[0.5, 0.7], [0.3, 0.5]])
    assert P.counts is None


@pytest.mark.parametrize("diagonal", ["0", ""])
def test_a_square_table_of_wins_whose_rows_come_in_another_order(diagonal: str, tmp_path: Path) -> None:
    P = read(f"row_beats_col,A,B\nB,1,{diagonal}\nA,{diagonal},3\n", ".csv", tmp_path)
    assert P.labels == ("A", "B")
    assert_array_equal(P.counts.wins, [[0, 3], [1, 0]])


def test_the_long_form_with_and_without_counts(tmp_path: Path) -> None:
    P = read("winner,loser,count\nA,B,2\nB,A,1\nA,B,1\nB,C,0\n", ".csv", tmp_path)
    assert P.labels == ("A", "B", "C")
    assert_array_equal(P.counts.wins, [[0, 3, 0], [1, 0, 0], [0, 0, 0]])
    once = read("Loser,Winner\nB,A\nB,A\nA,B\n", ".csv", tmp_path)
    assert (once.labels, once.probabilities[0, 1]) == (("A", "B"), 2 / 3)


def test_ballots_with_ties_and_partial_rankings(tmp_path: Path) -> None:
    content = 'count,ranking\n5,A>B=C\n2,C > A\n1,"B"\n'
    P = read(content, ".csv", tmp_path)
    assert P.labels == ("A", "B", "C")
    assert_array_equal(P.counts.wins, [[0, 7, 5], [1, 0, 1], [2, 2, 0]])
    assert P.counts.ties[1, 2] == 5
    tied = read(content, ".csv", tmp_path, unranked=Unranked.TIED)
    assert tied.counts.ties[0, 2] == 1
    assert read(content, ".csv", tmp_path, unranked=Unranked.IGNORED).counts.wins[1, 0] == 0


def test_a_row_of_names_declares_candidates_and_counts_nothing(tmp_path: Path) -> None:
    P = read("count,ranking\n0,C=B=A=D\n2,A>B\n", ".csv", tmp_path)
    assert P.labels == ("C", "B", "A", "D")
    assert P.evidence.weights.tolist() == [2]


def test_the_ballots_of_minneapolis_give_its_table_of_wins(shared_data: Path) -> None:
    folder = shared_data / "minneapolis-2021-ward2"
    ballots = read_preferences(folder / "profile.csv", unranked=Unranked.BELOW)
    wins = read_preferences(folder / "wins.csv")
    order = [ballots.labels.index(label) for label in wins.labels]
    assert_array_equal(ballots.counts.wins[np.ix_(order, order)], wins.counts.wins)
    assert ballots.evidence.weights.sum() == 9513
    check_same(minneapolis(), wins)


def test_twenty_one_language_models(shared_data: Path) -> None:
    P = read_preferences(shared_data / "prism-llm-battles" / "wins.csv")
    assert P.n == 21
    assert P.never_compared == ()


def test_the_embedded_election() -> None:
    P = minneapolis()
    assert P.labels[0] == "Cam Gordon"
    assert (P.counts.wins[0, 2], P.counts.wins[2, 0]) == (3706, 3633)
    assert not ((P.probabilities > 0.5).sum(axis=1) == P.n - 1).any(), "there is no Condorcet winner"


# --- JSON and JSONL --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "labels", "p", "evidence"),
    [
        ("[[0.5, 1], [0, 0.5]]", ("0", "1"), 1.0, None),
        ('{"labels": ["a", "b"], "probabilities": [[0.5, 0.75], [0.25, 0.5]]}', ("a", "b"), 0.75, None),
        ('{"wins": [[0, 3], [1, 0]], "labels": ["a", "b"]}', ("a", "b"), 0.75, Counts),
        ('{"wins": [[0, 2], [0, 0]], "ties": [[0, 2], [2, 0]]}', ("0", "1"), 0.75, Counts),
        ('{"ballots": [[3, ["a", "b"]], [1, [["a", "b"]]]]}', ("a", "b"), 0.875, Ballots),
        ('{"wins": [[0, 3], [1, 0]], "probabilities": [[0.5, 0.75], [0.25, 0.5]]}', ("0", "1"), 0.75, Counts),
    ],
)
def test_json(content: str, labels: tuple[str, ...], p: float, evidence: type | None, tmp_path: Path) -> None:
    P = read(content, ".json", tmp_path)
    assert (P.labels, P.probabilities[0, 1]) == (labels, p)
    assert isinstance(P.evidence, evidence or type(None))


def test_json_says_itself_what_its_partial_ballots_mean(tmp_path: Path) -> None:
    ballots = '{"ballots": [[1, ["a"]], [1, ["b"]], [1, ["c"]]]%s}'
    said = read(ballots % ', "unranked": "ignored"', ".json", tmp_path, unranked=Unranked.TIED)
    assert said.evidence.unranked is Unranked.IGNORED
    assert read(ballots % "", ".json", tmp_path, unranked=Unranked.TIED).evidence.unranked is Unranked.TIED


def test_jsonl_counts_pairs(tmp_path: Path) -> None:
    P = read(JSONL, ".jsonl", tmp_path)
    assert (P.labels, P.contexts) == (("A", "B"), None)
    assert_array_equal(P.counts.wins, [[0, 3], [1, 0]])


def test_jsonl_makes_a_context_of_each_prompt(tmp_path: Path) -> None:
    rows = [("hot?", "tea", "milk", 2), ("cold?", "milk", "tea", 1), ("hot?", "milk", "tea", 2)]
    lines = [json.dumps(dict(zip(("prompt", "chosen", "rejected", "weight"), row, strict=True))) for row in rows]
    P = read("\n".join(lines), ".jsonl", tmp_path)
    assert (P.labels, P.contexts) == (("tea", "milk"), 2)
    assert_array_equal(P.probabilities[:, 0, 1], [0.5, 0.0])


# --- PrefLib ---------------------------------------------------------------------------------------


def test_preflib_orders(tmp_path: Path) -> None:
    P = read(TOC, ".toc", tmp_path)
    assert P.labels == ("Müsli, warm", "Toast: brown", "粥")
    assert_array_equal(P.counts.wins, [[0, 4, 4], [2, 0, 0], [2, 2, 0]])
    assert P.counts.ties[1, 2] == 4


def test_preflib_graphs_are_wins(tmp_path: Path) -> None:
    P = read(WMD, ".wmd", tmp_path)
    assert_array_equal(P.counts.wins, [[0, 3, 0], [1, 0, 0.5], [0, 0, 0]])
    assert P.never_compared == (("A", "C"),)


@pytest.mark.parametrize(
    ("ending", "line", "message"),
    [
        (".soc", "4: 1,{2,3}", "strict, complete orders of 3"),
        (".soc", "4: 1,2", "strict, complete orders of 3"),
        (".soi", "4: 1,{2,3}", "strict orders of 3"),
        (".toc", "4: {1,2}", "complete orders, ties allowed of 3"),
    ],
)
def test_orders_must_be_what_the_ending_says(ending: str, line: str, message: str, tmp_path: Path) -> None:
    content = TOC.replace("toc", ending[1:]).replace("4: 1, {2, 3}", line)
    with pytest.raises(ValueError, match=rf"line 10: found '{line[:3]}.*', expected {message}"):
        read(content, ending, tmp_path)
    read(content.replace(f"TYPE: {ending[1:]}", "TYPE: toi"), ".toi", tmp_path)


# --- streams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        ("x,A,B\nA,0,3\nB,1,0\n", ".csv"),
        ("count,ranking\n2,A>B\n", ".csv"),
        ("#,A,B\nA,0,3\nB,1,0\n", ".csv"),
        (JSONL, ".jsonl"),
        ('{"chosen": "A", "rejected": "B"}', ".jsonl"),
        ('{"labels": ["chosen", "b"], "wins": [[0, 1], [1, 0]]}\n', ".json"),
        ('{\n"wins": [[0, 1], [1, 0]]\n}', ".json"),
        (" [[0.5]]", ".json"),
        (TOC, ".toc"),
        (WMD, ".wmd"),
    ],
)
def test_the_content_of_a_stream_tells_its_format(content: str, ending: str, tmp_path: Path) -> None:
    expected = read(content, ending, tmp_path)
    check_same(read_preferences(io.StringIO(content)), expected)
    check_same(read_preferences(io.BytesIO(content.encode())), expected)
    with open(tmp_path / f"given{ending}", encoding="utf-8") as stream:
        check_same(read_preferences(stream), expected)


def test_an_array_that_python_2_wrote_is_read_without_a_remark(tmp_path: Path) -> None:
    P = PreferenceMatrix.random(2)
    P.save(tmp_path / "p.npy")
    old = (tmp_path / "p.npy").read_bytes().replace(b"(2, 2), } ", b"(2L, 2), }")
    assert b"2L" in old
    check_same(read(old, ".npy", tmp_path), P)


def test_binary_streams_hold_arrays(tmp_path: Path) -> None:
    P = PreferenceMatrix.random(3, contexts=2)
    for ending in (".npy", ".npz"):
        P.save(tmp_path / f"p{ending}")
        check_same(read_preferences(io.BytesIO((tmp_path / f"p{ending}").read_bytes())), P)


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (io.StringIO("x,A\nA,3\n"), r"^<stream>: Not probabilities: line 2, .* not 0, on the diagonal"),
        (io.StringIO(""), "<stream>: the file is empty"),
        (io.StringIO("\ud800"), "<stream>: this is no text"),
        (io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), encoding="utf-8"), "<stream>: this is no text"),
        (io.StringIO("# TITLE: no type\n1: 1\n"), "The header has no DATA TYPE"),
    ],
)
def test_what_a_stream_must_not_hold(stream: io.TextIOBase, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_preferences(stream)


def test_blank_lines_byte_order_marks_and_windows_line_ends_mean_nothing(tmp_path: Path) -> None:
    for ending, content in (
        (".csv", "x,A,B\nA,0,3\nB,1,0\n"),
        (".toc", TOC),
        (".jsonl", JSONL),
        (".wmd", WMD),
    ):
        windows = "\ufeff" + content.replace("\n", "\r\n") + "\r\n\r\n"
        check_same(read(windows, ending, tmp_path), read(content, ending, tmp_path))
    check_same(read("\ufeff[[0.5]]\r\n", ".json", tmp_path), read("[[0.5]]", ".json", tmp_path))


def test_an_unknown_ending_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the ending '\.txt' is not known\. Expected one of \.csv, \.json, "):
        read("x", ".txt", tmp_path)
    with pytest.raises(ValueError, match="read but not written"):
        minneapolis().save(tmp_path / "pairs.jsonl")


def test_a_missing_file_is_the_operating_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_preferences(tmp_path / "absent.csv")


@pytest.mark.parametrize("source", [5, None, [[0.5]]])
def test_what_is_no_source_is_refused(source: object) -> None:
    with pytest.raises(ValueError, match="source must be a path or an open stream"):
        read_preferences(source)


def test_a_word_for_unranked_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unranked must be one of"):
        read_preferences(tmp_path / "a.csv", unranked="below")
