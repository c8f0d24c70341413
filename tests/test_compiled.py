"""Compiled passes give what NumPy's give, in both layouts and precisions, and say what is wrong where they do."""

import contextlib

import numpy as np
import pytest
from cases import CONCEPTS, LEARNERS, TAU
from hypothesis import given
from hypothesis import strategies as st

import stackelberg as sb
from stackelberg import kernel as kernels
from stackelberg.combination import Combination
from stackelberg.kernel import Kernel, laid_out

pytest.importorskip("numba", reason="numba is not installed (stackelberg[fast])")
from stackelberg import compiled, elementary
from stackelberg.compiled import CompiledKernel

PAIRS = [(learner, concept) for learner in LEARNERS for concept in CONCEPTS if concept.name in learner.concepts]
NAMED = pytest.mark.parametrize(("learner", "concept"), PAIRS, ids=[f"{x.name}-{y.name}" for x, y in PAIRS])
REFERENCE = np.array([0.4, 0.3, 0.2, 0.1])
COMPILED = sb.Tables(compiled=True)
NEAR = {"float64": 1e-10, "float32": 5e-5}
WAYS = ("one after another", "side by side")
lays = pytest.mark.parametrize("way", WAYS)


@contextlib.contextmanager
def small_tables_too(way):
    """Tables of any size are passed over by compiled loops, and rows lie as ``way`` says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "SMALL", 0)
        patch.setattr(kernels, "SMALL", 0)
        patch.setattr(kernels, "MANY", 0 if way == "side by side" else 1 << 40)
        compiled._views.cache_clear()
        yield
    compiled._views.cache_clear()


@pytest.fixture
def called(monkeypatch):
    """The names of the loops that ran."""
    names, loops = set(), compiled._loops()

    class Spied:
        def __getattr__(self, name):
            names.add(name)
            return getattr(loops, name)

    monkeypatch.setattr(compiled, "_loops", Spied)
    return names


def policies(solution):
    return (solution.leader, solution.follower) if isinstance(solution, sb.StackelbergSolution) else (solution.policy,)


def assert_same_walk(found, wanted, atol):
    for one, other in zip(policies(found), policies(wanted), strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other, atol=atol, rtol=0)
    for name in ("gap", "value", "kl", "average_gap"):
        ours, theirs = getattr(found.trajectory, name), getattr(wanted.trajectory, name)
        np.testing.assert_allclose(ours, theirs, atol=10 * atol, rtol=0, err_msg=name)


# ------------------------------------------------------------------ runs


@pytest.mark.parametrize("dtype", NEAR)
@lays
@NAMED
def test_every_rule_walks_numpys_way(learner, concept, way, dtype, called):
    p = 0.05 + 0.9 * sb.PreferenceMatrix.random(4, 3, contexts=3).probabilities
    game = concept.game(p, np.array([TAU, TAU, 0.7]) if learner.regularised else 0, REFERENCE)
    options = {"steps": 20, "record": sb.Record(every=5)}
    wanted = sb.solve(game, learner.solver, sb.Tables(dtype), **options)
    with small_tables_too(way):
        found = sb.solve(game, learner.solver, sb.Tables(dtype, compiled=True), **options)
    assert_same_walk(found, wanted, NEAR[dtype])
    mark = "_across" if way == "side by side" else "_along"
    assert called
    assert all(name.endswith(mark) for name in called)


@pytest.mark.parametrize("shape", [(70, None), (6, 60)], ids=["one table", "many games"])
@pytest.mark.parametrize("geometry", [sb.Natural(), sb.Softmax(), sb.Simplex()])
def test_large_tables_are_compiled_by_themselves(shape, geometry, called):
    n, contexts = shape
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(n, contexts=contexts), tau=0.1)
    rule = sb.GDA(0.02, kappa=5, geometry=geometry)
    found, wanted = (sb.solve(game, rule, tables, steps=20) for tables in (COMPILED, None))
    assert_same_walk(found, wanted, 1e-10)
    kind = {"Natural": {"soften"}, "Softmax": {"soften", "pull"}, "Simplex": {"soften", "project"}}
    mark = "_along" if contexts is None else "_across"
    assert called >= {name + mark for name in kind[type(geometry).__name__] | {"dot"}}


MATRICES = st.sampled_from(
    [
        sb.PreferenceMatrix.random(4, 1).probabilities,
        sb.PreferenceMatrix.cycle(5).probabilities,
        np.full((3, 3), 0.5),
        np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]]),
        np.array([[0.5, 1.0, 1.0], [0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]),
        sb.PreferenceMatrix.random(9, 5).probabilities,
    ]
)


@given(MATRICES, st.sampled_from([1e-6, 1e-3, 0.1, 1.0, 1e3]), st.sampled_from(WAYS))
def test_any_matrix_and_any_tau(p, tau, way):
    game = sb.StackelbergGame(sb.PreferenceMatrix(p), tau)
    for solver in (
        sb.MirrorDescent(0.2 / (1 + tau), kappa=2),
        sb.StackelbergGDA(0.02 / (1 + tau), kappa=2),
        sb.StackelbergGDA(0.2 / (1 + tau), kappa=2, geometry=sb.Softmax()),
    ):
        wanted = sb.solve(game, solver, steps=8)
        with small_tables_too(way):
            found = sb.solve(game, solver, COMPILED, steps=8)
        assert found.status == wanted.status
        np.testing.assert_allclose(found.leader, wanted.leader, atol=1e-9)
        np.testing.assert_allclose(found.follower, wanted.follower, atol=1e-9)


@lays
def test_divergence_is_told_at_the_same_step(way):
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(5, 1), tau=1.0)
    for solver in (sb.MirrorDescent(1e200), sb.GDA(1e200, geometry=sb.Softmax()), sb.GDA(1e200, geometry=sb.Simplex())):
        wanted = sb.solve(game, solver, steps=50)
        with small_tables_too(way):
            found = sb.solve(game, solver, COMPILED, steps=50)
        assert (found.status, found.report[:22]) == (wanted.status, wanted.report[:22])


@lays
def test_a_stopped_run_goes_on_to_the_bit(way, tmp_path):
    game = sb.StackelbergGame(sb.PreferenceMatrix.random(4, 3, contexts=3), tau=0.1)
    solver = sb.MirrorDescent(0.3, kappa=3, tau_scale=sb.Linear(1.0, 0.2, 15))
    with small_tables_too(way):
        whole = sb.solve(game, solver, COMPILED, steps=30, sampling=sb.Sample(5), seed=1)
        sb.solve(game, solver, COMPILED, steps=11, sampling=sb.Sample(5), seed=1, checkpoint=tmp_path / "run")
        resumed = sb.resume(tmp_path / "run", steps=30)
    for one, other in zip(policies(resumed), policies(whole), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(resumed.trajectory.gap, whole.trajectory.gap)


# ------------------------------------------------------------------ passes

NUMBERS = st.floats(-5, 5, allow_subnormal=False)


@st.composite
def combinations(draw):
    """Of one to four terms: whole tables, rows that broadcast, and numbers a row; with the table's shape."""
    rows, n = draw(st.tuples(st.integers(1, 5), st.integers(2, 6)))
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    terms = [(draw(NUMBERS), laid_out(rng.normal(size=(3, rows, n))))]
    for kind in draw(st.lists(st.sampled_from(["whole", "scaled rows", "broadcast", "constant"]), max_size=3)):
        factor = rng.normal(size=(3, rows, 1)) if kind == "scaled rows" else draw(NUMBERS)
        shape = {"broadcast": (1, 1, n), "constant": (3, rows, 1)}.get(kind, (3, rows, n))
        terms.append((factor, laid_out(rng.normal(size=shape))))
    return terms, (3, rows, n), rng


