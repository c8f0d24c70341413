"""Laws of networks: their gradient is autograd's of f, written down again; their regression is the table's rule."""

from dataclasses import replace

import numpy as np
import pytest
from cases import CONCEPTS, LEARNERS, TAU

import stackelberg as sb
from stackelberg.field import Field, natural_field

torch = pytest.importorskip("torch")

from torch.nn.utils import parameters_to_vector, vector_to_parameters  # noqa: E402  # after the skip

from stackelberg.neural.regression import Misfit  # noqa: E402

CONTEXTS, N, D = 3, 4, 2
RHO = np.array([0.2, 0.5, 0.3])
RNG = np.random.default_rng(7)
P = 0.1 + 0.8 * sb.PreferenceMatrix.random(N, 3, contexts=CONTEXTS).probabilities
X = RNG.normal(size=(CONTEXTS, D))
REFERENCE, REPLY = RNG.dirichlet(np.full(N, 3.0), CONTEXTS), RNG.dirichlet(np.full(N, 3.0), (CONTEXTS, N))
COMMON = {"contexts": X, "context_weights": RHO}
STACKELBERG = sb.StackelbergGame(
    P, tau_leader=0.7, tau_follower=0.3, leader_reference=REFERENCE, follower_reference=REPLY, **COMMON
)
NASH, REWARD = sb.NashGame(P, 0.4, REFERENCE, **COMMON), sb.RewardGame(P, 0.4, reference=REFERENCE, **COMMON)
GAMES = {"stackelberg": STACKELBERG, "nash": NASH, "reward": REWARD}
REWARDS = torch.tensor(sb.solve(REWARD).rewards)
ASKED = sb.Neural(hidden=(5, 4), embedding=3)


def elsewhere(game, shared=False, seed=11, **options):
    """A model away from its first weights, where no layer is zero."""
    model = replace(ASKED, shared=shared, **options).model(game)
    rng = np.random.default_rng(seed)
    return replace(model, parameters=tuple(vector + rng.normal(size=vector.shape) / 3 for vector in model.parameters))


def kl(logs, reference):
    return (logs.exp() * (logs - torch.tensor(np.log(reference)))).sum(-1)


class Autograd:
    """f of every game and its gradients, from the networks' own modules, one context and one row at a time."""

    def __init__(self, model, game):
        self.model, self.game = model, game
        self.at = [torch.tensor(vector) for vector in model.parameters]

    def logs(self, at):
        """log π and log ω as functions of modules that hold the parameters."""
        modules = self.model.build()
        for module, vector in zip(modules, at, strict=True):
            module.double()
            vector_to_parameters(vector.clone(), module.parameters())
        features, nothing = torch.tensor(X), torch.tensor(0)
        leader = torch.stack([modules[0](0, x, nothing) for x in features]) + torch.tensor(np.log(REFERENCE))
        if self.model.players == 1:
            return modules, [leader.log_softmax(-1)]
        rows = torch.stack([torch.stack([modules[-1](1, x, torch.tensor(y)) for y in range(N)]) for x in features])
        return modules, [leader.log_softmax(-1), (rows + torch.tensor(np.log(REPLY))).log_softmax(-1)]

    def payoffs(self, logs, opponents=None):
        """What each player climbs, the others held fixed; each context weighed by ρ."""
        rho, p = torch.tensor(RHO), torch.tensor(P)
        held = [each.detach() for each in logs] if opponents is None else opponents
        if self.game is STACKELBERG:

            def f(pi, omega):
                earned = (omega.exp() * p).sum(-1) + 0.3 * kl(omega, REPLY)
                return rho @ ((pi.exp() * earned).sum(-1) - 0.7 * kl(pi, REFERENCE))

            return [f(logs[0], held[1]), -f(held[0], logs[1])]
        earned = (p @ held[0].exp()[..., None])[..., 0] if self.game is NASH else REWARDS
        return [rho @ ((logs[0].exp() * earned).sum(-1) - 0.4 * kl(logs[0], REFERENCE))]

    def gradients(self, at, opponents=None):
        """One vector a player, over the parameters it wears."""
        modules, logs = self.logs(at)
        found = []
        for player, payoff in enumerate(self.payoffs(logs, None if opponents is None else opponents(logs))):
            worn = list(modules[player % len(modules)].parameters())
            slopes = torch.autograd.grad(payoff, worn, retain_graph=True, allow_unused=True)
            whole = [torch.zeros_like(w) if s is None else s for s, w in zip(slopes, worn, strict=True)]
            found.append(parameters_to_vector(whole))
        return found

    def moved(self, at, rates, gradients):
        """θ + Σ rate · part, over what each player wears."""
        at = [vector.clone() for vector in at]
        for player, (rate, part) in enumerate(zip(rates, gradients, strict=True)):
            at[player % len(at)] += rate * part
        return at


