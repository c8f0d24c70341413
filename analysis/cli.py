"""The commands this floor hangs on the program: ``structure``, ``compare``, ``demo``."""

from __future__ import annotations

from pathlib import Path

import click

from analysis.comparison import compare as compare_concepts
from analysis.structure import structure as find_structure
from stackelberg.commands import (
    emit,
    load,
    output_options,
    pair_sampling,
    parse_sampling,
    preferences_file,
    tau_option,
)

context_option = click.option("--context", type=int, help="Which context, where FILE has several (from 0).")


@click.command()
@preferences_file
@context_option
@click.option(
    "--draws", type=int, default=1000, show_default=True, help="Bootstrap draws; 0 leaves them out."
)
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
        _draw_preferences(preference, out, seed, context, quiet=as_json)


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
        _draw_comparison(preference, found, out, seed, quiet=as_json)


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
    kinds = {"weak": found.transitivity.weak, "moderate": found.transitivity.moderate, "strong": found.transitivity.strong}
    return ", ".join(
        f"{name} {'holds' if kind.holds else f'fails ({kind.violations} of {kind.triples})'}" for name, kind in kinds.items()
    )


def _noise(found: Structure) -> str:
    """The noise test in words."""
    test = found.noise_test
    if isinstance(test, Unavailable):
        return f"Noise test: {test.reason}"
    guide = "" if test.independent else " Ballots decide many pairs at once, so this is a guide."
    return (
        f"No Condorcet winner in {found.bootstrap.no_condorcet_winner:.1%} of the draws; in transitive worlds "
        f"with as many comparisons, in {test.no_condorcet_winner.expected:.1%} "
        f"(p = {test.shortfall.p_value:.4f} for the depth of the cycle).{guide}"
    )
