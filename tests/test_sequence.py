"""The language, the policy that speaks it, and what the estimator refuses."""

import json

import numpy as np
import pytest

import stackelberg as sb
from stackelberg.field import Field, natural_field
from stackelberg.gradient import (
    Batch,
    Completions,
    LeaveOneOut,
    NoBaseline,
    PolicyReturns,
    RaoBlackwell,
    SequenceLevel,
    StackelbergReturns,
)
from stackelberg.gradient import surrogates as made
from stackelberg.point import Joint
from stackelberg.simplex import softmax

torch = pytest.importorskip("torch")

from stackelberg.neural.language import END, Language  # noqa: E402
from stackelberg.neural.sequence import SequencePolicy  # noqa: E402
from stackelberg.neural.speaker import FOLLOWER, LEADER  # noqa: E402

LANGUAGES = [Language(2, 1), Language(2, 4), Language(3, 3), Language(4, 2)]


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_the_language_lists_every_sequence_once(language):
    v, t = language.vocabulary, language.length
    assert len(language) == sum((v - 1) ** k for k in range(t)) + (v - 1) ** t
    assert len(set(language.sequences)) == len(language) == len(set(language.labels))
    for sequence, mask, tokens in zip(language.sequences, language.mask, language.tokens, strict=True):
        assert END not in sequence[:-1]
        assert len(sequence) == t or sequence[-1] == END
        assert tuple(tokens[mask]) == sequence


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_conditionals_and_sequences_say_the_same(language):
    rng = np.random.default_rng(0)
    conditionals = np.log(softmax(rng.normal(size=(3, language.nodes, language.vocabulary))))
    table = language.token_log_probs(conditionals).sum(-1)
    np.testing.assert_allclose(np.exp(table).sum(-1), 1, atol=1e-12)
    np.testing.assert_allclose(language.conditionals(table), conditionals, atol=1e-12)
    twin = language.token_log_probs(torch.tensor(conditionals)).sum(-1)
    np.testing.assert_allclose(twin, table, atol=1e-15)


@pytest.mark.parametrize("language", LANGUAGES, ids=str)
def test_token_by_token_draws_come_as_often_as_the_table_says(language):
    rng = np.random.default_rng(1)
    conditionals = np.log(softmax(rng.normal(size=(language.nodes, language.vocabulary))))
    chance, draws = np.exp(language.token_log_probs(conditionals).sum(-1)), 200_000
    drawn = language.sample(np.broadcast_to(conditionals, (draws, *conditionals.shape)), rng)
    off = np.bincount(drawn, minlength=len(language)) - draws * chance
    assert (off**2 / (draws * chance)).sum() < len(language) + 6 * np.sqrt(2 * len(language))


@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
def test_the_reference_is_autoregressive_and_depends_on_what_is_seen(shared):
    policy = SequencePolicy(shared=shared, seed=3)
    leader, follower = policy.game_reference(contexts=2).values()
    n = len(policy.language)
    assert (leader.shape, follower.shape) == ((2, n), (2, n, n))
    assert np.abs(leader - 1 / n).max() > 0.1
    assert np.abs(leader[0] - leader[1]).max() > 0.01
    assert np.abs(follower[0, 0] - follower[0, 1]).max() > 0.01
    assert np.abs(leader[:, None] - follower).max() > 0.01  # it is told its role
    vectors = policy.start(features=2)
    assert len(vectors) == 2 - shared
    assert all(torch.equal(a, b) for a, b in zip(vectors, policy.start(features=2), strict=True))
    assert not torch.equal(vectors[0], SequencePolicy(shared=shared, seed=4).start(features=2)[0])


def test_the_reply_after_a_prefix_cannot_see_what_comes_later():
    """Autoregressive: the chance of a first token is the same whatever table it is read from."""
    policy = SequencePolicy()
    seen = torch.eye(1, dtype=torch.float64)
    now = policy.conditionals(policy.start(1), seen, FOLLOWER)
    short = SequencePolicy(length=2)
    np.testing.assert_allclose(
        policy.conditionals(policy.start(1), seen, LEADER)[:, :3], short.conditionals(short.start(1), seen, LEADER)
    )
    assert now.shape == (1, 15, 7, 3)


def test_a_game_over_sequences_is_solved_exactly():
    policy = SequencePolicy(length=2)
    P = sb.PreferenceMatrix.random(7, contexts=2)
    game = sb.StackelbergGame(P, tau=0.2, **policy.game_reference(contexts=2))
    assert (sb.solve(game).gap < 1e-12).all()


