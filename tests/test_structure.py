"""The whole structure in one answer: its keys and reasons, laws, and facts of real data."""

from __future__ import annotations

import ast
import csv
import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from cases import preferences, relabelled
from hypothesis import given
from hypothesis import strategies as st

import analysis
import stackelberg as sb
from analysis import Structure, Unavailable, structure
from analysis.tournament import one_context

MINNEAPOLIS = {
    "Cam Gordon": [0, 5355, 3706, 4874, 4096],
    "Guy T Gaskin": [770, 0, 837, 692, 726],
    "Robin Wonsley Worlobah": [3633, 5118, 0, 4659, 4054],
    "Tom Anderson": [2686, 3425, 2647, 0, 1873],
    "Yusra Arab": [4319, 5799, 4032, 5120, 0],
}


def minneapolis() -> sb.PreferenceMatrix:
    return sb.PreferenceMatrix.from_counts(list(MINNEAPOLIS.values()), labels=list(MINNEAPOLIS))


# --- the whole -------------------------------------------------------------------------------------


@given(preferences, st.randoms(use_true_random=False))
def test_relabelling_actions_relabels_the_structure(p: np.ndarray, random: object) -> None:
    order = np.array(random.sample(range(len(p)), len(p)))  # type: ignore[attr-defined]
    one = structure(sb.PreferenceMatrix(p))
    other = structure(sb.PreferenceMatrix(relabelled(p, order), [one.labels[i] for i in order]))
    for name in ("smith_set", "schwartz_set", "weak_condorcet_winners", "minimax_leaders"):
        assert set(getattr(one, name)) == set(getattr(other, name))
    for name in ("condorcet_winner", "condorcet_loser", "three_cycles", "ties", "minimax_value"):
        assert getattr(one, name) == getattr(other, name)
    assert one.cyclic_share == pytest.approx(other.cyclic_share, abs=1e-9)
    for name in ("weak", "moderate", "strong"):
        kinds = getattr(one.transitivity, name), getattr(other.transitivity, name)
        assert kinds[0].violations == kinds[1].violations
    json.loads(one.to_json())


@given(st.integers(0, 10**6), st.integers(2, 9))
def test_the_sets_lie_within_each_other(seed: int, n: int) -> None:
    P = sb.PreferenceMatrix.random(n, seed=seed)
    answer = structure(P)
    assert set(answer.schwartz_set) <= set(answer.smith_set)
    assert (answer.condorcet_winner is not None) == (len(answer.smith_set) == 1)
    if answer.condorcet_winner is not None:
        assert (answer.condorcet_winner,) == answer.minimax_leaders == answer.smith_set
        assert answer.minimax_value == 0.5
    assert answer.minimax_value <= 0.5
    assert len(answer.smith_set) != 2  # no ties: two cannot both be at the top


def test_the_fixed_keys_are_there_and_all_of_it_is_json() -> None:
    answer = json.loads(structure(minneapolis(), draws=50).to_json())
    fixed = ("labels", "condorcet_winner", "condorcet_loser", "smith_set", "three_cycles", "cyclic_share")
    assert {key: answer[key] for key in fixed} == {
        "labels": list(MINNEAPOLIS),
        "condorcet_winner": None,
        "condorcet_loser": "Guy T Gaskin",
        "smith_set": ["Cam Gordon", "Robin Wonsley Worlobah", "Yusra Arab"],
        "three_cycles": 1,
        "cyclic_share": pytest.approx(0.022245146941750, abs=1e-12),
    }
    assert answer["top_cycles"]["number"] == "1"
    assert answer["transitivity"]["weak"]["holds"] is False
    assert set(answer["bootstrap"]["smith_set"]) == set(MINNEAPOLIS)
    assert "weights" not in answer["bradley_terry"]


