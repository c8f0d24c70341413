"""The commands this floor hangs on the program: ``structure``, ``compare``, ``demo``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

import stackelberg as sb
from analysis.comparison import Comparison
from analysis.comparison import compare as compare_concepts
from analysis.figures import (
    Drawing,
    draw_comparison,
    draw_heatmap,
    draw_refinement,
    draw_sensitivity,
    draw_simplex,
    draw_tournament,
    save,
)
from analysis.fit import Unavailable
from analysis.sensitivity import sensitivity
from analysis.structure import Structure
from analysis.structure import structure as find_structure
from analysis.tournament import one_context
from stackelberg.commands import (
    console,
    emit,
    load,
    output_options,
    pair_sampling,
    parse_sampling,
    preferences_file,
    table,
    tau_option,
)
from stackelberg.io import minneapolis

ACTIONS = 20
"""How many actions a comparison lists one by one."""

context_option = click.option("--context", type=int, help="Which context, where FILE has several (from 0).")


@click.command()
@preferences_file
@context_option
@click.option("--draws", type=int, default=1000, show_default=True, help="Bootstrap draws; 0 leaves them out.")
@output_options
def structure(
    file: str,
    unranked: str,
    context: int | None,
    draws: int,
    seed: int,
    out: Path | None,
    as_json: bool,
    figures: bool,
) -> None:
    """Condorcet winner, Smith set, cycles, transitivity, and how sure all of it is.

    Intervals and the noise test need counts (a square of wins, ballots, or winner,loser pairs); from bare
    probabilities they are left out, and that is said.
    """
    preference = load(file, unranked)
    found = find_structure(preference, context=context, draws=draws, seed=seed, progress=not as_json)
    emit(found.as_dict(), as_json=as_json, out=out, name="structure")
    if not as_json:
        show_structure(found)
    if figures:
        chosen = one_context(preference, context)
        write_drawings([draw_tournament(chosen), draw_heatmap(chosen)], out, seed, quiet=as_json)


@click.command()
@preferences_file
@context_option
@tau_option
@pair_sampling
@output_options
def compare(
    file: str,
    unranked: str,
    context: int | None,
    tau: float,
    left_out: tuple[tuple[str, str], ...],
    seed: int,
    out: Path | None,
    as_json: bool,
    figures: bool,
) -> None:
    """RLHF, Borda, NLHF and SLHF side by side on the same preferences.

    Worst case is the win rate against the fixed answer that beats the policy best; exploitability is what
    the best deviation gains in the unregularised game; entropy is in nats.
    """
    preference = load(file, unranked)
    sampling = parse_sampling(left_out, preference.labels)
    found = compare_concepts(preference, tau=tau, sampling=sampling, context=context)
    emit(found.as_dict(), as_json=as_json, out=out, name="compare")
    if not as_json:
        show_comparison(found)
    if figures:
        write_drawings(comparison_drawings(found, seed), out, seed, quiet=as_json)


def show_structure(found: Structure) -> None:
    """The structure as two tables: the whole, and each action's chances."""
    rows: list[list[Any]] = [
        ["Condorcet winner", found.condorcet_winner or "none"],
        ["Condorcet loser", found.condorcet_loser or "none"],
        ["Smith set", ", ".join(found.smith_set)],
        ["minimax Leader", f"{', '.join(found.minimax_leaders)} (worst case {found.minimax_value:.4f})"],
        ["top cycles", _cycles(found)],
        ["three-cycles", f"{found.three_cycles:,}"],
        ["cyclic share of the energy", f"{found.cyclic_share:.4f}"],
        ["stochastic transitivity", _transitivity(found)],
    ]
    if found.never_compared:
        rows.append(["never compared (p = ½ is a guess)", "; ".join(f"{a} – {b}" for a, b in found.never_compared[:6])])
    table("Structure", ["", "found"], rows)
    if isinstance(found.bootstrap, Unavailable):
        console().print(f"Uncertainty: {found.bootstrap.reason}")
        return
    sure = found.bootstrap
    chances = [
        [label, sure.condorcet_winner[label], sure.smith_set[label], sure.minimax_leader[label]]
        for label in found.labels
    ]
    columns = ["share of bootstrap draws in which it is", "Condorcet winner", "in the Smith set", "minimax Leader"]
    table(f"How sure ({sure.draws:,} draws)", columns, chances, _noise(found))


def _cycles(found: Structure) -> str:
    rings = found.top_cycles
    shown = "; ".join(" ≻ ".join([*ring, ring[0]]) for ring in rings.cycles[:3])
    return shown + (f" … {rings.number} in all" if len(rings.cycles) > 3 else "") if rings.cycles else "none"


def _transitivity(found: Structure) -> str:
    kinds = {
        "weak": found.transitivity.weak,
        "moderate": found.transitivity.moderate,
        "strong": found.transitivity.strong,
    }
    return ", ".join(
        f"{name} {'holds' if kind.holds else f'fails ({kind.violations} of {kind.triples})'}"
        for name, kind in kinds.items()
    )