@given(combinations(), st.sampled_from(WAYS), st.booleans())
def test_passes_are_numpys_passes(made, way, weighed):
    terms, shape, rng = made
    with small_tables_too(way):
        ours, numpys = CompiledKernel(), Kernel()
        force = Combination(*((factor, laid_out(array)) for factor, array in terms))
        table = laid_out(rng.uniform(0.1, 1, size=shape))
        total = rng.uniform(0.5, 2, size=(*shape[:-1], 1))
        weight = rng.uniform(size=(*shape[:-1], 1)) if weighed else None
        answers = []
        for each in (ours, numpys):
            sums = laid_out(np.ones(shape))
            each.accumulate(sums, table, total)
            pulled = each.gradient(table, force, weight, total if weighed else None)
            answers.append([*each.soften(force), *each.project(force, 1e-12), each.dot(table, table), sums, pulled])
    for found, wanted in zip(*answers, strict=True):
        if wanted is None or isinstance(wanted, bool):
            assert found is wanted
        else:
            np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-9, atol=1e-12)


@lays
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_told(way, bad):
    values = np.zeros((4, 3))
    values[2, 1] = bad
    with small_tables_too(way), np.errstate(invalid="ignore", over="ignore"):
        for act in (lambda k, c: k.soften(c)[2], lambda k, c: k.project(c, 1e-12)[2]):
            told = [
                act(k(), Combination((1.0, laid_out(values)), (0.5, laid_out(values))))
                for k in (CompiledKernel, Kernel)
            ]
            assert told == [False, False]


