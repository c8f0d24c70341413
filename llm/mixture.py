r"""Nash-MD's opponent: answers from the token-wise geometric mixture of the Leader and its reference.

    log π^β(t | prefix) = (1 − β) log π(t | prefix) + β log π_ref(t | prefix) − log Z(prefix)

β weights the **reference**: 0 is the Leader itself, 1 its reference.

**An approximation.** Nash-MD's mixture (Munos et al. 2023) is of whole answers, ``π^β(y) ∝ π(y)^{1−β} π_ref(y)^β``, and
cannot be drawn from token by token. The token-wise mixture is renormalised after every prefix: it divides by
``∏_t Z(y_{<t})`` where the other divides by one number, so it goes as readily where the two will disagree (small Z)
as where they will agree. They are the same at β = 0 and β = 1, where π = π_ref, and for answers of one token.

Example: two tokens; behind the first token 0 the policy and the reference disagree, behind 1 they agree.
    >>> import numpy as np
    >>> policy, reference = np.array([[0.9, 0.1], [0.5, 0.5]]) / 2, np.array([[0.1, 0.9], [0.5, 0.5]]) / 2
    >>> sequences = np.sqrt(policy * reference)  # β = ½, (first token, second token)
    >>> sequences.sum(1) / sequences.sum()  # of whole answers: the first token, by where it leads
    array([0.375, 0.625])
    >>> first = np.sqrt(policy.sum(1) * reference.sum(1))
    >>> first / first.sum()  # token by token
    array([0.5, 0.5])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from llm.dialogue import Prompt
from llm.ending import Ending
from llm.generation import Generated, Tokens, TransformersGenerator, _Chooser, _Rows
from llm.listener import Listener
from llm.logprobs import Scorer, Span, Strip
from llm.output import Columns, Output
from llm.products import drawing_quickly
from llm.rollouts import LEADER, Rollouts, Turn, generate
from llm.sampling import Sampling, seeds_for
from llm.speaker import Speaker

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy

OPPONENT = 1 << 16
"""The key of the opponents' seeds: no role, and no round of refinement."""


def mixed_turns(
    policy: TransformerPolicy,
    prompts: Sequence[Prompt],
    sampling: Rollouts,
    mixture: float,
    *,
    seed: int,
    leaders: int = 1,
    first: int = 0,
) -> list[Turn]:
    """Answers to the Leader's prompts from the token-wise mixture, an approximation of Nash-MD's: see the module.

    Args:
        policy: whose Leader and Leader's reference are mixed.
        prompts: texts or conversations.
        sampling: as for :func:`llm.generate`. At temperature T each factor is the distribution it would be drawn
            from, softmax(logits / T); since mixing is geometric, tempering the mixture itself is the same thing.
            Its ``leaders`` and ``followers`` are not read: nobody follows, so draw the learner's answers with
            ``followers=0`` too, that prompts have the same room. Each of the two models holds at most
            ``micro_batch_tokens``.
        mixture: β in [0, 1], the weight of the reference.
        seed: the same seed gives the same answers, whoever shares the batch. They are independent of those that
            :func:`llm.generate` draws at that seed.
        leaders: answers a prompt.
        first: the place of the first prompt in a larger whole, as for :func:`llm.generate`.

    Returns:
        ``leaders`` turns a prompt, in order. Their ``log_probs`` are those of the mixture.

    Raises:
        ValueError: if β is not in [0, 1], or the sampling leaves tokens out: what two truncated distributions have in
            common may be nothing.

    Example:
        >>> from llm.testing import tiny_policy
        >>> (turn,) = mixed_turns(tiny_policy(), ["Why?"], Rollouts(max_new_tokens=4), 0.125, seed=0)
        >>> len(turn.completion.tokens) <= 4
        True
    """
    sampling.check_trainable()
    episodes = generate(
        policy,
        prompts,
        replace(sampling, leaders=leaders, followers=0),
        seed=seeds_for(seed, OPPONENT),
        generator=TokenMixture(reference=policy.reference(LEADER), mixture=mixture),
        first=first,
    )
    return [each.leader for each in episodes]


def mixture_log_probs(
    policy: TransformerPolicy, turns: Sequence[Turn], sampling: Rollouts, mixture: float
) -> list[Tensor]:
    """The log-probability of every token of the turns under the mixture, by one forward pass of each model.

    Args:
        policy: whose Leader and Leader's reference are mixed.
        turns: of :func:`mixed_turns`, or any answers to the Leader's prompts.
        sampling: what they were drawn with.
        mixture: β in [0, 1], the weight of the reference.

    Returns:
        For each turn (tokens,), without gradients.

    Raises:
        ValueError: as :func:`mixed_turns`.

    Example:
        >>> from llm.testing import tiny_policy
        >>> policy, sampling = tiny_policy(), Rollouts(max_new_tokens=4)
        >>> (turn,) = mixed_turns(policy, ["Why?"], sampling, 0.125, seed=0)
        >>> (found,) = mixture_log_probs(policy, [turn], sampling, 0.125)
        >>> bool((found - torch.tensor(turn.completion.log_probs)).abs().max() < 1e-5)
        True
    """
    sampling.check_trainable()
    strips = [
        Strip((*turn.prompt, *turn.content), (Span(len(turn.prompt) - 1, turn.completion.tokens),)) for turn in turns
    ]
    scorer = _MixtureScorer(sampling, micro_batch_tokens=sampling.micro_batch_tokens, mixture=mixture)
    speaker = policy.speaker(LEADER)
    with torch.no_grad(), policy.computing.scoring(speaker.device):
        return scorer(speaker, strips, reference=policy.reference(LEADER)).log_prob