def _noise(found: Structure) -> str:
    """The noise test in words."""
    test, sure = found.noise_test, found.bootstrap
    if isinstance(test, Unavailable) or isinstance(sure, Unavailable):
        return f"Noise test: {test.reason}" if isinstance(test, Unavailable) else ""
    guide = " Ballots decide many pairs at once, so the first p is a guide." if not test.independent else ""
    return (
        f"No Condorcet winner in {sure.no_condorcet_winner:.1%} of the draws, and in "
        f"{test.no_condorcet_winner.expected:.1%} of transitive (Bradley–Terry) worlds with as many comparisons; such "
        f"worlds have as much cyclic energy with p = {test.cyclic_energy.p_value:.3f}. That somebody is in truth "
        f"unbeaten: p = {test.any_winner:.3f}.{guide}"
    )


def show_comparison(found: Comparison) -> None:
    """The concepts side by side, the likeliest actions first, and the reasons of those that have no answer."""
    policies = np.array([np.full(len(found.labels), np.nan) if r.policy is None else r.policy for r in found.rows])
    order = np.argsort(-np.nan_to_num(policies).max(axis=0), kind="stable")
    shown, rest = order[:ACTIONS], order[ACTIONS:]
    rows: list[list[Any]] = [[found.labels[y], *policies[:, y]] for y in shown]
    if len(rest):
        rows.append([f"… {len(rest)} more together", *policies[:, rest].sum(axis=-1)])
    measures = {
        "worst-case win rate": "worst_case",
        "exploitability": "exploitability",
        "entropy (nats)": "entropy",
        "win rate over the Leader": "win_rate_over_leader",
    }
    rows += [[title, *(getattr(row, name) for row in found.rows)] for title, name in measures.items()]
    columns = ["probability of", *(row.concept for row in found.rows)]
    title = f"RLHF, NLHF and SLHF on the same preferences (tau = {found.tau:g})"
    table(title, columns, rows, "The Follower sees the Leader's answer; its column is what it plays on average.")
    for row in found.rows:
        if row.reason:
            console().print(f"{row.concept}: {row.reason}")


@click.command()
@click.option(
    "--alpha", type=float, nargs=3, default=(0.4, 0.35, 0.25), show_default=True, help="Shares of the paradox."
)
@click.option("--tau", type=float, default=0.0, show_default=True, help="KL coefficient, ≥ 0.")
@output_options
def demo(
    alpha: tuple[float, float, float], tau: float, seed: int, out: Path | None, as_json: bool, figures: bool
) -> None:
    """A real election with a Condorcet cycle, analysed, solved three ways and drawn; then the classic paradox.

    Minneapolis, Ward 2, 2021: 9,513 ranked ballots, in which three candidates beat each other in a circle.
    The paradox has three kinds of annotators, A ≻ B ≻ C, B ≻ C ≻ A and C ≻ A ≻ B, with the shares --alpha.
    Figures go into --out (default: figures); --figures is implied.
    """
    out = out or Path("figures")
    document = {
        "minneapolis": _demonstrate(
            "Minneapolis, Ward 2, 2021", minneapolis(), tau, seed, out / "minneapolis", as_json
        ),
        "paradox": _demonstrate(
            "The Condorcet paradox", sb.PreferenceMatrix.condorcet(alpha), tau, seed, out / "paradox", as_json
        ),
    }
    emit(document, as_json=as_json, out=out, name="demo")


def _demonstrate(
    title: str, preference: sb.PreferenceMatrix, tau: float, seed: int, folder: Path, quiet: bool
) -> dict[str, Any]:
    """Structure, comparison and figures of one matrix."""
    found = find_structure(preference, seed=seed)
    compared = compare_concepts(preference, tau=tau)
    if not quiet:
        console().rule(title)
        show_structure(found)
        show_comparison(compared)
    drawings = [draw_tournament(preference), draw_heatmap(preference), *comparison_drawings(compared, seed)]
    write_drawings(drawings, folder, seed, quiet=quiet)
    return {"structure": found.as_dict(), "compare": compared.as_dict()}


def comparison_drawings(found: Comparison, seed: int) -> list[Drawing]:
    """What shows a comparison best; the simplex where there are three actions."""
    drawings = [
        draw_comparison(found),
        draw_refinement(found.stackelberg),
        draw_sensitivity(sensitivity(found.preference, tau=found.tau, seed=seed)),
    ]
    if found.preference.n == 3:
        solutions = [found.rlhf, found.nash, found.stackelberg]
        drawings.append(draw_simplex(found.preference, [solution for solution in solutions if solution is not None]))
    return drawings


def write_drawings(drawings: list[Drawing], folder: Path | None, seed: int, *, quiet: bool) -> None:
    """Save drawings with the command line as their origin, and say where they are."""
    folder = folder or Path("figures")
    command = " ".join(["stackelberg", *sys.argv[1:]])
    for drawing in drawings:
        save(drawing, folder, command=command, seed=seed)
    if not quiet:
        console().print(f"Drawn into {folder}: {', '.join(drawing.name for drawing in drawings)} (svg, png, csv)")