def plain(law, at, rates, steps):
    for _ in range(steps):
        at = law.moved(at, rates, law.gradients(at))
    return at


def extra(law, at, rates, steps):
    for _ in range(steps):
        at = law.moved(at, rates, law.gradients(law.moved(at, rates, law.gradients(at))))
    return at


def optimistic(law, at, rates, steps):
    before = None
    for _ in range(steps):
        now = law.gradients(at)
        at = law.moved(at, rates, [2 * a - b for a, b in zip(now, now if before is None else before, strict=True)])
        before = now
    return at


def alternating(law, at, rates, steps):
    for _ in range(steps):
        here = law.gradients(at)
        replied = law.moved(at, (0.0, rates[1]), here)
        at = law.moved(at, rates, (law.gradients(replied)[0], here[1]))
    return at


def against_mixture(law, at, rates, steps):
    def mixed(logs):
        return [(0.75 * logs[0].detach() + 0.25 * torch.tensor(np.log(REFERENCE))).log_softmax(-1)]

    for _ in range(steps):
        at = law.moved(at, rates, law.gradients(at, mixed))
    return at


SOFTMAX = sb.Softmax()
RULES = [
    (sb.StackelbergGDA(0.3, kappa=5), plain, ("stackelberg",)),
    (sb.GDA(0.3, kappa=2), plain, ("stackelberg",)),
    (sb.GDA(0.3), plain, ("nash", "reward")),
    (sb.ExtraGradient(0.3, kappa=2, geometry=SOFTMAX), extra, ("stackelberg",)),
    (sb.ExtraGradient(0.3, geometry=SOFTMAX), extra, ("nash", "reward")),
    (sb.Optimistic(0.3, kappa=2, geometry=SOFTMAX), optimistic, ("stackelberg",)),
    (sb.Optimistic(0.3, geometry=SOFTMAX), optimistic, ("nash", "reward")),
    (sb.StackelbergGDA(0.3, kappa=5, alternating=True), alternating, ("stackelberg",)),
    (sb.NashMDPG(0.3, mixture=0.25), against_mixture, ("nash",)),
    (sb.RLOO(0.3), plain, ("reward",)),
]
CASES = [(solver, by_hand, name) for solver, by_hand, names in RULES for name in names]


@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
@pytest.mark.parametrize(
    ("solver", "by_hand", "name"), CASES, ids=[f"{type(s).__name__}-{h.__name__}-{n}" for s, h, n in CASES]
)
def test_every_gradient_rule_is_autograd_of_the_definition(solver, by_hand, name, shared):
    game = GAMES[name]
    model = elsewhere(game, shared)
    law = Autograd(model, game)
    rates = [0.3, 0.3 * getattr(solver, "kappa", 1)][: model.players]
    wanted = by_hand(law, law.at, rates, steps=3)
    found = sb.solve(game, solver, model, steps=3, record=None).model.parameters
    for own, theirs, start in zip(found, wanted, model.parameters, strict=True):
        np.testing.assert_allclose(own, theirs.detach(), rtol=0, atol=1e-10)
        assert np.abs(own - start).max() > 1e-3


