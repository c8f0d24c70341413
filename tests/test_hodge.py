"""The Hodge decomposition: its identities, closed forms, and least squares by another road."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cases import preferences
from hypothesis import given
from hypothesis import strategies as st

import stackelberg as sb
from analysis import Flow, hodge
from analysis.hodge import cyclic_share
from analysis.tournament import margins


def random_weights(rng: np.random.Generator, n: int, density: float) -> np.ndarray:
    """Symmetric whole-number weights, many of them zero."""
    w = np.triu(rng.integers(1, 30, (n, n)) * (rng.random((n, n)) < density), 1).astype(float)
    return w + w.T


@given(preferences)
def test_the_parts_are_orthogonal_and_add_up(p: np.ndarray) -> None:
    parts = hodge(sb.PreferenceMatrix(p))
    scale = max(parts.energy, 1e-30)
    np.testing.assert_allclose(parts.gradient + parts.cyclic, parts.flow, atol=1e-15)
    np.testing.assert_allclose(parts.flow, -parts.flow.T, atol=0)
    assert abs((parts.gradient * parts.cyclic).sum() / 2) <= 1e-12 * scale
    np.testing.assert_allclose(parts.cyclic.sum(axis=1), 0, atol=1e-14)  # no divergence is left
    assert 0 <= parts.cyclic_share <= 1
    np.testing.assert_allclose(cyclic_share(p), parts.cyclic_share, atol=1e-12)


@given(st.integers(0, 10**6), st.integers(2, 9), st.sampled_from([0.2, 0.5, 1.0]), st.sampled_from(list(Flow)))
def test_weighted_scores_are_the_least_squares_fit_edge_by_edge(seed: int, n: int, density: float, flow: Flow) -> None:
    rng = np.random.default_rng(seed)
    P, w = sb.PreferenceMatrix.random(n, seed=seed), random_weights(rng, n, density)
    parts = hodge(P, flow=flow, weights=w)
    edges = [(i, j) for i, j in itertools.combinations(range(n), 2) if w[i, j] > 0]
    incidence = np.zeros((len(edges), n))
    for row, (i, j) in enumerate(edges):
        incidence[row, [i, j]] = 1, -1
    root = np.sqrt([w[e] for e in edges])
    wanted = np.array([parts.flow[e] for e in edges])
    scores = np.linalg.lstsq(root[:, None] * incidence, root * wanted, rcond=None)[0] if edges else np.zeros(n)
    gradient, flowing = incidence @ scores, (root * wanted) @ (root * wanted)
    np.testing.assert_allclose([parts.gradient[e] for e in edges], gradient, atol=1e-9)
    expected = ((root * (wanted - gradient)) ** 2).sum() / flowing if flowing else 0.0
    assert parts.cyclic_share == pytest.approx(expected, abs=1e-9)
    for part in range(parts.parts.max() + 1):
        assert abs(parts.potential[parts.parts == part].mean()) < 1e-9
    np.testing.assert_array_equal(parts.flow[w == 0], 0)
    np.testing.assert_array_equal(parts.cyclic[w == 0], 0)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_equal_weights_of_any_size_are_the_row_means(scale: float) -> None:
    P = sb.PreferenceMatrix.random(7, seed=3)
    one, other = hodge(P), hodge(P, weights=np.full((7, 7), scale))
    np.testing.assert_allclose(one.potential, margins(P).mean(axis=1), atol=1e-15)
    np.testing.assert_allclose(one.potential, other.potential, atol=1e-12)
    assert other.cyclic_share == pytest.approx(one.cyclic_share, abs=1e-12)
    assert other.energy == pytest.approx(scale * one.energy, rel=1e-12)


@given(st.lists(st.floats(-6, 6), min_size=2, max_size=9))
def test_log_odds_of_bradley_terry_are_all_gradient(scores: list[float]) -> None:
    parts = hodge(sb.PreferenceMatrix.from_scores(scores), flow=Flow.LOG_ODDS)
    np.testing.assert_allclose(parts.potential, np.array(scores) - np.mean(scores), atol=1e-9)
    np.testing.assert_allclose(parts.cyclic, 0, atol=1e-9)
    assert parts.cyclic_share < 1e-9 or parts.energy < 1e-12


@pytest.mark.parametrize("flow", Flow)
@pytest.mark.parametrize("n", [3, 4, 5, 8])
def test_a_pure_cycle_is_all_cyclic(n: int, flow: Flow) -> None:
    parts = hodge(sb.PreferenceMatrix.cycle(n, strength=0.8), flow=flow)
    np.testing.assert_allclose(parts.potential, 0, atol=1e-15)
    assert parts.cyclic_share == pytest.approx(1.0, abs=1e-15)


@given(st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3))
def test_three_actions_in_closed_form(flows: list[float]) -> None:
    a, b, c = flows  # along A→B, B→C, C→A: the circulation is their mean
    P = sb.PreferenceMatrix(0.5 + np.array([[0, a, -c], [-a, 0, b], [c, -b, 0]]))
    energy = a * a + b * b + c * c
    expected = (a + b + c) ** 2 / (3 * energy) if max(map(abs, flows)) > 1e-12 else 0.0
    assert float(cyclic_share(P)) == pytest.approx(expected, abs=1e-6)


def test_on_all_pairs_the_cyclic_part_is_made_of_triangles() -> None:
    f = margins(sb.PreferenceMatrix.random(6, seed=5))
    curl = f[:, :, None] + f[None, :, :] - f[:, None, :]  # (i, j, k): round i → j → k → i
    np.testing.assert_allclose(hodge(sb.PreferenceMatrix.random(6, seed=5)).cyclic, curl.mean(axis=2), atol=1e-15)


def test_a_ring_without_triangles_is_harmonic_and_still_cyclic() -> None:
    P = sb.PreferenceMatrix.from_margins(0.4 * (np.roll(np.eye(4), 1, axis=1) - np.roll(np.eye(4), -1, axis=1)))
    ring = (np.array(P) != 0.5).astype(float)
    assert hodge(P, weights=ring).cyclic_share == pytest.approx(1.0)


def test_parts_that_were_never_compared_with_each_other() -> None:
    wins = np.zeros((4, 4))
    wins[0, 1], wins[1, 0], wins[2, 3] = 3, 1, 2
    P = sb.PreferenceMatrix.from_counts(wins)
    parts = hodge(P, weights=P.comparisons)
    assert parts.parts.tolist() == [0, 0, 1, 1]
    np.testing.assert_allclose(parts.potential, [0.125, -0.125, 0.25, -0.25], atol=1e-15)
    assert parts.cyclic_share == pytest.approx(0.0, abs=1e-15)


def test_without_energy_nothing_is_cyclic() -> None:
    tied = sb.PreferenceMatrix(np.full((3, 3), 0.5))
    assert hodge(tied).cyclic_share == hodge(tied).energy == 0.0
    assert hodge(sb.PreferenceMatrix.cycle(3), weights=np.zeros((3, 3))).cyclic_share == 0.0
    assert cyclic_share(np.stack([tied, sb.PreferenceMatrix.cycle(3)])).tolist() == [0.0, 1.0]


def test_infinite_log_odds_are_refused_and_margins_proposed() -> None:
    P = sb.PreferenceMatrix([[0.5, 0.7, 1], [0.3, 0.5, 0.6], [0, 0.4, 0.5]], labels=["tea", "milk", "rum"])
    with pytest.raises(ValueError, match=r"'tea' against 'rum' are infinite: p is 1\. .*flow=Flow\.MARGIN"):
        hodge(P, flow=Flow.LOG_ODDS)
    without = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0.0]])
    np.testing.assert_allclose(hodge(P, flow=Flow.LOG_ODDS, weights=without).flow[0, 1], np.log(7 / 3))


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.ones((2, 2)), "must have shape"),
        (-np.ones((3, 3)), "must not be negative"),
        (np.triu(np.ones((3, 3))), "must be symmetric"),
        (np.full((3, 3), np.nan), "must be finite"),
        ([[0, 1, 1e-14], [1, 0, 1], [1e-14, 1, 0]], "too far for float64"),
    ],
)
def test_weights_that_are_no_weights_are_refused(weights: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        hodge(sb.PreferenceMatrix.cycle(3), weights=weights)  # type: ignore[arg-type]


def test_a_flow_is_an_object_and_a_context_is_chosen() -> None:
    with pytest.raises(ValueError, match=r"flow must be one of Flow\.MARGIN"):
        hodge(sb.PreferenceMatrix.cycle(3), flow="margin")  # type: ignore[arg-type]
    both = sb.PreferenceMatrix(np.stack([sb.PreferenceMatrix.cycle(3), sb.PreferenceMatrix.from_scores([1, 2, 3])]))
    assert hodge(both, context=0).cyclic_share > hodge(both, context=1).cyclic_share
    with pytest.raises(ValueError, match="context=0"):
        hodge(both)
