"""Language models as players: the same games, the same solvers, the same ``solve``. Not written yet.

This package is empty in version 0.1. It is here so that its place is kept and its dependencies are
settled. It will hold transformer policies (a Leader and a Follower that refine each other's answers),
judges that stand where a preference matrix stood, rollouts, training with checkpoints that resume, and
refinement at inference time. What can be solved today is a table of preferences: see
:mod:`stackelberg`.

Its dependencies are the extra ``llm`` (torch, transformers, peft, accelerate, safetensors). It imports
:mod:`stackelberg` and never :mod:`analysis`; ``stackelberg`` imports neither.

An unrelated package on PyPI has the import name ``llm`` too, so the toolkit wants an environment of its
own.
"""

__all__: list[str] = []
