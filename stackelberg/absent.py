"""Words for files that are not there, or that the system does not give."""

from __future__ import annotations

import difflib
from pathlib import Path


def missing(path: Path, thing: str = "file") -> str:
    """That there is no such file or folder, and which one may have been meant.

    >>> missing(Path("nowhere", "wins.csv"))
    'There is no file nowhere/wins.csv: there is no folder nowhere. Check the path.'
    """
    said = f"There is no {thing} {path}"
    if not path.parent.is_dir():
        return f"{said}: there is no folder {path.parent}. Check the path."
    beside = difflib.get_close_matches(path.name, [each.name for each in path.parent.iterdir()], n=1)
    if beside:
        return f"{said}. Did you mean {path.with_name(beside[0])}?"
    return f"{said}. Check the name, and the folder that you are in."


def unreadable(error: OSError) -> str:
    """What the system said of a file, with the file first and without its numbers."""
    if error.filename is None or error.strerror is None:
        return str(error)
    if isinstance(error, FileNotFoundError):
        return missing(Path(error.filename))
    return f"{error.filename} cannot be used: {error.strerror.lower()}. Choose another, or change its permissions."
