"""How far a Leader is too optimistic: what its own Follower leaves on the table, bounded from samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import logsumexp

from llm.intervals import stderr_of
from llm.judges.protocol import Array, Judge, Prompt, ask, kept
from llm.rollouts import Episode, Rollouts, unfinished_penalty
from stackelberg.estimate import Estimate, Kind
from stackelberg.game import StackelbergGame

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy

ROWS = 64
"""Episodes scored at a time."""


def follower_gap(
    policy: TransformerPolicy,
    game: StackelbergGame,
    judge: Judge,
    prompts: Sequence[Prompt],
    episodes: Sequence[Episode],
    sampling: Rollouts,
) -> Estimate:
    """A lower bound of the Follower's gap, ``E_y τ_F KL(ω(·|y) ‖ ω*(·|y))``, which is the Leader's optimism.

    With v_i = p(y≻y'_i) + τ_F ℓ_F(y'_i) for n replies to y, it is the mean over y of
    ``mean_i v_i + τ_F log mean_i e^{−v_i/τ_F}`` (at τ_F = 0, mean less least). The second term estimates −V(y) from
    below, since ``E_ω e^{−v/τ_F} = E_{ω_ref} e^{−p/τ_F}`` and log is concave: a lower bound in expectation for every n,
    never above ``max v − min v``, and 0 for ω*, whose v is the same for every reply. It is of the policy and reference
    at the temperature of the draws, with ``missing_eos_penalty`` in p as in training.

    Args:
        policy: whose replies these are.
        game: for τ_F.
        judge: asked about every reply.
        prompts: by ``Episode.context``.
        episodes: several improvements of each answer; what the judge skips is left out.
        sampling: what they were drawn with.

    Returns:
        The bound with its standard error over answers, NaN from a single one; NaN where every reply was skipped.

    Raises:
        ValueError: if the sampling leaves tokens out: then the replies are not ω's, and nothing is bounded.
    """
    check_bounded(sampling)
    p = ask(
        judge,
        [prompts[each.context] for each in episodes],
        [each.leader.text for each in episodes],
        [each.follower.text for each in episodes if each.follower is not None],
    )
    rows = [episodes[i] for i in np.flatnonzero(kept(p)).tolist()]
    if not rows:
        return Estimate(float("nan"), Kind.LOWER_BOUND, float("nan"))
    tau = float(np.ravel(game.tau_follower)[0])
    ratios = _log_ratios(policy, rows, sampling) if tau else np.zeros(len(rows))
    values = p[kept(p)] + np.array(unfinished_penalty(rows, sampling.missing_eos_penalty)) + tau * ratios
    answers = np.array([each.answer for each in rows])
    bounds = np.array([_bound(values[answers == answer], tau) for answer in np.unique(answers)])
    return Estimate(float(bounds.mean()), Kind.LOWER_BOUND, float(stderr_of(bounds)))


def check_bounded(sampling: Rollouts) -> None:
    """Refuse draws from which nothing can be bounded."""
    if sampling.truncates:
        raise ValueError(
            f"The Follower's gap is bounded from replies that are drawn as the policy speaks, and top_p = "
            f"{sampling.top_p:g}, top_k = {sampling.top_k} or temperature = {sampling.temperature:g} leave tokens out. "
            "Pass Evaluation(replies=1) to leave the gap out, or draw with top_p=1, top_k=0 and temperature > 0."
        )


def _bound(values: Array, tau: float) -> float:
    least = -tau * (logsumexp(-values / tau) - np.log(len(values))) if tau else values.min()
    return max(0.0, float(values.mean() - least))  # not below 0 by more than rounding


def _log_ratios(policy: TransformerPolicy, rows: Sequence[Episode], sampling: Rollouts) -> Array:
    """ℓ_F of every reply."""
    found = []
    with torch.no_grad():
        for start in range(0, len(rows), ROWS):
            _, said = policy.score(rows[start : start + ROWS], sampling)
            if said is not None:
                found.append(said.log_ratios.sum(-1).double().cpu().numpy())
    return np.concatenate(found)
