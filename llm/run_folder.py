"""The folder of a training run: whose it is, and from which checkpoint it may go on."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llm.judges.pairs import PreferencePair

CONFIG = "config.yaml"
"""What a run was asked for; it may lie in the folder before the run begins."""


def run_identity(train: Sequence[PreferencePair], base: str | Path, training: Any) -> dict[str, Any]:
    """What a run depends on: the base, a hash of the pairs, and the settings (a dataclass)."""
    rows = json.dumps([asdict(pair) for pair in train], default=list).encode()
    settings = {key: value.value if isinstance(value, enum.Enum) else value for key, value in asdict(training).items()}
    return {"base": str(base), "pairs": hashlib.sha256(rows).hexdigest(), **settings}


def claim(
    out: Path, run: dict[str, Any], *, resume: bool, added: Mapping[str, Any] | None = None, begun: bool = True
) -> None:
    """Make ``out`` this run's folder, or see that it is the one to be resumed.

    Args:
        out: the folder.
        run: what the run is.
        resume: whether it may have been begun.
        added: what may be added to a run that was begun without it, and is part of it from then on.
        begun: whether there is anything that would be lost; else a run that was begun otherwise gives way to this one.

    Raises:
        ValueError: if another run was begun there, or the folder has something else in it.
    """
    mark, added = out / "run.json", {} if added is None else added
    if resume and mark.exists():
        before = _read(mark)
        now = {**run, **{name: value for name, value in added.items() if name in before}}
        changed = [f"{key} ({before.get(key)} before, {now[key]} now)" for key in now if before.get(key) != now[key]]
        if changed and begun:
            raise ValueError(
                f"{out} was started otherwise: {', '.join(changed)}. Resume it as it was, or take a new folder."
            )
        wanted = {**run, **added} if changed else {**before, **added}
        if wanted != before:
            _write(mark, wanted)
        return
    if out.exists() and any(each.name != CONFIG for each in out.iterdir()):
        raise ValueError(f"{out} is not empty. Name a new folder, or go on with the run in it by --resume.")
    out.mkdir(parents=True, exist_ok=True)
    _write(mark, {**run, **added})


def begun(folder: Path) -> bool:
    r"""Whether a training run in a folder has come so far as a step or a checkpoint.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     _ = Path(name, "metrics.jsonl").write_text('{"step": 0}\n')
        ...     before = begun(Path(name))
        ...     _ = Path(name, "metrics.jsonl").write_text('{"step": 0}\n{"step": 1}\n')
        ...     before, begun(Path(name))
        (False, True)
    """
    if any(folder.glob("checkpoint-*")):
        return True
    log = folder / "metrics.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return any(_step(line) != 0 for line in lines)


def _step(line: str) -> int | None:
    """The step that a line of the log is of; None where a kill has cut it, for it may have been any."""
    try:
        return int(json.loads(line)["step"])
    except ValueError:
        return None


def _write(mark: Path, run: Mapping[str, Any]) -> None:
    written = mark.with_suffix(".part")
    written.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    written.replace(mark)


def last_checkpoint(folder: Path, *needed: str) -> str | None:
    """The newest whole checkpoint: Trainer writes ``trainer_state.json`` last, so one without it was cut short.

    Args:
        folder: that holds ``checkpoint-N``.
        needed: files that a whole one has besides.

    Raises:
        ValueError: if the newest one that was written to its end has lost one of them since.
    """
    ended = [state.parent for state in folder.glob("checkpoint-*/trainer_state.json") if _is_json(state)]
    if not ended:
        return None
    newest = max(ended, key=lambda path: int(path.name.rpartition("-")[2]))
    for name in needed:
        if not (newest / name).is_file() or not (newest / name).stat().st_size:
            raise ValueError(f"{newest} has lost {name}. Delete {newest} to go on from the checkpoint before it.")
    return str(newest)


def _read(mark: Path) -> dict[str, Any]:
    """What ``run.json`` says."""
    try:
        found = json.loads(mark.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")
    except ValueError as error:
        raise ValueError(
            f"{mark} is damaged: {error}. Put it back as it was, or take a new folder: without it nothing says which "
            "run this is."
        ) from error
    return found


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True
