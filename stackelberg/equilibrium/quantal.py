"""The regularised Nash equilibrium: the policy that is its own softmax best response.

With margins A = P − ½ (skew-symmetric), reference π_ref and coefficient τ > 0, the game
``max_π min_π' π P π' − τ KL(π‖π_ref) + τ KL(π'‖π_ref)`` has one equilibrium. Both players play it, and it is
the only solution of ``π ∝ π_ref exp(Aπ/τ)``: with a uniform reference, the logit quantal response equilibrium
(McKelvey and Palfrey 1995).

The unknown here is the payoff vector v of ``π = softmax(log π_ref + v/τ)``; it is found when v = Aπ up to a
constant. Two stages:

1. Newton steps on ``F(v) = v − Aπ(v)``. Each Newton matrix is a positive diagonal minus a skew matrix, so it
   is never singular. Along a Newton direction the spread max F − min F falls at unit relative rate, and
   v = Aπ + F stays bounded; so halving the step until the spread falls converges from anywhere, at the end
   quadratically.
2. When τ is small beside A, many of those steps would be short. Such games start Newton near the end of a
   log-barrier central path: τ log(π/π_ref) − Aπ + λ = s, π s = μ, followed down to μ = τ/1000n. Entropy plus
   a skew operator is compatible with that barrier (Nesterov and Nemirovskii 1994, chapter 7), and 5 to 25
   steps are enough at any τ (measured). This is a warm start only: no guarantee rests on it.

Whatever comes out is returned only if its duality gap, computed from the answer itself, is small enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackelberg.equilibrium.central_path import times
from stackelberg.errors import CertificateError
from stackelberg.validation import Array

GAP_TOLERANCE = 1e-12
"""The largest duality gap that is returned, in units of max(1, tau)."""

ROUNDING = 32 * np.finfo(np.float64).eps
"""Newton is done where the spread of F is this share of max |A|."""

CENTRAL_BELOW = 0.1
"""Games with tau below this share of max |A| start from the central path, which ends at …"""

LAST_BARRIER = 1e-3
"""… this share of tau / n. A larger one saves a step or two, but costs many on near ties at tau = 1e-6."""

NEWTON_STEPS, HALVINGS, CENTRAL_STEPS = 100, 40, 100


def regularised_nash(margins: Array, log_reference: Array, tau: Array) -> Array:
    """Log-probabilities of the regularised Nash equilibrium of each game, certified.

    Args:
        margins: A = P − ½ made skew, ``(P − Pᵀ)/2``, shape (batch, n, n).
        log_reference: log π_ref up to a constant, shape (batch, n); −inf bars an action.
        tau: KL coefficient of each game, shape (batch,), finite and positive.

    Returns:
        log π, shape (batch, n): normalised, −inf exactly where the reference is.

    Raises:
        ValueError: a ``tau`` is not positive and finite, or a reference bars every action.
        CertificateError: a duality gap is above ``GAP_TOLERANCE · max(1, tau)``. Not seen for tau ≥ 1e-4
            and |A| ≤ ½; possible far below.

    The distance to the exact equilibrium π* obeys ``KL(π‖π*) ≤ gap / 2τ``. Work: 2 to 10 dense solves of
    order n a game when tau ≥ 0.1 · max |A|, 5 to 30 below.

    >>> rock_paper_scissors = np.array([[[0, 0.5, -0.5], [-0.5, 0, 0.5], [0.5, -0.5, 0]]])
    >>> np.exp(regularised_nash(rock_paper_scissors, np.zeros((1, 3)), np.array([0.1]))).round(6)
    array([[0.333333, 0.333333, 0.333333]])
    >>> towards_rock = np.log([[0.8, 0.1, 0.1]])
    >>> np.exp(regularised_nash(rock_paper_scissors, towards_rock, np.array([1000.0]))).round(3)
    array([[0.8, 0.1, 0.1]])
    """
    games = _games(margins, log_reference, tau)
    try:
        log_policy = games.log_policy(_newton(games, _first_payoffs(games)))
    except np.linalg.LinAlgError:
        raise CertificateError(
            f"The regularised equilibrium at tau = {tau.min():g} is beyond double precision: a Newton matrix is "
            "singular to rounding. Use a larger tau, or tau = 0."
        ) from None
    _certify(regularised_gap(margins, log_reference, tau, log_policy), games)
    return log_policy


def regularised_gap(margins: Array, log_reference: Array, tau: Array, log_policy: Array) -> Array:
    """Duality gap of π played by both sides of the regularised game, shape (batch,), in units of preference.

    ``max_π' f(π', π) − min_π' f(π, π') = 2τ KL(π‖β)``, with the best response β ∝ π_ref exp(Aπ/τ). It is
    zero at the equilibrium only, and inf where π plays an action that the reference bars. The divergence is
    summed from terms π·(eˣ − 1 − x) ≥ 0, x = log β/π, so that gaps far below 1e-16 keep their digits.
    Shapes are those of :func:`regularised_nash`.

    >>> margins, always_first = np.array([[[0, 0.5], [-0.5, 0]]]), np.array([[0.0, -np.inf]])
    >>> regularised_gap(margins, np.zeros((1, 2)), np.array([1.0]), always_first).round(6)  # 2 log(1 + e^-½)
    array([0.948154])
    """
    policy = np.exp(log_policy)
    log_best = _log_softmax(log_reference + times(margins, policy) / tau[:, None])
    live = policy > 0
    x = np.subtract(log_best, log_policy, out=np.zeros_like(policy), where=live)
    near = live & (np.abs(x) < 1e-4)
    small = np.where(near, x, 0.0)
    series = policy * small**2 * (1 / 2 + small / 6 + small**2 / 24)
    terms = np.where(near, series, np.exp(log_best) - policy * (1 + x))
    return 2 * tau * terms.sum(axis=-1)


@dataclass(frozen=True)
class _Games:
    """A stack of games: margins (b, n, n) without the barred actions, log_reference (b, n), tau (b, 1)."""

    margins: Array
    log_reference: Array
    tau: Array

    def take(self, index: NDArray[np.intp]) -> _Games:
        if index.size == len(self.tau):
            return self
        return _Games(self.margins[index], self.log_reference[index], self.tau[index])

    def support(self) -> NDArray[np.bool_]:
        return self.log_reference > -np.inf

    def scale(self) -> Array:
        return np.abs(self.margins).max(axis=(1, 2))

    def log_policy(self, payoffs: Array) -> Array:
        return _log_softmax(self.log_reference + payoffs / self.tau)

    def error(self, policy: Array, payoffs: Array) -> Array:
        """F = v − Aπ, centred under π: its constant means nothing, and would cost digits at small tau."""
        raw = payoffs - times(self.margins, policy)
        return np.where(self.support(), raw - (policy * raw).sum(axis=-1, keepdims=True), 0.0)

    def spread(self, payoffs: Array) -> Array:
        return np.ptp(self.error(np.exp(self.log_policy(payoffs)), payoffs), axis=-1)


def _games(margins: Array, log_reference: Array, tau: Array) -> _Games:
    if not np.all((tau > 0) & np.isfinite(tau)):
        raise ValueError(f"tau must be positive and finite; got {tau}. At tau = 0 use the maximal lottery.")
    support = log_reference > -np.inf
    if not support.any(axis=-1).all():
        raise ValueError("log_reference bars every action of a game; leave at least one above -inf.")
    played = support[:, :, None] & support[:, None, :]
    return _Games(np.where(played, margins, 0.0), log_reference, tau[:, None])


def _first_payoffs(games: _Games) -> Array:
    """Where Newton starts: at no payoffs, or near the end of the central path where τ is small beside A."""
    payoffs = np.zeros_like(games.log_reference)
    hard = np.flatnonzero(games.tau[:, 0] < CENTRAL_BELOW * games.scale())
    payoffs[hard] = _central_payoffs(games.take(hard))
    return payoffs


def _newton(games: _Games, payoffs: Array) -> Array:
    """Newton steps until the spread of F is rounding or stops falling; finished games leave the batch."""
    floor = ROUNDING * games.scale()
    unfinished = np.arange(len(payoffs))
    for _ in range(NEWTON_STEPS):
        if not unfinished.size:
            break
        payoffs[unfinished], spread = _newton_step(games.take(unfinished), payoffs[unfinished])
        unfinished = unfinished[spread > floor[unfinished]]
    return payoffs


def _newton_step(games: _Games, payoffs: Array) -> tuple[Array, Array]:
    """One damped Newton step: new payoffs and the spread of F there, nan where no step makes it fall."""
    policy = np.exp(games.log_policy(payoffs))
    error = games.error(policy, payoffs)
    direction = times(games.margins, _solve(games.margins, policy / games.tau, -error)) - error
    goal, spread, step = np.ptp(error, axis=-1), np.full(len(payoffs), np.nan), 1.0
    payoffs, searching = payoffs.copy(), np.arange(len(payoffs))
    for _ in range(HALVINGS):
        trial = payoffs[searching] + step * direction[searching]
        reached = games.take(searching).spread(trial)
        falls = reached <= (1 - 1e-4 * step) * goal[searching]
        payoffs[searching[falls]], spread[searching[falls]] = trial[falls], reached[falls]
        searching, step = searching[~falls], step / 2
        if not searching.size:
            break
    return payoffs, spread


def _central_payoffs(games: _Games) -> Array:
    """Payoffs Aπ near the end of the central path, (batch, n), from the uniform policy and its own slack."""
    support = games.support()
    size = support.sum(axis=-1, keepdims=True)
    policy = support / size
    value = games.tau * _log_ratio(games, policy) - times(games.margins, policy)
    lowest = np.where(support, value, np.inf).min(axis=-1, keepdims=True)
    slack = np.where(support, value - lowest + games.scale()[:, None], 1.0)
    for _ in range(CENTRAL_STEPS):
        barrier = (policy * slack).sum(axis=-1, keepdims=True) / size
        far = np.flatnonzero(barrier > LAST_BARRIER * games.tau / size)
        if not far.size:
            break
        policy[far], slack[far] = _central_step(games.take(far), policy[far], slack[far], barrier[far])
    return times(games.margins, policy)


def _central_step(games: _Games, policy: Array, slack: Array, barrier: Array) -> tuple[Array, Array]:
    """One primal–dual step towards π s = μ/10, 95 % of the way to zero at most; each system finds λ anew."""
    support = games.support()
    inverse = np.divide(1.0, policy, out=np.zeros_like(policy), where=support)
    aim = 0.1 * barrier * inverse
    pull = times(games.margins, policy) - games.tau * _log_ratio(games, policy)
    policy_growth = inverse * _solve(games.margins, policy / (games.tau + slack), pull + aim)
    slack_growth = np.where(support, aim / slack - 1 - policy_growth, 0.0)
    steepest = np.maximum(-policy_growth, -slack_growth).max(axis=-1, keepdims=True)
    step = 0.95 / np.maximum(0.95, steepest)
    return policy * (1 + step * policy_growth), slack * (1 + step * slack_growth)


def _solve(margins: Array, weight: Array, target: Array) -> Array:
    """The x with Σx = 0 and ``(diag(1/weight) − A) x + λ1 = target`` for some λ; x = 0 where weight is 0.

    Scaled on both sides by √weight the matrix is identity minus skew: its inverse has norm at most one.
    """
    root = np.sqrt(weight)
    system = np.eye(root.shape[-1]) - root[:, :, None] * margins * root[:, None, :]
    solution = np.linalg.solve(system, np.stack([root * target, root], axis=-1))  # (batch, n, 2)
    level = (root[:, None, :] @ solution)[:, 0]  # (batch, 2): Σx of either column
    return root * (solution[..., 0] - (level[:, :1] / level[:, 1:]) * solution[..., 1])


def _log_ratio(games: _Games, policy: Array) -> Array:
    support = games.support()
    return np.log(np.where(support, policy, 1.0)) - np.where(support, games.log_reference, 0.0)


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _certify(gap: Array, games: _Games) -> None:
    tolerance = GAP_TOLERANCE * np.maximum(1.0, games.tau[:, 0])
    failed = np.flatnonzero(~(gap <= tolerance))
    if failed.size:
        worst = failed[0]
        raise CertificateError(
            f"The regularised equilibrium of game {worst} ({games.support()[worst].sum()} actions, "
            f"tau = {games.tau[worst, 0]:g}) was found only to a duality gap of {gap[worst]:.3g}, and the "
            f"tolerance is {tolerance[worst]:.3g}. Use a larger tau, or tau = 0."
        )