@lays
def test_far_logits_keep_their_digits(way):
    """Rows that need a shift against overflow or underflow get it, as NumPy's do."""
    values = np.array([[800.0, 799.0, 0.0], [-900.0, -901.0, -1500.0], [0.0, -1e5, 3.0]])
    with small_tables_too(way), np.errstate(over="ignore"):
        weights, logits, finite, total, _ = CompiledKernel().soften(
            Combination((1.0, laid_out(values)), (0.0, laid_out(values)))
        )
    assert finite
    wanted = values - values.max(-1, keepdims=True)
    wanted = wanted - np.log(np.exp(wanted).sum(-1, keepdims=True))
    np.testing.assert_allclose(weights / total, np.exp(wanted), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(logits - np.log(total), wanted, rtol=1e-12)


def everywhere(function, values):
    return np.array([function(float(value)) for value in values])


@given(st.lists(st.floats(-708, 709), min_size=1, max_size=50))
def test_exp_is_numpys_to_two_units_in_the_last_place(values):
    np.testing.assert_array_max_ulp(everywhere(elementary.exp, values), np.exp(values), 2)


@given(st.lists(st.floats(1e-307, 1e308), min_size=1, max_size=50))
def test_log_is_numpys_to_two_units_in_the_last_place(values):
    np.testing.assert_array_max_ulp(everywhere(elementary.log, values), np.log(values), 2)


def test_exp_and_log_at_the_edges():
    ends = [np.inf, 709.5, -np.inf, -708.5, -0.0, 709.0, -708.0]
    wanted = [np.inf, np.inf, 0.0, 0.0, 1.0, np.exp(709.0), np.exp(-708.0)]
    np.testing.assert_allclose(everywhere(elementary.exp, ends), wanted, rtol=1e-15)
    assert np.isnan(elementary.exp(np.nan))
    assert np.isnan(elementary.log(np.nan))
    close = 1 + np.array([0.0, 2e-16, 1e-12, -1e-12, 0.4, -0.3])
    np.testing.assert_array_max_ulp(everywhere(elementary.log, close), np.log(close), 2)


# ------------------------------------------------------------------ what is refused


def test_compiled_is_a_choice_between_two():
    with pytest.raises(TypeError, match="compiled must be True or False, not 'yes'"):
        sb.Tables(compiled="yes")
    with pytest.raises(ValueError, match="compiled is for NumPy's tables, and device is 'cpu'"):
        sb.Tables(device="cpu", compiled=True)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("numba"), r"need numba, which is not installed. Install stackelberg\[fast\]"),
        (
            RuntimeError("no locator"),
            r"no place to keep what it compiles \(no locator\). Name a folder in NUMBA_CACHE_DIR",
        ),
    ],
)
def test_what_is_missing_is_said(monkeypatch, error, words):
    def missing(name):
        raise error

    monkeypatch.setattr(compiled, "import_module", missing)
    with pytest.raises(ValueError, match=words):
        sb.solve(sb.NashGame(sb.PreferenceMatrix.cycle(3), 0.1), sb.OnlineIPO(), COMPILED, steps=1)
