"""Maximal lotteries: known answers, exhaustive small tournaments, outside oracles, laws, real data, refusals."""

from __future__ import annotations

import ast
import csv
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog, minimize

import stackelberg.equilibrium.lottery as lottery_module
import stackelberg.equilibrium.projection as projection_module
from stackelberg.equilibrium.central_path import inverses
from stackelberg.equilibrium.face import face_around
from stackelberg.equilibrium.lottery import Lottery, maximal_lottery
from stackelberg.errors import CertificateError

ROCK_PAPER_SCISSORS = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 2


def uniform(margins: np.ndarray) -> np.ndarray:
    return np.full(margins.shape[:2], 1 / margins.shape[1])


def solve(margin: np.ndarray, reference: np.ndarray | None = None) -> Lottery:
    """One game."""
    stacked = np.asarray(margin, float)[None]
    return maximal_lottery(stacked, uniform(stacked) if reference is None else reference[None])


def skew(upper: np.ndarray) -> np.ndarray:
    """Skew-symmetric games from whatever stands above the diagonal."""
    part = np.triu(upper, 1)
    return part - np.swapaxes(part, -1, -2)


def beats(n: int, *pairs: tuple[int, int, float]) -> np.ndarray:
    """The game in which i beats j by m, for each (i, j, m), and everything else is tied."""
    margin = np.zeros((n, n))
    for i, j, m in pairs:
        margin[i, j], margin[j, i] = m, -m
    return margin


def blocks(*games: np.ndarray) -> np.ndarray:
    """Games side by side, tied with each other."""
    n = sum(len(game) for game in games)
    margin, start = np.zeros((n, n)), 0
    for game in games:
        margin[start : start + len(game), start : start + len(game)] = game
        start += len(game)
    return margin


def tournaments(n: int) -> np.ndarray:
    """Every tournament without ties, (2^(n(n-1)/2), n, n)."""
    pairs = np.array(list(combinations(range(n), 2)))
    signs = 1 - 2 * ((np.arange(2 ** len(pairs))[:, None] >> np.arange(len(pairs))) & 1)
    margins = np.zeros((len(signs), n, n))
    margins[:, pairs[:, 0], pairs[:, 1]] = signs / 2
    return margins - np.swapaxes(margins, 1, 2)


def assert_certified(margins: np.ndarray, lottery: Lottery, tolerance: float = 1e-12) -> None:
    scale = np.abs(margins).max(axis=(1, 2))
    assert (lottery.policy >= 0).all()
    assert np.abs(lottery.policy.sum(axis=1) - 1).max() < 1e-14
    gain = np.einsum("bij,bj->bi", margins, lottery.policy).max(axis=1)
    assert (np.abs(gain) <= tolerance * scale).all()
    assert np.abs(gain - lottery.exploitability).max() <= 1e-15 * scale.max()
    assert not lottery.policy[~lottery.support].any()
    assert (lottery.policy[lottery.support] > 0).all()


# --- known answers ---------------------------------------------------------------------------------


def test_rock_paper_scissors() -> None:
    lottery = solve(ROCK_PAPER_SCISSORS)
    assert np.abs(lottery.policy - 1 / 3).max() < 1e-15
    assert lottery.dimension[0] == 0
    assert lottery.support.all()


def test_the_worked_example_of_three_annotator_types() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 3000)
    shares = shares[(shares < 0.499).all(axis=1)]
    first, second, third = shares.T
    margins = np.zeros((len(shares), 3, 3))
    margins[:, 0, 1], margins[:, 1, 2], margins[:, 2, 0] = 0.5 - second, 0.5 - third, 0.5 - first
    margins -= np.swapaxes(margins, 1, 2)
    lottery = maximal_lottery(margins, uniform(margins))
    answer = np.stack([1 - 2 * third, 1 - 2 * first, 1 - 2 * second], axis=1)
    assert len(shares) > 500
    assert np.abs(lottery.policy - answer).max() < 1e-12
    assert not lottery.dimension.any()


@pytest.mark.parametrize("winner", range(4))
def test_a_condorcet_winner_is_played_alone(winner: int) -> None:
    margin = skew(np.random.default_rng(winner).uniform(-0.5, 0.5, (4, 4)))
    margin[winner], margin[:, winner] = 1e-6, -1e-6
    margin[winner, winner] = 0
    lottery = solve(margin)
    assert lottery.policy[0].tolist() == np.eye(4)[winner].tolist()
    assert lottery.support[0].tolist() == np.eye(4, dtype=bool)[winner].tolist()
    assert lottery.dimension[0] == 0


