"""The variance of every baseline × KL option, exactly, by enumeration of a small language.

    python benchmarks/gradient_variance.py

The number is ``k · trace of the covariance`` of the gradient estimate from k rollouts of one prompt: what a rollout
costs in noise, whatever k. It is reported relative to RewardToGo + LeaveOneOut, for Leader and Follower, at the
reference (where every log-ratio is 0, so that the KL options are the same) and after training.

Near an equilibrium ``p + τ_F ℓ_F − τ_L ℓ_L`` is the same number for every rollout, whole log-ratios taken. There the
sequence-level form with leave-one-out has next to no variance, and cutting the sum at token t (reward-to-go), or
averaging it (Rao–Blackwell), spoils the cancellation: the order of the three turns round.

Leave-one-out is a U-statistic of order two: with h(i, j) its value on a pair of rollouts, the variance at k rollouts is
``4(k−2)/(k(k−1)) Var E[h|i] + 2/(k(k−1)) Var h`` (Hoeffding 1948), so the pairs are enough for every k.
"""

from __future__ import annotations

import numpy as np
import torch
from _harness import record

import stackelberg as sb
from stackelberg.gradient import (
    Constant,
    LeaveOneOut,
    NoBaseline,
    RaoBlackwell,
    RewardToGo,
    SequenceLevel,
    StackelbergReturns,
    loss,
    surrogates,
)
from stackelberg.neural.sequence import SequencePolicy, rollouts
from stackelberg.neural.speaker import FOLLOWER, LEADER

POLICY = SequencePolicy(vocabulary=3, length=3, hidden=8, seed=0)
LANGUAGE, SEEN = POLICY.language, torch.eye(1, dtype=torch.float64)
N, LENGTH = len(LANGUAGE), LANGUAGE.length
PREFERENCE = torch.tensor(sb.PreferenceMatrix.random(N, seed=0).probabilities)
KLS = [RewardToGo(), RaoBlackwell(), SequenceLevel()]
BASELINES = {"none": (NoBaseline(), 1), "constant 1/2": (Constant(0.5), 1)} | {
    f"leave-one-out, k = {k}": (LeaveOneOut(), k) for k in (2, 4, 8)
}
TRAINING_STEPS, RATE, KAPPA = 2_000, 0.5, 5.0


def conditionals(parameters):
    return tuple(POLICY.conditionals(parameters, SEEN, role) for role in (LEADER, FOLLOWER))


def everything(now, before, weights, groups=None, rows=slice(None)):
    draws = tuple(index.ravel()[rows] for index in np.indices((1, N, N)))
    worth = PREFERENCE[draws[1], draws[2]]
    return rollouts(LANGUAGE, worth, now, before, draws, groups=groups, weights=weights)


def chances(now):
    leader, follower = (LANGUAGE.token_log_probs(each).sum(-1) for each in now)
    return (leader[..., None] + follower).exp().ravel().detach()


def trained(parameters, before, returns):
    for _ in range(TRAINING_STEPS):
        parameters = [each.detach().requires_grad_() for each in parameters]
        now = conditionals(parameters)
        parts = surrogates(everything(now, before, chances(now)), returns, kl=RaoBlackwell())
        slopes = torch.autograd.grad(loss(parts), parameters)
        rates = (RATE, KAPPA * RATE)
        parameters = [at - rate * slope for at, rate, slope in zip(parameters, rates, slopes, strict=True)]
    return tuple(each.detach() for each in parameters)


def slopes_of(parameters, before, role):
    """Derivatives of every log-probability and every KL of every rollout, (2, N², T, rank), in an orthonormal basis."""

    def read(vector):
        at = tuple(vector if index == role else each for index, each in enumerate(parameters))
        rows = everything(conditionals(at), before, None)
        said = rows.follower if role else rows.leader
        return torch.stack([said.log_prob, said.exact_kl])

    jacobian = torch.autograd.functional.jacobian(read, parameters[role]).numpy()
    flat = jacobian.reshape(-1, jacobian.shape[-1])
    _, sizes, basis = np.linalg.svd(flat.T @ flat)
    return (flat @ basis[sizes > 1e-12 * sizes[0]].T).reshape(2, N * N, LENGTH, -1)


def estimates(part, slopes, rows):
    """The gradient that each row of the batch contributes, (B, rank)."""
    found = np.einsum("bt,btr->br", part.token_weights.numpy(), slopes[0][rows])
    if part.kl is not None:
        found += part.kl_weights.numpy() * slopes[1][rows].sum(axis=1)
    return found


def scatter(estimates, probability):
    """Trace of the covariance of one draw, and the mean."""
    mean = probability @ estimates
    return float(probability @ (estimates**2).sum(-1) - mean @ mean), mean


def variances(now, before, returns, role, slopes):
    """``k · trace`` of every pair of options, and the squared norm of the gradient."""
    probability = chances(now).numpy()
    rows, found = np.arange(N * N), {}
    pairs = np.stack(np.meshgrid(rows, rows, indexing="ij"), axis=-1).ravel()
    groups = torch.arange(len(pairs) // 2).repeat_interleave(2)
    singly = everything(now, before, torch.ones(len(rows), dtype=torch.float64))
    doubly = everything(now, before, torch.ones(len(pairs), dtype=torch.float64), groups, pairs)
    for kl in KLS:
        for name, (baseline, k) in BASELINES.items():
            label = f"{type(kl).__name__}, {name}"
            if k == 1:
                part = surrogates(singly, returns, baseline=baseline, kl=kl)[role]
                found[label], mean = scatter(estimates(part, slopes, rows), probability)
            elif k == 2:
                part = surrogates(doubly, returns, baseline=baseline, kl=kl)[role]
                h = estimates(part, slopes, pairs).reshape(-1, 2, slopes.shape[-1]).mean(axis=1)
                whole, mean = scatter(h, np.outer(probability, probability).ravel())
                one, _ = scatter(np.einsum("j,ijr->ir", probability, h.reshape(N * N, N * N, -1)), probability)
            if k > 1:
                found[label] = (4 * (k - 2) * one + 2 * whole) / (k - 1)
    return found, float(mean @ mean)


def compared(now, before, returns, role, parameters):
    found, signal = variances(now, before, returns, role, slopes_of(parameters, before, role))
    floor = found["RewardToGo, leave-one-out, k = 4"]
    return {
        "trace for RewardToGo, leave-one-out, k = 4": floor,
        "squared norm of the gradient": signal,
        "relative": {label: round(value / floor, 3) for label, value in found.items()},
    }


def main() -> None:
    before = tuple(each.detach() for each in conditionals(POLICY.start(1)))
    results = {}
    for tau in (0.1, 0.5):
        returns = StackelbergReturns(tau, tau)
        places = {"at the reference": POLICY.start(1), "trained": trained(POLICY.start(1), before, returns)}
        for place, parameters in places.items():
            now = tuple(each.detach() for each in conditionals(parameters))
            for role, who in enumerate(("Leader", "Follower")):
                results[f"tau = {tau}, {place}, {who}"] = compared(now, before, returns, role, parameters)
    record("gradient_variance", results)


if __name__ == "__main__":
    main()
