"""Solutions to files and back, exactly; and what is no such file is refused."""

import dataclasses
import enum
import json
import zipfile

import numpy as np
import pytest

import stackelberg as sb
from stackelberg.packing import Packer
from stackelberg.unpacking import Unpacker

BALLOTS = [(40, ["A", "B", "C"]), (35, ["B", "C", "A"]), (25, ["C", ("A", "B")])]
VOTES = sb.PreferenceMatrix.from_rankings(BALLOTS)
SEVERAL = sb.PreferenceMatrix.random(4, contexts=3)
WEIGHTS = [0.5, 0.3, 0.2]
GAMES = {
    "stackelberg": sb.StackelbergGame(VOTES, tau_leader=0.1, tau_follower=0.3, leader_reference=[0.5, 0.3, 0.2]),
    "nash": sb.NashGame(sb.PreferenceMatrix.from_counts([[0, 3, 1], [1, 0, 2], [4, 2, 0]]), tau=0.2),
    "reward": sb.RewardGame(VOTES, tau=0.2),
    "stackelberg contexts": sb.StackelbergGame(SEVERAL, tau=[0.1, 0.2, 0.3], context_weights=WEIGHTS),
    "nash contexts": sb.NashGame(SEVERAL, tau=0, context_weights=WEIGHTS),
    "reward contexts": sb.RewardGame(sb.PreferenceMatrix.from_scores(np.arange(6.0).reshape(2, 3)), tau=0.1),
}


def assert_same(one, two, path="solution"):
    """Equal to the last bit, types, dtypes and shapes included."""
    assert type(one) is type(two), path
    if isinstance(one, np.ndarray):
        assert one.dtype == two.dtype, path
        np.testing.assert_array_equal(one, two, err_msg=path, strict=True)
    elif dataclasses.is_dataclass(one) and not isinstance(one, enum.Enum):
        for field in dataclasses.fields(one):
            assert_same(getattr(one, field.name), getattr(two, field.name), f"{path}.{field.name}")
    elif isinstance(one, tuple | list):
        assert len(one) == len(two), path
        for number, (a, b) in enumerate(zip(one, two, strict=True)):
            assert_same(a, b, f"{path}[{number}]")
    else:
        assert one == two, path


@pytest.mark.parametrize("learned", [False, True], ids=["exact", "learned"])
@pytest.mark.parametrize("name", GAMES)
def test_a_solution_comes_back_exactly(tmp_path, name, learned):
    game = GAMES[name]
    options = {"steps": 30, "record": sb.Record(distance=not name.startswith("nash"))} if learned else {}
    solution = sb.solve(game, *([sb.MirrorDescent(0.3)] if learned else []), **options)
    again = sb.load(solution.save(tmp_path / "x.npz"))
    assert_same(solution, again)
    assert json.dumps(again.as_dict()) == json.dumps(solution.as_dict())
    if learned:
        assert len(again.trajectory) == 4
        assert again.average.game is again.best.game is again.game


def test_a_solution_that_came_back_is_a_whole_solution(tmp_path):
    solution = sb.solve(GAMES["stackelberg"], sb.StackelbergGDA(0.02), steps=100)
    again = sb.load(solution.save(tmp_path))
    assert (tmp_path / "solution.npz").exists()
    np.testing.assert_array_equal(again.refine(3).distributions, solution.refine(3).distributions)
    assert again.leader_gap == solution.leader_gap
    assert again.status is sb.Status.RAN
    assert again.game.preference.evidence.resample(np.random.default_rng(0)).ranks.shape == (3, 3)
    assert not again.game.preference.probabilities.flags.writeable


def test_a_diverged_solution_with_infinite_records_comes_back(tmp_path):
    solution = sb.solve(GAMES["stackelberg"], sb.MirrorDescent(50.0), steps=5000)
    assert solution.status is sb.Status.DIVERGED
    solution = dataclasses.replace(solution, value=float("-inf"))
    assert_same(solution, sb.load(solution.save(tmp_path / "x.npz")))