def test_reasons_stand_where_an_analysis_cannot_be_made() -> None:
    rankings = structure(sb.PreferenceMatrix.from_counts([[0, 5, 5], [0, 0, 5], [0, 0, 0]]))
    assert isinstance(rankings.bradley_terry, Unavailable)  # it wins every comparison: no finite reward
    assert isinstance(rankings.noise_test, Unavailable)
    assert rankings.bradley_terry.reason == rankings.noise_test.reason
    assert rankings.as_dict()["bradley_terry"] == {"reason": rankings.bradley_terry.reason}
    assert not isinstance(rankings.bootstrap, Unavailable)
    bare = structure(sb.PreferenceMatrix.cycle(3))
    assert "no counts" in bare.as_dict()["bootstrap"]["reason"]
    shares = structure(sb.PreferenceMatrix.from_rankings([(0.6, list("ABC")), (0.5, list("BCA")), (0.4, list("CAB"))]))
    assert "not whole numbers" in shares.as_dict()["noise_test"]["reason"]
    assert structure(minneapolis(), draws=0).as_dict()["bootstrap"] == {"reason": "Left out: draws=0."}
    flat = structure(sb.PreferenceMatrix([[0.5, 1e-300], [1.0, 0.5]]))  # a reward beyond double precision
    assert isinstance(flat.bradley_terry, Unavailable)
    assert flat.condorcet_winner == "1"


def test_contexts_are_looked_at_one_at_a_time() -> None:
    cycles, order = (
        np.array(sb.PreferenceMatrix.cycle(3)),
        np.array(sb.PreferenceMatrix.from_scores([3, 2, 1])),
    )
    both = sb.PreferenceMatrix(np.stack([cycles, order]))
    assert structure(both, context=0).three_cycles == 1
    assert structure(both, context=1).condorcet_winner == "0"
    with pytest.raises(ValueError, match=r"2 contexts.*Choose it: context=0"):
        structure(both)
    with pytest.raises(ValueError, match="no context 2"):
        structure(both, context=2)
    with pytest.raises(ValueError, match="no context 0"):
        structure(sb.PreferenceMatrix.cycle(3), context=0)
    counts = sb.PreferenceMatrix.from_counts([[[0, 3], [1, 0]], [[0, 1], [1, 0]]])
    assert one_context(counts, 1).comparisons.tolist() == [[0, 2], [2, 0]]


def test_the_package_exports_the_function_not_the_module() -> None:
    assert callable(analysis.structure)
    assert all(hasattr(analysis, name) for name in analysis.__all__)


@pytest.mark.parametrize("draws", [-1, 2.5, True])
def test_a_senseless_number_of_draws_is_refused(draws: object) -> None:
    with pytest.raises(ValueError, match="draws must be a whole number"):
        structure(minneapolis(), draws=draws)  # type: ignore[arg-type]


# --- real data -------------------------------------------------------------------------------------


def square_of_wins(path: Path) -> sb.PreferenceMatrix:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return sb.PreferenceMatrix.from_counts([[float(cell) for cell in row[1:]] for row in rows], labels=header[1:])