def said(rows=2, **changes):
    arrays = {"log_prob": np.zeros((rows, 3)), "reference_log_prob": np.zeros((rows, 3)), "mask": np.ones((rows, 3))}
    return Completions(**{**arrays, **changes})


def compared(batch):
    return made(batch, PolicyReturns(0.1), baseline=LeaveOneOut())


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: compared(Batch(np.ones(1), said(1))), "has only one"),
        (
            lambda: compared(Batch(np.ones(3), said(3), groups=np.array([7, 7, 5]))),
            "has only one",
        ),
        (
            lambda: compared(Batch(np.ones(2), said(), weights=np.array([1.0, 0]))),
            "not positive",
        ),
        (lambda: made(Batch(np.ones(2), said()), PolicyReturns(0.1), kl=RaoBlackwell()), "exact KL of every position"),
        (lambda: made(Batch(np.ones(2), said()), StackelbergReturns(0.1, 0.1)), "needs the Follower's completions"),
        (lambda: said(mask=np.ones((2, 4))), "one number a token"),
        (lambda: Batch(np.ones(3), said()), "one number a rollout"),
        (lambda: Batch(np.ones(2), said(), follower=said(3)), "one number a rollout"),
        (lambda: SequencePolicy(vocabulary=1), "2 or more"),
        (lambda: SequencePolicy(vocabulary=50, length=9), "more than 2000 sequences"),
        (lambda: SequencePolicy(hidden=0), "positive whole number"),
    ],
)
def test_refusals_say_what_is_wrong(act, words):
    with pytest.raises(ValueError, match=words):
        act()


# --- in solve -------------------------------------------------------------------------------------------

GAMES = {
    "stackelberg": lambda P, before: sb.StackelbergGame(P, tau_leader=0.3, tau_follower=0.2, **before),
    "published": lambda P, before: sb.PublishedStackelbergGame(P, tau_leader=0.3, tau_follower=0.2, **before),
    "nash": lambda P, before: sb.NashGame(P, 0.3, before["leader_reference"]),
    "reward": lambda P, before: sb.RewardGame(P, 0.3, reference=before["leader_reference"]),
}


def standing(which, shared=False, geometry=None):
    """A game of two contexts, and speakers who have moved away from its reference."""
    policy = SequencePolicy(length=2, shared=shared, hidden=4)
    P = 0.1 + 0.8 * sb.PreferenceMatrix.random(7, contexts=2, seed=1).probabilities
    game = GAMES[which](P, policy.game_reference(contexts=2))
    point = policy.point(game, geometry or sb.Softmax())
    moved = Joint(tuple(np.random.default_rng(2).normal(size=len(v)) for v in point.model.parameters))
    rates = Joint((0.3,) * len(point.tables))
    return game, point.step(rates, Joint(moved.parts * len(point.tables)) if shared else moved)


@pytest.mark.parametrize(
    "sampling",
    [
        sb.Sample(2000),
        sb.Sample(2000, LeaveOneOut(), RaoBlackwell()),
        sb.Sample(2000, NoBaseline(), SequenceLevel(), sb.UniformActions()),
    ],
    ids=["default", "leave-one-out Rao-Blackwell", "uniform behaviour"],
)
@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
@pytest.mark.parametrize("which", GAMES)
def test_the_sampled_forces_are_the_enumerated_ones_in_the_mean(which, shared, sampling):
    game, point = standing(which, shared)
    exact = Field(natural_field(game))(point)
    field, rng = Field(natural_field(game), sampling, np.random.default_rng(5)), np.random.default_rng(6)
    looks = [field(point) for _ in range(40)]
    for part in ("payoff", "regulariser", "total"):
        for player in range(len(point.tables)):
            truth = getattr(exact, part)[player]
            for along in (truth / np.linalg.norm(truth), rng.normal(size=truth.shape)):
                found = np.array([getattr(look, part)[player] @ along for look in looks])
                error = found.std(ddof=1) / np.sqrt(len(found))
                assert abs(found.mean() - truth @ along) < 4.5 * error + 1e-12


@pytest.mark.parametrize("shared", [False, True], ids=["separate", "shared"])
def test_solve_trains_a_sequence_policy_from_samples(shared):
    policy = SequencePolicy(length=2, shared=shared)
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(7, seed=0), tau=0.2, **policy.game_reference())
    solver = sb.StackelbergGDA(learning_rate=0.3, geometry=sb.Softmax())
    sampling = sb.Sample(128, baseline=LeaveOneOut(), kl=RaoBlackwell())
    first, again, other = (sb.solve(game, solver, policy, steps=60, sampling=sampling, seed=seed) for seed in (1, 1, 2))
    exact = sb.solve(game, solver, policy, steps=60)
    assert exact.gap < 0.5 * exact.trajectory.gap[0]
    assert abs(first.gap - exact.gap) < 0.25 * (exact.trajectory.gap[0] - exact.gap)  # the way down is the same
    np.testing.assert_array_equal(first.leader, again.leader)
    assert not np.array_equal(first.leader, other.leader)
    np.testing.assert_allclose(first.model.leader([1.0]), first.leader)


