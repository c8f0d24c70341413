"""Rollouts: the Leader answers, the Follower is shown the answer and improves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm.dialogue import Messages, Overlong, Prompt, Refuse, check_prompts, conversation
from llm.ending import Ending
from llm.fields import check_count, check_fields, check_kind, check_speaks
from llm.generation import Completion, Generated, Generator, Tokens, TransformersGenerator
from llm.logprobs import micro_batches
from llm.sampling import Sampling, seeds_for
from stackelberg.gradient import KL, Baseline, RewardToGo

if TYPE_CHECKING:
    from llm.policy import TransformerPolicy

LEADER, FOLLOWER = 0, 1


@dataclass(frozen=True)
class Rollouts(Sampling):
    """How a step's rollouts are drawn.

    Args:
        prompts: how many a step.
        leaders: answers y a prompt.
        followers: improvements y' an answer, in a game that has a Follower.
        micro_batch_tokens: at most so many tokens, padding included, are held at once, in generating and scoring.
        backward_tokens: the same for the pass that keeps its activations for the gradient: a token takes some fifteen
            times what it takes in generation's cache, and on a CPU small batches are no slower. By default
            ``micro_batch_tokens``.
        baseline: ``Constant(0.5)``, ``LeaveOneOut()`` (with leaders > 1) or ``NoBaseline()`` of
            :mod:`stackelberg.gradient`; by default leave-one-out in a reward game and ½ in the others.
        kl: how the KL enters the gradient: ``RewardToGo()``, ``RaoBlackwell()`` or ``SequenceLevel()``.
        missing_eos_penalty: c ≥ 0, what an answer that did not end by itself costs who wrote it:
            p − c·[y unfinished] + c·[y' unfinished].
        max_prompt_tokens: for x; by default what the model's positions leave beside y, instruction and y'.
        overlong: :class:`llm.dialogue.Refuse` or :class:`llm.dialogue.TruncateLeft`, for a longer x.
        generator: what draws: by default :class:`llm.TransformersGenerator`; else :class:`llm.ContinuousBatching` or
            :class:`llm.Server`, which are given all prompts of a round at once, or one of your own.

    and the options of :class:`llm.sampling.Sampling`. Truncated sampling (top_p, top_k) serves evaluation;
    training refuses it, because log-ratios to the reference would be infinite.

    Example:
        >>> Rollouts(prompts=32, leaders=2).rows
        64
    """

    prompts: int = field(default=32, kw_only=True)
    leaders: int = field(default=1, kw_only=True)
    followers: int = field(default=1, kw_only=True)
    micro_batch_tokens: int = field(default=16384, kw_only=True)
    backward_tokens: int | None = field(default=None, kw_only=True)
    baseline: Baseline | None = field(default=None, kw_only=True)
    kl: KL = field(default_factory=RewardToGo, kw_only=True)
    missing_eos_penalty: float = field(default=0.0, kw_only=True)
    max_prompt_tokens: int | None = field(default=None, kw_only=True)
    overlong: Overlong = field(default_factory=Refuse, kw_only=True)
    generator: Generator | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(
            self,
            prompts=1,
            leaders=1,
            followers=0,
            micro_batch_tokens=1,
            backward_tokens=1,
            max_prompt_tokens=1,
            missing_eos_penalty=0,
        )

    @property
    def rows(self) -> int:
        """Rollouts a step."""
        return self.prompts * self.leaders * max(1, self.followers)


@dataclass(frozen=True)
class Turn:
    """What one role was shown and said.

    Args:
        prompt: the ids it was shown.
        completion: the ids it said, their log-probabilities as the generator had them, whether it finished.
        content: the completion without an end mark: what the Follower is shown.
        text: what a judge is shown.
    """

    prompt: Tokens
    completion: Completion
    content: Tokens
    text: str


@dataclass(frozen=True)
class Episode:
    """One rollout: x, y and y'.

    Args:
        context: the index of its prompt among those asked.
        answer: the index of its y: episodes with the same one share y.
        messages: x.
        leader: y.
        follower: y'; None without a Follower.
    """

    context: int
    answer: int
    messages: Messages
    leader: Turn
    follower: Turn | None = None


def generate(
    policy: TransformerPolicy,
    prompts: Sequence[Prompt],
    sampling: Rollouts | None = None,
    *,
    seed: int = 0,
    generator: Generator | None = None,
    first: int = 0,
) -> list[Episode]:
    """Draw ``leaders`` answers a prompt and ``followers`` improvements an answer.

    Args:
        policy: both roles.
        prompts: texts or conversations; their number is free here.
        sampling: :class:`Rollouts`.
        seed: the same seed gives the same rollouts, in batches of whatever size and company (up to ties of rounding).
        generator: by default the one of ``sampling``.
        first: the place of the first prompt in a larger whole whose parts are drawn apart: a prompt's rollouts depend
            on its place there.

    Returns:
        Episodes in the order of prompts, answers, improvements.

    Example:
        >>> from llm.testing import tiny_policy
        >>> (episode,) = generate(tiny_policy(), ["Why?"], Rollouts(max_new_tokens=4))
        >>> len(episode.leader.completion.tokens) <= 4
        True
    """
    check_speaks(policy)
    check_prompts(prompts)
    check_kind(sampling, Rollouts | None, "sampling")
    check_kind(generator, Generator | None, "generator")
    check_count("seed", seed, least=0)
    sampling = Rollouts() if sampling is None else sampling
    messages = [conversation(prompt) for prompt in prompts]
    chosen = generator or sampling.generator or TransformersGenerator()
    draw = Draw(policy, sampling, chosen, seed, first)
    openings = [draw.opening(each) for each in messages]
    asked = [(i, k, x) for i, x in enumerate(openings) for k in range(sampling.leaders)]
    lengths = [draw.room(x, messages[i]) * max(1, sampling.followers) for i, _, x in asked]
    episodes: dict[int, list[Episode]] = {}
    for batch in micro_batches(lengths, 2**62 if takes_all(chosen) else sampling.micro_batch_tokens):
        with policy.computing.generating(policy.speaker(LEADER).device):
            said = draw.batch([asked[i] for i in batch], messages)
        for place, drawn in zip(batch, said, strict=True):
            episodes[place] = drawn
    return [episode for place in sorted(episodes) for episode in episodes[place]]


def takes_all(generator: Generator) -> bool:
    """Whether a generator is given all prompts of a round at once, and holds as many as it will."""
    return bool(getattr(generator, "schedules", False))


def unfinished_penalty(episodes: Sequence[Episode], cost: float) -> list[float]:
    """What is added to p(y≻y') of each episode: −c where y is unfinished, +c where y' is."""
    turns = ((each.leader, each.follower) for each in episodes)
    return [cost * (_unfinished(follower) - _unfinished(leader)) for leader, follower in turns]


def _unfinished(turn: Turn | None) -> int:
    return 0 if turn is None else int(not turn.completion.finished)


@dataclass(frozen=True, eq=False)
class Draw:
    """One step's draw of answers: what is said, by whom and from which stream of random numbers."""

    policy: TransformerPolicy
    sampling: Rollouts
    generator: Generator
    seed: int
    first: int

    @property
    def ending(self) -> Ending:
        """What ends an answer."""
        return self.policy.ending(self.sampling.stop)

    def opening(self, messages: Messages) -> Tokens:
        """[x], within its budget."""
        ids = self.policy.dialogue.leader_prompt(self.policy.tokenizer, messages)
        budget = self.budget(messages)
        return tuple(ids if len(ids) <= budget else self.sampling.overlong.fit(ids, len(ids) - budget, budget))

    def budget(self, messages: Messages) -> int:
        """Tokens for x: what was asked for, and no more than the positions leave."""
        left = self.policy.max_positions - self._behind(messages)
        asked = self.sampling.max_prompt_tokens
        budget = left if asked is None else min(asked, left)
        if budget < 1:
            raise ValueError(
                f"The model has {self.policy.max_positions} positions, and y, the instruction and y' may take "
                f"{self._behind(messages)}: nothing is left for a prompt. Lower max_new_tokens."
            )
        return budget

    def room(self, x: Tokens, messages: Messages) -> int:
        """Positions that x and all that may follow it can take."""
        return len(x) + self._behind(messages)

    def _behind(self, messages: Messages) -> int:
        """Tokens behind x at most: y, instruction and y'."""
        if not self.sampling.followers:
            return self.sampling.max_new_tokens
        bridge = self.policy.dialogue.bridge(self.policy.tokenizer, messages)
        return 2 * self.sampling.max_new_tokens + len(bridge)

    def batch(self, asked: list[tuple[int, int, Tokens]], messages: list[Messages]) -> list[list[Episode]]:
        """The episodes of a few answers."""
        openings = [x for _, _, x in asked]
        keys: list[tuple[int, ...]] = [(LEADER, i, k) for i, k, _ in asked]
        answers = self._say(LEADER, openings, keys, None)
        leaders = self._turns(openings, answers)
        heads = [
            Episode(i, i * self.sampling.leaders + k, messages[i], leader)
            for (i, k, _), leader in zip(asked, leaders, strict=True)
        ]
        if not self.sampling.followers:
            return [[head] for head in heads]
        count = self.sampling.followers
        shown = [prompt for head in heads for prompt in [self.improve(head)] * count]
        keys = [(FOLLOWER, i, k, j) for i, k, _ in asked for j in range(count)]
        memory = answers.memory if self.policy.one_sequence else None
        replies = self._turns(shown, self._say(FOLLOWER, shown, keys, memory))
        return [
            [Episode(head.context, head.answer, head.messages, head.leader, each) for each in replies[n : n + count]]
            for n, head in zip(range(0, len(replies), count), heads, strict=True)
        ]

    def improve(self, head: Episode) -> Tokens:
        """[x][y][instruction], or as the template rewrites it, with as much of x cut as the Leader's had."""
        policy, leader = self.policy, head.leader
        if policy.keeps_earlier_turns:
            return (*leader.prompt, *leader.content, *policy.dialogue.bridge(policy.tokenizer, head.messages))
        ids = policy.dialogue.rewritten_prompt(policy.tokenizer, head.messages, leader.text)
        excess = len(ids) - (policy.max_positions - self.sampling.max_new_tokens)
        cut = len(policy.dialogue.leader_prompt(policy.tokenizer, head.messages)) - len(leader.prompt)
        excess = max(excess, cut)
        if excess >= len(leader.prompt) + cut:
            raise ValueError(
                f"The Follower's prompt has {len(ids)} tokens as the template writes it; cutting {excess} would cut "
                "into the answer. Lower max_new_tokens."
            )
        return tuple(ids if excess <= 0 else self.sampling.overlong.fit(ids, excess, len(ids) - excess))

    def _say(self, role: int, prompts: list[Tokens], keys: list[tuple[int, ...]], memory: Any) -> Generated:
        return self.generator.generate(
            self.policy.speaker(role),
            prompts,
            sampling=self.sampling,
            ending=self.ending,
            tokenizer=self.policy.tokenizer,
            seeds=[seeds_for(self.seed, role, self.first + i, *rest) for role, i, *rest in keys],
            memory=memory,
        )

    def _turns(self, prompts: list[Tokens], said: Generated) -> list[Turn]:
        ending, tokenizer = self.ending, self.policy.tokenizer
        return [
            Turn(prompt, each, ending.content(each.tokens), ending.text(each.tokens, tokenizer))
            for prompt, each in zip(prompts, said.completions, strict=True)
        ]
