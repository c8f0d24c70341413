"""Some 13,000 damaged inputs, drawn from a seed, for every reader and every constructor.

Each either gives a matrix that holds when it is checked anew, or ends in a ``ValueError`` with a readable
message: never in another exception, never in a warning (warnings are errors here). Where the damage certainly
makes the input invalid, the ``ValueError`` must come.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from io_cases import JSONL, TOC, WMD, check_same

from stackelberg import PreferenceMatrix, Unranked
from stackelberg.io import read_preferences
from stackelberg.io.common import check_evidence

DAMAGED_A_FILE = 200
DAMAGED_A_CONSTRUCTOR = 60
SQUARE = "row_beats_col,A,\"B, b\",C\nA,0.5,0.7,0.25\n\"B, b\",0.3,0.5,1\nC,0.75,0,0.5\n"  # fmt: skip
WINS = "row_beats_col,A,B,C\nA,0,12,3\nB,7,0,5\nC,9,4,0\n"
LONG = "winner,loser,count\nA,B,12\nB,C,3\nC,A,5\nB,A,7\n"
RANKINGS = "count,ranking\n12,A>B>C\n7,C>A=B\n3,B\n"
JSON = """{"labels": ["A", "Bé", "C"],
 "wins": [[0, 3, 2], [1, 0, 4], [5, 0, 0]],
 "ties": [[0, 1, 0], [1, 0, 0], [0, 0, 0]]}
"""
BALLOTS = '{"ballots": [[3, ["A", ["B", "C"]]], [2, ["C"]]],\n "unranked": "tied", "labels": ["C", "B", "A"]}\n'
PROMPTS = "".join(
    f'{{"prompt": "{prompt}", "chosen": "{chosen}", "rejected": "{rejected}", "count": {count}}}\n'
    for prompt, chosen, rejected, count in [("p", "A", "B", 2), ("q", "B", "A", 1), ("q", "A", "B", 7)]
)


def saved(P: PreferenceMatrix, ending: str, folder: Path) -> bytes:
    P.save(folder / f"valid{ending}")
    return (folder / f"valid{ending}").read_bytes()


def seeds(folder: Path) -> list[tuple[str, bytes]]:
    """Valid files of every format, with their endings."""
    ballots = PreferenceMatrix.from_rankings([(3, ["A", ("B", "C")]), (2, ["C"])], unranked=Unranked.IGNORED)
    strict = PreferenceMatrix.from_rankings([(3, ["A", "B", "C"]), (2, ["C", "A", "B"])])
    counts = PreferenceMatrix.from_counts([[0, 3], [1, 0]], labels=["A", "粥"])
    texts = [(".csv", SQUARE), (".csv", WINS), (".csv", LONG), (".csv", RANKINGS), (".json", JSON)]
    texts += [(".json", BALLOTS), (".jsonl", JSONL), (".jsonl", PROMPTS), (".toc", TOC), (".wmd", WMD)]
    return [
        *((ending, text.encode()) for ending, text in texts),
        (".json", saved(PreferenceMatrix.random(2, contexts=2), ".json", folder)),
        (".npy", saved(PreferenceMatrix.random(3), ".npy", folder)),
        (".npz", saved(ballots, ".npz", folder)),
        (".npz", saved(counts, ".npz", folder)),
        (".soc", saved(strict, ".soc", folder)),
        (".soi", saved(PreferenceMatrix.from_rankings([(3, ["A", "B"]), (2, ["C"])]), ".soi", folder)),
        (".toi", saved(PreferenceMatrix.from_rankings([(3, ["A", ("B", "C")])]), ".toi", folder)),
    ]


# --- damage ----------------------------------------------------------------------------------------

GARBAGE = [
    *(
        b"nan",
        b"inf",
        b"-1",
        b"1e400",
        b"1_000",
        b"12%",
        b"0x10",
        b"\0",
        b"\xff\xfe",
        b"\r",
        b"\n",
        b"'",
        b"\t",
    ),
    *(
        b'"',
        b",",
        b";",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b"#",
        b">",
        b"=",
        b"null",
        b"true",
        b"[[[[",
        b"\\ud800",
    ),
    *(b" ", b"1" * 400, b"1" * 5000, b"A" * 300, b"..", b"-", b"e9"),
    *(text.encode() for text in ("١٢", "\u2028", "\ufeff")),
]


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three wounds: bytes deleted, flipped, inserted, exchanged; lines lost, doubled, swapped."""
    for _ in range(rng.integers(1, 4)):
        a, b = sorted(rng.integers(0, len(data) + 1, 2).tolist())
        b = min(b, a + int(rng.integers(1, 9)))
        lines = data.split(b"\n")
        i, j = rng.integers(0, len(lines), 2)
        match rng.integers(0, 9):
            case 0:
                data = data[:a] + data[b:]
            case 1:
                data = data[:a] + bytes(rng.integers(0, 256, b - a, dtype=np.uint8)) + data[b:]
            case 2:
                data = data[:a]
            case 3 | 4:
                data = data[:a] + GARBAGE[rng.integers(len(GARBAGE))] + data[a:]
            case 5:
                old, new = (bytes([byte]) for byte in rng.choice(list(b',;:>={}[]"0123456789\n'), 2))
                data = data.replace(old, new, int(rng.choice([1, -1])))
            case 6:
                data = b"\n".join(lines[:i] + lines[i + 1 :])
            case 7:
                data = b"\n".join([*lines[:i], lines[j], *lines[i:]])
            case 8:
                lines[i], lines[j] = lines[j], lines[i]
                data = b"\n".join(lines)
    return data


