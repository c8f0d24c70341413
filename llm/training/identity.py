"""What a run is: whatever its numbers follow from, in words and hashes that can be compared."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import types
from typing import Any

import torch

from llm.evaluation import Evaluation
from llm.judges.protocol import identity_of
from llm.policy import TransformerPolicy
from llm.training.learner import Learner


def identity(learner: Learner) -> dict[str, Any]:
    """Game, prompts, judge, solver, rollouts, seed and the policy as it starts."""
    game, policy = learner.game, learner.policy
    prompts = json.dumps(list(game.contexts), default=list).encode()
    return {
        "game": f"{type(game).__name__} {_named(game.returns())}",
        "prompts": hashlib.sha256(prompts).hexdigest(),
        "judge": _judge(game.preference.judge),  # type: ignore[attr-defined]
        "solver": _named(learner.solver),
        "sampling": _named(learner.sampling),
        "seed": learner.seed,
        "roles": type(policy.roles).__name__,
        "dialogue": _named(policy.dialogue),
        "training": _named(policy.training),
        "reference": fingerprint(policy),
    }


def evaluated(evaluation: Evaluation | None) -> dict[str, Any]:
    """What the numbers of a run's evaluations follow from; nothing without one.

    How often there is one, and how many samples are kept, may change.

    Example:
        >>> evaluated(Evaluation(["Why?", "How?"], seed=3))["evaluation prompts"]
        '2 prompts, hash de64c07528d1'
    """
    if evaluation is None:
        return {}
    written = json.dumps(list(evaluation.prompts), default=list).encode()
    return {
        "evaluation prompts": f"{len(evaluation.prompts)} prompts, hash {hashlib.sha256(written).hexdigest()[:12]}",
        "evaluation judge": _judge(evaluation.judge),
        "evaluation second judge": _judge(evaluation.second_judge),
        "evaluation sampling": _named(evaluation.sampling),
        "evaluation replies": evaluation.replies,
        "evaluation seed": evaluation.seed,
    }


def fingerprint(policy: TransformerPolicy) -> str:
    """A hash of some numbers of every weight of the references, on which a run stands from beginning to end."""
    found = hashlib.sha256()
    for reference in dict.fromkeys(id(each.network) for each in policy.players.references):
        network = next(each.network for each in policy.players.references if id(each.network) == reference)
        learns = {id(weight) for weight in policy.parameters()}
        for name, weight in network.named_parameters():
            if id(weight) in learns:
                continue
            flat = weight.detach().reshape(-1)
            some = flat[:: max(1, len(flat) // 64)].to("cpu", torch.float64)
            found.update(f"{name} {tuple(weight.shape)}".encode() + some.numpy().tobytes())
    return found.hexdigest()


def _judge(judge: Any) -> str:
    """Its identity where it has one, else its ``repr``: of a function, the name."""
    try:
        return identity_of(judge)
    except ValueError:
        return _named(judge)


def _named(value: Any) -> str:
    """Its fields and, of functions, their code and what they close over; addresses in memory are left out."""
    match value:
        case types.FunctionType():
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            parts = [value.__code__.co_code, *value.__code__.co_names, *value.__code__.co_consts, value.__defaults__]
            text = repr([_named(each) for each in (*parts, *cells)])
            return f"{value.__qualname__} {hashlib.sha256(text.encode()).hexdigest()[:16]}"
        case types.CodeType():
            return _named([value.co_code, *value.co_names, *value.co_consts])
        case tuple() | list():
            return f"[{', '.join(map(_named, value))}]"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        told = [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value) if each.repr]
    elif type(value).__dict__.get("__repr__") is None and repr(value).startswith("<"):
        told = sorted(vars(value).items()) if hasattr(value, "__dict__") else []
    else:
        return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return f"{type(value).__name__}({', '.join(f'{name}={_named(each)}' for name, each in told)})"
