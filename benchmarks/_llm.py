"""A transformer of any shape made on the spot, and one step of training it the straightforward way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

import llm

PROMPT, NEW, KAPPA, TAU = 32, 128, 5.0, 0.1


@dataclass(frozen=True)
class Shape:
    """Of a Llama-like decoder: the vocabulary tied at both ends, as in small models."""

    layers: int
    width: int
    inner: int
    heads: int
    vocabulary: int = 8192
    key_heads: int | None = None
    tied: bool = True


PUBLISHED = Shape(layers=4, width=256, inner=1024, heads=4)  # 6.3 M parameters, as in the published trainer's mark
TEN = Shape(layers=4, width=336, inner=1344, heads=6)  # 10.0 M
SMALL = Shape(layers=2, width=32, inner=64, heads=2, vocabulary=64)


def tokenizer_of(vocabulary: int) -> Any:
    """Words ``w0``, ``w1``, …, and an end mark whose id the model cannot say, so that every completion is full."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    marks = ["[user]", "[assistant]", "[close]"]
    words = marks + [f"w{i}" for i in range(vocabulary - len(marks))] + ["[end]"]
    inside = Tokenizer(models.WordLevel(vocab={word: i for i, word in enumerate(words)}))
    inside.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inside.decoder = decoders.WordPiece(prefix="##")
    made = PreTrainedTokenizerFast(tokenizer_object=inside, eos_token="[end]", pad_token="w0")
    made.chat_template = (
        "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }} [close] {% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% endif %}"
    )
    return made