def check_valid(P: PreferenceMatrix) -> None:
    """Everything a matrix promises, checked anew."""
    p = P.probabilities
    assert p.dtype == np.float64
    assert np.isfinite(p).all()
    assert ((p >= 0) & (p <= 1)).all()
    assert np.abs(p + np.swapaxes(p, -1, -2) - 1).max() <= 1e-9
    assert p.shape in {(P.n, P.n), (P.contexts, P.n, P.n)}
    assert len(set(P.labels) - {""}) == P.n
    check_evidence(P)


def check_message(error: ValueError) -> None:
    """One line of one or two sentences, neither curt nor endless."""
    message = str(error)
    assert type(error) is ValueError, error
    assert 20 <= len(message) <= 600, message
    assert re.search(r"[.?)]$", message), message
    assert "\n" not in message, message
    assert "Traceback" not in message, message


def outcome(make: Callable[[], PreferenceMatrix]) -> PreferenceMatrix | None:
    """What `make` makes, checked; or None where it refuses in a readable way. All else is a failure."""
    try:
        P = make()
    except ValueError as error:
        refusal = error
    else:
        check_valid(P)
        return P
    check_message(refusal)
    return None


# --- readers ---------------------------------------------------------------------------------------


def test_seventeen_seeds_of_every_format_are_valid(tmp_path: Path) -> None:
    for number, (ending, data) in enumerate(seeds(tmp_path)):
        path = tmp_path / f"{number}{ending}"
        path.write_bytes(data)
        assert outcome(lambda path=path: read_preferences(path)) is not None


@pytest.mark.parametrize("number", range(17))
def test_damaged_files(number: int, tmp_path: Path) -> None:
    ending, data = seeds(tmp_path)[number]
    rng = np.random.default_rng([17, number])
    path, again = tmp_path / f"damaged{ending}", tmp_path / "again.json"
    for _ in range(DAMAGED_A_FILE):
        path.write_bytes(damaged(data, rng))
        P = outcome(lambda: read_preferences(path))
        if P is not None:  # what was read can be saved and is the same then
            P.save(again)
            check_same(read_preferences(again), P)