def test_shared_speakers_move_by_the_sum_of_both_directions():
    _, point = standing("stackelberg", shared=True)
    (before,) = point.model.parameters
    up, down = np.random.default_rng(0).normal(size=(2, len(before)))
    (after,) = point.step(Joint((0.1, 0.5)), Joint((up, down))).model.parameters
    np.testing.assert_allclose(after, before + 0.1 * up + 0.5 * down)


def test_policy_space_rules_are_followed_by_regression():
    policy = SequencePolicy(length=2)
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(7, seed=0), tau=0.2, **policy.game_reference())
    solver = sb.MirrorDescent(learning_rate=0.5)
    table, speaker = (sb.solve(game, solver, each, steps=5) for each in (None, policy))
    np.testing.assert_allclose(speaker.leader, table.leader, atol=1e-7)
    np.testing.assert_allclose(speaker.follower, table.follower, atol=1e-7)


def test_a_model_survives_its_file(tmp_path):
    _, point = standing("stackelberg")
    point.model.save(tmp_path / "model.npz")
    read = type(point.model).load(tmp_path / "model.npz")
    np.testing.assert_array_equal(read.follower(np.eye(2)), point.model.follower(np.eye(2)))
    np.testing.assert_allclose(read.leader(np.eye(2)), point.tables[0].probabilities, atol=1e-12)
    np.savez(tmp_path / "other.npz", nothing=1)
    with pytest.raises(ValueError, match="no model over sequences"):
        type(point.model).load(tmp_path / "other.npz")


@pytest.mark.parametrize("written", [True, False], ids=["its own file", "a file of earlier versions"])
def test_a_model_keeps_its_precision_through_its_file(tmp_path, written):
    """Earlier versions did not write it down: there the parameters tell."""
    policy = SequencePolicy(vocabulary=2, length=1, hidden=4, dtype="float32")
    game = sb.NashGame(sb.PreferenceMatrix.random(len(policy.support()), 1), 0.2)
    model = sb.solve(game, sb.GDA(), policy, steps=2).model
    model.save(tmp_path / "model.npz")
    if not written:
        with np.load(tmp_path / "model.npz") as file:
            arrays = dict(file)
        about = json.loads(str(arrays["about"]))
        del about["sequence"]["dtype"]
        np.savez(tmp_path / "model.npz", **arrays | {"about": np.array(json.dumps(about))})
    read = type(model).load(tmp_path / "model.npz")
    assert read.spec.dtype == "float32"
    assert read.parameters[0].dtype == np.float32
    np.testing.assert_array_equal(read.leader(np.ones((2, 1))), model.leader(np.ones((2, 1))))


def test_a_game_of_another_size_is_refused():
    with pytest.raises(ValueError, match="speaks 15 sequences, and the game has 3"):
        sb.solve(sb.NashGame(sb.PreferenceMatrix.cycle(3)), sb.GDA(), SequencePolicy(), steps=1)
    game = sb.NashGame(sb.PreferenceMatrix.random(7), 0.1, np.eye(7)[0])
    with pytest.raises(ValueError, match="has zeros"):
        SequencePolicy(length=2).point(game, sb.Softmax())


def test_a_stopped_run_of_a_speaker_goes_on_to_the_bit(tmp_path):
    policy = sb.SequencePolicy(vocabulary=2, length=1, hidden=4)
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(len(policy.support()), 1), tau=0.2)
    run = {"sampling": sb.Sample(20, kl=sb.RaoBlackwell()), "seed": 3}
    solver = sb.StackelbergGDA(0.05)
    sb.solve(game, solver, policy, steps=7, checkpoint=tmp_path / "run", **run)
    resumed, whole = sb.resume(tmp_path / "run", steps=15), sb.solve(game, solver, policy, steps=15, **run)
    np.testing.assert_array_equal(resumed.leader, whole.leader)
    np.testing.assert_array_equal(resumed.trajectory.gap, whole.trajectory.gap)
    loaded = sb.load(tmp_path / "run")
    np.testing.assert_array_equal(sb.evaluate(game, loaded.model).follower, whole.follower)
