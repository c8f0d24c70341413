"""Reading preferences from files, and writing them: CSV, JSON, JSONL pairs, NumPy and PrefLib."""

from __future__ import annotations

import os
import secrets
from importlib import resources
from pathlib import Path
from typing import IO

import numpy as np

from stackelberg.evidence import Unranked
from stackelberg.io.common import check_evidence, check_names
from stackelberg.io.formats import FORMATS, Format, format_of, sniffed
from stackelberg.io.tables import read_csv
from stackelberg.preference import PreferenceMatrix
from stackelberg.validation import shown

__all__ = ["minneapolis", "read_preferences", "save_preferences"]


def read_preferences(
    source: str | os.PathLike[str] | IO[str] | IO[bytes], *, unranked: Unranked = Unranked.BELOW
) -> PreferenceMatrix:
    r"""Preferences from a file; its ending chooses the format. Of an open stream the content does.

    ============ =========================================================================================
    ``.csv``     The header chooses: ``winner,loser[,count]``, one comparison (or ``count`` of them) a
                 row; ``count,ranking``, ballots such as ``12,A>B=C``, where ``=`` ties; anything else is
                 a square table, its first cell free and then the labels, each row led by its label. The
                 square table holds probabilities (entries in [0, 1], ``P + Pᵀ = 1``, diagonal ½ or
                 blank) or numbers of wins of row over column (whole, not negative, diagonal 0 or blank).
    ``.json``    What :func:`save_preferences` writes: ``{"labels": [...], "probabilities": [[...]]}``,
                 with ``"wins"`` and ``"ties"``, or ``"ballots": [[12, ["A", ["B", "C"]]], ...]`` and
                 ``"unranked"``, beside or instead of the probabilities; or a bare array of
                 probabilities. Three levels of arrays are contexts.
    ``.jsonl``   ``{"chosen": "A", "rejected": "B"}``, actions by name, with ``"count"`` (or ``"weight"``)
                 where it is not 1. A ``"prompt"`` makes a context of each prompt, in order of
                 appearance; all prompts must then compare the same actions. Leave it out to pool them.
    ``.npy``     Probabilities, (n, n) or (contexts, n, n).
    ``.npz``     ``probabilities``, ``labels``, and ``wins`` with ``ties``, or ``weights`` (ballots,),
                 ``ranks`` (ballots, n; 0 the best, ``inf`` unranked) and ``unranked``.
    ``.soc .soi  PrefLib's orders, in its format since 2022. What the header says of the content
    .toc .toi``  (alternatives, voters, orders) is checked.
    ``.wmd``     PrefLib's weighted graph; an edge ``i,j,w`` is read as w wins of i over j. PrefLib does not
                 say what weights mean: margins and kidney compatibilities come in the same form, and are
                 not to be read so.
    ============ =========================================================================================

    Text is UTF-8, with or without a byte order mark. Blanks around names and numbers in CSV and PrefLib mean
    nothing. Numbers are written in ASCII digits; ``1_000``, ``50%``, ``nan`` and ``1e400`` are refused.

    Args:
        source: a path, or an open text or binary stream, such as ``sys.stdin``.
        unranked: what partial ballots say about candidates they leave out. A JSON or npz file that was
            saved with ballots says so itself.

    Raises:
        ValueError: naming the file, the line, what stands there and what was expected. Nothing half-read
            is returned.
        OSError: where the file cannot be opened.

    Example:
        >>> import io
        >>> ballots = io.StringIO("count,ranking\n2,tea>coffee>milk\n1,milk>tea=coffee\n")
        >>> read_preferences(ballots).counts.wins
        array([[0., 2., 2.],
               [0., 0., 2.],
               [1., 1., 0.]])
    """
    if not isinstance(unranked, Unranked):
        raise ValueError(f"unranked must be one of {', '.join(map(str, Unranked))}, not {shown(unranked)}.")
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        name, form, data = str(path), format_of(path), path.read_bytes()
    elif hasattr(source, "read"):
        name = source.name if isinstance(getattr(source, "name", None), str) else "<stream>"
        form, data = None, _read_stream(source, name)
    else:
        raise ValueError(f"source must be a path or an open stream, not {shown(source)}.")
    if not data.strip():
        raise ValueError(f"{name}: the file is empty. Expected preferences.")
    try:
        return (form or FORMATS[sniffed(data)]).read(data, unranked)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _read_stream(source: IO[str] | IO[bytes], name: str) -> bytes:
    try:
        content: object = source.read()
        data = content.encode() if isinstance(content, str) else content
    except UnicodeError as error:  # met bytes that are no text, or passed them on as half surrogate pairs
        raise ValueError(f"{name}: this is no text ({str(error)[:120]}). Expected UTF-8.") from None
    if not isinstance(data, bytes):
        raise ValueError(f"{name}: reading gave {shown(data)}. Expected text or bytes.")
    return data


def save_preferences(P: PreferenceMatrix, path: str | os.PathLike[str]) -> None:
    """Write ``P`` so that :func:`read_preferences` gives it back; the ending chooses the format.

    JSON and npz keep everything: labels, probabilities to the last bit, counts or ballots, contexts. What
    another format would lose is never dropped; the refusal says what, and which format to take. CSV takes
    wins (square), ballots (``count,ranking``) or probabilities (square), npy bare probabilities, PrefLib
    ballots or wins. Ballots that nobody cast are left out, and PrefLib merges equal ballots.

    The file appears whole or not at all: it is written beside its place and moved there.

    Raises:
        ValueError: where the format cannot hold what ``P`` knows, or the ending is not known.
        OSError: where the file cannot be written.

    Example:
        >>> import pathlib, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "wins.csv")
        ...     save_preferences(PreferenceMatrix.from_counts([[0, 3], [1, 0]]), path)
        ...     print(path.read_text())
        row_beats_col,0,1
        0,0,3
        1,1,0
    """
    form = format_of(Path(path))
    if form.write is None:
        raise ValueError(f"{path}: this format is read but not written. Save as .json or .npz.")
    try:
        check_evidence(P)
        check_names(list(P.labels), "labels")
        _check_bits(P, form)
        data = form.write(P)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    _replace(Path(os.path.realpath(path)), data)


def _check_bits(P: PreferenceMatrix, form: Format) -> None:
    counts = P.counts
    if counts is None or form.keeps_probabilities:
        return
    if not np.array_equal(counts.probabilities(), P.probabilities):
        raise ValueError(
            "This format keeps the evidence alone, and the probabilities differ from it by rounding. "
            "Save as .json or .npz."
        )


def _replace(path: Path, data: bytes) -> None:
    """Write beside ``path``, then move there in one step, so that no reader meets half a file."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o7777)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def minneapolis() -> PreferenceMatrix:
    """Minneapolis, Ward 2, 2021: 9,513 ranked ballots for five candidates, and no Condorcet winner.

    Numbers of wins, from the city's cast vote record (public record). Robin Wonsley Worlobah, Cam Gordon
    and Yusra Arab beat each other in a circle.

    Example:
        >>> P = minneapolis()
        >>> a, b, c = map(P.labels.index, ("Cam Gordon", "Robin Wonsley Worlobah", "Yusra Arab"))
        >>> P.probabilities[[a, b, c], [b, c, a]].round(4)
        array([0.505 , 0.5014, 0.5133])
    """
    table = resources.files("stackelberg.data").joinpath("minneapolis_2021_ward_2.csv")
    return read_csv(table.read_text(encoding="utf-8"), Unranked.BELOW)
