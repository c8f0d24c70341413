"""The program ``stackelberg``: preferences in, equilibria out."""

from __future__ import annotations

import io
import sys
import warnings
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import numpy as np

import stackelberg as sb
from stackelberg.absent import unreadable
from stackelberg.commands import (
    confess,
    draw,
    emit,
    load,
    output_options,
    parse_reference,
    preferences_file,
    tau_option,
)
from stackelberg.game_options import game_of, game_options
from stackelberg.learning_cli import learn
from stackelberg.report import show_refinement, show_solution


class Program(click.Group):
    """The commands of this floor, and those that other packages hang on the entry points."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Own commands first, then those of the floors above."""
        return [*super().list_commands(context), *sorted(_plugins())]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """A command by name, loaded only when it is needed."""
        own = super().get_command(context, name)
        points = _plugins()
        return own or (points[name].load() if name in points else None)


def _plugins() -> dict[str, Any]:
    return {point.name: point for point in entry_points(group="stackelberg.commands")}


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="stackelberg")
def program() -> None:
    """Preference optimisation as a game.

    FILE holds preferences: CSV (a square of wins or probabilities; winner,loser,count; count,ranking),
    JSON, JSONL pairs, npy, npz, or PrefLib's soc, soi, toc, toi, wmd. A dash reads standard input.

    \b
    Try:
      stackelberg demo
      stackelberg structure election.csv
      stackelberg compare election.csv --tau 0
      stackelberg solve election.csv --game stackelberg --tau 0.05
      stackelberg refine election.csv --rounds 4
      stackelberg learn election.csv --solver mirror-descent --out runs/a
    """


@program.command()
@preferences_file
@game_options
@output_options
def solve(
    file: str,
    unranked: str,
    context: int | None,
    game: str,
    seed: int,
    out: Path | None,
    as_json: bool,
    figures: bool,
    **players: Any,
) -> None:
    """Solve the game over FILE exactly and print the answer with its certificate.

    \b
    Examples:
      stackelberg solve wins.csv --tau 0                    the minimax Leader and its Follower
      stackelberg solve wins.csv --game nash --tau 0        a maximal lottery
      stackelberg solve wins.csv --game reward --tau 0 --without A C
    """
    preference = load(file, unranked, context)
    if figures and preference.contexts is not None:
        raise ValueError(f"A figure is of one context, and FILE has {preference.contexts}. Pass --context 0.")
    solution: Any = sb.solve(game_of(preference, game, **players))
    emit(solution.as_dict(), as_json=as_json, out=out, name=f"solve-{game}")
    if not as_json:
        show_solution(solution, game)
        confess(preference)
    if figures:
        draw(solution, out, seed, quiet=as_json)


@program.command()
@preferences_file
@tau_option
@click.option("--tau-leader", type=float, help="The Leader's own τ.")
@click.option("--tau-follower", type=float, help="The Follower's own τ.")
@click.option("--reference", help="Reference policy A=0.5,B=0.3,C=0.2 of both players [default: uniform].")
@click.option("--rounds", type=click.IntRange(min=1), default=4, show_default=True, help="Answers, the first included.")
@click.option("--start", help="Distribution of the first answer, as --reference [default: the Leader].")
@output_options
def refine(
    file: str,
    unranked: str,
    context: int | None,
    rounds: int,
    start: str | None,
    seed: int,
    out: Path | None,
    as_json: bool,
    figures: bool,
    **players: Any,
) -> None:
    """Let the Follower improve an answer again and again, and print what each round brings.

    Coverage is the chance that a user's favourite (any action alike) is among the answers so far; beside it
    the same for independent Nash draws, and for Nash draws without replacement, at the Leader's τ.
    """
    preference = load(file, unranked, context)
    if preference.contexts is not None:
        raise ValueError(f"refine is of one matrix, and FILE has {preference.contexts} contexts. Pass --context 0.")
    if figures and start is not None:
        raise ValueError("--figures draws the chain that starts at the Leader. Leave out --start, or --figures.")
    solution = sb.solve(game_of(preference, "stackelberg", left_out=(), **players))
    first = parse_reference(start, preference.labels)
    refinement = solution.refine(rounds, first)
    reference = parse_reference(players["reference"], preference.labels)
    nash = sb.solve(sb.NashGame(preference, tau=solution.game.tau_leader, reference=reference))
    document = {
        "labels": list(preference.labels),
        "distributions": refinement.distributions.tolist(),
        "win_rate": refinement.win_rate.tolist(),
        "coverage": refinement.coverage().tolist(),
        "nash_independent": sb.independent_coverage(nash.policy, rounds).tolist(),
        "nash_distinct": sb.distinct_coverage(nash.policy, rounds).tolist(),
    }
    walk = sb.chain(solution.follower)
    document["recurrent"] = [[preference.labels[i] for i in group] for group in walk.classes]
    document["periods"] = list(walk.periods)
    emit(document, as_json=as_json, out=out, name="refine")
    if not as_json:
        show_refinement(document, np.asarray(document["distributions"]))
        confess(preference)
    if figures:
        draw(solution, out, seed, quiet=as_json, rounds=rounds)


program.add_command(learn)


def main(arguments: list[str] | None = None) -> int:
    """Run the program; 0 on success, 2 with one readable line for bad input, 1 for an uncertified answer."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no Greek still gets its numbers
    with warnings.catch_warnings():
        said: set[str] = set()
        warnings.showwarning = lambda message, *_, **__: _warn(str(message), said)
        return _run(arguments)


def _run(arguments: list[str] | None) -> int:
    try:
        code = program.main(arguments, prog_name="stackelberg", standalone_mode=False)
    except click.ClickException as error:
        return _refuse(error.format_message(), error.exit_code if error.exit_code > 1 else 2)
    except click.Abort:
        return _refuse("interrupted", 130)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except sb.CertificateError as error:
        return _refuse(str(error), 1)
    except OSError as error:
        return _refuse(unreadable(error), 2)
    except ValueError as error:
        return _refuse(str(error), 2)
    return code if isinstance(code, int) else 0


def _warn(message: str, said: set[str]) -> None:
    """A warning in one line, and once."""
    if message not in said:
        said.add(message)
        click.echo(f"warning: {' '.join(message.split())}", err=True)


def _refuse(message: str, code: int) -> int:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
