"""Neural policies: where they start, what a step is, what they learn, and what they are worth where they never were."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import stackelberg as sb
from stackelberg.point import Joint

torch = pytest.importorskip("torch")

CONDORCET = sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2]), tau=0.1)
MIXTURE = sb.AnnotatorMixture.random(4, types=6, features=2, seed=3)
SEEN, NEW = MIXTURE.draw(5, seed=1), MIXTURE.draw(7, seed=2)
LEADER, REPLY = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
COMMON = {"leader_reference": LEADER, "follower_reference": REPLY, "contexts": SEEN}
GAME = sb.StackelbergGame(MIXTURE, tau_leader=0.2, tau_follower=0.1, **COMMON)
SMALL = sb.Neural(hidden=(6,), embedding=3)
SOFTMAX = sb.Softmax()
BOTH = pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])


def started(shared=False, optimizer=None, seed=5):
    """A point in parameters with weights that are no first weights, and a direction of its shape."""
    point = replace(SMALL, shared=shared, optimizer=optimizer).point(GAME, SOFTMAX)
    rng = np.random.default_rng(seed)
    moved = tuple(vector + rng.normal(size=vector.shape) / 3 for vector in point.model.parameters)
    point = replace(point, model=replace(point.model, parameters=moved))
    parts = tuple(rng.normal(size=moved[player % len(moved)].shape) for player in range(2))
    return point, Joint(parts)


# --- where they start --------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_run_starts_at_the_reference_to_the_last_digit(shared, dtype):
    network = sb.solve(GAME, sb.StackelbergGDA(), replace(SMALL, shared=shared, dtype=dtype), steps=0)
    table = sb.solve(GAME, sb.MirrorDescent(), steps=0)
    np.testing.assert_array_equal(network.leader, table.leader)
    np.testing.assert_array_equal(network.follower, table.follower)


@BOTH
def test_the_same_seed_is_the_same_run_and_another_is_not(shared):
    state = torch.get_rng_state()

    def run(seed):
        policy = replace(SMALL, shared=shared, seed=seed, optimizer=sb.Adam())
        return sb.solve(GAME, sb.StackelbergGDA(0.01), policy, steps=20)

    first, again, other = run(0), run(0), run(1)
    np.testing.assert_array_equal(first.trajectory.gap, again.trajectory.gap)
    np.testing.assert_array_equal(first.model.parameters[0], again.model.parameters[0])
    assert np.abs(first.trajectory.gap - other.trajectory.gap).max() > 1e-8
    assert torch.equal(torch.get_rng_state(), state)


def test_a_sampled_run_repeats_itself_and_comes_near():
    def run(seed):
        policy = replace(SMALL, optimizer=sb.Adam())
        return sb.solve(CONDORCET, sb.StackelbergGDA(0.01), policy, steps=200, sampling=sb.Sample(50), seed=seed)

    first, again, other = run(0), run(0), run(1)
    np.testing.assert_array_equal(first.trajectory.gap, again.trajectory.gap)
    assert first.gap != other.gap
    assert max(first.gap, other.gap) < 0.1 * first.trajectory.gap[0]


@BOTH
def test_nothing_that_is_passed_is_changed_and_going_on_is_one_longer_run(shared):
    policy = replace(SMALL, shared=shared, optimizer=sb.Adam())
    whole = sb.solve(GAME, sb.StackelbergGDA(0.01), policy, steps=9).model
    half = sb.solve(GAME, sb.StackelbergGDA(0.01), policy, steps=4).model
    before = [vector.copy() for vector in (*half.parameters, *half.memory[0])]
    rest = sb.solve(GAME, sb.StackelbergGDA(0.01), half, steps=5).model
    for vector, copy in zip((*half.parameters, *half.memory[0]), before, strict=True):
        np.testing.assert_array_equal(vector, copy)
    for one, other in zip(rest.parameters, whole.parameters, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.abs(rest.parameters[0] - half.parameters[0]).max() > 1e-4


# --- what a step is, and what kappa means ------------------------------------------------------------


def test_separate_networks_step_each_by_its_own_rate():
    point, way = started()
    moved = point.step(Joint((0.1, 0.5)), way).model.parameters
    for vector, start, rate, part in zip(moved, point.model.parameters, (0.1, 0.5), way.parts, strict=True):
        np.testing.assert_allclose(vector, start + rate * part, rtol=0, atol=1e-14)


def test_a_shared_network_steps_by_the_sum_and_kappa_weighs_the_directions():
    point, way = started(shared=True)
    (moved,) = point.step(Joint((0.1, 0.5)), way).model.parameters
    np.testing.assert_allclose(moved, point.model.parameters[0] + 0.1 * way[0] + 0.5 * way[1], rtol=0, atol=1e-14)


ADAM = sb.Adam(epsilon=1e-14)


def displaced(point, rates, way):
    return tuple(a - b for a, b in zip(point.step(rates, way).model.parameters, point.model.parameters, strict=True))


def test_under_adam_with_separate_networks_a_loss_weight_changes_nothing_and_kappa_is_a_rate():
    point, way = started(optimizer=ADAM)
    leader, follower = displaced(point, Joint((0.1, 0.1)), way)
    same = displaced(point, Joint((0.1, 0.1)), Joint((way[0], 5 * way[1])))
    np.testing.assert_allclose(same[1], follower, atol=1e-12)
    faster = displaced(point, Joint((0.1, 0.5)), way)
    np.testing.assert_allclose(faster[0], leader, atol=1e-15)
    np.testing.assert_allclose(faster[1], 5 * follower, atol=1e-14)


def test_under_adam_with_a_shared_network_kappa_weighs_before_adam():
    point, way = started(shared=True, optimizer=ADAM)
    (once,), (heavier,) = (displaced(point, Joint((0.1, 0.1 * kappa)), way) for kappa in (1, 5))
    np.testing.assert_allclose(once, 0.1 * np.sign(way[0] + way[1]), atol=1e-9)  # the first step of Adam is a sign
    np.testing.assert_allclose(heavier, 0.1 * np.sign(way[0] + 5 * way[1]), atol=1e-9)
    assert (np.sign(once) != np.sign(heavier)).any()
    weighed = displaced(point, Joint((0.1, 0.1)), Joint((way[0], 5 * way[1])))
    np.testing.assert_allclose(weighed[0], heavier, atol=1e-14)


def test_adam_is_torchs():
    adam, rng = sb.Adam(beta1=0.8, beta2=0.95, epsilon=1e-3), np.random.default_rng(0)
    theirs = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    oracle = torch.optim.Adam([theirs], lr=0.1, betas=(0.8, 0.95), eps=1e-3, maximize=True)
    ours, memory = np.zeros(6), adam.init(np.zeros(6))
    for _ in range(7):
        way = rng.normal(size=6)
        update, memory = adam.update(way, memory)
        ours = ours + 0.1 * update
        theirs.grad = torch.tensor(way)
        oracle.step()
    np.testing.assert_allclose(ours, theirs.detach(), rtol=0, atol=1e-14)


def test_looking_ahead_leaves_the_moments_where_they_were():
    """Extragradient under Adam: both steps are taken from the same point and memory."""
    game, solver = CONDORCET, sb.ExtraGradient(0.05, geometry=SOFTMAX)
    model = sb.solve(game, solver, replace(SMALL, optimizer=sb.Adam()), steps=6).model
    assert [float(own[0]) for own in model.memory] == [6, 6]


# --- what they learn ---------------------------------------------------------------------------------


@BOTH
def test_gradient_steps_in_parameters_learn_the_condorcet_game(shared):
    for seed in range(3):
        policy = sb.Neural(hidden=(32,), shared=shared, seed=seed, optimizer=sb.Adam())
        solution = sb.solve(CONDORCET, sb.StackelbergGDA(0.003), policy, steps=400, record=None)
        assert solution.gap < 1e-6
        np.testing.assert_allclose(solution.leader, sb.solve(CONDORCET).leader, atol=1e-3)


@BOTH
def test_what_is_learned_holds_in_contexts_never_seen(shared):
    """Against the reference, and against the best of what ignores the context: the same run, blind."""
    for seed in range(3):
        mixture = sb.AnnotatorMixture.random(4, types=6, features=2, seed=seed)
        game = sb.StackelbergGame(mixture, tau=0.1, contexts=mixture.draw(64, seed=1))
        new = game.on(mixture.draw(200, seed=2))
        policy = sb.Neural(hidden=(32, 32), shared=shared, seed=seed, optimizer=sb.Adam())
        solver = sb.StackelbergGDA(0.003)
        blind = sb.solve(replaced(game), solver, policy, steps=300, record=None).model
        model = sb.solve(game, solver, policy, steps=300, record=None).model
        learned, unseeing, reference = (
            held.expectation(sb.evaluate(held, each).gap)
            for held, each in ((new, model), (replaced(new), blind), (new, policy.model(game)))
        )
        assert learned < 0.02 * reference
        assert learned < 0.1 * unseeing
        assert unseeing < reference


def replaced(game):
    """The same preferences, with nothing to tell the contexts apart."""
    return sb.StackelbergGame(game.preference, tau=0.1, contexts=np.ones((game.shape[0], 1)))


def test_a_policy_space_rule_on_a_network_learns_a_contextual_game():
    game = sb.StackelbergGame(MIXTURE, tau=0.2, contexts=MIXTURE.draw(48, seed=1))
    solution = sb.solve(game, sb.MirrorDescent(1.0, kappa=5), sb.Neural(hidden=(8,)), steps=20)
    residual = solution.trajectory.residual
    assert residual.shape == (3, 48)
    assert (residual[0] == 0).all()
    assert 0 < residual[-1].max() < 0.1
    at_first = game.expectation(solution.trajectory.gap[0])
    assert game.expectation(solution.gap) < 0.01 * at_first
    new = game.on(MIXTURE.draw(100, seed=2))
    assert new.expectation(sb.evaluate(new, solution.model).gap) < 0.02 * at_first


def test_gradient_runs_have_no_residual():
    solution = sb.solve(CONDORCET, sb.StackelbergGDA(), SMALL, steps=2)
    assert solution.trajectory.residual is None
    assert re.fullmatch("ran all 2 steps; the gap went from .* in 2 records, too few to tell .*", solution.report)
    assert sb.solve(CONDORCET, sb.MirrorDescent(), steps=2).model is None


def test_a_diverged_network_is_reported_with_its_last_finite_policies():
    solution = sb.solve(CONDORCET, sb.StackelbergGDA(1e308), SMALL, steps=50)  # and five times that overflows
    assert solution.status is sb.Status.DIVERGED
    assert np.isfinite(solution.leader).all()
    assert all(np.isfinite(vector).all() for vector in solution.model.parameters)


def test_single_precision_learns_too():
    policy = sb.Neural(hidden=(32,), dtype="float32", optimizer=sb.Adam())
    solution = sb.solve(CONDORCET, sb.StackelbergGDA(0.005), policy, steps=400, record=None)
    assert solution.gap < 1e-4
    assert all(vector.dtype == np.float32 for vector in solution.model.parameters)
    followed = sb.solve(CONDORCET, sb.MirrorDescent(0.5), sb.Neural(hidden=(16,), dtype="float32"), steps=10)
    np.testing.assert_allclose(followed.leader, sb.solve(CONDORCET, sb.MirrorDescent(0.5), steps=10).leader, atol=1e-4)


# --- contexts ----------------------------------------------------------------------------------------


def test_one_hot_features_stand_in_where_none_are_given():
    game = sb.NashGame(sb.PreferenceMatrix.random(3, contexts=2))
    np.testing.assert_array_equal(game.features, np.eye(2))
    assert CONDORCET.features.tolist() == [[1.0]]


def test_a_game_on_other_contexts_is_the_same_game():
    new = GAME.on(NEW)
    np.testing.assert_array_equal(new.preference, MIXTURE(NEW))
    direct = sb.StackelbergGame(MIXTURE, tau_leader=0.2, tau_follower=0.1, **COMMON | {"contexts": NEW})
    np.testing.assert_array_equal(sb.solve(new).leader, sb.solve(direct).leader)
    for game in (sb.NashGame(MIXTURE, 0.3, LEADER, contexts=SEEN), sb.RewardGame(MIXTURE, 0.3, contexts=SEEN)):
        again = game.on(NEW).on(SEEN)
        np.testing.assert_allclose(sb.solve(again).policy, sb.solve(game).policy, atol=1e-12)
    weights = np.arange(1, 8) / 28
    np.testing.assert_array_equal(GAME.on(NEW, context_weights=weights).context_weights, weights)
    assert GAME.on(NEW, tau=1.0, tau_leader=None).tau_leader.tolist() == [1.0] * 7


def test_a_function_of_features_may_give_plain_arrays():
    def family(x):
        p = 1 / (1 + np.exp(-x[:, :1]))
        return np.stack([np.hstack([0.5 + 0 * p, p]), np.hstack([1 - p, 0.5 + 0 * p])], axis=1)

    game = sb.NashGame(family, 0.5, contexts=[[0.0], [1.0]])
    assert game.on([[-1.0]]).preference.probabilities[0, 0, 1] == pytest.approx(
        1 - game.preference.probabilities[1, 0, 1]
    )


def test_an_annotator_mixture_counts_annotators():
    x = MIXTURE.draw(4)
    shares, p = MIXTURE.shares(x), MIXTURE(x).probabilities
    for y in range(4):
        for other in range(4):
            above = [list(row).index(y) < list(row).index(other) for row in MIXTURE.rankings]
            np.testing.assert_allclose(p[:, y, other], 0.5 if y == other else shares @ above, atol=1e-14)


def test_an_annotator_mixture_is_often_cyclic_and_varies_smoothly():
    cyclic = []
    for seed in range(8):
        mixture = sb.AnnotatorMixture.random(4, types=6, features=2, seed=seed)
        x = mixture.draw(200, seed=9)
        p = mixture(x).probabilities
        cyclic.append(np.mean(~((p > 0.5).sum(axis=-1) == 3).any(axis=-1)))  # no Condorcet winner
        assert 0.005 < np.abs(mixture(x + 0.1).probabilities - p).max() < 0.2
    assert 0.2 < np.mean(cyclic) < 0.9


# --- the model on its own ----------------------------------------------------------------------------


@BOTH
def test_a_model_answers_for_any_features_as_its_game_says(shared):
    solution = sb.solve(GAME, sb.StackelbergGDA(0.3), replace(SMALL, shared=shared), steps=30)
    model, new = solution.model, GAME.on(NEW)
    np.testing.assert_allclose(model.leader(SEEN), solution.leader, atol=1e-14)
    np.testing.assert_allclose(model.follower(SEEN), solution.follower, atol=1e-14)
    held = sb.evaluate(new, model)
    assert held.status is sb.Status.EVALUATED
    np.testing.assert_allclose(held.leader, model.leader(NEW), atol=1e-14)
    np.testing.assert_allclose(held.gap, sb.duality_gap(new, model.leader(NEW), model.follower(NEW)), atol=1e-12)
    np.testing.assert_allclose(sb.evaluate(GAME, model).gap, solution.gap, atol=1e-13)
    np.testing.assert_allclose(model.leader(NEW[2]), model.leader(NEW)[2], atol=1e-14)
    assert np.ptp(held.leader, axis=0).max() > 1e-3


def test_a_model_samples_and_scores_its_actions():
    model = sb.solve(GAME, sb.StackelbergGDA(1.0), SMALL, steps=30, record=None).model
    x, rng = SEEN[0], np.random.default_rng(0)
    assert model.support().tolist() == [0, 1, 2, 3]
    assert [model.log_prob(x, y) for y in range(4)] == pytest.approx(np.log(model.leader(x)))
    assert model.log_prob(x, 1, observed=2) == pytest.approx(np.log(model.follower(x)[2, 1]))
    for wanted, options in ((model.leader(x), {}), (model.follower(x)[3], {"observed": 3})):
        counts = np.bincount([model.sample(x, rng, **options) for _ in range(800)], minlength=4)
        assert (np.abs(counts - 800 * wanted) < 4 * np.sqrt(800 * wanted * (1 - wanted))).all()


@BOTH
@pytest.mark.parametrize("optimizer", [None, sb.Adam(beta1=0.8)], ids=["plain", "adam"])
def test_a_model_comes_back_from_its_file(tmp_path, shared, optimizer):
    policy = replace(SMALL, shared=shared, optimizer=optimizer, activation=sb.Activation.SILU)
    model = sb.solve(GAME, sb.StackelbergGDA(0.05), policy, steps=5).model
    model.save(tmp_path / "model.npz")
    back = sb.NeuralModel.load(tmp_path / "model.npz")
    assert back.spec == model.spec
    np.testing.assert_array_equal(back.follower(NEW), model.follower(NEW))
    one, other = (sb.solve(GAME, sb.StackelbergGDA(0.05), each, steps=3).model for each in (model, back))
    for own, theirs in zip(one.parameters, other.parameters, strict=True):
        np.testing.assert_array_equal(own, theirs)


@pytest.mark.parametrize(
    ("solver", "optimizer"),
    [(sb.StackelbergGDA(0.05), sb.Adam()), (sb.MirrorDescent(0.5), None)],
    ids=["adam", "mirror"],
)
def test_a_stopped_run_goes_on_to_the_same_end_and_its_solution_is_saved(tmp_path, solver, optimizer):
    policy = replace(SMALL, optimizer=optimizer)
    whole = sb.solve(GAME, solver, policy, steps=9)
    sb.solve(GAME, solver, policy, steps=4, checkpoint=tmp_path / "run")
    rest = sb.resume(tmp_path / "run", steps=9)
    for own, theirs in zip(rest.model.parameters, whole.model.parameters, strict=True):
        np.testing.assert_array_equal(own, theirs)
    np.testing.assert_array_equal(rest.trajectory.gap, whole.trajectory.gap)
    whole.save(tmp_path / "solution.npz")
    again = sb.load(tmp_path / "solution.npz")
    np.testing.assert_array_equal(again.model.leader(NEW), whole.model.leader(NEW))
    assert again.report == whole.report


# --- refusals ----------------------------------------------------------------------------------------

VARIED = sb.NashGame(MIXTURE, np.linspace(0.1, 0.5, 5), contexts=SEEN)
PER_CONTEXT = sb.NashGame(MIXTURE, 0.2, np.random.default_rng(0).dirichlet(np.ones(4), 5), contexts=SEEN)
REFUSALS = {
    "projects probabilities": lambda: sb.solve(CONDORCET, sb.StackelbergGDA(geometry=sb.Simplex()), SMALL),
    "optimizer is not used": lambda: sb.solve(CONDORCET, sb.MirrorDescent(), sb.Neural(optimizer=sb.SGD())),
    "regression is not used": lambda: sb.solve(CONDORCET, sb.StackelbergGDA(), sb.Neural(regression=sb.Regression())),
    "start is for tables": lambda: sb.solve(CONDORCET, sb.StackelbergGDA(), SMALL, start=(None, None)),
    "is for 4 features": lambda: sb.evaluate(CONDORCET, replace(SMALL.model(CONDORCET), features=4)),
    "3 actions, and the game has 2 with 4": lambda: sb.evaluate(GAME, SMALL.model(CONDORCET)),
    "has no Follower": lambda: (
        SMALL.model(sb.NashGame(MIXTURE, contexts=SEEN)).point(VARIED, SOFTMAX).model.follower(NEW)
    ),
    "differs from context to context, so": lambda: SMALL.point(PER_CONTEXT, SOFTMAX).model.policy(NEW),
    "tau differs from context to context": lambda: VARIED.on(NEW),
    "reference differs from context": lambda: PER_CONTEXT.on(NEW),
    "P is a table of these contexts": lambda: CONDORCET.on([[1.0]]),
    "P is a function of features": lambda: sb.NashGame(MIXTURE),
    "features for 4 contexts, but P has 1": lambda: sb.NashGame(CONDORCET.preference, contexts=np.ones((4, 2))),
    "shape \\(contexts, d\\)": lambda: sb.NashGame(MIXTURE, contexts=[1.0, 2.0]),
    "rankings must be": lambda: sb.AnnotatorMixture([[0, 2]], [[1.0]]),
    "weights must be": lambda: sb.AnnotatorMixture([[0, 1]], [1.0]),
    "features must have shape": lambda: MIXTURE([[1.0]]),
    "types must be a positive": lambda: sb.AnnotatorMixture.random(3, types=0, features=2),
    "hidden must hold positive": lambda: sb.Neural(hidden=(0,)),
    "dtype must be": lambda: sb.Neural(dtype="float16"),
    "beta1 must lie": lambda: sb.Adam(beta1=1.0),
    "epsilon must be positive": lambda: sb.Adam(epsilon=0),
    "iterations must be": lambda: sb.Regression(iterations=0),
    "tolerance must lie": lambda: sb.Regression(tolerance=-1),
    "cannot be saved": lambda: replace(SMALL, activation=torch.sin).model(CONDORCET).save("unwritten.npz"),
}


@pytest.mark.parametrize("sentence", REFUSALS)
def test_what_cannot_be_is_refused_with_a_sentence(sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        REFUSALS[sentence]()
    assert re.search(r"[.?] [A-Z]", str(refused.value)), "it does not say what to do"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: sb.solve(CONDORCET, sb.StackelbergGDA(), sb.Neural), "policy must be a policy"),
        (lambda: sb.solve(CONDORCET, sb.StackelbergGDA(), "mlp"), "policy must be a policy"),
        (lambda: sb.evaluate(CONDORCET, SMALL), "takes a trained model"),
        (lambda: sb.Neural(optimizer=sb.Adam), "must be an Optimizer"),
        (lambda: sb.Neural(regression=3), "must be a Regression"),
        (lambda: sb.Neural(activation="relu"), "must be a function"),
    ],
)
def test_what_is_of_another_kind_is_refused_with_a_sentence(wrong, sentence):
    with pytest.raises(TypeError, match=sentence):
        wrong()


def test_a_file_that_is_no_model_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    with pytest.raises(ValueError, match=r"other\.npz is"):
        sb.NeuralModel.load(tmp_path / "other.npz")


def test_without_torch_the_names_say_what_to_install():
    absent = "import sys; import stackelberg as sb; print('torch' not in sys.modules); sys.modules['torch'] = None; "
    code = absent + "sb.Neural"  # SciPy looks torch up where it is listed, so it is hidden after the import
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "True"
    assert (
        'ImportError: Neural policies need torch, which is absent. Run: pip install "stackelberg[torch]".'
        in done.stderr
    )


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Neurall'"):
        sb.Neurall  # noqa: B018  # looked up for its error
    assert "Neural" in dir(sb)
