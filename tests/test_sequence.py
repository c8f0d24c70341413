"""The language, the policy that speaks it, and what the estimator refuses."""

import numpy as np
import pytest

import stackelberg as sb
from stackelberg.gradient import Batch, Completions, LeaveOneOut, PolicyReturns, RaoBlackwell, StackelbergReturns
from stackelberg.gradient import surrogates as made
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
