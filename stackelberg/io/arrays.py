"""NumPy's own files: ``.npy`` with nothing but probabilities, ``.npz`` with everything a matrix knows."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from stackelberg.evidence import Ballots, Counts, Unranked
from stackelberg.io.common import check_evidence, check_names, rankings_of, refusal
from stackelberg.io.records import unranked_from
from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import Array, as_floats, shown

NAMES = ("labels", "probabilities", "wins", "ties", "weights", "ranks", "unranked")


def read_npy(data: bytes, unranked: Unranked) -> PreferenceMatrix:
    """A matrix from one array of probabilities; ``unranked`` has no meaning here."""
    array = _loaded(data)
    if not isinstance(array, np.ndarray):
        raise ValueError("This is an archive of several arrays. Expected one array, or the ending .npz.")
    return PreferenceMatrix(array)


def read_npz(data: bytes, unranked: Unranked) -> PreferenceMatrix:
    """A matrix from an archive (see :func:`stackelberg.read_preferences`)."""
    arrays = _loaded(data)
    if not isinstance(arrays, dict):
        raise ValueError("This is a single array. Expected an archive of arrays, or the ending .npy.")
    _check_keys(arrays)
    labels = _labels(arrays["labels"]) if "labels" in arrays else None
    evidence: Counts | Ballots | None = None
    if "wins" in arrays:
        evidence = Counts.checked(arrays["wins"], arrays.get("ties"))
    elif "weights" in arrays:
        evidence = _ballots(arrays, labels, unranked)
    if "probabilities" in arrays or evidence is None:
        p = arrays["probabilities"]
    else:
        p = (evidence.counts() if isinstance(evidence, Ballots) else evidence).probabilities()
    P = PreferenceMatrix(p, labels, evidence)  # type: ignore[arg-type]  # None becomes names
    check_evidence(P)
    return P


def _check_keys(arrays: dict[str, Array]) -> None:
    for name in arrays:
        if name not in NAMES:
            raise refusal("the archive", name, f"only arrays named {', '.join(NAMES)}")
    known = arrays.keys() & {"probabilities", "wins", "weights"}
    if not known or known >= {"wins", "weights"}:
        raise refusal("the archive", list(arrays), "probabilities, or wins, or weights with ranks")
    for name, needed in (
        ("ties", "wins"),
        ("ranks", "weights"),
        ("weights", "ranks"),
        ("unranked", "weights"),
    ):
        if name in arrays and needed not in arrays:
            raise refusal("the archive", list(arrays), f"{needed} beside {name}")


def _loaded(data: bytes) -> Any:
    """The array, or the dictionary of arrays, in ``data``; objects are never unpickled."""
    stream = io.BytesIO(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy remarks on headers that Python 2 wrote
            loaded = np.load(stream, allow_pickle=False)
            if not isinstance(loaded, np.ndarray):
                return {name: loaded[name] for name in loaded.files}
    except Exception as error:  # NumPy and zipfile raise a dozen kinds for a damaged file, and document none
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"NumPy cannot read this ({reason[:160]}). Expected a .npy or .npz file.") from None
    if stream.tell() != len(data):
        raise ValueError(f"{len(data) - stream.tell()} bytes follow the array. Expected nothing there.")
    return loaded


def _labels(array: np.ndarray) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind != "U":
        raise refusal("labels", f"{array.dtype} of shape {array.shape}", "a one-dimensional array of texts")
    try:
        names = array.tolist()
    except (ValueError, SystemError):  # a damaged file can hold code points that no text has
        raise ValueError("labels hold something that is not text. Expected an array of texts.") from None
    return check_names(names, "labels")


def _ballots(arrays: dict[str, Array], labels: tuple[str, ...] | None, unranked: Unranked) -> Ballots:
    """Ballots from ``weights`` (ballots,) and ``ranks`` (ballots, n), ``inf`` where unranked."""
    ranks, weights = arrays["ranks"], as_floats(arrays["weights"], "weights")
    if ranks.dtype.kind != "f" or ranks.ndim != 2 or not (ranks >= 0).all() or weights.shape != ranks.shape[:1]:
        found = f"{ranks.dtype} of shape {ranks.shape} and weights of shape {weights.shape}"
        raise refusal("ranks", found, "floats (ballots, n), 0 the best, inf where unranked, and weights (ballots,)")
    names = tuple(map(str, range(ranks.shape[1]))) if labels is None else labels
    if len(names) != ranks.shape[1]:
        raise refusal("ranks", f"shape {ranks.shape}", f"a column for each of the {len(names)} labels")
    meaning = unranked_from(arrays["unranked"].tolist()) if "unranked" in arrays else unranked
    return Ballots.checked(rankings_of(weights, ranks, names), names, meaning)[0]


def write_npy(P: PreferenceMatrix) -> bytes:
    """The bytes of ``.npy``, or a ``ValueError`` where P knows more than its probabilities."""
    if P.evidence is not None or P.labels != tuple(map(str, range(P.n))):
        raise ValueError(".npy holds probabilities only, and P has labels or counts too. Save as .npz or .json.")
    buffer = io.BytesIO()
    np.save(buffer, P.probabilities, allow_pickle=False)
    return buffer.getvalue()


def write_npz(P: PreferenceMatrix) -> bytes:
    """The bytes of ``.npz``: labels, probabilities and the counts or ballots behind them."""
    for label in P.labels:
        if label.endswith("\0"):
            raise ValueError(f"The label {shown(label)} ends in NUL, which NumPy drops. Save as .json.")
    arrays: dict[str, Any] = {"labels": np.array(P.labels), "probabilities": P.probabilities}
    if isinstance(P.evidence, Counts):
        arrays |= {"wins": P.evidence.wins, "ties": P.evidence.ties}
    elif isinstance(P.evidence, Ballots):
        cast = P.evidence.weights > 0
        arrays |= {"weights": P.evidence.weights[cast], "ranks": P.evidence.ranks[cast]}
        arrays["unranked"] = np.array(P.evidence.unranked.value)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()
