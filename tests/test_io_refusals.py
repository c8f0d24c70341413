"""Malformed files: each is refused with its name, the line, what stands there and what was expected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from io_cases import TOC, WMD, read

from stackelberg import PreferenceMatrix
from stackelberg.io import read_preferences

REFUSED = [
    (".csv", "", "empty"),
    (".csv", " \n\n", "empty"),
    (".csv", "x,A,B\n", "no row below the header"),
    (".csv", "x;A;B\nA;0;1\nB;1;0\n", r"line 1: found 'x;A;B', expected cells with commas"),
    (".csv", "x,A,B\nA,0,1\nB,1\n", r"line 3: found 'B,1', expected 3 cells as in the header, not 2"),
    (".csv", "x,A,A\nA,0,1\nA,1,0\n", r"line 1: the name 'A' stands twice"),
    (".csv", "x,A,\nA,0,1\n,1,0\n", r"line 1: .* none of them empty"),
    (".csv", "x,A,B\nA,0,1\nC,1,0\n", r"line 3: found 'C', expected one row for each label"),
    (".csv", "x,A,B\nA,0,1\nA,1,0\n", r"line 3: found 'A', expected one row for each label"),
    (".csv", "x,A,B\nA,0,1\n", r"line 2: the table ends without a row for 'B'"),
    (".csv", "x,A,B\nA,0.5,70%\nB,30%,0.5\n", r"line 2, column 'B': found '70%', expected a number"),
    (".csv", "x,A,B\nA,0.5,nan\nB,0.3,0.5\n", r"line 2, column 'B': found 'nan'"),
    (".csv", "x,A,B\nA,0,1_000\nB,3,0\n", r"line 2, column 'B': found '1_000'"),
    (".csv", "x,A,B\nA,0,١٢\nB,3,0\n", r"line 2, column 'B': found '١٢'"),
    (".csv", "x,A,B\nA,0,1e400\nB,3,0\n", r"found '1e400', expected a number that fits into float64"),
    (".csv", "x,A,B\nA,0,9007199254740993\nB,3,0\n", r"found '9007199254740993', expected a whole number"),
    (".csv", "x,A,B\nA,0,\nB,3,0\n", r"line 2, column 'B': found ''"),
    (
        ".csv",
        "x,A,B\nA,,1\nB,0,\n",
        r"zeros and ones with a blank diagonal can be probabilities or numbers of wins",
    ),
    (
        ".csv",
        "x,A,B\nA,0,0.7\nB,0.3,0\n",
        r"line 2, 'A' over 'A' is 0, not 0.5.*not a whole number\. Write 0\.5",
    ),
    (
        ".csv",
        "x,A,B\nA,0,7\nB,-7,0\n",
        r"not in \[0, 1\]\. Not numbers of wins either: line 3.* is -7, negative\. Are these m",
    ),
    (".csv", "x,A,B\nA,50,70\nB,30,50\n", r"Are these percentages\?"),
    (
        ".csv",
        "x,A,B\nA,0.5,0.6\nB,0.3,0.5\n",
        r"line 2, 'A' over 'B' is 0\.6, and with the opposite cell does not sum to 1",
    ),
    (".csv", 'x,A,B\nA,0,"1\nB,1,0\n', r"line 3: not CSV"),
    (".csv", b"x,A,B\nA,0,1\n\xff,1,0\n", r"line 3: found byte 0xff, which is no UTF-8"),
    (".csv", "x,A,B\nA,0,1\nB,1,0\n".encode("utf-16"), r"line 1: found byte 0xff"),
    (".csv", "winner,loser\nA,A\n", r"line 2: found \['A', 'A'\], expected two different names"),
    (".csv", "winner,loser\nA,\n", r"line 2: .* two different names"),
    (".csv", "winner,loser,count\nA,B,-1\n", r"line 2: found -1\.0, expected a count that is not negative"),
    (".csv", "winner,loser,count\nA,B,\n", r"line 2, column count: found ''"),
    (".csv", "winner,loser,counts\nA,B,1\n", r"or a header 'winner,loser,count'"),
    (".csv", "count,ranking\n0,A>B\n", r"line 2, column count: found '0', expected a positive"),
    (".csv", "count,ranking\n1,A>B\n0,A=B\n", r"line 3, column count: found '0', expected a positive"),
    (".csv", "count,ranking\n2,A>B>A\n", r"line 2, ranking 'A>B>A': the name 'A' stands twice"),
    (".csv", "count,ranking\n2,A>>B\n", r"line 2, ranking 'A>>B': .* none of them empty"),
    (".csv", "count,ranking\n2,\n", r"line 2, ranking '': .* none of them empty"),
    (".json", "[[0.5, NaN], [0.5, 0.5]]", r"line 1: found 'NaN', expected a finite number"),
    (".json", '{"labels": ["NaN", "b"],\n"wins": [[0, -Infinity], [1, 0]]}', r"line 2: found '-Infinity'"),
    (".json", "[[0.5,\n1e400], [0.5, 0.5]]", r"line 2: found '1e400', expected a number that fits"),
    (
        ".json",
        '{"wins": [[0, 9007199254740993], [1, 0]]}',
        r"line 1: found '9007199254740993', expected a whole",
    ),
    (
        ".json",
        '{"wins": [[0, 1], [1, 0]], "wins": [[0, 2], [1, 0]]}',
        r"found 'wins', expected each key once",
    ),
    (".json", '{"wins": [[0, 1], [1, 0]]', r"line 1: .* expected JSON \("),
    (".json", '{"wins":\n [[0, 1] [1, 0]]}', r"line 2: found ' \[\[0, 1\] \[1, 0\]\]}', expected JSON"),
    (".json", '{"win": [[0, 1], [1, 0]]}', r"found 'win', expected only the keys labels, prob"),
    (".json", "{}", r"expected probabilities, or wins, or ballots"),
    (".json", '{"ties": [[0]], "probabilities": [[0.5]]}', r"expected wins beside ties"),
    (".json", '{"wins": [[0, true], [1, 0]]}', r"wins\[0\]\[1\]: found True, expected a number"),
    (".json", '{"wins": [[0, "1"], [1, 0]]}', r"wins\[0\]\[1\]: found '1', expected a number"),
    (".json", '{"wins": 3}', r"wins: found 3\.0, expected an array of numbers"),
    (".json", '{"wins": [[0]], "labels": [1]}', r"labels\[0\]: found 1\.0, expected a text"),
    (".json", '{"wins": [[0]], "labels": "a"}', r"labels: found 'a', expected an array"),
    (".json", '{"wins": [[0]], "labels": ["\\ud800"]}', r"half a surrogate pair"),
    (
        ".json",
        '{"wins": [[0, 3], [1, 0]], "probabilities": [[0.5, 0.7], [0.3, 0.5]]}',
        r"contradict each other: at \(0, 1\)",
    ),
    (".json", '{"ballots": [[1, ["a"]]], "wins": [[0]]}', r"expected probabilities, or wins, or ballots"),
    (".json", '{"ballots": [[1, ["a", []]]]}', r"ballots\[0\]: .* none of the ties empty"),
    (".json", '{"ballots": [["1", ["a"]]]}', r"ballots\[0\]: .* expected a pair such as"),
    (
        ".json",
        '{"ballots": [[1, ["a"]]], "unranked": "last"}',
        r"unranked: found 'last', expected one of below, tied",
    ),
    (".json", "[" * 100_000, r"line 1: "),
    (".json", '"text"', r"line 1: found 'text', expected an object"),
    (".json", "[[[[0.5]]]]", r"the array\[0\]\[0\]\[0\]: found \[0\.5\], expected a number"),
    (
        ".jsonl",
        '{"chosen": "A", "rejected": "B"}\n{"chosen": "A"}\n',
        r"line 2: found {'chosen': 'A'}, expected an object",
    ),
    (".jsonl", '{"chosen": "A", "rejected": "\\udfff"}', r"line 1: found '\\udfff', expected text"),
    (".jsonl", '{"chosen": "A", "rejected": "A"}', r"line 1: .* two different names"),
    (".jsonl", '{"chosen": "A", "rejected": "B", "counts": 2}', r"line 1, key: found 'counts'"),
    (".jsonl", '{"chosen": "A", "rejected": "B", "count": "2"}', r"line 1: .* one number as count or weight"),
    (".jsonl", '{"chosen": "A", "rejected": "B", "count": 2, "weight": 2}', r"one number as count or weight"),
    (".jsonl", '{"chosen": "A", "rejected": "B", "count": true}', r"one number as count or weight"),
    (".jsonl", '{"chosen": "A", "rejected": "B", "count": -2}', r"line 1: found -2\.0"),
    (".jsonl", '{"chosen": "A", "rejected": ["B"]}', r"line 1, rejected: found \['B'\], expected a text"),
    (".jsonl", '\n{"chosen": "A", "rejected": "B"}}', r"line 2: .* expected JSON \(Extra data"),
    (
        ".jsonl",
        '{"chosen": "A", "rejected": "B", "prompt": "p"}\n{"chosen": "A", "rejected": "B"}',
        r"line 2: some rows have a prompt",
    ),
    (
        ".jsonl",
        '{"chosen": "A", "rejected": "B", "prompt": "p"}\n{"chosen": "A", "rejected": "C", "prompt": "q"}',
        r"line 1: prompt 'p' never compares 'C'\. .* leave prompt out",
    ),
    (".soc", "3\n1,A\n2,B\n3,C\n", r"line 1: found '3', expected lines '# KEY: value'"),
    (
        ".toc",
        TOC.replace("ALTERNATIVES: 3", "ALTERNATIVES: 4"),
        r"NUMBER ALTERNATIVES: found '4', expected 3",
    ),
    (".toc", TOC.replace("VOTERS: 6", "VOTERS: 7"), r"NUMBER VOTERS: found '7', expected 6"),
    (".toc", TOC.replace("ORDERS: 2", "ORDERS: 3"), r"NUMBER UNIQUE ORDERS: found '3', expected 2"),
    (".toc", TOC.replace("2: 3,2,1\n", ""), r"NUMBER VOTERS: found '6', expected 4"),
    (".toc", TOC.replace("NAME 2", "NAME 4"), r"the header: found \[1, 3, 4\]"),
    (".toc", TOC.replace("粥", "Müsli, warm"), r"the alternatives: the name 'Müsli, warm' stands twice"),
    (".toc", TOC.replace("2: 3,2,1", "2: 3,2,4"), r"line 11: found 4, expected alternatives from 1 to 3"),
    (".toc", TOC.replace("2: 3,2,1", "2: 3,2,2"), r"line 11: .* each alternative at most once"),
    (
        ".toc",
        TOC.replace("2: 3,2,1", "2; 3,2,1"),
        r"line 11: found '2; 3,2,1', expected a count and an order",
    ),
    (".toc", TOC.replace("2: 3,2,1", "2: 3,{2,1"), r"line 11: .* expected a count and an order"),
    (".toc", TOC.replace("2: 3,2,1", "2: 3,2,1\n# TITLE: late"), r"line 12: .* all above the data"),
    (".toc", TOC.replace("2: 3,2,1", "0: 3,2,1"), r"line 11: .* a positive count"),
    (".toi", TOC, r"DATA TYPE: found 'toc', expected toi"),
    (".toc", TOC.partition("4:")[0], r"no line below the header"),
    (".wmd", WMD.replace("EDGES: 3", "EDGES: 4"), r"NUMBER EDGES: found '4', expected 3"),
    (".wmd", WMD.replace("2,3,0.5", "2,3,-0.5"), r"line 9: .* no negative weight"),
    (".wmd", WMD.replace("2,3,0.5", "2,2,0.5"), r"line 9: .* two different alternatives"),
    (".wmd", WMD.replace("2,3,0.5", "1,2,0.5"), r"line 9: .* each edge once"),
    (".wmd", WMD.replace("2,3,0.5", "2,3"), r"line 9: found '2,3', expected an edge"),
    (".npy", "no array", r"NumPy cannot read this"),
    (".npz", b"PK\x03\x04 no archive", r"NumPy cannot read this"),
]


@pytest.mark.parametrize(("ending", "content", "message"), REFUSED)
def test_malformed_files_are_refused(ending: str, content: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        read(content, ending, tmp_path)
    assert str(refusal.value).startswith(str(tmp_path / f"given{ending}"))
    assert "\n" not in str(refusal.value)


# --- npz -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"arr_0": np.eye(2)}, "found 'arr_0', expected only arrays named labels"),
        ({"labels": np.array(["a"])}, "expected probabilities, or wins"),
        ({"probabilities": np.full((1, 1), 0.5), "labels": np.array([1])}, "labels: found 'int64 of shape"),
        ({"probabilities": np.full((1, 1), 0.5), "labels": np.array([["a"]])}, "labels: found"),
        ({"weights": np.ones(2)}, "expected ranks beside weights"),
        ({"weights": np.ones(2), "ranks": np.zeros((3, 1))}, "weights of shape"),
        ({"weights": np.ones(1), "ranks": np.full((1, 1), np.nan)}, "ranks: found"),
        (
            {"weights": np.ones(1), "ranks": np.zeros((1, 1)), "labels": np.array(["a", "b"])},
            "column for each of the 2",
        ),
        (
            {"weights": np.ones(1), "ranks": np.zeros((1, 1)), "unranked": np.array("last")},
            "unranked: found 'last'",
        ),
        ({"probabilities": np.array([[object()]])}, "NumPy cannot read this"),
    ],
)
def test_archives_are_checked(arrays: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_preferences(tmp_path / "a.npz")


def test_arrays_under_the_wrong_ending_and_arrays_with_a_tail(tmp_path: Path) -> None:
    P = PreferenceMatrix.random(2)
    P.save(tmp_path / "p.npy")
    P.save(tmp_path / "p.npz")
    data = (tmp_path / "p.npy").read_bytes()
    with pytest.raises(ValueError, match=r"the ending \.npy"):
        read(data, ".npz", tmp_path)
    with pytest.raises(ValueError, match=r"the ending \.npz"):
        read((tmp_path / "p.npz").read_bytes(), ".npy", tmp_path)
    with pytest.raises(ValueError, match="3 bytes follow the array"):
        read(data + b"abc", ".npy", tmp_path)
