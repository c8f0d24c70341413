"""Saving preferences: what is written reads back the same, and what a format would lose is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from io_cases import check_same
from numpy.testing import assert_array_equal

from stackelberg import Ballots, Counts, PreferenceMatrix, Unranked
from stackelberg.io import minneapolis, read_preferences, save_preferences

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
awkward = st.sampled_from(
    ["a,b", 'say "no"', "two\nlines", "a\rb", " padded", "A>B", "x=y", "粥", "#", "\ufeffA", "0", "\0"]
)
labels_of = st.lists(texts | awkward, min_size=1, max_size=4, unique=True)


@st.composite
def matrices(draw: st.DrawFn) -> PreferenceMatrix:
    """Probabilities, counts (with contexts) or ballots, with labels of all kinds."""
    labels = draw(labels_of)
    n = len(labels)
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    kind = draw(st.sampled_from(["probabilities", "counts", "ballots"]))
    contexts = draw(st.sampled_from([None, None, 1, 2]))
    if kind == "probabilities":
        return PreferenceMatrix(PreferenceMatrix.random(n, int(rng.integers(99)), contexts).probabilities, labels)
    if kind == "counts":
        shape = (n, n) if contexts is None else (contexts, n, n)
        wins = rng.integers(0, 4, shape) * (1 - np.eye(n)) * rng.choice([1, 0.3])
        ties = np.triu(rng.integers(0, 3, shape), 1) * rng.choice([0, 1])
        return PreferenceMatrix.from_counts(wins, ties + np.swapaxes(ties, -1, -2), labels)
    rankings = [_ranking(labels, rng) for _ in range(rng.integers(1, 5))]
    return PreferenceMatrix.from_rankings(rankings, labels, draw(st.sampled_from(Unranked)))


def _ranking(labels: list[str], rng: np.random.Generator) -> tuple[float, list[tuple[str, ...]]]:
    chosen = [labels[i] for i in rng.permutation(len(labels))[: rng.integers(1, len(labels) + 1)]]
    cuts = sorted(set(rng.integers(1, len(labels) + 1, 3).tolist())) if rng.random() < 0.5 else range(len(labels))
    groups = [tuple(chosen[a:b]) for a, b in zip([0, *cuts], [*cuts, len(chosen)], strict=True)]
    return float(rng.choice([1, 2, 0.1])), [group for group in groups if group]


@given(matrices(), st.sampled_from([".json", ".npz"]))
def test_json_and_npz_keep_everything(
    tmp_path_factory: pytest.TempPathFactory, P: PreferenceMatrix, ending: str
) -> None:
    path = tmp_path_factory.mktemp("saved") / f"p{ending}"
    assume(ending == ".json" or not any(label.endswith("\0") for label in P.labels))
    P.save(path)
    check_same(read_preferences(path), P)


def refused(P: PreferenceMatrix, path: Path) -> str:
    try:
        P.save(path)
    except ValueError as error:
        return str(error)
    return ""


@settings(max_examples=4 * settings().max_examples)  # most formats refuse most matrices
@given(matrices(), st.sampled_from([".csv", ".csv", ".npy", ".soc", ".soi", ".toc", ".toi", ".wmd"]))
def test_other_formats_keep_everything_or_say_what_they_would_lose(
    tmp_path_factory: pytest.TempPathFactory, P: PreferenceMatrix, ending: str
) -> None:
    path = tmp_path_factory.mktemp("saved") / f"p{ending}"
    refusal = refused(P, path)
    if refusal:
        assert refusal.endswith((".json.", ".npz."))
        assert list(path.parent.iterdir()) == []
        return
    again = read_preferences(path)
    if isinstance(P.evidence, Ballots):  # PrefLib merges equal ballots, and partial ones mean Unranked.BELOW
        assert_array_equal(again.counts.wins, P.counts.wins)
        assert (again.labels, again.probabilities.tobytes()) == (P.labels, P.probabilities.tobytes())
    else:
        check_same(again, P)


def plain_matrices() -> dict[str, PreferenceMatrix]:
    wins = np.array([[0, 3, 1], [2, 0, 5], [4, 0, 0]])
    ballots = [(2, ["b", "a"]), (3, ["c", "b", "a"])]
    return {
        "p.csv": PreferenceMatrix(PreferenceMatrix.random(3).probabilities, ["a,b", 'q"', "two\r\nlines"]),
        "w.csv": PreferenceMatrix.from_counts(wins, labels=list("abc")),
        "b.csv": PreferenceMatrix.from_rankings([(1, [("b", "a")]), *ballots], list("abcd")),
        "p.npy": PreferenceMatrix.random(3, contexts=2),
        "w.wmd": PreferenceMatrix.from_counts(wins / 7, labels=list("abc")),
        "b.soi": PreferenceMatrix.from_rankings(ballots, list("abcd")),
        "b.soc": PreferenceMatrix.from_rankings(ballots[1:], list("abc")),
        "b.toi": PreferenceMatrix.from_rankings([(1, [("b", "a")]), *ballots], list("abcd")),
        "b.toc": PreferenceMatrix.from_rankings([(1, [("b", "a"), "c"]), *ballots[1:]], list("abc")),
    }


@pytest.mark.parametrize("name", plain_matrices())
def test_every_format_can_hold_something(name: str, tmp_path: Path) -> None:
    P = plain_matrices()[name]
    P.save(tmp_path / name)
    check_same(read_preferences(tmp_path / name), P)


@pytest.mark.parametrize(
    ("name", "P", "message"),
    [
        ("a.csv", PreferenceMatrix.random(2, contexts=2), "P has contexts"),
        ("a.csv", PreferenceMatrix.from_counts([[0, 0.5], [1, 0]]), "ties or fractions"),
        ("a.csv", PreferenceMatrix.from_counts([[0, 1], [1, 0]], ties=[[0, 1], [1, 0]]), "ties or fractions"),
        ("a.csv", PreferenceMatrix([[0.5]], [" a"]), "begins or ends with a blank"),
        ("a.csv", PreferenceMatrix.from_rankings([(1, ["a>b", "c"])]), "contains '>' or '='"),
        (
            "a.csv",
            PreferenceMatrix.from_rankings([(1, ["a"])], ["a", "b", "c"], Unranked.TIED),
            "Unranked.TIED",
        ),
        ("a.csv", PreferenceMatrix.from_rankings([(1, [])], ["a", "b"]), "a ballot that ranks nobody"),
        (
            "a.csv",
            PreferenceMatrix.from_rankings([(1, ["a" * 99_999, "b" * 99_999])]),
            "more than readers take",
        ),
        ("a.npy", PreferenceMatrix([[0.5]], ["a"]), "holds probabilities only"),
        ("a.npy", PreferenceMatrix.from_counts([[0]]), "holds probabilities only"),
        ("a.npz", PreferenceMatrix([[0.5]], ["a\0"]), "ends in NUL"),
        ("a.json", PreferenceMatrix([[0.5]], ["\ud800"]), "half a surrogate pair"),
        (
            "a.json",
            PreferenceMatrix([[0.5, 0.6], [0.4, 0.5]], evidence=Counts.checked([[0, 1], [1, 0]])),
            "contradict",
        ),
        ("a.soc", PreferenceMatrix([[0.5]]), "P was not made from any"),
        ("a.soi", PreferenceMatrix.from_rankings([(1, [("a", "b")])]), "holds strict orders"),
        ("a.toc", PreferenceMatrix.from_rankings([(1, ["a"])], ["a", "b"]), "holds complete orders"),
        ("a.toi", PreferenceMatrix.from_rankings([(0.5, ["a"])]), "whole numbers"),
        ("a.toi", PreferenceMatrix.from_rankings([(1, ["a\nb"])]), "line break"),
        ("a.toi", PreferenceMatrix.from_rankings([(2.0**53, ["a"]), (2.0, ["b"])]), "rounded counts"),
        ("a.wmd", PreferenceMatrix([[0.5]]), "without ties, and P has none"),
        ("a.wmd", PreferenceMatrix.from_counts([[0]]), "without a single win"),
    ],
)
def test_what_a_format_would_lose_is_refused(name: str, P: PreferenceMatrix, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        save_preferences(P, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_probabilities_that_differ_from_their_counts_by_rounding_need_json(tmp_path: Path) -> None:
    p = np.array([[0.5, 0.75 + 1e-12], [0.25 - 1e-12, 0.5]])
    P = PreferenceMatrix(p, evidence=Counts.checked([[0, 3], [1, 0]]))
    with pytest.raises(ValueError, match="differ from it by rounding"):
        P.save(tmp_path / "a.csv")
    P.save(tmp_path / "a.json")
    check_same(read_preferences(tmp_path / "a.json"), P)


def test_a_bootstrap_draw_can_be_saved(tmp_path: Path) -> None:
    P = PreferenceMatrix.from_rankings([(1, ["a", "b"]), (1, ["b", "a"]), (9, ["a", ("b", "c")])], list("abc"))
    draw = next(d for d in (P.resample(np.random.default_rng(i)) for i in range(99)) if (d.evidence.weights == 0).any())
    for ending in (".json", ".npz", ".csv", ".toi"):
        draw.save(tmp_path / f"draw{ending}")
        again = read_preferences(tmp_path / f"draw{ending}")
        assert again.probabilities.tobytes() == draw.probabilities.tobytes()


def test_saving_replaces_a_file_whole_and_keeps_who_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text("old")
    path.chmod(0o600)
    minneapolis().save(path)
    check_same(read_preferences(path), minneapolis())
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_saving_through_a_link_writes_its_target(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "p.csv"
    link.symlink_to(tmp_path / "there" / "p.csv")
    minneapolis().save(link)
    assert link.is_symlink()
    check_same(read_preferences(tmp_path / "there" / "p.csv"), minneapolis())


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.csv"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk is full"):
        minneapolis().save(path)
    assert (path.read_text(), list(tmp_path.iterdir())) == ("old", [path])
