"""From rollouts and a judge's answers to a loss: the seam on which a training loop stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from llm.fields import check_kind, check_speaks
from llm.generation import Completion
from llm.logprobs import Scorer, micro_batches
from llm.rollouts import Episode, Rollouts, Turn, unfinished_penalty
from llm.scoring import score
from stackelberg.gradient import (
    KL,
    Baseline,
    Batch,
    Completions,
    Constant,
    LeaveOneOut,
    RaoBlackwell,
    Returns,
    RewardToGo,
    Surrogate,
    loss,
    surrogates,
)
from stackelberg.validation import as_numbers, shown

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy

HALF = Constant(0.5)
TO_GO = RewardToGo()


@dataclass(frozen=True, eq=False)
class Part:
    """One micro-batch of a step.

    Args:
        rows: which episodes.
        batch: what the ground floor's estimator reads; its weights are 1/(all rows), so that parts add up.
        surrogates: the Leader's, and the Follower's if there is one.
        loss: to call ``backward`` on; the sum over the parts is the loss of the whole batch.
    """

    rows: tuple[int, ...]
    batch: Batch
    surrogates: tuple[Surrogate, ...]
    loss: Tensor


def losses(
    policy: TransformerPolicy,
    episodes: Sequence[Episode],
    preference: Sequence[float],
    returns: Returns,
    *,
    sampling: Rollouts,
    kappa: float = 1.0,
    leader: float = 1.0,
    baseline: Baseline = HALF,
    kl: KL = TO_GO,
    weights: Sequence[float] | None = None,
    one_sequence: bool | None = None,
) -> Iterator[Part]:
    """The loss of a step, a micro-batch at a time: call ``part.loss.backward()`` on each before asking for the next.

    The gradients then add up to those of the whole batch, whatever ``sampling.backward_tokens`` is; only one
    part's activations are alive. See :func:`stackelberg.gradient.surrogates` for the estimator.

    Args:
        policy: both roles and their references.
        episodes: of :func:`llm.generate`, with the policy as it is now.
        preference: p(y≻y'|x) of each, from a judge; the reward in a reward game.
        returns: of the game, ``game.returns()``, with numbers for τ.
        sampling: what the episodes were drawn with.
        kappa: the Follower's weight.
        leader: the Leader's.
        baseline: ``LeaveOneOut`` compares the answers to a prompt, which stay in one micro-batch for it.
        kl: how the KL enters; ``RaoBlackwell`` reads it exactly.
        weights: of each episode, for an enumeration; 1/(number of episodes) by default.
        one_sequence: False scores the players apart; by default as the policy says.

    Raises:
        ValueError: if numbers of rows differ, ``LeaveOneOut`` meets rollouts that are no independent draws, or a
            group is longer than a micro-batch.

    Example:
        >>> import llm, stackelberg as sb
        >>> from llm.testing import tiny_policy
        >>> policy, sampling = tiny_policy(), llm.Rollouts(max_new_tokens=4)
        >>> episodes = llm.generate(policy, ["Why?", "How?"], sampling)
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.cycle(3), tau=0.1)
        >>> for part in losses(policy, episodes, [1.0, 0.0], game.returns(), sampling=sampling, kappa=5):
        ...     part.loss.backward()
        >>> any(weight.grad.abs().sum() > 0 for weight in policy.parameters())
        True
    """
    check_speaks(policy)
    for name, value, hint in (("returns", returns, Returns), ("sampling", sampling, Rollouts),
                              ("baseline", baseline, Baseline), ("kl", kl, KL), ("kappa", kappa, float),
                              ("leader", leader, float)):  # fmt: skip
        check_kind(value, hint, name)
    _check(episodes, preference, weights, baseline, sampling)
    penalty = unfinished_penalty(episodes, sampling.missing_eos_penalty)
    earned = torch.tensor(preference, dtype=torch.float64) + torch.tensor(penalty, dtype=torch.float64)
    share = torch.tensor([1 / len(episodes)] * len(episodes) if weights is None else weights, dtype=torch.float64)
    scorer = Scorer(sampling, micro_batch_tokens=2**62)  # the parts below are within the budget already
    for rows in parts_of(episodes, sampling, baseline):
        said = [episodes[i] for i in rows]
        first, second = score(
            policy, said, sampling, kl=isinstance(kl, RaoBlackwell), scorer=scorer, one_sequence=one_sequence
        )
        like = first.log_prob
        batch = Batch(
            earned[rows].to(like),
            first,
            None if second is None else _beside(second, first),
            groups=torch.tensor([each.context for each in said], device=like.device),
            weights=share[rows].to(like),
        )
        parts = surrogates(batch, returns, baseline=baseline, kl=kl)
        yield Part(tuple(rows), batch, parts, loss(parts, kappa, leader))


def generator_gap(episodes: Sequence[Episode], leader: Completions, follower: Completions | None = None) -> float:
    """The largest |log-probability as the generator had it − as it is recomputed|, over all tokens.

    Near rounding if the rollouts are of this policy at this temperature. NaN where the generator told none.
    """
    _check_episodes(episodes)
    check_kind(leader, Completions, "leader")
    check_kind(follower, Completions | None, "follower")
    gaps = [0.0]
    for column, said in (("leader", leader), ("follower", follower)):
        if said is None:
            continue
        for row, episode in enumerate(episodes):
            told = getattr(episode, column).completion.log_probs
            if told is None:
                return float("nan")
            again = said.log_prob[row, : len(told)].detach().double().cpu()
            gaps.append(float((again - torch.tensor(told, dtype=torch.float64)).abs().max()))
    return max(gaps)


def parts_of(episodes: Sequence[Episode], sampling: Rollouts, baseline: Baseline) -> list[list[int]]:
    """Rows in micro-batches; a prompt's rows stay together where the baseline compares them."""
    option = "micro_batch_tokens" if sampling.backward_tokens is None else "backward_tokens"
    budget = getattr(sampling, option)
    lengths = [len((each.follower or each.leader).prompt) + len((each.follower or each.leader).content)
               for each in episodes]  # fmt: skip
    if not isinstance(baseline, LeaveOneOut):
        return micro_batches(lengths, budget, option)
    groups: dict[int, list[int]] = {}
    for row, each in enumerate(episodes):
        groups.setdefault(each.context, []).append(row)
    whole = list(groups.values())
    return [
        [row for i in part for row in whole[i]]
        for part in micro_batches([max(lengths[i] for i in rows) * len(rows) for rows in whole], budget, option)
    ]


