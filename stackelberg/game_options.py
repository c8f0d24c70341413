"""The options that describe a game, shared by the commands that solve one and learn one."""

from __future__ import annotations

from typing import Any

import click

import stackelberg as sb
from stackelberg.commands import options, pair_sampling, parse_reference, parse_sampling, tau_option

game_options = options(
    click.option(
        "--game",
        type=click.Choice(["stackelberg", "nash", "reward"]),
        default="stackelberg",
        show_default=True,
        help="SLHF's Leader and Follower, NLHF's equilibrium, or RLHF's fitted reward.",
    ),
    tau_option,
    click.option("--tau-leader", type=float, help="The Leader's own τ (Stackelberg)."),
    click.option("--tau-follower", type=float, help="The Follower's own τ (Stackelberg)."),
    click.option("--reference", help="Reference policy A=0.5,B=0.3,C=0.2 of every player [default: uniform]."),
    pair_sampling,
)


def game_of(
    preference: sb.PreferenceMatrix,
    name: str,
    *,
    tau: float,
    tau_leader: float | None,
    tau_follower: float | None,
    reference: str | None,
    left_out: tuple[tuple[str, str], ...],
) -> Any:
    """The game that the options of :data:`game_options` describe."""
    policy = parse_reference(reference, preference.labels)
    if name != "stackelberg" and (tau_leader is not None or tau_follower is not None):
        raise ValueError(f"--tau-leader and --tau-follower belong to --game stackelberg, not {name}. Use --tau.")
    if name != "reward" and left_out:
        raise ValueError(f"--without belongs to --game reward: the {name} game samples no pairs.")
    if name == "nash":
        return sb.NashGame(preference, tau=tau, reference=policy)
    if name == "reward":
        sampling = parse_sampling(left_out, preference.labels)
        return sb.RewardGame(preference, tau=tau, sampling=sampling, reference=policy)
    own = {"tau_leader": tau_leader, "tau_follower": tau_follower}
    references = {"leader_reference": policy, "follower_reference": policy}
    return sb.StackelbergGame(preference, tau=tau, **own, **references)
