"""Where a model lies: a folder, or a name in the hub; and what is said where nothing can be read there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARKS = ("config.json", "adapter_config.json", "stackelberg.json")
"""A folder with one of these holds a model, an adapter, or a policy of two."""


def check_place(place: str | Path) -> None:
    """Refuse what holds no model, before the hub is asked again and again.

    What can only be a path (it begins with ``.``, ``/`` or ``~``, or has more than one ``/``) is not looked for in the
    hub. A name that is not in the hub's cache is asked for once.

    Raises:
        ValueError: if it is a folder without a model, a file, or a path where there is nothing.
        OSError: if the hub has no such name, or cannot be reached.

    Example:
        >>> check_place("./nowhere")
        Traceback (most recent call last):
            ...
        ValueError: ./nowhere is no folder here. Name one that save_pretrained wrote, or a name in the hub.
    """
    folder, name = Path(place), os.fspath(place)
    if not name:
        raise ValueError("The model's path is an empty text. Name a folder that save_pretrained wrote, or a name "
                         "in the hub.")  # fmt: skip
    if folder.is_dir():
        if not any((folder / mark).is_file() for mark in MARKS):
            raise ValueError(f"{name} is a folder without a config.json, so it holds no model. {_below(folder)}")
        return
    if folder.is_file():
        raise ValueError(f"{name} is a file, and a model lies in a folder. Name the folder: {folder.parent}")
    if name.startswith("~"):
        raise ValueError(f"{name} is no folder here: ~ is a shell's word. Pass pathlib.Path({name!r}).expanduser().")
    if name.startswith((".", "/")) or name.count("/") > 1 or "\\" in name:
        raise ValueError(f"{name} is no folder here. Name one that save_pretrained wrote, or a name in the hub.")
    _ask_hub(name)


def _below(folder: Path) -> str:
    """Where in a folder a model lies, if just below it."""
    for inner in sorted(each for each in folder.iterdir() if each.is_dir()):
        if any((inner / mark).is_file() for mark in MARKS):
            return f"Did you mean {inner}?"
    return "Name a folder that save_pretrained wrote."


def _ask_hub(name: str) -> None:
    """One question, where transformers would ask for file after file, each with its retries."""
    from huggingface_hub import model_info, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    try:
        if any(isinstance(try_to_load_from_cache(name, mark), str) for mark in MARKS):
            return
        model_info(name, timeout=10)
    except RepositoryNotFoundError as error:
        raise OSError(
            f"There is no folder {name}, and the hub shows no model of this name. Check both; for a private or gated "
            "one log in: hf auth login."
        ) from error
    except HFValidationError as error:
        raise ValueError(
            f"There is no folder {name}, and a name in the hub cannot be written so. Check the spelling."
        ) from error
    except HfHubHTTPError:
        return  # it answers, though not this question: transformers finds out
    except Exception as error:  # of httpx, requests or sockets, by version of the hub's library; kept as the cause
        raise OSError(
            f"There is no folder {name}, and the hub cannot be asked for a model of this name "
            f"({type(error).__name__}). Check the path or the network, or fetch it first where there is one."
        ) from error


@contextmanager
def reading(place: str | Path) -> Iterator[None]:
    """Around a library's reading of a model: its errors end in our words, with its own as the cause.

    Raises:
        ValueError: if a folder's files cannot be read.
        OSError: if the hub's cannot.

    Example:
        >>> with reading("some/model"):
        ...     raise OSError("header too small")
        Traceback (most recent call last):
            ...
        OSError: some/model cannot be read from the hub: header too small. Check the name, the network and your access.
    """
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # transformers, peft and tokenizers document none; kept as the cause
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported here
            raise
        what = _first_line(error)
        if Path(place).is_dir():
            damaged = _damaged(Path(place))
            if damaged is not None:
                raise ValueError(f"{damaged} is damaged: {what}. Save or copy it again.") from error
            raise ValueError(
                f"{place} cannot be read: {what}. See that its files are all there, and that the options are for this "
                "model."
            ) from error
        raise OSError(
            f"{place} cannot be read from the hub: {what}. Check the name, the network and your access."
        ) from error


def _damaged(folder: Path) -> Path | None:
    """The first file of a folder that is not what its ending says."""
    from safetensors import SafetensorError, safe_open

    for path in sorted(folder.iterdir()):
        try:
            if path.suffix == ".json":
                json.loads(path.read_text(encoding="utf-8"))
            elif path.suffix == ".safetensors":
                with safe_open(path, framework="pt"):
                    pass
        except (ValueError, SafetensorError):
            return path
    return None


def _first_line(error: Exception) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{line or type(error).__name__}".rstrip(".")