def mixed(own: Tensor, theirs: Tensor, mixture: float) -> Tensor:
    """``(1 − β) log π + β log π_ref``, renormalised over the last axis; all (..., V).

    Example:
        >>> policy, reference = torch.tensor([0.9, 0.1]).log(), torch.tensor([0.1, 0.9]).log()
        >>> mixed(policy, reference, 0.5).exp()
        tensor([0.5000, 0.5000])
        >>> mixed(policy, reference, 0.25).exp()  # nearer to the policy
        tensor([0.7500, 0.2500])
    """
    if mixture in (0, 1):  # 0 · log 0 is not a number
        return theirs if mixture else own
    return ((1 - mixture) * own + mixture * theirs).log_softmax(-1)


@dataclass(frozen=True)
class TokenMixture(TransformersGenerator):
    """A generator that draws from the mixture of whoever is asked to speak and a reference.

    The reference is a second forward pass inside ``generate``, with a key–value cache of its own: the two see the
    same tokens but have other keys and values. At β = 0 and β = 1 only one of them runs.

    Args:
        reference: of weight β.
        mixture: β in [0, 1].

    Raises:
        ValueError: if β is not in [0, 1].
    """

    reuse: bool = field(default=False, init=False)
    reference: Speaker = field(kw_only=True)
    mixture: float = field(kw_only=True)

    def __post_init__(self) -> None:
        _check(self.mixture)

    def generate(
        self,
        speaker: Speaker,
        prompts: Sequence[Tokens],
        *,
        sampling: Sampling,
        ending: Ending,
        tokenizer: Any,
        seeds: Sequence[int],
        memory: Any = None,
    ) -> Generated:
        """See :class:`llm.generation.Generator`. It remembers nothing."""
        speaker = self.reference if self.mixture == 1 else speaker
        with drawing_quickly(self.reference.core, len(prompts)):
            return super().generate(
                speaker, prompts, sampling=sampling, ending=ending, tokenizer=tokenizer, seeds=seeds, memory=None
            )

    def _chooser(self, rows: _Rows, sampling: Sampling, seeds: list[int], device: torch.device) -> _Chooser:
        plain = super()._chooser(rows, sampling, seeds, device)
        return plain if self.mixture in (0, 1) else _Mixed(plain, Listener(self.reference, rows.mask), self.mixture)


class _Mixed(_Chooser):
    """Draws the next token from the mixture."""

    def __init__(self, plain: _Chooser, reference: Listener, mixture: float) -> None:
        self.sampling, self.noise, self.steps = plain.sampling, plain.noise, plain.steps
        self.reference, self.mixture = reference, mixture

    def distribution(self, input_ids: Tensor, logits: Tensor) -> Tensor:
        theirs = self.sampling.log_probs(self.reference(input_ids)).to(logits.device)
        return mixed(self.sampling.log_probs(logits), theirs, self.mixture)


@dataclass(frozen=True)
class _MixtureScorer(Scorer):
    """Scores what was said under the mixture of the speaker and the reference."""

    mixture: float = field(kw_only=True)

    def __post_init__(self) -> None:
        _check(self.mixture)

    def _output(self, speaker: Speaker, reference: Speaker | None) -> Output:
        return _MixedOutput(self.sampling, speaker, reference, self.chunk, mixture=self.mixture)


@dataclass(frozen=True, eq=False)
class _MixedOutput(Output):
    """The output layers of the speaker and the reference, mixed."""

    mixture: float = field(kw_only=True)

    def columns(self, states: Tensor, targets: Tensor, far: Tensor | None, *, kl: bool, again: bool) -> Columns:
        other, beside = cast(Speaker, self.reference), cast(Tensor, far)  # mixture_log_probs passes a reference
        with self.speaker.head():
            own = self.sampling.log_probs(self.speaker.logits(states))  # (tokens, V)
        with other.head():
            theirs = self.sampling.log_probs(other.logits(beside)).to(own.device)
        return mixed(own, theirs, self.mixture).gather(-1, targets[:, None])[:, 0], None, None


def _check(mixture: float) -> None:
    if not 0 <= mixture <= 1:
        raise ValueError(f"mixture is the weight of the reference, in [0, 1], not {mixture}. Pass 0.125.")
