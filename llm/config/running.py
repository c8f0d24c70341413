"""A configuration as a run: its folder keeps the whole of it, so that the folder alone is enough to go on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stackelberg as sb
from llm.config.reading import as_yaml, differences, read_config
from llm.config.sections import Config, checked, resolved
from llm.run_folder import CONFIG, begun
from stackelberg.validation import shown

if TYPE_CHECKING:
    from llm.training.solution import TrainedSolution

POLICY = "policy"
"""The folder of the trained policy, within the run's."""
RUN = "run.json"
"""What :func:`llm.run_folder.claim` writes."""
FREE = ("steps", "out", "checkpoint")
"""What may change from call to call of one run."""


@dataclass(frozen=True)
class Trained:
    """A run that came to its end.

    Args:
        solution: what ``solve`` returned.
        config: what it was asked for.
        folder: of the run.
        left_out: prompts that were too long.
        prompts: those trained on.
        first: whether this is the process that writes and speaks.
    """

    solution: TrainedSolution
    config: Config
    folder: Path
    left_out: int
    prompts: int
    first: bool

    @property
    def policy(self) -> Path:
        """Where the trained policy is."""
        return self.folder / POLICY


def run(values: Mapping[str, Any], *, progress: bool = False) -> Trained:
    """Train what a configuration describes, or go on with it where its folder holds it already.

    Args:
        values: the fields, as plain values.
        progress: show a bar.

    Raises:
        ValueError: a field is refused, or the folder holds another run.

    Example:
        >>> import tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = Path(folder, "prompts.txt").write_text("Why?")
        >>> values = {
        ...     "model": {"kind": "tiny"},
        ...     "prompts": {"file": folder + "/prompts.txt"},
        ...     "judge": {"kind": "patterns", "found": ["e"]},
        ...     "solver": "stackelberg-gda",
        ...     "rollouts": {"prompts": 1, "max_new_tokens": 2},
        ...     "steps": 1,
        ...     "out": folder + "/run",
        ... }
        >>> trained = run(values)
        >>> trained.solution.report, (trained.folder / "config.yaml").exists()
        ('ran all 1 steps', True)
    """
    recipe = checked(values)
    folder = recipe.arguments["out"]
    if folder is None:
        raise ValueError("out is missing: the run needs a folder. Write out: runs/a, or pass --out runs/a.")
    first = os.environ.get("RANK", "0") == "0"
    if first:
        _check_folder(folder, resolved(recipe))
    config: Config = recipe.build()
    policy = config.model.policy(config.training, config.seed)
    prompts, held_out, left_out = config.prompts.read(policy.tokenizer)
    game = config.game.of(config.judge, prompts)
    with _kept(folder, resolved(recipe)) if first else nullcontext():
        solution = sb.solve(
            game,
            config.solver,
            policy,
            steps=config.steps,
            sampling=config.rollouts,
            seed=config.seed,
            record=sb.Record() if config.evaluation is None else config.evaluation.on(held_out),
            checkpoint=sb.Checkpoint(folder, config.checkpoint.every, config.checkpoint.seconds),
            progress=progress,
        )
    if first:
        solution.save(folder / POLICY)
    return Trained(solution, config, folder, left_out, len(prompts), first)


def kept(folder: Path, steps: int | None = None) -> dict[str, Any]:
    """The configuration in a run's folder, for :func:`run` to go on.

    Args:
        folder: of the run, which may have moved.
        steps: in all; by default as many as before.

    Raises:
        ValueError: the folder has none.
    """
    if not (folder / CONFIG).is_file():
        raise ValueError(f"{folder} holds no {CONFIG}, so it is no run of stackelberg train. Name its folder.")
    values = read_config(folder / CONFIG)
    return {**values, "out": str(folder), **({} if steps is None else {"steps": steps})}


def _check_folder(folder: Path, values: dict[str, Any]) -> None:
    """Refuse a folder that holds another run, or anything else."""
    path = folder / CONFIG
    if not (folder / RUN).exists():
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty, and holds no run of stackelberg train. Name a new folder: --out.")
    elif path.exists() and begun(folder):
        changed = [each for each in differences(read_config(path), values) if each[0].partition(".")[0] not in FREE]
        if changed:
            words = ", ".join(f"{name} ({shown(before)} before, {shown(now)} now)" for name, before, now in changed)
            raise ValueError(f"{folder} was started otherwise: {words}. Go on with --resume, or name a new folder.")


@contextmanager
def _kept(folder: Path, values: dict[str, Any]) -> Iterator[None]:
    """The configuration in the run's folder, unless the run never begins there."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CONFIG
    written = path.with_suffix(".part")
    written.write_text(as_yaml(values), encoding="utf-8")
    written.replace(path)
    try:
        yield
    finally:
        if not (folder / RUN).exists():
            path.unlink()
