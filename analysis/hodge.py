"""Hodge decomposition of a preference flow: what a ranking explains, and what goes round."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from analysis.tournament import ROUNDING, margins, one_context
from stackelberg import PreferenceMatrix
from stackelberg.validation import Array, as_floats


class Flow(enum.Enum):
    """Which skew-symmetric flow is decomposed."""

    MARGIN = "margin"
    """p − ½: always finite (the default)."""
    LOG_ODDS = "log-odds"
    """log p/(1 − p), in nats: of Bradley–Terry preferences exactly the gradient; infinite at p ∈ {0, 1}."""


@dataclass(frozen=True, eq=False)
class Hodge:
    """A flow split in two: ``flow = gradient + cyclic``, orthogonal under the weights.

    On pairs of weight 0 all three are 0: they are no edges.

    Attributes:
        potential: (n,) the best-fitting scores s, of mean zero in each connected part, in units of the flow.
        flow: (n, n) what was decomposed.
        gradient: (n, n) ``s(y) − s(y')``.
        cyclic: (n, n) the rest; no scores explain any of it. Where every pair has weight it is all made of
            3-cycles (curl); otherwise it is curl and harmonic flow together, around the holes of the graph.
        energy: ``Σ_{y<y'} w(y,y') flow(y,y')²``.
        cyclic_share: the part of the energy in ``cyclic``, in [0, 1]; 0 where there is no energy (all ties).
        parts: (n,) the number of the connected part that each action belongs to; all 0 where the weights
            connect them all. Scores of different parts cannot be compared.
    """

    potential: Array
    flow: Array
    gradient: Array
    cyclic: Array
    energy: float
    cyclic_share: float
    parts: np.ndarray


def hodge(
    P: PreferenceMatrix,
    *,
    flow: Flow = Flow.MARGIN,
    weights: ArrayLike | None = None,
    context: int | None = None,
) -> Hodge:
    """Split p − ½, or the log-odds, into a gradient (scores) and a cyclic part.

    The scores minimise ``Σ w(y,y') (s(y) − s(y') − flow(y,y'))²``. With equal weights they are the row means
    of the flow; otherwise they solve the weighted Laplacian system.

    Args:
        P: preferences, one matrix, or one a context.
        flow: :attr:`Flow.MARGIN` or :attr:`Flow.LOG_ODDS`.
        weights: (n, n), symmetric, not negative, for example ``P.comparisons``; None weighs every pair
            equally, also the pairs that were never compared (their ½ counts as a tie).
        context: which context, where there are several.

    Raises:
        ValueError: log-odds that are infinite on a pair with weight; weights that are no weights.

    Source: Jiang, Lim, Yao and Ye, *Statistical ranking and combinatorial Hodge theory*, Mathematical
        Programming 127 (2011).

    Example:
        >>> import stackelberg as sb
        >>> parts = hodge(sb.PreferenceMatrix.condorcet([0.4, 0.35, 0.25]))
        >>> parts.potential.round(4).tolist(), round(parts.cyclic_share, 4)
        ([0.0167, 0.0333, -0.05], 0.8772)
    """
    if not isinstance(flow, Flow):
        raise ValueError(f"flow must be one of {', '.join(map(str, Flow))}, not {flow!r}.")
    P = one_context(P, context)
    w = _checked_weights(weights, P.n)
    f = np.where(w > 0, _flow(P, flow, w), 0.0)
    potential, parts = (f.mean(axis=1), np.zeros(P.n, int)) if weights is None else _least_squares(f, w)
    gradient = np.where(w > 0, potential[:, None] - potential[None, :], 0.0)
    energy, cyclic_energy = float((w * f**2).sum()) / 2, float((w * (f - gradient) ** 2).sum()) / 2
    share = min(1.0, cyclic_energy / energy) if np.abs(f).max() > ROUNDING else 0.0
    return Hodge(potential, f, gradient, f - gradient, energy, share, parts)


def cyclic_share(P: ArrayLike) -> Array:
    """The cyclic part's share of the energy of p − ½, all pairs equal: shape (…) for a batch (…, n, n).

    >>> import stackelberg as sb
    >>> float(cyclic_share(sb.PreferenceMatrix.cycle(5)))
    1.0
    """
    f = margins(P)
    energy = np.einsum("...ij,...ij->...", f, f) / 2
    share = cyclic_energy(P) / np.where(energy > 0, energy, 1.0)
    tied = np.abs(f).max(axis=(-2, -1)) <= ROUNDING
    return np.asarray(np.where(tied, 0.0, np.minimum(share, 1.0)))


def cyclic_energy(P: ArrayLike) -> Array:
    """The energy of the cyclic part of p − ½, all pairs equal, ``Σ_{y<y'} cyclic²``: (…) for (…, n, n).

    >>> import stackelberg as sb
    >>> float(cyclic_energy(sb.PreferenceMatrix.cycle(3)))
    0.75
    """
    f = margins(P)
    scores = f.mean(axis=-1)
    rest = f - (scores[..., :, None] - scores[..., None, :])
    return np.asarray(np.einsum("...ij,...ij->...", rest, rest) / 2)


def _flow(P: PreferenceMatrix, flow: Flow, w: Array) -> Array:
    m = margins(P)
    if flow is Flow.MARGIN:
        return m
    extreme = np.argwhere((np.abs(m) >= 0.5) & (w > 0))
    if len(extreme):
        y, other = (P.labels[i] for i in extreme[0])
        raise ValueError(
            f"The log-odds of {y!r} against {other!r} are infinite: p is {0.5 + m[tuple(extreme[0])]:g}. "
            "Decompose p - 1/2 instead: flow=Flow.MARGIN."
        )
    inside = np.where(w > 0, m, 0.0)
    return np.asarray(np.log1p(2 * inside) - np.log1p(-2 * inside))


def _checked_weights(weights: ArrayLike | None, n: int) -> Array:
    """(n, n) weights with a zero diagonal, or a ``ValueError``."""
    w = np.ones((n, n)) if weights is None else as_floats(weights, "weights")
    if w.shape != (n, n):
        raise ValueError(f"weights must have shape {(n, n)}, one a pair, not {w.shape}.")
    for wrong, demand in ((w < 0, "must not be negative"), (w != w.T, "must be symmetric")):
        if wrong.any():
            cell = tuple(np.argwhere(wrong)[0].tolist())
            raise ValueError(f"weights {demand}; at {cell} it is {w[cell]:.6g}. Pass P.comparisons?")
    np.fill_diagonal(w, 0.0)
    if w.any() and w.max() > 1e12 * w[w > 0].min():
        raise ValueError(
            f"weights run from {w[w > 0].min():.3g} to {w.max():.3g}, too far for float64. Set the smallest to 0."
        )
    return w


def _least_squares(f: Array, w: Array) -> tuple[Array, np.ndarray]:
    """Scores that fit the flow best under weights, of mean zero in each connected part, and the parts."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    w = w / max(w.max(), np.finfo(float).tiny)
    _, parts = connected_components(csr_array(w > 0), directed=False)
    potential = np.zeros(len(f))
    for part in range(parts.max() + 1):
        inside = np.flatnonzero(parts == part)
        cells = np.ix_(inside, inside)
        laplacian = np.diag(w[cells].sum(axis=1)) - w[cells]
        scale = laplacian.trace() or 1.0  # pins the mean of the part to zero, in the Laplacian's own units
        pinned = laplacian + scale / len(inside) ** 2
        potential[inside] = np.linalg.solve(pinned, (w[cells] * f[cells]).sum(axis=1))
    return potential, parts