@pytest.mark.parametrize("n", [1, 2, 7])
def test_where_everything_is_tied_the_reference_is_the_answer(n: int) -> None:
    reference = np.random.default_rng(n).dirichlet(np.ones(n))
    lottery = solve(np.zeros((n, n)), reference)
    assert np.abs(lottery.policy[0] - reference).max() < 1e-15
    assert lottery.dimension[0] == n - 1
    assert lottery.support.all()


def test_a_duplicate_shares_its_probability_by_the_reference() -> None:
    margin = ROCK_PAPER_SCISSORS[np.ix_([0, 0, 1, 2], [0, 0, 1, 2])]
    assert np.abs(solve(margin).policy[0] - [1 / 6, 1 / 6, 1 / 3, 1 / 3]).max() < 1e-13
    lottery = solve(margin, np.array([0.6, 0.2, 0.1, 0.1]))
    assert np.abs(lottery.policy[0] - [1 / 4, 1 / 12, 1 / 3, 1 / 3]).max() < 1e-13
    assert lottery.dimension[0] == 1


def test_blocks_that_tie_with_each_other() -> None:
    five_cycle = skew(np.array([[(j - i) % 5 in (1, 2) for j in range(5)] for i in range(5)]) - 0.5)
    lottery = solve(blocks(ROCK_PAPER_SCISSORS, five_cycle))
    assert np.abs(lottery.policy - 1 / 8).max() < 1e-13  # the uniform policy is an equilibrium
    assert lottery.dimension[0] == 1
    deterministic = solve(blocks(ROCK_PAPER_SCISSORS, beats(2, (0, 1, 0.5))))
    assert np.abs(deterministic.policy[0] - [1 / 4, 1 / 4, 1 / 4, 1 / 4, 0]).max() < 1e-13
    assert deterministic.support[0].tolist() == [True, True, True, True, False]


def test_an_inequality_that_binds_at_the_maximum_of_entropy() -> None:
    """Action 4 gains 2 x₀ − x₁, so x₁ ≥ 2 x₀; Lagrange: x ∝ (2^(−2/3), 2^(1/3), 1, 1)."""
    lottery = solve(beats(5, (4, 0, 0.4), (1, 4, 0.2)))
    answer = np.array([2 ** (-2 / 3), 2 ** (1 / 3), 1, 1, 0])
    assert np.abs(lottery.policy[0] - answer / answer.sum()).max() < 1e-12
    assert lottery.support[0].tolist() == [True] * 4 + [False]
    assert lottery.dimension[0] == 3


def test_an_inequality_that_only_touches_the_maximum_of_entropy() -> None:
    """Action 4 gains x₀ − x₁, which is zero at the uniform policy: no pressure, and no strict slack either."""
    lottery = solve(beats(5, (4, 0, 0.3), (1, 4, 0.3)))
    assert np.abs(lottery.policy[0] - [0.25, 0.25, 0.25, 0.25, 0]).max() < 1e-10
    assert lottery.dimension[0] == 3


def test_inequalities_that_bind_and_repeat_each_other() -> None:
    once = beats(5, (4, 0, 0.4), (1, 4, 0.2))
    index = [0, 1, 2, 3, 4, 4, 4]
    thrice = once[np.ix_(index, index)]
    assert np.abs(solve(thrice).policy[0, :5] - solve(once).policy[0]).max() < 1e-12


def test_a_reference_of_very_unequal_probabilities() -> None:
    reference = np.array([1.0, 1e-20, 1e-30, 1e-5])
    margin = ROCK_PAPER_SCISSORS[np.ix_([0, 0, 1, 2], [0, 0, 1, 2])]
    lottery = solve(margin, reference / reference.sum())
    assert np.abs(lottery.policy[0] - [1 / 3, 0, 1 / 3, 1 / 3]).max() < 1e-12


def test_a_face_between_blocks_of_very_different_scale() -> None:
    """What counts as a tie is far below the smaller block's margins."""
    lottery = solve(blocks(ROCK_PAPER_SCISSORS, ROCK_PAPER_SCISSORS * 1e-6))
    assert np.abs(lottery.policy - 1 / 6).max() < 1e-9
    assert lottery.dimension[0] == 1


def test_a_wrong_support_is_seen() -> None:
    dominated = beats(4, (0, 1, 0.5), (1, 2, 0.5), (2, 0, 0.5), (0, 3, 0.5), (1, 3, 0.5), (2, 3, 0.5))
    right = np.array([True, True, True, False])
    face = face_around(dominated, right, right / 3)
    assert face is not None
    assert face.interior
    wrong = face_around(-dominated, right, right / 3)  # now the fourth beats them all
    assert wrong is not None
    assert not wrong.interior
    assert face_around(dominated, np.array([True, True, False, False]), np.full(4, 0.25)) is None


