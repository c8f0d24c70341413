"""The command ``stackelberg learn``: a learning rule on the preferences of a file, kept so that it can go on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

import stackelberg as sb
from stackelberg.absent import missing
from stackelberg.commands import load, options, output_options, reading_options
from stackelberg.expectation import Expectation
from stackelberg.game_options import game_of, game_options
from stackelberg.learning_output import GAMES, show_run
from stackelberg.solvers.base import Solver, TwoPlayerSolver
from stackelberg.specs import all_objects, all_solvers, parse_solver, parse_value, settings


class Stopped(click.ClickException):
    """Ctrl-C, with the words that say how to go on."""

    exit_code = 130


def _help(context: click.Context, _: click.Parameter, value: str) -> str:
    if value != "help":
        return value
    for name, kind in all_solvers().items():
        games = ", ".join(GAMES[game] for game in kind.games if game in GAMES)
        click.echo(f"{name}  ({games}; {', '.join(settings(kind))})")
        click.echo(f"    {(kind.__doc__ or '').partition(chr(10))[0]}")
    click.echo(f"\nA setting's value is a number or one of: {', '.join(sorted(all_objects()))}.")
    click.echo("Arguments follow a colon: inverse-time:2,8 or sample:100,baseline=leave-one-out.")
    context.exit()


run_options = options(
    click.option(
        "--solver",
        default="mirror-descent",
        show_default=True,
        callback=_help,
        help="The learning rule; --solver help lists them all.",
    ),
    click.option("--learning-rate", help="η, a number or a schedule such as inverse-time:2,8 [default: the solver's]."),
    click.option("--kappa", help="κ = η_F/η_L, a number or a schedule [default: the solver's]."),
    click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="Another setting, geometry=softmax."),
    click.option("--sampling", default="enumerate", show_default=True, help="enumerate, or sample:100 draws a step."),
    click.option("--every", type=click.IntRange(min=1), default=10, show_default=True, help="Steps between records."),
    click.option("--distance", is_flag=True, help="Record the distance from the exact solution too."),
    click.option(
        "--tolerance", type=click.FloatRange(min=0), help="Stop at a record whose gap is at most this; may be changed."
    ),
)


@click.command()
@click.argument("file", required=False)
@click.option("--steps", type=click.IntRange(min=0), help="Steps in all [default: 1000, or those of the run resumed].")
@click.option("--resume", type=click.Path(path_type=Path), help="Go on with the run in this folder, without FILE.")
@click.option("--progress/--no-progress", default=None, help="Speed, gap and time left [default: on a terminal].")
@game_options
@run_options
@reading_options
@output_options
@click.pass_context
def learn(context: click.Context, /, **given: Any) -> None:
    """Let the players learn the game over FILE, and print where they end.

    With --out the run is kept in that folder, saved every few seconds: killed at any moment, it goes on with
    --resume, or with the same command, to the identical result. The folder holds the finished solution too.

    \b
    Examples:
      stackelberg learn wins.csv --solver mirror-descent --learning-rate 1 --kappa 5 --steps 200
      stackelberg learn wins.csv --solver stackelberg-gda --set geometry=softmax --sampling sample:100 --seed 1
      stackelberg learn wins.csv --game nash --solver nash-md --learning-rate inverse-time:20,2 --steps 5000
      stackelberg learn wins.csv --solver extra-gradient --tolerance 1e-9 --out runs/a --figures
      stackelberg learn --resume runs/a --steps 20000
      stackelberg plot runs/*
    """
    progress = sys.stderr.isatty() if given["progress"] is None else given["progress"]
    try:
        solution = _resumed(context, progress) if given["resume"] else _started(progress, given)
    except KeyboardInterrupt as stopped:
        raise Stopped(str(stopped) or "interrupted; nothing was kept, for want of --out") from None
    folder = given["out"] or given["resume"]
    show_run(solution, folder, given["seed"], as_json=given["as_json"], figures=given["figures"])
    if solution.status is sb.Status.DIVERGED:
        click.echo(f"error: {solution.report}", err=True)
        context.exit(1)


def _resumed(context: click.Context, progress: bool) -> Any:
    """Go on, refusing options that belong to a run's beginning."""
    allowed = {"resume", "steps", "progress", "as_json", "figures"}
    for parameter in context.command.params:
        source = context.get_parameter_source(str(parameter.name))
        if parameter.name not in allowed and source is click.core.ParameterSource.COMMANDLINE:
            name = parameter.opts[0] if isinstance(parameter, click.Option) else "FILE"
            raise ValueError(f"--resume takes everything from the folder, {name} too. Leave it out.")
    folder = context.params["resume"]
    if not folder.is_dir():
        raise ValueError(f"{missing(folder, 'folder')} A run starts with: stackelberg learn FILE --out {folder}")
    return sb.resume(context.params["resume"], steps=context.params["steps"], progress=progress)


def _started(progress: bool, given: dict[str, Any]) -> Any:
    """Start the run that the options describe, or go on with it where --out holds it already."""
    if given["file"] is None:
        raise ValueError("Name a FILE of preferences, or --resume a run.")
    preference = load(given["file"], given["unranked"], given["context"])
    if given["figures"] and preference.contexts is not None:
        raise ValueError(f"A figure is of one context, and FILE has {preference.contexts}. Pass --context 0.")
    names = ("tau", "tau_leader", "tau_follower", "reference", "left_out")
    game, solver = game_of(preference, given["game"], **{name: given[name] for name in names}), _solver(given)
    _check_pairing(game, solver, given["game"], given["solver"])
    return sb.solve(
        game,
        solver,
        steps=given["steps"],
        sampling=_sampling(given["sampling"]),
        seed=given["seed"],
        record=sb.Record(every=given["every"], distance=given["distance"]),
        tolerance=given["tolerance"],
        checkpoint=given["out"],
        progress=progress,
    )


def _solver(given: dict[str, Any]) -> Solver:
    chosen = {}
    for pair in given["given"]:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set {pair}: this is no NAME=VALUE. Write for example --set geometry=softmax.")
        chosen[name.replace("-", "_")] = value
    named = {name: given[name] for name in ("learning_rate", "kappa") if given[name] is not None}
    return parse_solver(given["solver"], chosen | named)


def _check_pairing(game: Any, solver: Solver, name: str, rule: str) -> None:
    """What ``sb.solve`` refuses too, in the words of the options."""
    if not isinstance(game, solver.games):
        fitting = " or ".join(f"--game {GAMES[each]}" for each in solver.games if each in GAMES)
        raise ValueError(
            f"--solver {rule} is for {fitting}, not for --game {name}. Choose that game, or --solver mirror-descent, "
            "which serves every game."
        )
    if not solver.keeps_regulariser and (game.tau > 0).any():  # type: ignore[attr-defined]
        raise ValueError(
            f"--solver {rule} drops the KL part, and tau is {game.tau.max():g}. "  # type: ignore[attr-defined]
            "Pass --tau 0, or a rule that keeps it, such as --solver egpo."
        )
    if isinstance(solver, TwoPlayerSolver) and not isinstance(game, sb.StackelbergGame):
        for option, set_ in (("--kappa", solver.kappa != 1), ("--set alternating", getattr(solver, "alternating", 0))):
            if set_:
                raise ValueError(f"{option} is for two players, and --game {name} has one policy. Leave it out.")


def _sampling(text: str) -> Expectation:
    sampling: Expectation = parse_value(text, "--sampling", Expectation)
    return sampling
