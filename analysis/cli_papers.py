"""The command ``stackelberg paper``: run a paper's folder of scripts, each of which checks itself."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import click

from analysis.paper import scripts_of, words_for
from stackelberg.commands import console, table
from stackelberg.errors import CertificateError


@click.command()
@click.argument("name")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The paper's folder [default: papers/NAME, seen from where you are].",
)
@click.option("--only", multiple=True, metavar="SCRIPT", help="Run this script only (repeatable).")
@click.option("--quick", is_flag=True, help="Reduced runs, in seconds.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Tables and figures [figures/papers/NAME]."
)
def paper(name: str, folder: Path | None, only: tuple[str, ...], quick: bool, out: Path | None) -> None:
    """Make a paper's tables and figures again, and check them.

    Each script of the folder runs alone and holds what it finds against expected.json; the command fails if one
    of them does. The folder papers/ comes with the checkout, and is not installed: run this from there, or say
    where it is with --folder.

    \b
    Examples:
      stackelberg paper slhf
      stackelberg paper egpo --quick
      stackelberg paper slhf --only table1 --only sampling
    """
    where = folder or Path("papers") / name
    if not where.is_dir():
        raise ValueError(f"There is no folder {where} here. Run this in the checkout, or give --folder.")
    scripts = scripts_of(where.resolve())
    known = [script.stem for script in scripts]
    unknown = sorted(set(only) - set(known))
    if unknown:
        raise ValueError(f"{name} has no script {unknown[0]!r}. Its scripts are: {', '.join(known)}.")
    rows, failed = [], []
    for script in scripts:
        if only and script.stem not in only:
            continue
        console().rule(f"{name}: {script.stem}")
        start = time.perf_counter()
        code = subprocess.run(words_for(script, quick=quick, out=out or Path("figures") / "papers" / name)).returncode
        rows.append([script.stem, f"{time.perf_counter() - start:.0f} s", "holds" if code == 0 else "FAILS"])
        failed += [script.stem] if code else []
    table(f"paper {name}", ["script", "time", ""], rows)
    if failed:
        raise CertificateError(f"{', '.join(failed)} of paper {name}: not all claims hold; see above.")
