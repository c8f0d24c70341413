"""Language models as players: the same games and the same estimator, with transformers for policies.

    policy = llm.TransformerPolicy.from_pretrained("some/model", lora=llm.LoRA(rank=64))
    episodes = llm.generate(policy, prompts, llm.Rollouts(max_new_tokens=256), seed=0)
    for part in llm.losses(policy, episodes, preference, game.returns(), sampling=..., kappa=5):
        part.loss.backward()
    answers = policy.refine(prompts, rounds=3)

Judges, that stand where a preference matrix stood, are in :mod:`llm.judges`; training is ``stackelberg.solve``.

Its dependencies are the extra ``llm`` (torch, transformers, peft, accelerate, safetensors), imported when a name that
needs them is first used. It imports :mod:`stackelberg` and never :mod:`analysis`; ``stackelberg`` imports neither.

An unrelated package on PyPI has the import name ``llm`` too, so the toolkit wants an environment of its
own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm import dialogue, testing
    from llm.dialogue import ChatTemplate, Dialogue, PlainTemplate, Refuse, TruncateLeft, keeps_earlier_turns
    from llm.evaluation import Evaluated, Evaluation
    from llm.generation import Completion, Generated, Generator, GeneratorError, TransformersGenerator
    from llm.generators.continuous import ContinuousBatching
    from llm.generators.server import Server
    from llm.listing import Listed, listed
    from llm.lora import LoRA
    from llm.objective import generator_gap, losses
    from llm.policy import TransformerPolicy
    from llm.roles import Shared, TwoAdapters, TwoModels
    from llm.rollouts import Episode, Rollouts, generate
    from llm.sampling import Sampling
    from llm.tournaments import Tournament, tournament
    from llm.training.options import Training
    from llm.training.solution import TrainedSolution

_MODULES = {
    "llm.dialogue": ("ChatTemplate", "Dialogue", "PlainTemplate", "Refuse", "TruncateLeft", "keeps_earlier_turns"),
    "llm.evaluation": ("Evaluated", "Evaluation"),
    "llm.generation": ("Completion", "Generated", "Generator", "GeneratorError", "TransformersGenerator"),
    "llm.generators.continuous": ("ContinuousBatching",),
    "llm.generators.server": ("Server",),
    "llm.listing": ("Listed", "listed"),
    "llm.lora": ("LoRA",),
    "llm.objective": ("generator_gap", "losses"),
    "llm.policy": ("TransformerPolicy",),
    "llm.roles": ("Shared", "TwoAdapters", "TwoModels"),
    "llm.rollouts": ("Episode", "Rollouts", "generate"),
    "llm.sampling": ("Sampling",),
    "llm.tournaments": ("Tournament", "tournament"),
    "llm.training.options": ("Training",),
    "llm.training.solution": ("TrainedSolution",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "TransformerPolicy",
    "LoRA",
    "Shared",
    "TwoAdapters",
    "TwoModels",
    "Dialogue",
    "ChatTemplate",
    "PlainTemplate",
    "Refuse",
    "TruncateLeft",
    "keeps_earlier_turns",
    "Sampling",
    "Rollouts",
    "Episode",
    "Completion",
    "Generated",
    "Generator",
    "GeneratorError",
    "TransformersGenerator",
    "ContinuousBatching",
    "Server",
    "generate",
    "Training",
    "TrainedSolution",
    "Evaluation",
    "Evaluated",
    "tournament",
    "Tournament",
    "listed",
    "Listed",
    "losses",
    "generator_gap",
    "dialogue",
    "testing",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that ``import llm`` needs no torch."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in ("dialogue", "testing"):
        return importlib.import_module(f"llm.{name}")
    raise AttributeError(f"module 'llm' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is."""
    return sorted(__all__)
