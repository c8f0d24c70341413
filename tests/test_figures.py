"""Pictures: complete, repeatable, holding the numbers they claim, and nothing clipped or overlapping."""

from __future__ import annotations

import csv
import itertools
import json
import struct
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch, Polygon
from matplotlib.text import Text

import stackelberg as sb
from analysis.comparison import FOLLOWER, LEADER, NLHF, RLHF, compare
from analysis.drawing.contexts import of_context
from analysis.drawing.heatmap import preference_colours
from analysis.drawing.labels import spread_out
from analysis.drawing.ring import cycle_through
from analysis.drawing.save import DPI, provenance, without_folders
from analysis.drawing.style import LOOKS, text_width, wrapped
from analysis.drawing.triangle import best_reply_regions
from analysis.figures import (
    draw_comparison,
    draw_heatmap,
    draw_policy,
    draw_refinement,
    draw_sensitivity,
    draw_simplex,
    draw_solution,
    draw_tournament,
    save,
)
from analysis.sensitivity import sensitivity
from analysis.tournament import majority, smith_set
from stackelberg.io import minneapolis

ROOT = Path(__file__).resolve().parent.parent
LONG = [
    "The Right Honourable Alexandrina Victoria of Kent",
    "Donaudampfschifffahrtsgesellschaftskapitän",
    "Bob",
    "cost: $5 to $6_a^b",
    "x" * 60,
    "A very, very long sentence that answers a prompt in forty words or so and never seems to come to any end at all",
    "two\nlines",
]
SWEEP = sb.PreferenceMatrix([[0.5, 1.0, 1.0], [0.0, 0.5, 0.7], [0.0, 0.3, 0.5]])  # no finite Bradley–Terry fit


def named(n, seed=0, names=LONG):
    return sb.PreferenceMatrix(sb.PreferenceMatrix.random(n, seed=seed).probabilities, names[:n])


MATRICES = {
    "election": minneapolis(),
    "thirds": sb.PreferenceMatrix.condorcet([1 / 3] * 3),
    "paradox": sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]),
    "one": sb.PreferenceMatrix([[0.5]], ["the only one"]),
    "two": sb.PreferenceMatrix([[0.5, 0.6], [0.4, 0.5]]),
    "tied": sb.PreferenceMatrix(np.full((4, 4), 0.5)),
    "ordered": sb.PreferenceMatrix.from_scores([3.0, 2.0, 1.0, 0.0, -1.0, -2.0]),
    "ordered three": sb.PreferenceMatrix.from_scores([2.0, 1.0, 0.0]),
    "sweep": SWEEP,
    "close": sb.PreferenceMatrix([[0.5, 0.5001, 0.4999], [0.4999, 0.5, 0.5001], [0.5001, 0.4999, 0.5]]),
    "long three": named(3, 1),
    "long five": named(5, 2),
    "long seven": named(7, 3),
    "nine": sb.PreferenceMatrix.random(9, seed=9),
    "thirteen": sb.PreferenceMatrix.random(13, seed=13),
    "twenty-five": sb.PreferenceMatrix.random(25, seed=25),
    "thirty": sb.PreferenceMatrix.random(30, seed=30),
    "sixty": sb.PreferenceMatrix.random(60, seed=60),
}
PAINTERS = {
    "tournament": draw_tournament,
    "heatmap": draw_heatmap,
    "refinement": lambda P: draw_refinement(sb.solve(sb.StackelbergGame(P, tau=0.05)), 5),
    "refinement at tau 0": lambda P: draw_refinement(sb.solve(sb.StackelbergGame(P, tau=0)), 5),
    "comparison": lambda P: draw_comparison(compare(P, tau=0.05)),
    "comparison at tau 0": lambda P: draw_comparison(compare(P, tau=0)),
    "policy": lambda P: draw_policy(sb.solve(sb.NashGame(P, tau=0))),
    "sensitivity": lambda P: draw_sensitivity(sensitivity(P, draws=20)),
}