def seasons(folder: Path) -> dict[tuple[str, str], sb.PreferenceMatrix]:
    """Every season of which at least 97 % was played; one match is one comparison, a draw is a tie."""
    matches = defaultdict(list)
    with gzip.open(folder / "football-leagues" / "matches.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            goals = int(row["home_goals"]) - int(row["away_goals"])
            matches[row["season"], row["league"]].append((row["home"], row["away"], goals))
    found = {}
    for season, rows in matches.items():
        teams = sorted({name for home, away, _ in rows for name in (home, away)})
        wins, ties = np.zeros((2, len(teams), len(teams)))
        for home, away, goals in rows:
            i, j = teams.index(home), teams.index(away)
            wins[i, j] += goals > 0
            wins[j, i] += goals < 0
            ties[i, j] += goals == 0
        if len(rows) >= 0.97 * len(teams) * (len(teams) - 1):
            found[season] = sb.PreferenceMatrix.from_counts(wins, ties + ties.T, labels=teams)
    return found


def test_minneapolis_from_its_ballots(shared_data: Path) -> None:
    folder = shared_data / "minneapolis-2021-ward2"
    with (folder / "profile.csv").open(encoding="utf-8", newline="") as file:
        ballots = [(int(row["count"]), row["ranking"].split(">")) for row in csv.DictReader(file)]
    P = sb.PreferenceMatrix.from_rankings(ballots, labels=list(MINNEAPOLIS))
    np.testing.assert_array_equal(P.counts.wins, list(MINNEAPOLIS.values()))
    assert (square_of_wins(folder / "wins.csv").counts.wins == P.counts.wins).all()
    answer = structure(P, draws=0)
    assert answer.top_cycles.cycles == (("Cam Gordon", "Robin Wonsley Worlobah", "Yusra Arab"),)
    assert (answer.minimax_leaders, answer.minimax_value) == (("Yusra Arab",), 4032 / (4032 + 4054))
    assert answer.schwartz_set == answer.smith_set == answer.top_cycles.cycles[0]


def test_rock_paper_scissors_programs(shared_data: Path) -> None:
    lines = (shared_data / "repeated-rps-bots" / "rrps_bot_table_43.txt").read_text(encoding="utf-8").splitlines()
    scores = {(row, column): score for row, column, score in map(ast.literal_eval, lines)}
    names = sorted({row for row, _ in scores})
    mean = np.array([[scores[row, column] for column in names] for row in names])
    # each pair was played twice, once from either side; scores run from −1000 to 1000
    answer = structure(sb.PreferenceMatrix.from_margins((mean - mean.T) / 2000, labels=names))
    assert (answer.condorcet_winner, answer.condorcet_loser, len(answer.smith_set)) == (None, None, 43)
    assert (answer.three_cycles, answer.ties, answer.minimax_leaders) == (956, 3, ("randbot",))
    assert answer.top_cycles.number == "more than 1000"
    assert answer.top_cycles.complete_to == 3
    assert answer.cyclic_share == pytest.approx(0.30245317787, abs=1e-10)


def test_soccer_agents(shared_data: Path) -> None:
    answer = structure(sb.PreferenceMatrix(np.loadtxt(shared_data / "mujoco-soccer" / "mujoco_soccer_10.txt")))
    assert (answer.condorcet_winner, answer.condorcet_loser) == (None, "2")
    assert answer.smith_set == ("1", "3", "4", "7", "8", "9")
    assert (answer.three_cycles, answer.top_cycles.number, answer.minimax_leaders) == (6, "22", ("4",))
    assert answer.cyclic_share == pytest.approx(0.292037425411, abs=1e-10)


def test_pokemon_types(shared_data: Path) -> None:
    table = np.loadtxt(shared_data / "pokemon-types" / "type_efficacy.csv", delimiter=",", skiprows=1)
    factor = table[:, 2].reshape(18, 18) / 100  # attacker by defender
    answer = structure(sb.PreferenceMatrix.from_margins((factor - factor.T) / 2))
    assert (answer.three_cycles, answer.ties, len(answer.smith_set)) == (42, 78, 18)
    assert set(answer.smith_set) - set(answer.schwartz_set) == {"0"}  # normal: it beats none and loses to one
    assert answer.minimax_leaders == ("0",)
    assert answer.cyclic_share == pytest.approx(0.965174129353, abs=1e-10)


def test_language_models_are_the_transitive_control(shared_data: Path) -> None:
    answer = structure(square_of_wins(shared_data / "prism-llm-battles" / "wins.csv"), draws=200)
    assert (answer.condorcet_winner, answer.condorcet_loser) == ("command", "flan-t5-xxl")
    assert (answer.three_cycles, answer.ties) == (16, 4)
    assert answer.cyclic_share == pytest.approx(0.029857727545, abs=1e-10)
    assert answer.bradley_terry.p_value == pytest.approx(0.9656, abs=1e-3)  # scores explain it all
    assert answer.noise_test.cyclic_share.p_value > 0.5
    assert answer.noise_test.three_cycles.p_value > 0.3
    assert answer.bootstrap.no_condorcet_winner < 0.1


def test_football_seasons_are_cyclic_by_chance(shared_data: Path) -> None:
    answers: list[Structure] = [structure(P, draws=100) for P in seasons(shared_data).values()]
    assert len(answers) == 65
    # no team beats all others over its two matches with each, and every league is one great cycle
    assert all(answer.condorcet_winner is None for answer in answers)
    assert all(answer.smith_set == answer.labels for answer in answers)
    assert Counter(len(answer.labels) for answer in answers) == {20: 48, 18: 17}
    assert sum(answer.three_cycles for answer in answers) == 2752
    assert sum(bool(answer.weak_condorcet_winners) for answer in answers) == 37
    # but Bradley–Terry worlds look the same: no test at the 5 % level goes off more often than by chance
    tests = [answer.noise_test for answer in answers]
    for name in ("cyclic_energy", "cyclic_share", "three_cycles"):
        alarms = sum(getattr(test, name).p_value <= 0.05 for test in tests)
        assert alarms <= 7  # binomial(65, 1/20): P(> 7) = 2 %
    assert np.mean([test.no_condorcet_winner.expected for test in tests]) > 0.95
