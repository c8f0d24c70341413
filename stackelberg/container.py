"""Files that are whole or not there: NumPy archives with a JSON document inside, written beside, then moved."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from stackelberg.packing import Arrays, Packer
from stackelberg.unpacking import Unpacker
from stackelberg.validation import shown

DOCUMENT = "document.json"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time stamp inside every archive, so that equal contents are equal files."""


def write_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write ``path`` so that a reader finds the old file or the new one, whole, whenever the writer is killed.

    Raises:
        OSError: the file cannot be written; what was there before is still there, untouched.
    """
    beside = path.with_name(f".{path.name}.partial")
    try:
        with open(beside, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
        _settle(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise OSError(
            f"{path} could not be written: {error.strerror or error}. What was there is untouched."
        ) from error


def _settle(folder: Path) -> None:
    """Have the folder's own entries on the disk too, where the system lets folders be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_as(path: Path, kind: str, version: int, content: Any, **beside: Any) -> None:
    """Write ``content`` as one archive: ``document.json`` and one ``.npy`` an array, readable without this package."""
    packer = Packer()
    document = {"format": kind, "version": version, **beside, "content": packer.pack(content, kind.split()[-1])}
    write_file(path, lambda stream: write_archive(stream, packer.arrays, document))


def write_archive(stream: IO[bytes], arrays: Arrays, document: Any = None) -> None:
    """The arrays, and the document where there is one, as a NumPy archive."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", EPOCH), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        if document is not None:
            archive.writestr(zipfile.ZipInfo(DOCUMENT, EPOCH), json.dumps(document, indent=1, allow_nan=False))


def read_archive(path: Path) -> tuple[Any, Arrays]:
    """The document (None where there is none) and the arrays of an archive; objects are never unpickled.

    Raises:
        ValueError: the file is damaged, cut short, or no archive.
    """
    document, arrays = None, {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    if name == DOCUMENT:
                        document = json.load(member)
                    else:
                        arrays[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # zipfile and NumPy raise a dozen kinds for a damaged file, and document none
        reason = str(error).partition("\n")[0][:160] or type(error).__name__
        raise ValueError(f"{path} is damaged or no such archive ({reason}). Use an earlier copy.") from None
    return document, arrays


def load_as(path: Path, kind: str, version: int) -> tuple[Any, dict[str, Any]]:
    """The content of a file that :func:`save_as` wrote, and what stands beside it.

    Raises:
        ValueError: the file is damaged, changed, of another kind, or of a later version.
        OSError: it cannot be read.
    """
    document, arrays = read_archive(path)
    check_kind(document, path, kind, version)
    return rebuilt(document.pop("content", None), arrays, path, kind), document


def rebuilt(document: Any, arrays: Arrays, path: Path, kind: str) -> Any:
    """The value that was packed, or a ``ValueError`` that names the file."""
    try:
        return Unpacker(arrays).unpack(document, kind.split()[-1])
    except (ValueError, TypeError, IndexError, AttributeError) as error:  # whatever a changed field may lead to
        raise ValueError(f"{path} is damaged or was changed: {error}") from None


def check_kind(document: Any, path: Path, kind: str, version: int) -> None:
    """Refuse another kind of file, and one from a later version."""
    if not isinstance(document, dict) or document.get("format") != kind:
        found = shown(document.get("format")) if isinstance(document, dict) else "none"
        raise ValueError(f"{path} is no {kind} (its format is {found}). Pass a file that stackelberg wrote.")
    if document.get("version") != version:
        raise ValueError(
            f"{path} has version {shown(document.get('version'))} of its format; this stackelberg reads {version}. "
            "Use the stackelberg that wrote it."
        )
