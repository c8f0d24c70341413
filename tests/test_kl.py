"""The divergence keeps its digits, however small or large it is."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stackelberg.simplex import kl_divergence


def exact(policy, reference):
    """``Σ p log(p/q) − p + q`` of these very floats, in sixty digits."""
    with localcontext() as context:
        context.prec = 60
        pairs = [(Decimal(float(p)), Decimal(float(q))) for p, q in zip(policy, reference, strict=True)]
        return float(sum(q if p == 0 else p * (p / q).ln() - p + q for p, q in pairs))


@given(st.integers(0, 2**31), st.sampled_from([1e-9, 1e-6, 1e-4, 1e-2, 0.3, 3.0, 100.0]), st.integers(2, 12))
def test_digits(seed, size, n):
    rng = np.random.default_rng(seed)
    reference = rng.dirichlet(np.ones(n))
    policy = reference * np.exp(size * rng.uniform(-1, 1, n))
    policy /= policy.sum()
    wanted = exact(policy, reference)
    assert kl_divergence(policy, reference) == pytest.approx(wanted, rel=1e-9, abs=1e-32)
    if size > 1e-3:
        assert kl_divergence(policy, reference) == pytest.approx(wanted, rel=1e-11)


@pytest.mark.parametrize(
    ("policy", "reference"),
    [
        ([1.0, 0.0], [0.25, 0.75]),
        ([1.0, 1e-300], [0.5, 0.5]),
        ([5e-324, 1.0], [0.5, 0.5]),
        ([1.0, 0.0], [1e-310, 1.0]),
        ([0.5, 0.5], [1e-300, 1.0]),
        ([1e-300, 1.0], [1e-320, 1.0]),
    ],
)
def test_ratios_beyond_a_floats_reach(policy, reference):
    assert kl_divergence(policy, reference) == pytest.approx(exact(policy, reference), rel=1e-14)


def test_where_it_is_0_infinite_or_no_number():
    assert kl_divergence([0.0, 1.0], [0.0, 1.0]) == 0
    assert kl_divergence([0.3, 0.7], [0.3, 0.7]) == 0
    assert kl_divergence([0.5, 0.5], [0.0, 1.0]) == np.inf
    assert np.isnan(kl_divergence([np.nan, 1.0], [0.5, 0.5]))
    assert kl_divergence(np.zeros((0, 3)), np.ones((0, 3))).shape == (0,)
    rows = kl_divergence(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(rows, [np.log(2), 0])
