"""A causal language model as both players of a game."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from llm.computing import Computing
from llm.dialogue import Dialogue, Prompt, announced
from llm.ending import Ending
from llm.fields import check_kind, check_tokenizer
from llm.lora import LoRA
from llm.places import check_place, reading
from llm.products import with_large_products
from llm.roles import Players, Roles, Shared
from llm.rollouts import FOLLOWER, LEADER, Episode, Rollouts
from llm.sampling import Sampling
from llm.saving import TEMPLATES, load_adapters, load_network, read_templates, templates_of
from llm.scoring import score
from llm.speaker import Speaker, remembering, without_dropout
from llm.training.options import Training
from stackelberg.gradient import Completions
from stackelberg.validation import shown


class TransformerPolicy:
    """Leader and Follower spoken by a transformer, with the reference each is held to.

    Args:
        players: who speaks in each role; see :class:`llm.roles.Shared`.
        tokenizer: of all of them.
        dialogue: what each role is shown.
        roles: how the players were made, for :meth:`save_pretrained`.
        gradient_checkpointing: compute activations again in the backward pass.
        training: how :func:`stackelberg.solve` trains it: :class:`llm.Training`.

    Make one with :meth:`from_pretrained`, or from a model in memory with :meth:`of`. Dropout is set to 0 everywhere.

    Attributes:
        keeps_earlier_turns: whether [x][y] is a beginning of [x][y][instruction] in this chat template.
        one_sequence: whether one forward pass serves both players: it is kept, and both are one model. Where the
            template does not keep it, the log says so.
        computing: the precision in which it speaks and is scored, ``training.bf16``'s.

    Example:
        >>> from llm.testing import tiny_policy
        >>> policy = tiny_policy()
        >>> [[first, second]] = policy.refine(["Why?"], rounds=1, sampling=Rollouts(max_new_tokens=4))
    """

    def __init__(
        self,
        players: Players,
        tokenizer: Any,
        dialogue: Dialogue | None = None,
        *,
        roles: Roles | None = None,
        gradient_checkpointing: bool = False,
        training: Training | None = None,
    ) -> None:
        check_kind(players, Players, "players")
        check_tokenizer(tokenizer)
        _check_options(None, roles, dialogue, training, gradient_checkpointing)
        self.training = Training() if training is None else training
        self.computing = Computing(torch.bfloat16 if self.training.bf16 else None)
        self.players = players
        self.tokenizer = tokenizer
        self.dialogue = Dialogue() if dialogue is None else dialogue
        self.roles = Shared() if roles is None else roles
        self.keeps_earlier_turns = announced(tokenizer, self.dialogue)
        self.one_sequence = self.keeps_earlier_turns and players.policies[0].same_as(players.policies[1])
        for speaker in (*players.policies, *players.references):
            without_dropout(speaker.network)
            with_large_products(speaker.network)
        for speaker in players.policies:
            speaker.network.train(gradient_checkpointing)  # the only thing that training mode changes without dropout
            if gradient_checkpointing:
                _checkpoint(speaker)
        for speaker in players.policies:
            speaker.check_head()

    @classmethod
    def of(
        cls,
        model: Any,
        tokenizer: Any,
        *,
        lora: LoRA | None = None,
        roles: Roles | None = None,
        dialogue: Dialogue | None = None,
        gradient_checkpointing: bool = False,
        training: Training | None = None,
    ) -> TransformerPolicy:
        """From a model in memory, which becomes part of the policy; it is the reference too, or a frozen copy is."""
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a model in memory, not {shown(model)}. from_pretrained loads one by name.")
        check_tokenizer(tokenizer)
        _check_options(lora, roles, dialogue, training, gradient_checkpointing)
        roles = Shared() if roles is None else roles
        return cls(
            roles.build(model, lora),
            tokenizer,
            dialogue,
            roles=roles,
            gradient_checkpointing=gradient_checkpointing,
            training=training,
        )

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        lora: LoRA | None = None,
        roles: Roles | None = None,
        dialogue: Dialogue | None = None,
        dtype: torch.dtype | str | None = None,
        gradient_checkpointing: bool = False,
        attention: str | None = None,
        quantization: Any = None,
        device_map: Any = None,
        base: str | Path | None = None,
        trust_remote_code: bool = False,
        training: Training | None = None,
    ) -> TransformerPolicy:
        """Any causal language model and its tokenizer, or what :meth:`save_pretrained` wrote.

        Args:
            path: a hub name or a folder.
            lora: train adapters of this shape; all weights by default. A saved policy has what it was saved with.
            roles: :class:`llm.Shared` (default), :class:`llm.TwoAdapters` or :class:`llm.TwoModels`.
            dialogue: the roles' templates; by default those saved beside the model, else ``Dialogue()``.
            dtype: of the weights. By default float32 where the weights themselves learn (in bfloat16 a step of 5e-6
                moves few of them), and as stored where adapters do.
            gradient_checkpointing: less memory, about a third more time.
            attention: transformers' ``attn_implementation``.
            quantization: transformers' ``quantization_config``, for the base of adapters.
            device_map: transformers' ``device_map``.
            base: where the base of saved adapters is now, if not where they remember it.
            trust_remote_code: run code that comes with the model.
            training: how :func:`stackelberg.solve` trains it.

        Raises:
            ValueError: if a folder holds no model, or one that cannot be read.
            OSError: if the hub has no such model, or cannot be reached.

        The reference of a saved policy is the base with its adapters off; that of one whose weights all learnt is
        the model *as loaded*.
        """
        check_kind(path, str | Path, "path")
        check_kind(base, str | Path | None, "base")
        check_kind(dtype, torch.dtype | str | None, "dtype")
        check_kind(attention, str | None, "attention")
        check_kind(trust_remote_code, bool, "trust_remote_code")
        _check_options(lora, roles, dialogue, training, gradient_checkpointing)
        check_place(path)
        from transformers import AutoTokenizer

        folder = Path(path)
        saved_roles, saved_dialogue = read_templates(folder)
        roles, dialogue = roles or saved_roles or Shared(), dialogue or saved_dialogue
        plain = saved_roles is None
        if not plain and (lora is not None or type(roles) is not type(saved_roles)):
            raise ValueError(
                f"{folder} holds a trained policy with roles {saved_roles}. Load it as it is, without lora and roles, "
                "or start from its base."
            )
        options = {
            "dtype": dtype,
            "attn_implementation": attention,
            "quantization_config": quantization,
            "device_map": device_map,
        }
        options = {name: value for name, value in options.items() if value is not None}
        options["trust_remote_code"] = trust_remote_code
        with reading(path):
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code)
        if plain:
            players = roles.build(load_network(path, options, adapters=lora is not None), lora)
        else:
            players = roles.load(
                folder,
                lambda place: load_network(place, options, base=base),
                lambda places: load_adapters(places, options, base=base),
            )
        return cls(
            players,
            tokenizer,
            dialogue,
            roles=roles,
            gradient_checkpointing=gradient_checkpointing,
            training=training,
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Safetensors, the tokenizer and ``stackelberg.json`` with the roles' templates.

        A shared policy lies in ``folder`` itself, two adapters or models in ``folder/leader`` and
        ``folder/follower``; each of these is loaded by plain transformers or peft.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for place in {folder, *self.roles.save(self.players, folder)}:
            self.tokenizer.save_pretrained(place)
        text = json.dumps(templates_of(self.roles, self.dialogue), indent=2, ensure_ascii=False)
        (folder / TEMPLATES).write_text(text + "\n", encoding="utf-8")

    def speaker(self, role: int) -> Speaker:
        """Who speaks as Leader (0) or Follower (1)."""
        return self.players.policies[role]

    def reference(self, role: int) -> Speaker:
        """Whom the role is held to."""
        return self.players.references[role]

    def parameters(self) -> Iterator[nn.Parameter]:
        """Every weight that learns, once."""
        for network in self.players.networks:
            yield from (weight for weight in network.parameters() if weight.requires_grad)

    def ending(self, stop: Sequence[str] = ()) -> Ending:
        """How completions end."""
        return Ending.of(self.tokenizer, self.speaker(LEADER).core, stop)

    @cached_property
    def max_positions(self) -> int:
        """The longest sequence of the model; 2³¹ − 1 where its configuration has no such number."""
        config = self.speaker(LEADER).core.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or 2**31 - 1)

    def train_on(self, game: Any, solver: Any, **options: Any) -> Any:
        """Learn a game, in place: what :func:`stackelberg.solve` does with this policy."""
        from llm.training.train import train

        return train(self, game, solver, **options)

    def generate(self, prompts: Sequence[Prompt], sampling: Rollouts | None = None, *, seed: int = 0) -> list[Episode]:
        """Rollouts; see :func:`llm.generate`."""
        from llm.rollouts import generate

        return generate(self, prompts, sampling, seed=seed)

    def score(
        self, episodes: Sequence[Episode], sampling: Sampling | None = None, *, kl: bool = False
    ) -> tuple[Completions, Completions | None]:
        """Token log-probabilities of both roles' completions, with gradients; see :func:`llm.scoring.score`."""
        return score(self, episodes, sampling, kl=kl)

    def refine(
        self,
        prompts: Sequence[Prompt],
        rounds: int = 3,
        start: Sequence[str] | None = None,
        *,
        sampling: Sampling | None = None,
        seed: int = 0,
    ) -> list[list[str]]:
        """Answers that the Follower improves again and again; see :func:`llm.refinement.refine`."""
        from llm.refinement import refine

        return refine(self, prompts, rounds, start, sampling=sampling, seed=seed)


def _checkpoint(speaker: Speaker) -> None:
    options: dict[str, Any] = {"use_reentrant": False}
    if speaker.state is not None:
        options["context_fn"] = remembering(speaker.network)
    if hasattr(speaker.core, "activation_checkpointing_enable"):  # transformers 5.23
        speaker.core.activation_checkpointing_enable(activation_checkpointing_kwargs=options)
    else:
        speaker.core.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)


__all__ = ["FOLLOWER", "LEADER", "TransformerPolicy"]


def _check_options(lora: Any, roles: Any, dialogue: Any, training: Any, checkpointing: Any) -> None:
    """Refuse what is no option before a model is loaded for it."""
    check_kind(checkpointing, bool, "gradient_checkpointing")
    given = {"lora": (lora, LoRA), "roles": (roles, Roles), "dialogue": (dialogue, Dialogue)}
    for name, (value, kind) in (given | {"training": (training, Training)}).items():
        check_kind(value, kind | None, name)