@pytest.mark.parametrize("number", range(17))
def test_damaged_streams(number: int, tmp_path: Path) -> None:
    _, data = seeds(tmp_path)[number]
    rng = np.random.default_rng([18, number])
    for _ in range(DAMAGED_A_FILE // 5):
        stream = io.BytesIO(damaged(data, rng))
        outcome(lambda stream=stream: read_preferences(stream))


NO_NUMBERS = [
    *(
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "1e400",
        "-1e999",
        "1_000",
        "١٢",
        "１２",
        "½",
        "12%",
        "0x10",
        "1e",
        "e5",
        "--1",
    ),
    *(
        "1.2.3",
        "1 000",
        "None",
        "true",
        "null",
        "abc",
        "+",
        ".",
        "9007199254740993",
        "1" * 400,
        "-7",
        "0b1",
        "1j",
        "",
    ),
]
HOLES = [
    (".csv", "x,A,B\nA,0,@\nB,7,0\n"),
    (".csv", "x,A,B\nA,@,3\nB,7,0\n"),
    (".csv", "x,A,B\nA,0.5,@\nB,0.3,0.5\n"),
    (".csv", "winner,loser,count\nA,B,1\nB,A,@\n"),
    (".csv", "count,ranking\n2,A>B\n@,B>A\n"),
    (".json", '{"wins": [[0, @], [7, 0]]}'),
    (".json", "[[0.5, 0.3], [@, 0.5]]"),
    (".json", '{"ballots": [[1, ["A"]], [@, ["B"]]]}'),
    (".jsonl", '{"chosen": "A", "rejected": "B", "count": @}\n'),
    (".toc", TOC.replace("2: 3", "@: 3").replace("# NUMBER VOTERS: 6\n", "")),
    (".toc", TOC.replace("3,2,1", "3,2,@")),
    (".toc", TOC.replace("ALTERNATIVES: 3", "ALTERNATIVES: @")),
    (".wmd", WMD.replace("3,0.5", "3,@")),
    (".wmd", WMD.replace("2,3,0.5", "2,@,0.5")),
]


@pytest.mark.parametrize(("ending", "text"), HOLES)
def test_what_is_no_number_never_passes_for_one(ending: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / f"hole{ending}"
    for token in NO_NUMBERS:
        path.write_text(text.replace("@", token), encoding="utf-8")
        if token == "" and text.startswith("x,A,B\nA,@"):
            continue  # a blank diagonal is allowed
        assert outcome(lambda: read_preferences(path)) is None, token


@pytest.mark.parametrize("number", [4, 5, 7, 8, 10, 11, 12, 13, 14])
def test_a_file_that_ends_too_early_is_never_half_read(number: int, tmp_path: Path) -> None:
    """Each of these formats can tell; a CSV, say, that ends between two rows of its long form cannot."""
    ending, data = seeds(tmp_path)[number]
    path = tmp_path / f"short{ending}"
    stride = max(1, len(data) // 200)
    whole = len(data.rstrip(b"\n"))
    for end in range(0, whole, stride):
        if ending == ".jsonl" and data[:end].rstrip().endswith(b"}"):
            continue  # whole lines are a whole file
        path.write_bytes(data[:end])
        assert outcome(lambda: read_preferences(path)) is None, data[:end]


def test_a_changed_digit_of_a_probability_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "digit.csv"
    body = SQUARE.index("\n")
    for match in re.finditer("[0-9]", SQUARE[body:]):
        at = body + match.start()
        for digit in set("0123456789") - {match[0]}:
            path.write_text(SQUARE[:at] + digit + SQUARE[at + 1 :], encoding="utf-8")
            assert outcome(lambda: read_preferences(path)) is None


# --- constructors ----------------------------------------------------------------------------------


def wound(array: np.ndarray, rng: np.random.Generator) -> object:
    """The square array made certainly invalid, whether it holds probabilities, wins or margins."""
    n = array.shape[-1]
    i, j = rng.choice(n, 2, replace=False)
    broken = array.copy()
    match rng.integers(0, 10):
        case 0:
            broken[..., i, j] = rng.choice([np.nan, np.inf, -np.inf])
        case 1:
            broken[..., i, j] = -rng.uniform(2, 1e300)
        case 2:
            broken[..., i, i] += rng.uniform(1e-8, 5)
        case 3:
            return broken[..., :-1]
        case 4:
            return broken[..., None, None, :, :, None]
        case 5:
            return broken.astype(str)
        case 6:
            return broken + 1j
        case 7:
            return [*broken.tolist()[:-1], ["x", None, [1, 2], {}][rng.integers(4)]]
        case 8:
            return broken[..., :0, :0]
        case 9:
            nested = broken.astype(object)
            nested[..., i, j] = ["0.5", None, b"1", Odd(), np.nan][rng.integers(5)]
            return nested
    return broken


SQUARE_MAKERS = {
    "probabilities": (PreferenceMatrix, lambda p: p),
    "counts": (PreferenceMatrix.from_counts, lambda p: np.round(10 * p) * (1 - np.eye(p.shape[-1]))),
    "margins": (PreferenceMatrix.from_margins, lambda p: 2 * p - 1),
}


@pytest.mark.parametrize("name", SQUARE_MAKERS)
def test_wounded_arrays_are_refused(name: str) -> None:
    make, made_of = SQUARE_MAKERS[name]
    rng = np.random.default_rng(19)
    for seed in range(4 * DAMAGED_A_CONSTRUCTOR):
        contexts = [None, 2][seed % 2]
        array = made_of(PreferenceMatrix.random(int(rng.integers(2, 5)), seed, contexts).probabilities)
        assert outcome(lambda array=array: make(array)) is not None
        broken = wound(array, rng)
        assert outcome(lambda broken=broken: make(broken)) is None, broken


@pytest.mark.parametrize("change", [1e-8, -1e-8, 0.1, 1])
def test_one_sided_changes_are_refused(change: float) -> None:
    rng = np.random.default_rng(20)
    for seed in range(DAMAGED_A_CONSTRUCTOR):
        p = PreferenceMatrix.random(3, seed).probabilities.copy()
        i, j = rng.choice(3, 2, replace=False)
        p[i, j] += change
        assert outcome(lambda p=p: PreferenceMatrix(p)) is None


class Odd:
    """Of no use to anyone."""


NUMBERS = [None, True, 0, -1, 2, 0.5, 1.5, np.nan, np.inf, 1e308, -1e308, 10**400, 1j, np.float16(0.5)]
TEXTS = ["", "abc", "1_000", b"abc", b"", ["a"], ["a", "a"], [["a"]], {"a"}, {"a": 1}]
LISTS = [
    *([], [[]], [[[]]], (), {}, set(), range(3), [None], [[None]], [[1], [1, 2]], [0.5], [[0.5]], [[[0.5]]]),
    *([1e308, -1e308], [[1e308], [-1e308]], [[0, 1e308], [1e308, 0]], [[5e-324]], [[0, 5e-324], [0, 0]]),
]
ARRAYS = [
    *(np.zeros(0), np.zeros((0, 0)), np.zeros((1, 0, 0)), np.zeros((2, 2, 2, 2)), np.full((2, 2), np.nan)),
    *(np.array(0.5), np.array("x"), np.array([["a"]], dtype=object), np.array([Odd()]), np.eye(2) > 0),
    *(np.array(["2020-01-01"], dtype="datetime64[D]"), np.zeros(1, dtype=[("a", "f8")])),
]
ROWS = [
    *(
        (1, ["a"]),
        (0, ["a"]),
        (-1, ["a"]),
        ("1", ["a"]),
        (np.nan, ["a"]),
        (1, "ab"),
        (1,),
        (1, None),
        (1, [None]),
    ),
    *((1, ["a", "b"]), (1, [["a", "b"], []]), (1, [[["a"]]]), (1, ["a", "a"]), (5e-324, [("a", "b")])),
]
OVERFLOWING = [(1e308, ["a", "b"]), (1e308, ["b", "a"])]
JUNK = [
    *NUMBERS,
    *TEXTS,
    *LISTS,
    *ARRAYS,
    *ROWS,
    *([row] for row in ROWS),
    OVERFLOWING,
    Odd(),
    Odd,
    lambda: 1,
]
CALLS: dict[str, Callable[[object, object], PreferenceMatrix]] = {
    "matrix": lambda a, b: PreferenceMatrix(a, b),
    "matrix with evidence": lambda a, b: PreferenceMatrix([[0.5]], evidence=a),
    "labels": lambda a, b: PreferenceMatrix([[0.5]], a),
    "counts": lambda a, b: PreferenceMatrix.from_counts(a, labels=b),
    "counts with ties": lambda a, b: PreferenceMatrix.from_counts(a, b),
    "ties": lambda a, b: PreferenceMatrix.from_counts([[0]], a, b),
    "rankings": lambda a, b: PreferenceMatrix.from_rankings(a, b),
    "rankings with unranked": lambda a, b: PreferenceMatrix.from_rankings([(1, ["a"])], unranked=a),
    "scores": lambda a, b: PreferenceMatrix.from_scores(a, b),
    "attributes": lambda a, b: PreferenceMatrix.from_attributes(a, b),
    "margins": lambda a, b: PreferenceMatrix.from_margins(a, b),
    "cycle": lambda a, b: PreferenceMatrix.cycle(a, b),
    "cycle with strength": lambda a, b: PreferenceMatrix.cycle(3, a),
    "random": lambda a, b: PreferenceMatrix.random(a, 0, b),
    "random with seed": lambda a, b: PreferenceMatrix.random(2, a),
    "condorcet": lambda a, b: PreferenceMatrix.condorcet(a),
    "reader": lambda a, b: read_preferences(a if not isinstance(a, (str, int)) else None, unranked=b),
}


@pytest.mark.parametrize("name", CALLS)
def test_junk_for_every_constructor(name: str) -> None:
    rng = np.random.default_rng(21)
    seconds = [JUNK[i] for i in rng.integers(0, len(JUNK), DAMAGED_A_CONSTRUCTOR)]
    for first in JUNK:
        for second in [None, *seconds[:: len(seconds) // 3]]:
            outcome(lambda first=first, second=second: CALLS[name](first, second))
