"""The enumerated field is the derivative of f, written down here a second time and differentiated numerically."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stackelberg as sb
from stackelberg.field import Field, natural_field
from stackelberg.point import Point
from stackelberg.policy import Tabular
from stackelberg.simplex import project, softmax

GEOMETRIES = [sb.Natural(), sb.Softmax(), sb.Simplex()]
STEP = 1e-5


def kl(p, q):
    return (p * np.log(p / q)).sum(axis=-1)


def stackelberg(rng, p):
    """A game, and f for each player as who maximises it."""
    n = len(p)
    leader_reference, follower_reference = rng.dirichlet(np.full(n, 3.0)), rng.dirichlet(np.full(n, 3.0), n)
    game = sb.StackelbergGame(
        p, tau_leader=0.7, tau_follower=0.3, leader_reference=leader_reference, follower_reference=follower_reference
    )

    def f(pi, omega):
        rows = (omega * p).sum(axis=1) + 0.3 * kl(omega, follower_reference)
        return pi @ rows - 0.7 * kl(pi, leader_reference)

    point = rng.dirichlet(np.full(n, 3.0)), rng.dirichlet(np.full(n, 3.0), n)
    return game, [lambda own: f(own, point[1]), lambda own: -f(point[0], own)], point


def nash(rng, p):
    reference, pi = rng.dirichlet(np.full(len(p), 3.0), 2)
    earns = lambda own: own @ p @ pi - 0.4 * kl(own, reference) + 0.4 * kl(pi, reference)  # noqa: E731
    return sb.NashGame(p, 0.4, reference), [earns], (pi,)


def reward(rng, p):
    reference, pi = rng.dirichlet(np.full(len(p), 3.0), 2)
    game = sb.RewardGame(p, 0.4, reference=reference)
    rewards = sb.solve(game).rewards
    return game, [lambda own: own @ rewards - 0.4 * kl(own, reference)], (pi,)


def derivative(f, table, moved):
    """∂f along each cell: ``moved(table, cell, h)`` is the table with the cell pushed by h."""
    slopes = [
        (f(moved(table, cell, STEP)) - f(moved(table, cell, -STEP))) / (2 * STEP) for cell in np.ndindex(table.shape)
    ]
    return np.array(slopes).reshape(table.shape)


def push_logit(table, cell, h):
    logits = np.log(table)
    logits[cell] += h
    return softmax(logits)


def push_probability(table, cell, h):
    """One cell up, the others of its row down alike: along the simplex."""
    moved = table.copy()
    moved[cell[:-1]] -= h / table.shape[-1]
    moved[cell] += h
    return moved


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda geometry: type(geometry).__name__)
@pytest.mark.parametrize("make", [stackelberg, nash, reward], ids=lambda make: make.__name__)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_field_is_the_derivative_of_f(make, geometry, seed):
    rng = np.random.default_rng(seed)
    p = 0.1 + 0.8 * sb.PreferenceMatrix.random(int(rng.integers(2, 5)), seed).probabilities
    game, payoffs, tables = make(rng, p)
    point = Point(geometry, tuple(Tabular.from_probabilities(table[None]) for table in tables))
    field = Field(natural_field(game))
    for player, (f, table) in enumerate(zip(payoffs, tables, strict=True)):
        found = field(point).total[player][0]
        if isinstance(geometry, sb.Softmax):
            wanted = derivative(f, table, push_logit)
        else:
            wanted = derivative(f, table, push_probability)
            found = found - found.mean(axis=-1, keepdims=True)
            if isinstance(geometry, sb.Natural) and player == 1:
                found = found * tables[0][:, None]  # f weighs the row y by π(y); the natural gradient divides it out
        np.testing.assert_allclose(found, wanted, atol=1e-7)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 12), rows=st.integers(1, 4))
def test_projection_is_the_closest_point_of_the_simplex(seed, n, rows):
    """Its mark: what lies above zero was lowered by one λ, and whatever was lowered to zero lay below λ."""
    rng = np.random.default_rng(seed)
    values = rng.normal(scale=10.0 ** rng.integers(-3, 4), size=(rows, n))
    projected = project(values)
    np.testing.assert_allclose(projected.sum(axis=-1), 1, atol=1e-9)
    assert (projected >= 0).all()
    for value, row in zip(values, projected, strict=True):
        lowered = (value - row)[row > 0]
        np.testing.assert_allclose(lowered, lowered[0], rtol=1e-9, atol=1e-9)
        assert (value[row == 0] <= lowered[0] + 1e-9).all()
