"""The command ``stackelberg train``: a language model learns a game that a YAML file describes."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from stackelberg.commands import console
from stackelberg.learning_cli import Stopped

if TYPE_CHECKING:
    from llm.config.running import Trained


def _keys(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from llm.config.describe import described

        click.echo(described())
        context.exit()


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="Set any field, rollouts.prompts=8.")
@click.option("--steps", type=click.IntRange(min=0), help="Steps in all.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of prompts, draws and adapters.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="The run's folder.")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the run in this folder, without CONFIG.")
@click.option("--check", is_flag=True, help="Check CONFIG and print it with every default; nothing is loaded.")
@click.option(
    "--keys", is_flag=True, is_eager=True, expose_value=False, callback=_keys, help="List all keys and kinds."
)
@click.option("--progress/--no-progress", default=None, help="Speed and time left [default: on a terminal].")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def train(context: click.Context, /, **given: Any) -> None:
    """Train a language model on a game: CONFIG is YAML with the arguments of one solve.

    \b
    A small one, in full:
      model: {path: Qwen/Qwen2.5-0.5B-Instruct, lora: {rank: 64}}
      prompts: {file: prompts.jsonl, held_out: 0.05}     # rows with a column prompt
      judge: {kind: trained, path: judge}                # of stackelberg preference-model
      game: {tau: 0.001}                                 # stackelberg; or kind: nash, reward
      solver: {kind: stackelberg-gda, learning_rate: 1e-5, kappa: 5}
      rollouts: {prompts: 32, max_new_tokens: 512}
      evaluation: {every: 50}
      steps: 1000
      out: runs/a

    Any field may be set on the command line too. The folder keeps the whole configuration (config.yaml), the numbers
    of every step (metrics.jsonl, metrics.csv), checkpoints, and in the end the policy; killed at any moment, the run
    goes on with --resume, or with the same command, to the identical result. Relative paths start where the command
    runs. A judge {function: package.module:name} imports, and so runs, that module.

    \b
    Examples:
      stackelberg train papers/slhf/configs/offline.yaml --out runs/tiny        no network, half a minute
      stackelberg train config.yaml --set solver.kappa=1 --set rollouts.prompts=8 --out runs/b
      stackelberg train config.yaml --set judge.scale=2 --set model.lora=null --check
      stackelberg train --resume runs/a --steps 2000
    \b
    Several processes share each step's prompts, one device each; on CPUs too (gloo), as long as they are launched so:
      accelerate launch --multi_gpu --num_processes 2 -m stackelberg.cli train config.yaml
      torchrun --nproc_per_node 2 -m stackelberg.cli train config.yaml
    """
    from llm.judges import JudgeError

    values = _resumed(context) if given["resume"] else _started(given)
    if given["check"]:
        _print_checked(values)
        return
    from transformers.utils import logging as transformers_logging

    from llm.config.running import run

    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # of shards read and written
    progress = sys.stderr.isatty() if given["progress"] is None else given["progress"]
    try:
        trained = run(values, progress=progress)
    except KeyboardInterrupt as stopped:
        raise Stopped(f"{str(stopped) or 'interrupted'} Or: {_go_on(values['out'])}") from None
    except JudgeError as error:
        raise ValueError(f"{error} The run is kept up to its last save: {_go_on(values['out'])}") from None
    if trained.first:
        click.echo(json.dumps(document(trained), indent=2)) if given["as_json"] else show(trained)
    if trained.solution.status.name == "DIVERGED":
        if trained.first:
            click.echo(f"error: {trained.solution.report}", err=True)
        context.exit(1)


def _resumed(context: click.Context) -> dict[str, Any]:
    """What the folder says, refusing options that belong to a run's beginning."""
    from llm.config.running import kept

    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        allowed = {"resume", "steps", "check", "progress", "as_json"}
        if parameter.name not in allowed and source is click.core.ParameterSource.COMMANDLINE:
            name = parameter.opts[0] if isinstance(parameter, click.Option) else "CONFIG"
            raise ValueError(f"--resume takes everything from the folder, {name} too. Leave it out.")
    return kept(context.params["resume"], context.params["steps"])


def _started(given: dict[str, Any]) -> dict[str, Any]:
    """The file's fields, with those of the command line in their place."""
    from llm.config.reading import override, read_config

    if given["config"] is None:
        raise ValueError("Name a CONFIG, or --resume a run. stackelberg train --help shows a small one.")
    values = read_config(given["config"])
    for each in given["given"]:
        override(values, each)
    named = {name: given[name] for name in ("steps", "seed") if given[name] is not None}
    return {**values, **named, **({} if given["out"] is None else {"out": str(given["out"])})}


def _print_checked(values: dict[str, Any]) -> None:
    from llm.config.reading import as_yaml
    from llm.config.sections import checked, resolved

    click.echo(as_yaml(resolved(checked(values))), nl=False)


def _go_on(folder: Any, steps: int | None = None) -> str:
    return f"stackelberg train --resume {_near(Path(folder))}" + ("" if steps is None else f" --steps {steps}")


def _near(folder: Path) -> Path:
    """A folder as seen from here, where it lies below."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def document(trained: Trained) -> dict[str, Any]:
    """The end of a run as plain values: how it ended, its newest numbers, the last evaluation, where its files are."""
    solution = trained.solution
    evaluated = solution.evaluation
    return {
        "status": solution.status.name.lower(),
        "report": solution.report,
        "prompts": trained.prompts,
        "left_out": trained.left_out,
        "policy": str(trained.policy),
        "numbers": {name: None if math.isnan(number) else number for name, number in newest(trained).items()},
        "evaluation": None if evaluated is None else evaluated.tournament.as_dict(),
        "warnings": list(solution.warnings),
    }


def newest(trained: Trained) -> dict[str, float]:
    """Each number of the run's log as it was last measured."""
    log = trained.solution.trajectory
    return {name: next((float(x) for x in log[name][::-1] if x == x), math.nan) for name in log.names}


def show(trained: Trained) -> None:
    """What was trained, its newest numbers, the last evaluation, where it is, and what to do next."""
    config, solution, folder = trained.config, trained.solution, _near(trained.folder)
    game, rule = type(solution.game).__name__, type(config.solver).__name__
    longer = f" ({trained.left_out} too long were left out)" if trained.left_out else ""
    say = console().print
    say(f"{config.model.name}: a {game} with {rule} on {trained.prompts} prompts{longer}: {solution.report}.")
    table = Table("the last step", "")
    for name, number in newest(trained).items():
        if not name.startswith("eval/"):
            table.add_row(name, f"{number:.4g}")
    say(table)
    if solution.evaluation is not None:
        say(f"On {len(solution.evaluation.tournament.answers[0])} held-out prompts, after the last step:")
        say(solution.evaluation.tournament.table())
    if solution.gap is not None:
        gap = f"{solution.gap.value:.4f} ± {solution.gap.stderr:.4f}"
        say(f"What the Follower leaves on the table: {gap} (a lower bound)")
    for each in solution.warnings:
        say(f"Look: {each}")
    say(
        f"Saved:   {folder / 'policy'} (the policy), metrics.csv (every step)"
        f"{', samples/ (answers to read)' if solution.evaluation else ''}, config.yaml\n"
        f"Go on:   {_go_on(trained.folder, 2 * max(config.steps, 1))}\n"
        f'Refine:  llm.TransformerPolicy.from_pretrained("{folder / "policy"}").refine(["Why?"], rounds=3)'
    )
