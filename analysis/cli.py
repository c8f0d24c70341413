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
from analysis.report import show_comparison, show_structure
from analysis.sensitivity import sensitivity
from analysis.structure import structure as find_structure
from analysis.tournament import one_context
from stackelberg.commands import (
    confess,
    console,
    emit,
    load,
    output_options,
    pair_sampling,
    parse_sampling,
    preferences_file,
    tau_option,
)
from stackelberg.io import minneapolis

SENSITIVE = 100
"""The most actions whose sensitivity is drawn: leaving out each pair in turn costs about n⁵."""


@click.command()
@preferences_file
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
    preference = one_context(load(file, unranked, context))
    found = find_structure(preference, draws=draws, seed=seed, progress=sys.stderr.isatty())
    emit(found.as_dict(), as_json=as_json, out=out, name="structure")
    if not as_json:
        show_structure(found)
    if figures:
        write_drawings([draw_tournament(preference), draw_heatmap(preference)], out, seed, quiet=as_json)


@click.command()
@preferences_file
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
    preference = one_context(load(file, unranked, context))
    sampling = parse_sampling(left_out, preference.labels)
    found = compare_concepts(preference, tau=tau, sampling=sampling)
    emit(found.as_dict(), as_json=as_json, out=out, name="compare")
    if not as_json:
        show_comparison(found)
        confess(preference)
    if figures:
        write_drawings(comparison_drawings(found, seed), out, seed, quiet=as_json)


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

    Minneapolis, Ward 2, 2021: 9,513 ranked ballots, in which three candidates beat each other in a circle. Shipped
    are the pairwise wins, so uncertainty is told pair by pair, though one ballot decides several pairs at once.
    The paradox has three kinds of annotators, A ≻ B ≻ C, B ≻ C ≻ A and C ≻ A ≻ B, with the shares --alpha.
    Figures go into --out (default: figures); --figures is implied.
    """
    out = out or Path("figures")
    if min(alpha) < 0 or not np.isclose(sum(alpha), 1):
        raise ValueError(f"--alpha must be three shares that sum to 1, not {alpha}. Write --alpha 0.4 0.35 0.25.")
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
    """What shows a comparison best: the simplex where there are three actions, sensitivity where there are few."""
    drawings = [draw_comparison(found), draw_refinement(found.stackelberg)]
    if found.preference.n <= SENSITIVE:
        drawings.append(draw_sensitivity(sensitivity(found.preference, tau=found.tau, seed=seed)))
    if found.preference.n == 3:
        drawings.append(draw_simplex(found.preference, tau=found.tau))
    return drawings


def write_drawings(drawings: list[Drawing], folder: Path | None, seed: int, *, quiet: bool) -> None:
    """Save drawings with the command line as their origin, and say where they are."""
    folder = folder or Path("figures")
    command = " ".join(["stackelberg", *sys.argv[1:]])
    for drawing in drawings:
        save(drawing, folder, command=command, seed=seed)
    if not quiet:
        console().print(f"Drawn into {folder}: {', '.join(drawing.name for drawing in drawings)} (svg, png, csv)")