def silent(policy: TransformerPolicy, *, followed: bool) -> list[Episode]:
    """Two rollouts in which next to nothing is said, to be weighed with 0.

    Args:
        policy: whose end mark is said.
        followed: whether somebody follows.
    """
    mark = policy.ending().pad
    said = Completion((mark,), None, finished=True)
    leader, follower = (Turn((mark,) * length, said, (), "") for length in (1, 2))
    return [Episode(0, answer, [], leader, follower if followed else None) for answer in range(2)]


def _check(
    episodes: Sequence[Episode],
    preference: Sequence[float],
    weights: Sequence[float] | None,
    baseline: Baseline,
    sampling: Rollouts,
) -> None:
    _check_episodes(episodes)
    for name, values in (("preference", preference), ("weights", weights)):
        if values is not None and as_numbers(values, name).ndim != 1:
            raise ValueError(f"{name} must be a list of numbers, not {shown(values)}. Pass one an episode.")
        if values is not None and len(values) != len(episodes):
            raise ValueError(f"{name} has {len(values)} numbers for {len(episodes)} episodes. Pass one an episode.")
    if isinstance(baseline, LeaveOneOut) and len({each.answer for each in episodes}) < len(episodes):
        raise ValueError(
            "LeaveOneOut needs independent draws, and here several improvements share an answer: the Leader would be "
            "compared with itself. Use followers=1, or Constant(0.5)."
        )


def _check_episodes(episodes: Any) -> None:
    if not isinstance(episodes, Sequence) or not all(isinstance(each, Episode) for each in episodes):
        raise TypeError(f"episodes must be a list of episodes, not {shown(episodes)}. Pass what llm.generate answers.")


def _beside(follower: Completions, leader: Completions) -> Completions:
    """The Follower's numbers on the Leader's device, where two models lie on two."""
    device = leader.log_prob.device
    moved = {
        name: getattr(follower, name).to(device)
        for name in ("log_prob", "reference_log_prob", "mask", "kl")
        if getattr(follower, name) is not None
    }
    return replace(follower, **moved)
