"""A language small enough to list: every sequence of at most so many tokens, and the tree of their prefixes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackelberg.validation import shown

END = 0
"""The end-of-sequence token."""

LARGEST = 2_000
"""More sequences than this are refused: a Follower's table holds their square."""


@dataclass(frozen=True)
class Language:
    """Sequences of at most ``length`` tokens from ``vocabulary``, of which token 0 ends the sequence.

    Either the end token closes a sequence, and counts as one of its tokens, or the sequence is cut after ``length``
    tokens. Prefixes that still go on are the *nodes*, shortest first; sequence i < nodes is prefix i and the end
    token, the others are those that were cut.

    Args:
        vocabulary: V ≥ 2, the end token included.
        length: T ≥ 1.

    Example:
        >>> Language(3, 2).labels
        ('.', 'a.', 'b.', 'aa', 'ab', 'ba', 'bb')
    """

    vocabulary: int = 3
    length: int = 3

    def __post_init__(self) -> None:
        for name, least in (("vocabulary", 2), ("length", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(f"{name} must be a whole number, {least} or more, not {shown(value)}. Pass 3.")
        if (self.vocabulary - 1) ** self.length > LARGEST or self.length > LARGEST:
            raise ValueError(
                f"{self.vocabulary - 1} tokens in up to {self.length} places make more than {LARGEST} sequences, too "
                "many to list. Use a smaller vocabulary or length."
            )

    @cached_property
    def prefixes(self) -> list[tuple[int, ...]]:
        """What can go on: all tuples of fewer than T tokens without the end token, shortest first."""
        return [prefix for size in range(self.length) for prefix in product(range(1, self.vocabulary), repeat=size)]

    @cached_property
    def sequences(self) -> list[tuple[int, ...]]:
        """All of them, the end token included."""
        cut = product(range(1, self.vocabulary), repeat=self.length)
        return [(*prefix, END) for prefix in self.prefixes] + list(cut)

    @property
    def nodes(self) -> int:
        """How many prefixes go on."""
        return len(self.prefixes)

    def __len__(self) -> int:
        return len(self.sequences)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Readable names: letters, and a full stop for the end token."""
        letter = lambda token: "." if token == END else chr(96 + token) if token < 27 else f"<{token}>"  # noqa: E731
        return tuple("".join(map(letter, sequence)) for sequence in self.sequences)

    @cached_property
    def tokens(self) -> NDArray[np.int64]:
        """(n, T), padded with the end token."""
        return self._padded(self.sequences)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(n, T): True where the sequence has a token."""
        return np.array([[t < len(each) for t in range(self.length)] for each in self.sequences])

    @cached_property
    def places(self) -> NDArray[np.int64]:
        """(n, T): the node at which each token was chosen; 0 behind the mask."""
        number = {prefix: node for node, prefix in enumerate(self.prefixes)}
        return self._padded([[number[each[:t]] for t in range(len(each))] for each in self.sequences])

    def _padded(self, rows: Any) -> NDArray[np.int64]:
        return np.array([[*row, *[0] * (self.length - len(row))] for row in rows], dtype=np.int64)

    def token_log_probs(self, conditionals: Any) -> Any:
        """Log-probability of every token of every sequence, 0 behind the mask.

        Args:
            conditionals: log-probabilities of the next token at every node, (..., nodes, V), torch or NumPy.

        Returns:
            (..., n, T); its sum over the last axis is log π(y).
        """
        taken = conditionals[..., self.places, self.tokens]
        if hasattr(taken, "new_tensor"):
            return taken * taken.new_tensor(self.mask)
        return taken * self.mask

    def conditionals(self, log_table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log-probabilities of the next token at every node, from a distribution over whole sequences.

        Args:
            log_table: log π(y), (..., n), finite.

        Returns:
            (..., nodes, V): the mass of the sequences that go on so, over that of those that come through the node.

        Example:
            >>> language = Language(2, 2)  # '.', 'a.', 'aa'
            >>> np.exp(language.conditionals(np.log([0.5, 0.1, 0.4]))).round(3)
            array([[0.5, 0.5],
                   [0.2, 0.8]])
        """
        below = np.empty((*log_table.shape[:-1], self.nodes, self.vocabulary))
        for node, token in np.ndindex(self.nodes, self.vocabulary):
            through = (self.mask & (self.places == node) & (self.tokens == token)).any(axis=1)
            below[..., node, token] = np.logaddexp.reduce(log_table[..., through], axis=-1)
        return below - np.logaddexp.reduce(below, axis=-1, keepdims=True)

    def sample(self, conditionals: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.intp]:
        """One sequence a row, drawn token by token.

        Args:
            conditionals: log-probabilities of the next token at every node, (B, nodes, V).
            generator: of the draws.

        Returns:
            The index of each row's sequence, (B,).
        """
        rows = np.arange(len(conditionals))
        node, done = np.zeros(len(rows), dtype=np.intp), np.full(len(rows), -1)
        for t in range(self.length):
            cumulative = np.exp(conditionals[rows, node]).cumsum(axis=-1)
            token = (cumulative[:, :-1] <= generator.random(len(rows))[:, None]).sum(axis=-1)
            done = np.where((token == END) & (done < 0), node, done)
            node = self._children[node, token]
            if t < self.length - 1:
                node = np.where(done < 0, node, 0)
        return np.where(done < 0, node, done)

    @cached_property
    def _children(self) -> NDArray[np.intp]:
        """(nodes, V): the node that a token leads to, or the sequence that was cut with it; 0 after the end token."""
        number = {each: index for index, each in enumerate(self.sequences)}
        number |= {prefix: node for node, prefix in enumerate(self.prefixes)}
        return np.array(
            [[0 if v == END else number[(*prefix, v)] for v in range(self.vocabulary)] for prefix in self.prefixes]
        )