def test_equal_solutions_are_equal_files_that_numpy_reads(tmp_path):
    paths = [sb.solve(GAMES["nash"]).save(tmp_path / name) for name in ("a.npz", "b.npz")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with np.load(paths[0], allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["solution.policy"], sb.solve(GAMES["nash"]).policy)
        assert json.loads(archive["document.json"])["format"] == "stackelberg solution"


def test_saving_again_replaces_the_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "deep" / "x.npz"
    sb.solve(GAMES["nash"]).save(path)
    sb.solve(GAMES["reward"]).save(path)
    assert isinstance(sb.load(path), sb.RewardSolution)
    assert [each.name for each in path.parent.iterdir()] == ["x.npz"]


# --- refusals --------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    return sb.solve(GAMES["nash"], sb.EGPO(), steps=20).save(tmp_path / "x.npz")


def rewritten(path, change):
    """The archive with its document or its arrays changed, as a patient hand would change them."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(members["document.json"])
    change(document, members)
    members["document.json"] = json.dumps(document).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_every_half_written_file_is_refused(saved):
    data = saved.read_bytes()
    for size in range(0, len(data), 97):
        saved.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"x\.npz is damaged or no such archive"):
            sb.load(saved)


def test_a_flipped_bit_is_refused_or_harmless(saved):
    original, data = sb.load(saved), saved.read_bytes()
    refused = 0
    for place in range(0, len(data), 61):
        saved.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        try:
            again = sb.load(saved)
        except ValueError:
            refused += 1
        else:  # some bits of a zip archive mean nothing
            assert_same(original, again)
    assert refused > len(data) // 61 / 2


def rename_class(document, members):
    document["content"]["class"] = "PreferenceMatrix"


def foreign_class(document, members):
    document["content"]["class"] = "Popen"


def plain_content(document, members):
    document["content"] = 3


def module_path(document, members):
    document["content"]["fields"]["status"] = {"enum": "os", "member": "system"}


def unknown_member(document, members):
    document["content"]["fields"]["status"]["member"] = "GLORIOUS"


def other_fields(document, members):
    document["content"]["fields"]["smell"] = 1


def other_kind(document, members):
    document["format"] = "stackelberg state"


def later_version(document, members):
    document["version"] = 2


def array_of_another(document, members):
    members["solution.policy.npy"] = members["solution.game.tau.npy"]


def array_gone(document, members):
    del members["solution.policy.npy"]


def no_distribution(document, members):
    document["content"]["fields"]["game"]["fields"]["tau"] = -1.0


def strange_item(document, members):
    document["content"]["fields"]["value"] = {"pickle": "gASV"}


def not_a_list(document, members):
    document["content"]["fields"]["game"]["fields"]["preference"]["fields"]["labels"] = {"tuple": 3}


CHANGES = {
    rename_class: "other fields",
    foreign_class: "which stackelberg does not have",
    plain_content: "no solution",
    module_path: "no choice that stackelberg has",
    unknown_member: "no choice that stackelberg has",
    other_fields: "other fields: smell",
    other_kind: "is no stackelberg solution",
    later_version: "Use the stackelberg that wrote it",
    array_of_another: "its checksum differs",
    array_gone: "is missing",
    no_distribution: "tau must be zero or positive",
    strange_item: "which no stackelberg wrote",
    not_a_list: "which no stackelberg wrote",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_changed_file_is_refused_with_a_sentence(saved, change):
    with pytest.raises(ValueError, match=CHANGES[change]):
        sb.load(rewritten(saved, change))


def test_objects_are_never_unpickled(saved):
    np.savez(saved, policy=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        sb.load(saved)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.csv").write_text("winner,loser,count\n")
    with pytest.raises(ValueError, match="damaged or no such archive"):
        sb.load(tmp_path / "x.csv")
    np.savez(tmp_path / "bare.npz", policy=np.ones(3))
    with pytest.raises(ValueError, match="is no stackelberg solution"):
        sb.load(tmp_path / "bare.npz")
    with pytest.raises(FileNotFoundError):
        sb.load(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match=r"not as \.json"):
        sb.solve(GAMES["nash"]).save(tmp_path / "x.json")


def test_what_cannot_be_saved_is_named():
    with pytest.raises(ValueError, match=r"solver\.learning_rate is a function"):
        Packer().pack(sb.EGPO(lambda t: 0.1), "solver")
    with pytest.raises(ValueError, match=r"a\.b\.0 is a object"):
        Packer().pack({"b": [object()]}, "a")
    with pytest.raises(ValueError, match="array of object"):
        Packer().pack(np.array([{}]), "a")


@pytest.mark.parametrize(
    "value",
    [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(24.0).reshape(2, 3, 4).transpose(0, 2, 1),
        np.broadcast_to(np.arange(3.0), (2, 4, 3)),
        np.zeros((0, 3)),
        np.float32([1.5, np.nan, -0.0]),
        np.array(["tea", "käse"]),
        np.array(2.5),
        np.float32(2.5),
        np.bool_(True),
        (1, [True, None, "x"], {"k": (float("nan"),)}, 10**30),
    ],
    ids=str,
)
def test_values_come_back_with_type_and_layout(value):
    packer = Packer()
    document = json.loads(json.dumps(packer.pack(value, "v"), allow_nan=False))
    again = Unpacker(packer.arrays).unpack(document, "v")
    assert str(again) == str(value)
    assert type(again) is type(value)
    if isinstance(value, np.ndarray):
        np.testing.assert_array_equal(again, value, strict=True)
        assert again.strides == value.strides or value.size == 0
