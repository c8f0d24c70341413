"""What each role is shown, as token ids: [x] for the Leader; [x][y][instruction] for the Follower.

y enters the Follower's context as the ids that were generated; it is never decoded and encoded again, so that one
sequence holds both players' tokens. Where a chat template rewrites earlier turns (it may drop what a model
thought, or open an answer with marks that history does not keep), that is impossible: then the template is
rendered from y's text and each player has a sequence of its own.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm.fields import check_fields, check_kind, check_tokenizer
from stackelberg.judged import check_prompt
from stackelberg.validation import shown

logger = logging.getLogger(__name__)

Prompt = str | Sequence[Mapping[str, str]]
"""A question as text, or a conversation ``[{"role": "user", "content": "..."}]``."""

Messages = list[dict[str, str]]


class Template(ABC):
    """How a conversation is written as text."""

    @abstractmethod
    def render(self, tokenizer: Any, messages: Messages) -> str:
        """The conversation, up to where the assistant's next answer begins."""

    @abstractmethod
    def opening_ids(self, tokenizer: Any, text: str) -> list[int]:
        """The ids of a text that a sequence begins with."""

    def all_opening_ids(self, tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
        """:meth:`opening_ids` of many texts; in one call of the tokenizer where that is known to be the same."""
        return [self.opening_ids(tokenizer, text) for text in texts]


@dataclass(frozen=True)
class ChatTemplate(Template):
    """The tokenizer's own chat template.

    Args:
        options: passed to the template, such as ``{"enable_thinking": False}``.
    """

    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self)

    def render(self, tokenizer: Any, messages: Messages) -> str:
        """What ``apply_chat_template`` writes."""
        if not tokenizer.chat_template:
            raise ValueError(
                "This tokenizer has no chat template. For a base model pass Dialogue(template=PlainTemplate())."
            )
        from jinja2 import TemplateError

        try:
            text: str = tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **self.options
            )
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise ValueError(
                f"The tokenizer's chat template refuses a conversation of {roles}: {error}. Write the prompt as it "
                "wants it, or pass another template."
            ) from error
        return text

    def opening_ids(self, tokenizer: Any, text: str) -> list[int]:
        """The template writes its own marks, so none are added."""
        return _encode(tokenizer, text)

    def all_opening_ids(self, tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
        """In one call."""
        ids: list[list[int]] = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return ids


@dataclass(frozen=True)
class PlainTemplate(Template):
    r"""Plain text for models without a chat template: a name before each turn and an end behind it.

    Args:
        user, assistant, system: written before a turn. The assistant's should not end in a space, which most
            tokenizers count to the word behind it.
        end: written behind a turn.

    Example:
        >>> PlainTemplate().render(None, [{"role": "user", "content": "Why?"}])
        'User: Why?\n\nAssistant:'
    """

    user: str = "User: "
    assistant: str = "Assistant:"
    system: str = ""
    end: str = "\n\n"

    def __post_init__(self) -> None:
        check_fields(self)

    def render(self, tokenizer: Any, messages: Messages) -> str:
        """Name, content, end, name, content, end, …, the assistant's name."""
        for role in {message["role"] for message in messages} - {"user", "assistant", "system"}:
            raise ValueError(f"A plain template has no turn of the role {role!r}. Use user, assistant or system.")
        turns = (getattr(self, message["role"]) + message["content"] + self.end for message in messages)
        return "".join(turns) + self.assistant

    def opening_ids(self, tokenizer: Any, text: str) -> list[int]:
        """With the mark that the tokenizer puts before a text, if it has that habit, and none behind it."""
        return self.all_opening_ids(tokenizer, [text])[0]

    def all_opening_ids(self, tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
        """In one call."""
        end, found = tokenizer.eos_token_id, tokenizer(list(texts))["input_ids"]
        return [list(ids[:-1]) if len(ids) > 1 and ids[-1] == end else list(ids) for ids in found]


class Overlong(ABC):
    """What becomes of a prompt x of more tokens than fit. y and the instruction are never cut."""

    @abstractmethod
    def fit(self, ids: list[int], excess: int, budget: int) -> list[int]:
        """``ids`` without ``excess`` > 0 tokens; ``budget`` is what there was room for."""


@dataclass(frozen=True)
class Refuse(Overlong):
    """The numbers are told, and nothing is cut: the default."""

    def fit(self, ids: list[int], excess: int, budget: int) -> list[int]:
        """Raises ValueError."""
        raise ValueError(
            f"A prompt has {budget + excess} tokens, {excess} more than the {budget} there is room for. "
            "Leave it out, raise max_prompt_tokens, lower max_new_tokens, or pass overlong=TruncateLeft()."
        )


@dataclass(frozen=True)
class TruncateLeft(Overlong):
    """The oldest tokens of x as rendered go, the template's marks and a system message among them.

    Args:
        keep: so many first tokens stay, for a mark of the beginning.
    """

    keep: int = 0

    def __post_init__(self) -> None:
        check_fields(self, keep=0)

    def fit(self, ids: list[int], excess: int, budget: int) -> list[int]:
        """The first ``keep`` tokens and the last ones."""
        if self.keep >= budget:
            raise ValueError(f"keep = {self.keep} first tokens leave nothing of a budget of {budget}. Keep fewer.")
        return ids[: self.keep] + ids[self.keep + excess :]


@dataclass(frozen=True)
class Dialogue:
    """The two roles' templates.

    Args:
        instruction: what the Follower is asked after it was shown y; by default as in arXiv 2512.16626.
        template: :class:`ChatTemplate` or :class:`PlainTemplate`.

    Example:
        >>> from llm.testing import tiny_tokenizer
        >>> tokenizer, dialogue = tiny_tokenizer(), Dialogue()
        >>> leader = dialogue.leader_prompt(tokenizer, "Why?")
        >>> tokenizer.decode(leader)
        '<|user|>Why?<|end|><|assistant|>'
        >>> tokenizer.decode(dialogue.bridge(tokenizer, "Why?"))
        '<|end|><|user|>Improve the previous answer!<|end|><|assistant|>'
    """

    instruction: str = "Improve the previous answer!"
    template: Template = field(default_factory=ChatTemplate)

    def __post_init__(self) -> None:
        check_fields(self)

    def leader_prompt(self, tokenizer: Any, prompt: Prompt) -> list[int]:
        """[x]: the ids of the prompt, up to where y begins."""
        return self.template.opening_ids(tokenizer, self.template.render(tokenizer, conversation(prompt)))

    def leader_prompts(self, tokenizer: Any, prompts: Sequence[Prompt]) -> list[list[int]]:
        """:meth:`leader_prompt` of each of many prompts, encoded together."""
        texts = [self.template.render(tokenizer, conversation(prompt)) for prompt in prompts]
        return self.template.all_opening_ids(tokenizer, texts)

    def bridge(self, tokenizer: Any, prompt: Prompt) -> list[int]:
        """[instruction]: the ids between the content of y and y', the mark that closes y's turn among them.

        It follows y's tokens without their end mark, so that a finished y and one that was cut off by
        ``max_new_tokens`` are both closed once.
        """
        messages, answer = conversation(prompt), "answer"
        around = self._improve(tokenizer, messages, "")
        while answer in around:  # the instruction itself speaks of an answer
            answer += "-answer"
        return _encode(tokenizer, self._improve(tokenizer, messages, answer).rpartition(answer)[2])

    def rewritten_prompt(self, tokenizer: Any, prompt: Prompt, answer: str) -> list[int]:
        """The Follower's prompt as the template renders it from y's text: for the path of two sequences."""
        return self.template.opening_ids(tokenizer, self._improve(tokenizer, conversation(prompt), answer))

    def _improve(self, tokenizer: Any, messages: Messages, answer: str) -> str:
        asked = [{"role": "assistant", "content": answer}, {"role": "user", "content": self.instruction}]
        return self.template.render(tokenizer, messages + asked)


def conversation(prompt: Prompt) -> Messages:
    """The prompt as a list of messages.

    Raises:
        ValueError: if it is neither a text nor messages with a role and a content.

    Example:
        >>> conversation("Why?")
        [{'role': 'user', 'content': 'Why?'}]
    """
    check_prompt(prompt)
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(each) for each in prompt]


def check_prompts(prompts: Any, name: str = "prompts") -> None:
    """Refuse one text where a list of them is wanted, and what is no list.

    >>> check_prompts("Why?")
    Traceback (most recent call last):
    ValueError: prompts is the one text 'Why?'. Pass a list of them.
    """
    if isinstance(prompts, str) or not isinstance(prompts, Sequence):
        kind = "the one text " if isinstance(prompts, str) else ""
        raise ValueError(f"{name} is {kind}{shown(prompts)}. Pass a list of them.")


def keeps_earlier_turns(tokenizer: Any, dialogue: Dialogue | None = None) -> bool:
    """Whether the template shows the Follower x and y just as the Leader saw and wrote them.

    Tried on an answer of one word, and on one with ``<think>`` marks, which templates of reasoning models leave out
    of earlier turns. Blanks round an answer that a template trims do not count: y stays as it was generated.

    Example:
        >>> from llm.testing import tiny_tokenizer
        >>> keeps_earlier_turns(tiny_tokenizer())
        True
    """
    check_tokenizer(tokenizer)
    check_kind(dialogue, Dialogue | None, "dialogue")
    dialogue = Dialogue() if dialogue is None else dialogue
    asked = conversation("question")
    opening = dialogue.template.render(tokenizer, asked)
    return all(
        dialogue._improve(tokenizer, asked, answer).startswith(opening + answer)
        for answer in ("answer", "<think>\nthought\n</think>\n\nanswer")
    )


def announced(tokenizer: Any, dialogue: Dialogue) -> bool:
    """:func:`keeps_earlier_turns`, with a warning in the log where two sequences are needed."""
    keeps = keeps_earlier_turns(tokenizer, dialogue)
    if not keeps:
        logger.warning(
            "The chat template rewrites earlier turns, so the Follower's prompt is rendered from the text of y, and "
            "Leader and Follower have a sequence each: about twice the work (policy.one_sequence is False)."
        )
    return keeps


def _encode(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    return ids
