"""The estimator against the definition: f is written down here a second time and differentiated by autograd.

A language small enough to list makes every mean a finite sum: over all rollouts, and for leave-one-out over all
pairs of rollouts. What is biased is defined here, and nowhere else, and is seen to be biased.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stackelberg.gradient import (  # noqa: E402
    Baseline,
    Constant,
    LeaveOneOut,
    NoBaseline,
    PolicyReturns,
    RaoBlackwell,
    RewardToGo,
    SequenceLevel,
    StackelbergReturns,
    loss,
    surrogates,
)
from stackelberg.gradient.arrays import to_go  # noqa: E402
from stackelberg.neural.sequence import SequencePolicy, rollouts  # noqa: E402
from stackelberg.neural.speaker import FOLLOWER, LEADER  # noqa: E402

TAU_LEADER, TAU_FOLLOWER = 0.3, 0.2
GAMES = {
    "stackelberg": StackelbergReturns(TAU_LEADER, TAU_FOLLOWER),
    "published": StackelbergReturns(TAU_LEADER, TAU_FOLLOWER, follower_kl=False),
    "nash": PolicyReturns(TAU_LEADER),
    "reward": PolicyReturns(TAU_LEADER),
}
BASELINES = [NoBaseline(), Constant(0.5), LeaveOneOut()]
KLS = [RewardToGo(), RaoBlackwell(), SequenceLevel()]


def name(option):
    return type(option).__name__


@dataclass(frozen=True)
class World:
    """Two contexts, a policy that has moved away from its reference, random preferences and rewards."""

    length: int = 2
    shared: bool = False
    moved: float = 0.3

    @property
    def policy(self):
        return SequencePolicy(vocabulary=3, length=self.length, shared=self.shared, hidden=4, seed=1)

    @property
    def features(self):
        return torch.eye(2, dtype=torch.float64)

    @property
    def rho(self):
        return torch.tensor([0.3, 0.7], dtype=torch.float64)

    def parameters(self):
        generator = torch.Generator().manual_seed(7)
        for vector in self.policy.start(2):
            noise = torch.randn(vector.shape, generator=generator, dtype=torch.float64)
            yield (vector + self.moved * noise).requires_grad_()

    def preference(self):
        n = len(self.policy.language)
        upper = np.triu(np.random.default_rng(3).uniform(size=(2, n, n)), 1)
        return torch.tensor(upper + np.tril(1 - np.swapaxes(upper, 1, 2), -1) + np.eye(n) / 2)

    def rewards(self):
        return torch.tensor(np.random.default_rng(4).normal(size=(2, len(self.policy.language))))

    def conditionals(self, parameters):
        return [self.policy.conditionals(parameters, self.features, role) for role in (LEADER, FOLLOWER)]

    def tables(self, parameters):
        """Log-probabilities of whole sequences, of policies and references."""
        with torch.no_grad():
            before = [self.policy.log_probs(self.policy.start(2), self.features, role) for role in (LEADER, FOLLOWER)]
        return [self.policy.log_probs(parameters, self.features, role) for role in (LEADER, FOLLOWER)], before


def gradient(value, parameters):
    """One vector over all networks."""
    parts = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    return torch.cat([torch.zeros_like(p) if g is None else g for g, p in zip(parts, parameters, strict=True)])


def definition(world, game, parameters):
    """∇f of each role, the other player held still. f as in the paper, over tables of whole sequences."""
    (leader, follower), (leader_before, follower_before) = world.tables(parameters)
    p, rho = world.preference(), world.rho

    def f(pi, omega, follower_kl=True):
        rows = (omega.exp() * (p + follower_kl * TAU_FOLLOWER * (omega - follower_before))).sum(-1)
        return rho @ (pi.exp() * (rows - TAU_LEADER * (pi - leader_before))).sum(-1)

    def alone(earned):
        return rho @ (leader.exp() * (earned - TAU_LEADER * (leader - leader_before))).sum(-1)

    def against(opponent):
        return (p @ opponent.exp()[..., None])[..., 0]

    values = {
        "stackelberg": lambda: (f(leader, follower.detach()), f(leader.detach(), follower)),
        "published": lambda: (f(leader, follower.detach(), follower_kl=False), f(leader.detach(), follower)),
        "nash": lambda: (alone(against(leader.detach())),),
        "reward": lambda: (alone(world.rewards()),),
    }
    return [gradient(value, parameters) for value in values[game]()]


def outcomes(world, game, parameters):
    """Every (x, y, y') with its probability; y' is 0 in a reward game."""
    with torch.no_grad():
        (leader, follower), _ = world.tables(parameters)
    n = leader.shape[-1]
    reply = {"nash": leader[:, None].expand(2, n, n), "reward": torch.zeros(2, n, 1)}.get(game, follower)
    probability = world.rho[:, None, None] * (leader[..., None] + reply).exp()
    x, y, answer = (index.ravel() for index in np.indices(tuple(probability.shape)))
    return (x, y, answer), probability.ravel().numpy()


def pairs(draws, probability):
    """Every pair of independent rollouts of one context: rows 2k and 2k+1 are pair k. And what each is worth."""
    x = draws[0]
    first, second = np.nonzero(x[:, None] == x[None, :])
    rows = np.stack([first, second], axis=1).ravel()
    both = probability[first] * probability[second] / np.bincount(x, probability)[x[first]]
    return tuple(each[rows] for each in draws), both


def batch(world, game, parameters, draws, weights, groups=None):
    now = world.conditionals(parameters)
    with torch.no_grad():
        before = world.conditionals(world.policy.start(2))
    x, y, answer = draws
    worth = world.rewards()[x, y] if game == "reward" else world.preference()[x, y, answer]
    roles = 2 if isinstance(GAMES[game], StackelbergReturns) else 1
    return rollouts(
        world.policy.language,
        worth,
        tuple(now[:roles]),
        tuple(before[:roles]),
        draws,
        groups=torch.as_tensor(np.zeros(len(x)) if groups is None else groups),
        weights=torch.as_tensor(weights),
    )


def enumerated(world, game, parameters, in_pairs):
    draws, probability = outcomes(world, game, parameters)
    if not in_pairs:
        return batch(world, game, parameters, draws, probability)
    draws, both = pairs(draws, probability)
    groups = np.repeat(np.arange(len(both)), 2)
    return batch(world, game, parameters, draws, np.repeat(both / 2, 2), groups)


def expected(world, game, parameters, baseline, kl):
    """The mean of the estimator, a vector a role."""
    rows = enumerated(world, game, parameters, in_pairs=isinstance(baseline, LeaveOneOut | Pooled))
    if isinstance(baseline, Pooled):
        baseline = baseline.of(GAMES[game].roles(rows, kl), kl)
    return [gradient(part.value, parameters) for part in surrogates(rows, GAMES[game], baseline=baseline, kl=kl)]


# --- what is biased: defined here only ---------------------------------------------------------------


class MyopicK1(RewardToGo):
    """Token t is weighted by its own log-ratio: what it does to later tokens is dropped."""

    def weights(self, said):
        return said.log_ratios


class DetachedK3(RewardToGo):
    """The k3 estimate, ``exp(−ℓ) − 1 + ℓ``, as a reward."""

    def weights(self, said):
        return to_go(torch.expm1(-said.log_ratios) + said.log_ratios)


class Pooled(Baseline):
    """The mean of all other completions of the prompt, of both roles: the reply to y tells about y."""

    def __init__(self, payoffs=()):
        self.payoffs = list(payoffs)

    def of(self, roles, kl):
        return Pooled([role.to_go(kl) for role in roles])

    def __call__(self, payoffs, groups, weights):
        assert len(self.payoffs) == 2
        mine = next(each for each in self.payoffs if torch.equal(each, payoffs))
        other = self.payoffs[1] if mine is self.payoffs[0] else self.payoffs[0]
        paired = lambda values: values.view(-1, 2, values.shape[-1]).sum(1).repeat_interleave(2, 0)  # noqa: E731
        return (paired(mine) - mine + paired(other)) / 3


# --- the laws ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kl", KLS, ids=name)
@pytest.mark.parametrize("baseline", BASELINES, ids=name)
@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
@pytest.mark.parametrize("game", GAMES)
def test_the_expected_estimator_is_the_gradient_of_f(game, shared, baseline, kl):
    world = World(shared=shared, length=2 if isinstance(baseline, LeaveOneOut) else 3)
    parameters = tuple(world.parameters())
    wanted = definition(world, game, parameters)
    found = expected(world, game, parameters, baseline, kl)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert other.norm() > 0.01
        assert (one - other).abs().max() < 1e-10


@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
def test_the_loss_ascends_the_leader_and_descends_the_follower_times_kappa(shared):
    world = World(shared=shared)
    parameters = tuple(world.parameters())
    leader, follower = definition(world, "stackelberg", parameters)
    parts = surrogates(enumerated(world, "stackelberg", parameters, in_pairs=False), GAMES["stackelberg"])
    found = gradient(loss(parts, kappa=5.0), parameters)
    assert (found - (-leader + 5 * follower)).abs().max() < 1e-10
    assert [part.sign for part in parts] == [1, -1]


BIASED = {
    "myopic k1": (NoBaseline(), MyopicK1()),
    "detached k3": (NoBaseline(), DetachedK3()),
    "pooled baseline": (Pooled(), RewardToGo()),
    "leave-one-out on an enumeration": (LeaveOneOut(), RewardToGo()),
}


@cache
def bias(which):
    """The relative error of the mean, Leader's and Follower's."""
    world = World()
    parameters = tuple(world.parameters())
    baseline, kl = BIASED[which]
    if which == "leave-one-out on an enumeration":
        rows = enumerated(world, "stackelberg", parameters, in_pairs=False)
        parts = surrogates(rows, GAMES["stackelberg"], baseline=baseline, kl=kl)
        found = [gradient(part.value, parameters) for part in parts]
    else:
        found = expected(world, "stackelberg", parameters, baseline, kl)
    wanted = definition(world, "stackelberg", parameters)
    return [float((a - b).norm() / b.norm()) for a, b in zip(found, wanted, strict=True)]