def model_of(shape: Shape, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    """Random weights, on torch's default device."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=shape.vocabulary, hidden_size=shape.width, intermediate_size=shape.inner,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, max_position_embeddings=4096,
        num_key_value_heads=shape.key_heads, tie_word_embeddings=shape.tied, bos_token_id=None,
        eos_token_id=None, pad_token_id=None,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config, dtype=dtype)


def prompts_of(count: int) -> list[str]:
    """Texts of ``PROMPT`` tokens with the template's three marks."""
    return [" ".join(f"w{(7 * i + j) % 50}" for j in range(PROMPT - 3)) for i in range(count)]


def judge(prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[float]:
    """More even words win: nothing that takes time."""
    return [0.9 if sum(map(len, a)) % 2 else 0.2 for a, b in zip(first, second, strict=True)]


@contextmanager
def onednn(wanted: bool) -> Iterator[None]:
    """Whether torch may use oneDNN."""
    before, *_ = torch.backends.mkldnn.set_flags(wanted)
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(before)


@dataclass(frozen=True, eq=False)
class World:
    """What both ways train: the tokenizer, the policy's weights, prompts, and the rule that moves the weights."""

    tokenizer: Any
    policy: llm.TransformerPolicy
    prompts: list[str]
    optimizer: Any

    @classmethod
    def of(cls, shape: Shape, prompts: int) -> World:
        tokenizer = tokenizer_of(shape.vocabulary)
        dialogue = llm.Dialogue(instruction="w1 w2 w3 w4")
        policy = llm.TransformerPolicy.of(model_of(shape), tokenizer, dialogue=dialogue)
        optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-5)
        for weight in policy.parameters():  # the optimizer's state is there before anything is measured
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return cls(tokenizer, policy, prompts_of(prompts), optimizer)

    def update(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


@dataclass(frozen=True)
class Tokens:
    """A role's sequences of one length in the straightforward way: what it was shown and what it said."""

    ids: torch.Tensor
    shown: int


class Straightforward:
    """One step as a first version has it: two ``generate`` calls, a sequence a role, whole log-softmaxes."""

    def __init__(
        self, world: World, leaders: int = 1, followers: bool = True, new: int = NEW, extra_pass: bool = False
    ) -> None:
        """``extra_pass``: the rollouts' log-probabilities in a pass of their own, as published trainers have it."""
        self.world, self.leaders, self.followers, self.new = world, leaders, followers, new
        self.extra_pass = extra_pass
        self.model, self.reference = (each(0).network for each in (world.policy.speaker, world.policy.reference))

    def step(self, seed: int) -> None:
        with onednn(False):  # plain transformers leave float32 products to torch's BLAS
            self.take(seed)

    def take(self, seed: int) -> None:
        torch.manual_seed(seed)
        said = self.rollouts()
        texts = [self.world.tokenizer.batch_decode(each.ids[:, each.shown :]) for each in said]
        self.loss(said, torch.tensor(judge(self.world.prompts, texts[0], texts[-1]))).backward()
        self.world.update()

    def rollouts(self) -> list[Tokens]:
        """y, and y' from the beginning of [x][y][instruction]."""
        dialogue, tokenizer = self.world.policy.dialogue, self.world.tokenizer
        asked = [prompt for prompt in self.world.prompts for _ in range(self.leaders)]
        first = self.complete(torch.tensor([dialogue.leader_prompt(tokenizer, prompt) for prompt in asked]))
        if not self.followers:
            return [first]
        bridge = torch.tensor(dialogue.bridge(tokenizer, asked[0])).expand(len(asked), -1)
        return [first, self.complete(torch.cat([first.ids, bridge], 1))]

    def complete(self, shown: torch.Tensor) -> Tokens:
        ids = self.model.generate(
            input_ids=shown, attention_mask=torch.ones_like(shown), max_new_tokens=self.new, do_sample=True, top_k=0,
            eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        return Tokens(ids, shown.shape[1])

    def log_probs(self, model: Any, said: Tokens) -> torch.Tensor:
        """(rows, tokens said), by the log-softmax of every position over the whole vocabulary."""
        whole = model(input_ids=said.ids).logits.log_softmax(-1)[:, :-1]
        return whole.gather(-1, said.ids[:, 1:, None])[:, said.shown - 1 :, 0]

    def loss(self, said: list[Tokens], preference: torch.Tensor) -> torch.Tensor:
        """−Leader + κ Follower, the KL to go on every token; leave-one-out where there is one role."""
        if self.extra_pass:
            with torch.no_grad():
                rewarded = [self.log_probs(self.model, each) for each in said]
        with torch.no_grad():
            theirs = [self.log_probs(self.reference, each) for each in said]
        own = [self.log_probs(self.model, each) for each in said]
        mine = rewarded if self.extra_pass else [each.detach() for each in own]
        ratios = [a - b for a, b in zip(mine, theirs, strict=True)]
        to_go = [each.flip(-1).cumsum(-1).flip(-1) for each in ratios]
        if not self.followers:
            earned = (preference[:, None] - TAU * to_go[0]).view(-1, self.leaders, self.new)
            others = (earned.sum(1, keepdim=True) - earned) / (self.leaders - 1)
            return -((earned - others).flatten(0, 1) * own[0]).sum() / len(preference)
        leader = preference[:, None] + TAU * ratios[1].sum(-1, keepdim=True) - TAU * to_go[0] - 0.5
        follower = preference[:, None] + TAU * to_go[1] - 0.5
        return (-(leader * own[0]).sum() + KAPPA * (follower * own[1]).sum()) / len(preference)


class Toolkit:
    """The same step through :mod:`llm`."""

    def __init__(
        self, world: World, leaders: int = 1, followers: bool = True, new: int = NEW,
        backward_tokens: int | None = None, onednn: bool = True,
    ) -> None:  # fmt: skip
        """``onednn``: whether large products are oneDNN's, as they are unless it is switched off."""
        from stackelberg.gradient import Constant, LeaveOneOut, PolicyReturns, StackelbergReturns

        self.world, self.onednn = world, onednn
        self.sampling = llm.Rollouts(
            prompts=len(world.prompts), leaders=leaders, followers=int(followers), max_new_tokens=new,
            backward_tokens=backward_tokens,
        )  # fmt: skip
        self.returns = StackelbergReturns(TAU, TAU) if followers else PolicyReturns(TAU)
        self.baseline = Constant(0.5) if followers else LeaveOneOut()

    def step(self, seed: int) -> None:
        with onednn(self.onednn):
            self.take(seed)

    def take(self, seed: int) -> None:
        episodes = llm.generate(self.world.policy, self.world.prompts, self.sampling, seed=seed)
        first, second = ([getattr(each, role) for each in episodes] for role in ("leader", "follower"))
        texts = [[(turn or other).text for turn, other in zip(side, first, strict=True)] for side in (first, second)]
        preference = judge(self.world.prompts, *texts)
        self.backward(episodes, preference)
        self.world.update()

    def backward(self, episodes: list[llm.Episode], preference: Sequence[float]) -> None:
        for part in llm.losses(
            self.world.policy, episodes, preference, self.returns, sampling=self.sampling, kappa=KAPPA,
            baseline=self.baseline,
        ):  # fmt: skip
            part.loss.backward()


WAYS: dict[str, Callable[..., Any]] = {
    "straightforward": Straightforward,
    "straightforward, rollout log-probabilities in a pass of their own": partial(Straightforward, extra_pass=True),
    "toolkit, as it comes": Toolkit,
    "toolkit, backward_tokens=700": partial(Toolkit, backward_tokens=700),
    "toolkit, backward_tokens=700, without oneDNN": partial(Toolkit, backward_tokens=700, onednn=False),
}


def gradient_gap(leaders: int = 1, followers: bool = True) -> float:
    """The largest difference of any two ways' gradients on the same small rollouts, over the largest gradient."""
    world = World.of(SMALL, prompts=4)
    away = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in world.policy.parameters():  # away from the reference, so that the KLs are not 0
            weight += 0.05 * torch.randn(weight.shape, generator=away)
    ways = [way(world, leaders, followers, new=12) for way in WAYS.values()]
    episodes = llm.generate(world.policy, world.prompts, ways[-1].sampling, seed=3)
    preference = [0.1 + 0.4 * (i % 3) for i in range(len(episodes))]
    found = []
    for way in ways:
        if isinstance(way, Toolkit):
            way.backward(episodes, preference)
        else:
            way.loss(_said(episodes, followers), torch.tensor(preference)).backward()
        found.append([weight.grad.clone() for weight in world.policy.parameters()])
        world.optimizer.zero_grad(set_to_none=True)
    first, *others = found
    apart = max(float((a - b).abs().max()) for other in others for a, b in zip(other, first, strict=True))
    return apart / max(float(each.abs().max()) for each in first)


def _said(episodes: list[llm.Episode], followers: bool) -> list[Tokens]:
    sides = [[each.leader for each in episodes]] + [[each.follower for each in episodes]] * followers
    return [
        Tokens(torch.tensor([(*turn.prompt, *turn.completion.tokens) for turn in side]), len(side[0].prompt))
        for side in sides
    ]
