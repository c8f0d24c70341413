"""The formats by file ending, and what all of them share: bytes in, bytes out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stackelberg.evidence import Unranked
from stackelberg.io.arrays import read_npy, read_npz, write_npy, write_npz
from stackelberg.io.pairs import read_jsonl
from stackelberg.io.preflib import KINDS, read_preflib, write_preflib
from stackelberg.io.records import read_json, write_json
from stackelberg.io.tables import read_csv, write_csv
from stackelberg.preference import PreferenceMatrix

Reader = Callable[[bytes, Unranked], PreferenceMatrix]
Writer = Callable[[PreferenceMatrix], bytes]


@dataclass(frozen=True)
class Format:
    """How files with one ending are read and, where they can be, written."""

    read: Reader
    write: Writer | None = None
    keeps_probabilities: bool = True  # beside the evidence, where there is some


def reads_text(read: Callable[[str, Unranked], PreferenceMatrix]) -> Reader:
    """A reader of text as a reader of bytes in UTF-8, with or without a byte order mark."""
    return lambda data, unranked: read(decoded(data), unranked)


def writes_text(write: Callable[[PreferenceMatrix], str]) -> Writer:
    """A writer of text as a writer of bytes in UTF-8."""
    return lambda P: write(P).encode()


def decoded(data: bytes) -> str:
    """UTF-8 text without its byte order mark, or a ``ValueError`` with the line where it is no text."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # the codec counts from behind a byte order mark, in error.object too
        line = error.object.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{error.object[error.start]:02x}"
    raise ValueError(f"line {line}: found {found}, which is no UTF-8 text. Save the file as UTF-8.")


FORMATS = {
    ".csv": Format(reads_text(read_csv), writes_text(write_csv), keeps_probabilities=False),
    ".json": Format(reads_text(read_json), writes_text(write_json)),
    ".jsonl": Format(reads_text(read_jsonl)),
    ".npy": Format(read_npy, write_npy),
    ".npz": Format(read_npz, write_npz),
} | {
    f".{kind}": Format(
        reads_text(partial(read_preflib, kind=kind)),
        writes_text(partial(write_preflib, kind=kind)),
        keeps_probabilities=False,
    )
    for kind in KINDS
}


def format_of(path: Path) -> Format:
    """The format that the ending of ``path`` names, or a ``ValueError`` with the endings that do."""
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"{path}: the ending {ending!r} is not known. Expected one of {', '.join(FORMATS)}.")
    return FORMATS[ending]


def sniffed(data: bytes) -> str:
    r"""The ending that files with this content have, where there is no ending to tell the format.

    NumPy's magic bytes; ``[`` for a JSON array; ``{`` for a JSON object, or for JSONL where the first line
    is a whole object by itself and more follow it or it has ``chosen`` or ``rejected``; ``# KEY: value`` for
    PrefLib; otherwise CSV.

    >>> sniffed(b'{"chosen": "A", "rejected": "B"}'), sniffed(b"# DATA TYPE: soc"), sniffed(b"winner,loser")
    ('.jsonl', '.soc', '.csv')
    """
    if data.startswith(b"\x93NUMPY"):
        return ".npy"
    if data.startswith(b"PK\x03\x04"):
        return ".npz"
    text = decoded(data).lstrip()
    if text.startswith("{"):
        return ".jsonl" if _begins_with_a_pair(text) else ".json"
    if text.startswith("["):
        return ".json"
    if not re.match(r"#\s*[A-Z][A-Z ]*[0-9]*\s*:", text):
        return ".csv"
    kind = re.search(r"^#\s*DATA TYPE\s*:\s*(soc|soi|toc|toi|wmd)\s*$", text, re.MULTILINE)
    if not kind:
        raise ValueError("The header has no DATA TYPE. Expected '# DATA TYPE:' soc, soi, toc, toi or wmd.")
    return f".{kind[1]}"


def _begins_with_a_pair(text: str) -> bool:
    first, _, rest = text.partition("\n")
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return bool(rest.strip()) or (isinstance(row, dict) and bool(row.keys() & {"chosen", "rejected"}))
