"""Models in files: one ``.npz`` of plain arrays, with the specification as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, fields
from itertools import count, takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stackelberg.neural.model import NeuralModel
from stackelberg.neural.optimizer import SGD, Adam
from stackelberg.neural.regression import Regression
from stackelberg.neural.spec import Neural
from stackelberg.validation import Array, shown

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    each.__name__: each for each in (torch.tanh, torch.relu, torch.sigmoid, functional.gelu, functional.silu)
}
"""The activations that can be written by their name."""

OPTIONS = {each.__name__: each for each in (SGD, Adam, Regression)}
"""Parts of a specification that are written as their name and their numbers."""


def save(model: NeuralModel, path: str | os.PathLike[str]) -> None:
    """Write a model; see :meth:`NeuralModel.save`."""
    about = {name: getattr(model, name) for name in ("features", "actions", "players")}
    text = np.array(json.dumps(about | {"spec": _written(model.spec)}))
    arrays = {f"parameters_{i}": vector for i, vector in enumerate(model.parameters)}
    arrays |= {f"memory_{i}_{j}": part for i, own in enumerate(model.memory) for j, part in enumerate(own)}
    arrays |= {f"reference_{i}": each for i, each in enumerate(model.references or ())}
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, about=text, **arrays)


def load(path: str | os.PathLike[str]) -> NeuralModel:
    """Read a model; see :meth:`NeuralModel.load`."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if "about" not in arrays:
        raise ValueError(f"{os.fspath(path)} holds no model: it has no entry 'about'. Write it with model.save.")
    about = json.loads(str(arrays["about"]))
    parameters = _series(arrays, "parameters")
    memory = tuple(_series(arrays, f"memory_{i}") for i in range(len(parameters)))
    about["spec"] = _read(about["spec"])
    return NeuralModel(**about, parameters=parameters, memory=memory, references=_series(arrays, "reference") or None)


def _series(arrays: dict[str, Array], name: str) -> tuple[Array, ...]:
    names = takewhile(arrays.__contains__, (f"{name}_{i}" for i in count()))
    return tuple(arrays[each] for each in names)


def _written(spec: Neural) -> dict[str, Any]:
    name = getattr(spec.activation, "__name__", "")
    if ACTIVATIONS.get(name) is not spec.activation:
        raise ValueError(f"{shown(spec.activation)} cannot be written. Use one of {', '.join(ACTIVATIONS)}.")
    about = {each.name: getattr(spec, each.name) for each in fields(spec)} | {"activation": name}
    for part in ("optimizer", "regression"):
        if about[part] is not None:
            kind = type(about[part]).__name__
            if kind not in OPTIONS:
                raise ValueError(f"A {kind} cannot be written. Use one of {', '.join(OPTIONS)}.")
            about[part] = {"kind": kind, **asdict(about[part])}
    return about


def _read(about: dict[str, Any]) -> Neural:
    for part in ("optimizer", "regression"):
        if about[part] is not None:
            options = dict(about[part])
            about[part] = OPTIONS[options.pop("kind")](**options)
    return Neural(**about | {"activation": ACTIVATIONS[about["activation"]], "hidden": tuple(about["hidden"])})