def drawn_texts(figure):
    """Every text that is really drawn, with its box in pixels."""
    seen, original = [], Text.draw

    def draw(text, renderer):
        original(text, renderer)
        if text.get_visible() and text.get_text().strip():
            seen.append((text, text.get_window_extent(renderer)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", draw)
        figure.canvas.draw()
    return seen


def assert_legible(drawing):
    """No text leaves the canvas, and no two texts that lie straight overlap."""
    drawing.figure.set_dpi(DPI)
    texts = drawn_texts(drawing.figure)
    wide, high = drawing.figure.bbox.size
    for text, box in texts:
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= wide, text
        assert box.y1 <= high, text
    straight = [(text, box) for text, box in texts if text.get_rotation() % 90 == 0]
    for (text, box), (other, there) in itertools.combinations(straight, 2):
        across = min(box.x1, there.x1) - max(box.x0, there.x0)
        up = min(box.y1, there.y1) - max(box.y0, there.y0)
        assert across <= 1 or up <= 1, f"{text.get_text()!r} overlaps {other.get_text()!r}"


def written(drawing, folder, **more):
    return {path.name.split(".", 1)[1]: path for path in save(drawing, folder, command="a test", **more)}


# --- nothing clipped, nothing overlapping ------------------------------------------------------------


@pytest.mark.parametrize("painter", PAINTERS)
@pytest.mark.parametrize("matrix", MATRICES)
def test_every_text_is_on_the_canvas_and_by_itself(matrix, painter):
    assert_legible(PAINTERS[painter](MATRICES[matrix]))


@pytest.mark.parametrize("tau", [0.0, 0.1])
@pytest.mark.parametrize("matrix", ["thirds", "paradox", "ordered three", "sweep", "close", "long three"])
def test_simplex_is_legible(matrix, tau):
    assert_legible(draw_simplex(MATRICES[matrix], tau=tau))


def test_marks_that_coincide_are_set_apart():
    figure = draw_simplex(MATRICES["ordered three"], tau=0).figure  # all five in one corner
    marks = [line for line in figure.axes[0].lines if line.get_marker() in {look.marker for look in LOOKS.values()}]
    places = {tuple(np.round(line.get_xydata()[0], 3)) for line in marks}
    assert len(places) >= 10  # five in the triangle (their dots beside them), five in the legend
    wide, high = figure.get_size_inches()
    assert all(0.1 < x < wide - 0.1 and 0.1 < y < high - 0.1 for x, y in places)


# --- the four files ----------------------------------------------------------------------------------


def test_the_four_files(tmp_path):
    drawing = draw_tournament(minneapolis())
    files = written(drawing, tmp_path / "new" / "folder", seed=7)
    assert list(files) == ["svg", "png", "csv", "provenance.json"]
    header = files["png"].read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    size = drawing.figure.get_size_inches() * DPI
    assert struct.unpack(">II", header[16:]) == tuple(int(side) for side in np.floor(size + 1e-6))
    assert size.min() > 900
    assert files["svg"].read_text(encoding="utf-8").rstrip().endswith("</svg>")
    rows = list(csv.reader(files["csv"].read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["winner", "loser", "p", "in_cycle", "drawn"]
    assert len(rows) == 11


def test_provenance(tmp_path):
    files = written(draw_heatmap(minneapolis()), tmp_path, seed=7)
    record = json.loads(files["provenance.json"].read_text(encoding="utf-8"))
    assert (record["command"], record["seed"]) == ("a test", 7)
    assert {"python", "numpy", "scipy", "matplotlib", "stackelberg"} <= set(record["versions"])
    assert record["versions"]["numpy"] == np.__version__
    assert datetime.fromisoformat(record["time"]).tzinfo is not None
    assert record["files"] == ["heatmap.svg", "heatmap.png", "heatmap.csv"]


def test_no_file_holds_a_path_of_this_machine(tmp_path):
    command = f"stackelberg solve {tmp_path}/wins.csv --out={tmp_path}"
    for path in save(draw_heatmap(minneapolis()), tmp_path, command=command):
        assert str(tmp_path).encode() not in path.read_bytes()
        assert str(ROOT).encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("command", "cut"),
    [
        ("stackelberg solve -", "stackelberg solve -"),
        ("solve /a/b/wins.csv --out /a/b/x", "solve wins.csv --out x"),
        ("solve sub/wins.csv --out=/a/b/x/", "solve sub/wins.csv --out=x"),
        (r"'C:\Users\me\my wins.csv'", "'my wins.csv'"),
        ("it's /a/b", "it's b"),
    ],
)
def test_folders_are_cut_out_of_commands(command, cut):
    assert without_folders(command) == cut


@pytest.mark.parametrize("painter", ["tournament", "heatmap", "refinement", "comparison", "sensitivity"])
def test_a_second_run_writes_the_same_bytes(tmp_path, painter):
    first, second = (written(PAINTERS[painter](minneapolis()), tmp_path / run) for run in ("a", "b"))
    for ending in ("svg", "png", "csv"):
        assert first[ending].read_bytes() == second[ending].read_bytes(), ending


def test_another_process_writes_the_same_bytes(tmp_path):
    code = (
        "import sys, stackelberg as sb; from analysis.figures import draw_simplex, save\n"
        "save(draw_simplex(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25])), sys.argv[1], command='a test')\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    run = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "a")]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
    here = written(draw_simplex(MATRICES["paradox"]), tmp_path / "b")
    for ending in ("svg", "png", "csv"):
        assert (tmp_path / "a" / f"simplex.{ending}").read_bytes() == here[ending].read_bytes(), ending


def test_the_readers_own_settings_change_nothing_and_are_left_alone(tmp_path):
    plain = written(draw_heatmap(minneapolis()), tmp_path / "plain")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.hashsalt": None}):
        before = dict(matplotlib.rcParams)
        odd = written(draw_heatmap(minneapolis()), tmp_path / "odd")
        assert dict(matplotlib.rcParams) == before
    assert plain["svg"].read_bytes() == odd["svg"].read_bytes()


def test_a_name_that_cannot_name_files(tmp_path):
    drawing = draw_heatmap(minneapolis())
    object.__setattr__(drawing, "name", "../evil")
    with pytest.raises(ValueError, match="cannot name files"):
        save(drawing, tmp_path, command="a test")
    assert list(tmp_path.iterdir()) == []


def test_provenance_without_a_seed():
    assert provenance("a test", None)["seed"] is None


# --- the data file holds the numbers drawn -----------------------------------------------------------


def test_heatmap_data_are_its_cells(tmp_path):
    P = MATRICES["nine"]
    drawing = draw_heatmap(P)
    image = drawing.figure.axes[0].images[0].get_array()
    files = written(drawing, tmp_path)
    rows = list(csv.DictReader(files["csv"].read_text(encoding="utf-8").splitlines()))
    np.testing.assert_array_equal([float(row["p"]) for row in rows], np.asarray(image).ravel())
    for row in rows:
        assert float(row["p"]) == P.probabilities[P.labels.index(row["row"]), P.labels.index(row["column"])]


def test_tournament_arrows_are_its_data():
    drawing = draw_tournament(minneapolis())
    arrows = [patch for patch in drawing.figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == len(drawing.rows) == 10
    assert sum(arrow.get_linewidth() > 2 for arrow in arrows) == sum(row[3] for row in drawing.rows) == 3
    shown = {text.get_text() for text in drawing.figure.axes[0].texts}
    assert {f"{row[2]:.3f}" for row in drawing.rows} <= shown


def test_comparison_bars_are_its_data():
    drawing = draw_comparison(compare(minneapolis(), tau=0.1))
    bars = [patch.get_width() for axes in drawing.figure.axes[1:] for patch in axes.patches]
    assert bars == [row[3] for row in drawing.rows if row[1] == "probability"]


def test_refinement_lines_are_its_data():
    solution = sb.solve(sb.StackelbergGame(MATRICES["thirds"], tau=0))
    drawing = draw_refinement(solution, 4)
    wins, covered = drawing.figure.axes[1:]
    data = {name: [row[4] for row in drawing.rows if row[0] == name] for name in {row[0] for row in drawing.rows}}
    np.testing.assert_allclose(data["p(y_k ≻ y_1)"], [1 / 2, 2 / 3, 1 / 3, 1 / 2], atol=1e-12)
    np.testing.assert_allclose(data["coverage SLHF"], [1 / 3, 2 / 3, 1, 1], atol=1e-12)
    np.testing.assert_allclose(data["coverage NLHF independent"][:3], [1 / 3, 5 / 9, 19 / 27], atol=1e-12)
    np.testing.assert_array_equal(wins.lines[-1].get_ydata(), data["p(y_k ≻ y_1)"])
    drawn = [list(line.get_ydata()) for line in covered.lines]
    assert drawn == [data[f"coverage {name}"] for name in ("SLHF", "NLHF independent", "NLHF without replacement")]
    assert "A → C → B → A" in drawing.figure.texts[1].get_text().replace("\n", " ")


def test_sensitivity_whiskers_are_its_data():
    found = sensitivity(minneapolis(), draws=40)
    drawing = draw_sensitivity(found)
    shares = [row for row in drawing.rows if row[:2] == (RLHF, "share of random samplings")]
    assert [row[3:] for row in shares] == [
        tuple(float(array[found.labels.index(row[2])]) for array in (s.frequency, s.low, s.high))
        for row in shares
        for s in [found.spread(RLHF)]
    ]
    segments = drawing.figure.axes[1].collections[0].get_segments()
    np.testing.assert_allclose([segment[:, 0] for segment in segments], [row[4:] for row in shares])


def test_simplex_points_are_its_data():
    drawing = draw_simplex(MATRICES["paradox"], tau=0)
    data = {row[1]: row[2:] for row in drawing.rows if row[0] == "solution"}
    np.testing.assert_allclose(data[NLHF], [0.5, 0.2, 0.3], atol=1e-12)
    assert data[LEADER] == (1, 0, 0)
    assert data[FOLLOWER] == (0, 0, 1)


# --- what is drawn -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_tournaments_smith_set_has_a_cycle_through_all_of_it(seed):
    beats = majority(sb.PreferenceMatrix.random(4 + seed, seed=seed))
    members = np.flatnonzero(smith_set(beats))
    inside = beats[np.ix_(members, members)]
    ring = cycle_through(inside)
    assert sorted(ring) == (list(range(len(members))) if len(members) > 1 else [])
    assert all(inside[a, b] for a, b in zip(ring, [*ring[1:], *ring[:1]], strict=True))


def test_with_ties_the_cycle_is_still_one():
    beats = majority(sb.PreferenceMatrix.cycle(4))  # opposite ones tie
    assert cycle_through(beats) == [0, 1, 2, 3]
    assert cycle_through(majority(MATRICES["tied"])) == []


@pytest.mark.parametrize("seed", range(5))
def test_best_reply_regions_are_where_the_reply_is_best(seed):
    p = sb.PreferenceMatrix.random(3, seed=seed).probabilities
    regions = best_reply_regions(p)
    for mixture in np.random.default_rng(seed).dirichlet(np.ones(3), 100):
        best = int((p @ mixture).argmax())
        inside = [region.actions for region in regions if _contains(region.corners, mixture)]
        assert inside == [(best,)]


def _contains(corners, point):
    return Polygon(corners[:, :2], closed=True).get_path().contains_point(point[:2])


def test_actions_that_tie_everywhere_share_a_region():
    (region,) = best_reply_regions(np.full((3, 3), 0.5))
    assert region.actions == (0, 1, 2)


def test_preference_colours_read_in_grey_and_part_at_one_half():
    colours = preference_colours()(np.linspace(0, 1, 101))[:, :3]
    grey = colours @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) < 0).all()
    warmth = colours[:, 0] - colours[:, 2]  # red less blue
    assert (warmth[:50] > 0).all()
    assert abs(warmth[50]) < 0.02
    assert (warmth[51:] < 0).all()


def test_concepts_differ_by_more_than_colour():
    assert len({look.marker for look in LOOKS.values()}) == len(LOOKS)
    assert len({look.colour for look in LOOKS.values()}) == len(LOOKS)


def test_more_than_25_actions_are_thinned_out_and_the_title_says_so():
    ladder = np.full((40, 40), 0.5) + 0.4 * (np.triu(np.ones((40, 40)), 1) - np.tril(np.ones((40, 40)), -1))
    ladder[0, 2], ladder[2, 0] = 0.1, 0.9  # a cycle of three at the top
    words = draw_tournament(sb.PreferenceMatrix(ladder)).figure.texts
    assert words[0].get_text() == "Who beats whom: 3 of 40 drawn"
    assert "37 others are left out" in words[1].get_text().replace("\n", " ")
    crowd = draw_tournament(MATRICES["sixty"]).figure.texts[0].get_text()
    assert crowd == "Who beats whom: 25 of 60 drawn"


def test_pairs_never_compared_are_mentioned():
    P = sb.PreferenceMatrix.from_counts([[0, 3, 0], [1, 0, 2], [0, 2, 0]], labels=list("ABC"))
    for draw in (draw_tournament, draw_heatmap):
        assert "ever compared" in draw(P).figure.texts[-1].get_text()


def test_no_finite_fit_is_said_where_the_bars_would_be():
    drawing = draw_comparison(compare(SWEEP))
    assert drawing.figure.axes[1].texts[0].get_text() == "no finite fit"
    assert "RLHF has no answer" in drawing.figure.texts[-1].get_text()
    assert not [row for row in drawing.rows if row[0] == RLHF]


# --- words -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", LONG)
@pytest.mark.parametrize("width", [0.4, 1.0, 2.5])
def test_wrapped_lines_fit_and_lose_nothing(label, width):
    lines = wrapped(label, width).split("\n")
    assert all(text_width(line) <= width for line in lines)
    assert "".join(lines).replace("-", "").replace(" ", "") == "".join(label.split()).replace("-", "")


def test_wrapping_to_so_many_lines_cuts_with_an_ellipsis():
    lines = wrapped(LONG[0], 1.0, lines=2).split("\n")
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert text_width(lines[1]) <= 1.0


def test_spread_out_keeps_order_and_distance():
    placed = spread_out([0.5, 0.5, 0.5, 0.9], 0.1, 0.0, 1.0)
    assert (np.diff(placed) >= 0.1 - 1e-6).all()
    assert spread_out([0.2, 0.8], 0.1, 0.0, 1.0) == [0.2, 0.8]


# --- the door of the command line --------------------------------------------------------------------

GAMES = {
    "stackelberg": (lambda P: sb.StackelbergGame(P, tau=0.1), ["tournament", "heatmap", "policy", "refinement"]),
    "nash": (lambda P: sb.NashGame(P, tau=0.1), ["tournament", "heatmap", "policy"]),
    "reward": (lambda P: sb.RewardGame(P, tau=0.1), ["tournament", "heatmap", "policy"]),
}


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("matrix", ["election", "paradox"])
def test_draw_solution_writes_what_suits_the_game(tmp_path, game, matrix):
    build, names = GAMES[game]
    expected = names + (["simplex"] if matrix == "paradox" else [])
    paths = draw_solution(sb.solve(build(MATRICES[matrix])), tmp_path, command="a test", seed=1)
    endings = ("svg", "png", "csv", "provenance.json")
    assert [path.name for path in paths] == [f"{name}.{ending}" for name in expected for ending in endings]
    assert all(path.stat().st_size > 50 for path in paths)


@pytest.mark.parametrize("game", GAMES)
def test_one_of_several_contexts_is_drawn_as_if_it_were_alone(tmp_path, game):
    build, _ = GAMES[game]
    many = sb.PreferenceMatrix.random(4, seed=5, contexts=2)
    alone = sb.PreferenceMatrix(many.probabilities[1])
    first = draw_solution(sb.solve(build(many)), tmp_path / "a", command="a test", context=1)
    second = draw_solution(sb.solve(build(alone)), tmp_path / "b", command="a test")
    for here, there in zip(first, second, strict=True):
        if here.suffix == ".csv":
            assert here.read_bytes() == there.read_bytes()


@pytest.mark.parametrize("shared", [False, True])
def test_contexts_keep_their_own_tau_reference_and_sampling(shared):
    many = sb.PreferenceMatrix.random(3, seed=5, contexts=2)
    reference = [0.2, 0.3, 0.5] if shared else [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]
    tau = 0.4 if shared else [0.1, 0.4]
    sampling = np.random.default_rng(0).random((3, 3) if shared else (2, 3, 3))
    games = [
        sb.StackelbergGame(many, tau_leader=tau, tau_follower=0.2, leader_reference=reference),
        sb.NashGame(many, tau, reference),
        sb.RewardGame(many, tau, sampling, reference=reference),
    ]
    for game in games:
        solution = sb.solve(game)
        one = of_context(solution, 1)
        again = sb.solve(one.game)  # the game of the one context alone has the solution that was cut out
        policies = [(s.leader if isinstance(game, sb.StackelbergGame) else s.policy) for s in (one, again)]
        np.testing.assert_allclose(*policies, atol=1e-9)
        assert isinstance(one.value, float)
        assert one.value == pytest.approx(again.value, abs=1e-9)


def test_several_contexts_need_a_choice(tmp_path):
    solution = sb.solve(sb.NashGame(sb.PreferenceMatrix.random(4, contexts=2)))
    with pytest.raises(ValueError, match=r"this solution has 2\. Pass context="):
        draw_solution(solution, tmp_path, command="a test")
    with pytest.raises(ValueError, match="no context 2"):
        draw_solution(solution, tmp_path, command="a test", context=2)
    assert list(tmp_path.iterdir()) == []


def test_errors_are_clear():
    with pytest.raises(ValueError, match=r"P has 5\. Name three"):
        draw_simplex(minneapolis())
    with pytest.raises(ValueError, match="no action 'Nobody'"):
        draw_simplex(minneapolis(), actions=["Nobody", "Cam Gordon", "Yusra Arab"])
    with pytest.raises(ValueError, match="not three different"):
        draw_simplex(minneapolis(), actions=["Cam Gordon", "Cam Gordon", "Yusra Arab"])
    with pytest.raises(ValueError, match="must sum to 1"):
        draw_simplex(MATRICES["paradox"], {"mine": [1, 1, 1]})
    with pytest.raises(ValueError, match="no solutions"):
        draw_simplex(MATRICES["paradox"], {})
    solution = sb.solve(sb.StackelbergGame(minneapolis()))
    with pytest.raises(ValueError, match="rounds must be a whole number"):
        draw_refinement(solution, 0)
    with pytest.raises(ValueError, match="has no context 0"):
        draw_heatmap(minneapolis(), context=0)


def test_simplex_of_three_named_actions_and_of_given_solutions():
    three = ["Cam Gordon", "Robin Wonsley Worlobah", "Yusra Arab"]
    drawing = draw_simplex(minneapolis(), tau=0, actions=three)
    assert drawing.columns == ("kind", "name", *three)
    solution = sb.solve(sb.StackelbergGame(MATRICES["paradox"], tau=0))
    rows = [row[:2] for row in draw_simplex(MATRICES["paradox"], [solution]).rows if row[0] == "solution"]
    assert rows == [("solution", LEADER), ("solution", FOLLOWER)]
    assert draw_simplex(MATRICES["paradox"], {"mine": [1, 0, 0]}).rows[0] == ("solution", "mine", 1, 0, 0)


# --- real data ---------------------------------------------------------------------------------------


def pokemon(folder):
    factor = np.zeros((18, 18))
    for row in csv.DictReader((folder / "pokemon-types" / "type_efficacy.csv").read_text().splitlines()):
        factor[int(row["damage_type_id"]) - 1, int(row["target_type_id"]) - 1] = int(row["damage_factor"]) / 100
    names = [
        row["identifier"] for row in csv.DictReader((folder / "pokemon-types" / "types.csv").read_text().splitlines())
    ]
    return sb.PreferenceMatrix.from_margins((factor - factor.T) / 4, labels=names[:18])


def programs(folder):
    table = (folder / "repeated-rps-bots" / "rrps_bot_table_43.txt").read_text()
    cells = [line.strip().strip("()").replace("'", "").split(", ") for line in table.splitlines() if line.strip()]
    names = sorted({cell[0] for cell in cells})
    score = np.zeros((43, 43))
    for row, column, value in cells:
        score[names.index(row), names.index(column)] = float(value) / 1000
    return sb.PreferenceMatrix.from_margins((score - score.T) / 2, labels=names)


@pytest.mark.parametrize("painter", [name for name in PAINTERS if name != "sensitivity"])
@pytest.mark.parametrize("load", [pokemon, programs])
def test_real_data_are_legible(shared_data, load, painter):
    assert_legible(PAINTERS[painter](load(shared_data)))