# --- every small tournament ------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_every_tournament_has_one_lottery_and_its_support_is_odd(n: int) -> None:
    """Fisher and Ryan 1992; Laffond, Laslier and Le Breton 1993: the bipartisan set."""
    margins = tournaments(n)
    lottery = maximal_lottery(margins, uniform(margins))
    assert_certified(margins, lottery, 1e-14)
    assert not lottery.dimension.any()
    assert (lottery.support.sum(axis=1) % 2 == 1).all()
    winner = (margins > 0).sum(axis=2) == n - 1
    assert (lottery.policy[winner] == 1).all()
    assert winner.any(axis=1).sum() == (lottery.support.sum(axis=1) == 1).sum()


# --- oracles from outside --------------------------------------------------------------------------


def equilibria(margin: np.ndarray) -> dict:
    """The polytope of equilibria, as arguments of ``linprog``."""
    n = len(margin)
    return {"A_ub": margin, "b_ub": np.zeros(n), "A_eq": np.ones((1, n)), "b_eq": [1.0]}


def integer_games(count: int, seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    sizes = random.integers(2, 9, count)
    return [skew(random.integers(-2, 3, (n, n)) / 4) for n in sizes]


def exact_rank(matrix: np.ndarray) -> int:
    """Rank by elimination with fractions."""
    rows = [[Fraction(float(cell)) for cell in row] for row in matrix]
    rank = 0
    for column in range(len(rows)):
        pivot = next((r for r in range(rank, len(rows)) if rows[r][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for r in range(rank + 1, len(rows)):
            ratio = rows[r][column] / rows[rank][column]
            rows[r] = [a - ratio * b for a, b in zip(rows[r], rows[rank], strict=True)]
        rank += 1
    return rank


@pytest.mark.parametrize("n", [3, 10, 40, 120])
def test_random_games_have_the_equilibrium_that_highs_finds(n: int) -> None:
    margins = skew(np.random.default_rng(n).uniform(-0.5, 0.5, (3, n, n)))
    lottery = maximal_lottery(margins, uniform(margins))
    assert_certified(margins, lottery, 1e-14)
    assert not lottery.dimension.any()
    for margin, policy in zip(margins, lottery.policy, strict=True):
        assert np.abs(linprog(np.zeros(n), **equilibria(margin)).x - policy).max() < 1e-7


def test_the_support_is_what_some_equilibrium_plays_and_the_dimension_is_exact() -> None:
    faces = 0
    for margin in integer_games(60, seed=1):
        lottery, n = solve(margin), len(margin)
        most = [-linprog(-np.eye(n)[y], **equilibria(margin)).fun for y in range(n)]
        assert lottery.support[0].tolist() == [value > 1e-7 for value in most]
        played = margin[np.ix_(lottery.support[0], lottery.support[0])]
        assert lottery.dimension[0] == len(played) - exact_rank(played) - 1
        faces += lottery.dimension[0] > 0
    assert faces > 20


def test_no_equilibrium_is_closer_to_the_reference() -> None:
    """x minimises KL(x‖r) on the face exactly if it minimises the linear function Σ y log(x/r) there."""
    random = np.random.default_rng(2)
    for margin in integer_games(60, seed=2):
        reference = random.dirichlet(np.ones(len(margin)))
        lottery = solve(margin, reference)
        played, policy = lottery.support[0], lottery.policy[0]
        slope = np.zeros(len(margin))
        slope[played] = np.log(policy[played] / reference[played])
        best = linprog(slope, bounds=[(0, 1 if here else 0) for here in played], **equilibria(margin))
        assert slope @ policy == pytest.approx(best.fun, abs=1e-8)


def test_the_maximum_of_entropy_against_sequential_quadratic_programming() -> None:
    compared = 0
    for margin in integer_games(40, seed=3):
        lottery = solve(margin)
        if not lottery.dimension[0]:
            continue
        played = lottery.support[0]
        rows = margin[:, played]
        found = minimize(
            lambda x: float(np.sum(x * np.log(np.maximum(x, 1e-300)))),
            np.full(played.sum(), 1 / played.sum()),
            jac=lambda x: np.log(np.maximum(x, 1e-300)) + 1,
            method="SLSQP",
            bounds=[(1e-12, 1)] * int(played.sum()),
            constraints=[
                {"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda x: np.ones_like(x)},
                {"type": "ineq", "fun": lambda x, rows=rows: -rows @ x, "jac": lambda x, rows=rows: -rows},
            ],
            options={"ftol": 1e-14, "maxiter": 500},
        )
        if found.success:
            assert np.abs(found.x - lottery.policy[0, played]).max() < 1e-5
            compared += 1
    assert compared > 10


# --- laws ------------------------------------------------------------------------------------------

SIZES = st.integers(1, 8)
GRIDS = SIZES.flatmap(lambda n: arrays(np.int8, (n, n), elements=st.integers(-3, 3))).map(lambda a: skew(a / 6.0))
SMOOTH = SIZES.flatmap(lambda n: arrays(np.float64, (n, n), elements=st.floats(-0.5, 0.5, width=16))).map(skew)
NEARLY_SURE = SIZES.flatmap(
    lambda n: arrays(np.float64, (n, n), elements=st.sampled_from([-0.5, -0.5 + 1e-9, 0.5 - 1e-9, 0.5]))
).map(skew)
GAMES = st.one_of(GRIDS, SMOOTH, NEARLY_SURE)


@given(GAMES)
def test_every_answer_is_certified(margin: np.ndarray) -> None:
    lottery = solve(margin)
    assert_certified(margin[None], lottery)
    played = lottery.support[0]
    assert (played.sum() - 1 - lottery.dimension[0]) % 2 == 0  # the rank of a skew-symmetric matrix is even


@given(GAMES, st.randoms(use_true_random=False))
def test_relabelling_actions_relabels_the_lottery(margin: np.ndarray, random) -> None:
    order = list(range(len(margin)))
    random.shuffle(order)
    reference = np.arange(1.0, len(margin) + 1) / np.arange(1.0, len(margin) + 1).sum()
    plain, shuffled = solve(margin, reference), solve(margin[np.ix_(order, order)], reference[order])
    assert plain.dimension == shuffled.dimension
    assert (plain.support[:, order] == shuffled.support).all()
    assert np.abs(plain.policy[:, order] - shuffled.policy).max() < 1e-9


@given(GRIDS, st.sampled_from([1e-200, 1e-15, 1e-12, 1e-3, 7.0]))
def test_the_scale_of_the_margins_is_of_no_account(margin: np.ndarray, scale: float) -> None:
    plain, scaled = solve(margin), solve(margin * scale)
    assert_certified(margin[None] * scale, scaled)
    assert plain.dimension == scaled.dimension
    assert np.abs(plain.policy - scaled.policy).max() < 1e-9


@given(GRIDS, st.integers(0, 7))
def test_a_copy_of_an_action_takes_nothing_from_the_others(margin: np.ndarray, copied: int) -> None:
    """Cloning leaves the essential set as it is (independence of clones), and adds a dimension if it is played."""
    n = len(margin)
    index = [*range(n), copied % n]
    plain, cloned = solve(margin), solve(margin[np.ix_(index, index)])
    assert (cloned.support[0, :n] == plain.support[0]).all()
    assert cloned.support[0, n] == plain.support[0, copied % n]
    assert cloned.dimension[0] == plain.dimension[0] + plain.support[0, copied % n]


def test_margins_many_orders_of_magnitude_apart() -> None:
    """Three clusters, rock-paper-scissors among them and, a billion times weaker, within each."""
    inner, outer = ROCK_PAPER_SCISSORS * 1e-9, np.kron(ROCK_PAPER_SCISSORS, np.ones((3, 3)))
    lottery = solve(outer + blocks(inner, inner, inner))
    assert np.abs(lottery.policy - 1 / 9).max() < 1e-7
    assert lottery.dimension[0] == 0
    assert solve(outer + 1e-6 * blocks(inner, inner, inner)).dimension[0] == 6  # below 1e-13: taken for ties


def test_a_batch_of_every_kind_of_game_is_the_games_one_by_one() -> None:
    random = np.random.default_rng(4)
    margins = np.stack([skew(random.integers(-1 - k % 4, 2 + k % 4, (7, 7)) / 12.0) for k in range(60)])
    margins[5], margins[50] = 0, 1e-9 * margins[50]
    reference = random.dirichlet(np.ones(7), 60)
    together = maximal_lottery(margins, reference)
    for k in range(60):
        alone = solve(margins[k], reference[k])
        assert np.abs(together.policy[k] - alone.policy[0]).max() < 1e-10
        assert (together.support[k] == alone.support[0]).all()
        assert together.dimension[k] == alone.dimension[0]


def test_large_games() -> None:
    margin = skew(np.random.default_rng(5).uniform(-0.5, 0.5, (300, 300)))
    assert_certified(margin[None], solve(margin), 1e-14)
    doubled = np.tile(margin[:60, :60], (2, 2))
    lottery = solve(doubled)
    assert_certified(doubled[None], lottery)
    assert np.abs(lottery.policy[0, :60] - lottery.policy[0, 60:]).max() < 1e-12
    assert lottery.dimension[0] == lottery.support.sum() / 2


# --- doubt and refusal -----------------------------------------------------------------------------


def test_the_linear_programme_gives_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    games = integer_games(30, seed=6)
    expected = [solve(margin) for margin in games]
    monkeypatch.setattr(lottery_module, "STEPS", 0)
    for margin, path in zip(games, expected, strict=True):
        programme = solve(margin)
        assert (programme.support == path.support).all()
        assert programme.dimension == path.dimension
        assert np.abs(programme.policy - path.policy).max() < 1e-10


def test_an_answer_without_its_certificate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lottery_module, "EXPLOITABILITY", -1.0)
    with pytest.raises(CertificateError, match=r"Game 0 of the batch: .* exploitable by .* must be"):
        solve(ROCK_PAPER_SCISSORS)


def test_a_game_that_nothing_solves_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lottery_module, "STEPS", 0)
    monkeypatch.setattr(lottery_module, "face_around", lambda game, support, policy: None)
    with pytest.raises(CertificateError, match="Neither the central path nor the linear programme"):
        solve(ROCK_PAPER_SCISSORS)


def test_a_selection_that_does_not_converge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection_module, "STEPS", 3)
    with pytest.raises(CertificateError, match="not reached in 3 steps: residual"):
        solve(beats(5, (4, 0, 0.4), (1, 4, 0.2)))


def test_a_singular_matrix_does_not_spoil_its_neighbours() -> None:
    found = inverses(np.stack([np.eye(2), np.ones((2, 2)), 2 * np.eye(2)]))
    assert np.isnan(found[1]).all()
    assert np.abs(found[[0, 2]] - np.stack([np.eye(2), np.eye(2) / 2])).max() == 0


# --- real data -------------------------------------------------------------------------------------


def test_repeated_rock_paper_scissors_programs(shared_data: Path) -> None:
    lines = (shared_data / "repeated-rps-bots" / "rrps_bot_table_43.txt").read_text().splitlines()
    cells = {(row, column): score for row, column, score in map(ast.literal_eval, lines)}
    names = sorted({row for row, _ in cells})
    scores = np.array([[cells[row, column] for column in names] for row in names])
    margin = (scores - scores.T) / 4000
    lottery = solve(margin)
    assert_certified(margin[None], lottery, 1e-14)
    played = {names[i] for i in np.flatnonzero(lottery.support[0])}
    assert played == {"greenberg", "iocainebot", "markovbails", "randbot", "shofar"}
    assert lottery.dimension[0] == 0


def test_soccer_agents(shared_data: Path) -> None:
    preference = np.loadtxt(shared_data / "mujoco-soccer" / "mujoco_soccer_10.txt")
    margin = (preference - preference.T) / 2
    lottery = solve(margin)
    assert np.flatnonzero(lottery.support[0]).tolist() == [1, 8, 9]
    first, second, third = margin[8, 9], margin[9, 1], margin[1, 8]  # of three actions each plays the others' margin
    answer = np.array([first, second, third]) / (first + second + third)
    assert np.abs(lottery.policy[0, [1, 8, 9]] - answer).max() < 1e-14


def test_pokemon_types_have_many_equilibria(shared_data: Path) -> None:
    """Who hits harder, and by which factor, a type against a type; an attack without effect counts as a quarter."""
    factor = np.zeros((18, 18))
    with (shared_data / "pokemon-types" / "type_efficacy.csv").open() as file:
        for row in csv.DictReader(file):
            factor[int(row["damage_type_id"]) - 1, int(row["target_type_id"]) - 1] = row["damage_factor"]
    harder = np.sign(factor - factor.T) / 2
    times = np.log2(np.maximum(factor, 25)) - np.log2(np.maximum(factor.T, 25))
    for margin, dimension, played in ((harder, 2, 9), (times, 1, 10)):
        lottery = solve(margin)
        assert_certified(margin[None], lottery)
        inner = margin[np.ix_(lottery.support[0], lottery.support[0])]
        assert (lottery.dimension[0], lottery.support.sum()) == (dimension, played)
        assert dimension == played - exact_rank(inner) - 1