@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
@pytest.mark.parametrize("name", GAMES)
def test_the_direction_is_autograds_gradient(name, shared):
    game = GAMES[name]
    model = elsewhere(game, shared)
    field = Field(natural_field(game))
    law = Autograd(model, game)
    for found, wanted in zip(field(model.point(game, SOFTMAX)).total.parts, law.gradients(law.at), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


def policies(solution):
    return (solution.leader, solution.follower) if isinstance(solution, sb.StackelbergSolution) else (solution.policy,)


FOLLOWED = [
    (learner, concept, shared)
    for learner in LEARNERS
    for concept in CONCEPTS
    for shared in (False, True)[: 2 if concept.name == "stackelberg" else 1]  # one player has nobody to share with
    if concept.name in learner.concepts and isinstance(learner.solver.moves_networks_in, sb.Natural)
]


@pytest.mark.parametrize(
    ("learner", "concept", "shared"), FOLLOWED, ids=[f"{x.name}-{y.name}-{z}" for x, y, z in FOLLOWED]
)
def test_a_network_that_can_be_every_table_runs_as_the_table(learner, concept, shared):
    """One-hot contexts and enough width: the regression is the closed form, step after step."""
    tau = TAU if learner.regularised else 0
    game = concept.game(P[:2, :3, :3], tau, REFERENCE[0, :3] / REFERENCE[0, :3].sum())
    record = sb.Record(every=1)
    table = sb.solve(game, learner.solver, steps=12, record=record)
    network = sb.solve(game, learner.solver, sb.Neural(hidden=(24,), shared=shared), steps=12, record=record)
    for own, theirs in zip(policies(network), policies(table), strict=True):
        np.testing.assert_allclose(own, theirs, rtol=0, atol=1e-6)
    np.testing.assert_allclose(network.trajectory.gap, table.trajectory.gap, rtol=0, atol=1e-6)
    assert network.trajectory.residual.max() < 1e-7
    assert np.abs(policies(network)[0] - policies(network)[0][0]).max() > 1e-4


def test_the_regression_is_weighted_least_squares_where_the_network_cannot_follow():
    """A network that sees the same features everywhere: its best log-ratio is the ρ-weighted mean of the targets."""
    blind = sb.NashGame(P, 0.4, REFERENCE[0], context_weights=RHO, contexts=np.ones((CONTEXTS, 1)))
    network = sb.solve(blind, sb.OnlineIPO(0.5), sb.Neural(hidden=(8,)), steps=1, record=sb.Record(every=1))
    table = sb.solve(blind, sb.OnlineIPO(0.5), steps=1)
    ratios = np.log(table.policy / REFERENCE[0])
    ratios -= ratios.mean(axis=-1, keepdims=True)
    found = np.log(network.policy / REFERENCE[0])
    found -= found.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(found, np.tile(RHO @ ratios, (CONTEXTS, 1)), atol=1e-8)
    missed = np.sqrt(np.mean((ratios - RHO @ ratios) ** 2, axis=-1))
    np.testing.assert_allclose(network.trajectory.residual[-1], missed, atol=1e-8)
    assert missed.min() > 1e-3
    assert f"missed its target by {missed.max():.1g} nats" in network.report


@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
def test_the_jacobian_of_the_regression_is_the_derivative_of_its_residuals(shared):
    model = elsewhere(STACKELBERG, shared)
    ground = model.point(STACKELBERG, sb.Natural()).ground
    wanted = tuple(torch.zeros(shape) for shape in ((CONTEXTS, N), (CONTEXTS, N, N)))
    for owner, vector in enumerate(model.parameters):
        misfit = Misfit(ground.players, ground.players.wearers(owner), wanted, torch.tensor(RHO))
        at, step = torch.tensor(vector), 1e-6
        slopes = misfit.jacobian(at)
        for k in range(0, len(at), 7):
            push = step * torch.eye(len(at), dtype=at.dtype)[k]
            difference = (misfit.residuals(at + push) - misfit.residuals(at - push)) / (2 * step)
            np.testing.assert_allclose(slopes[:, k], difference, rtol=0, atol=1e-9)


def test_a_shared_network_is_told_its_role_and_shows_the_leader_no_answer():
    (network,) = elsewhere(STACKELBERG, shared=True).build()
    torch.nn.init.normal_(network.last.weight, generator=torch.Generator().manual_seed(0))
    leader, follower = ([network(role, torch.ones(D), torch.tensor(y)) for y in range(N)] for role in (0, 1))
    assert all(torch.equal(each, leader[0]) for each in leader)
    for y in range(N):
        assert (follower[y] - leader[0]).abs().max() > 1e-3
        assert (follower[y] - follower[y - 1]).abs().max() > 1e-3
