"""``SequencePolicy``: players who speak in tokens, small enough that every sequence can be listed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from stackelberg.game import Game, StackelbergGame
from stackelberg.geometry import Geometry
from stackelberg.gradient import Batch, Completions, position_kl
from stackelberg.neural.language import Language
from stackelberg.neural.optimizer import SGD, Optimizer, check_optimizer
from stackelberg.neural.regression import Regression
from stackelberg.neural.speaker import FOLLOWER, LEADER, Speaker
from stackelberg.validation import Array, as_floats, shown

if TYPE_CHECKING:
    from stackelberg.neural.sequence_model import SequenceModel
    from stackelberg.neural.sequence_point import SequencePoint

Index = NDArray[np.intp]


@dataclass(frozen=True)
class SequencePolicy:
    """Autoregressive policies over short token sequences: a language model small enough to check every gradient.

    A gated recurrent network is told the features of the context and its role, the Follower's reads y too, and
    then speaks token by token until the end token or ``length`` tokens. Its actions in a game are the
    ``len(policy.language)`` whole sequences. The fresh network is not uniform, and is meant as the reference:
    :meth:`game_reference`.

    Args:
        vocabulary: tokens, of which token 0 ends a sequence.
        length: of the longest sequence, in tokens.
        shared: one network for both roles in place of one each.
        hidden: width of the network's state.
        seed: of the first weights.
        optimizer: how gradients become steps, ``sb.SGD()`` (the default) or ``sb.Adam()``.
        regression: how rules of policy space are followed, ``sb.Regression()`` by default.
        dtype: of the networks, "float64" or "float32".
        device: where the networks compute, such as "cuda".

    Raises:
        ValueError: if the language has more than 2,000 sequences, or a size is not a positive whole number.

    Example:
        >>> import stackelberg as sb
        >>> from stackelberg.gradient import LeaveOneOut, RewardToGo
        >>> policy = sb.SequencePolicy(vocabulary=2, length=2)
        >>> policy.language.labels
        ('.', 'a.', 'aa')
        >>> P = sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2])
        >>> game = sb.StackelbergGame(P, tau=0.1, **policy.game_reference())
        >>> game.leader_reference.shape, game.follower_reference.shape
        ((1, 3), (1, 3, 3))
        >>> solver = sb.StackelbergGDA(learning_rate=0.3, geometry=sb.Softmax())
        >>> sampling = sb.Sample(256, baseline=LeaveOneOut(), kl=RewardToGo())
        >>> bool(sb.solve(game, solver, policy, steps=200, sampling=sampling).gap < 0.01)
        True
    """

    vocabulary: int = 3
    length: int = 3
    shared: bool = False
    hidden: int = 8
    seed: int = 0
    optimizer: Optimizer | None = None
    regression: Regression | None = None
    dtype: str = "float64"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if isinstance(self.hidden, bool) or not isinstance(self.hidden, int) or self.hidden < 1:
            raise ValueError(f"hidden must be a positive whole number, not {shown(self.hidden)}. Pass for example 8.")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f'dtype must be "float32" or "float64", not {shown(self.dtype)}.')
        check_optimizer(self.optimizer)
        len(self.language)

    @cached_property
    def language(self) -> Language:
        """What is spoken."""
        return Language(self.vocabulary, self.length)

    def support(self) -> list[tuple[int, ...]]:
        """Every action, as tokens."""
        return self.language.sequences

    def speaker(self, features: int) -> Speaker:
        """The network for contexts of so many features."""
        return Speaker(self.language, features, self.hidden)

    def start(self, features: int, players: int = 2) -> tuple[Tensor, ...]:
        """Fresh parameters, one flat vector a network; the same for the same seed."""
        generator = torch.Generator("cpu").manual_seed(self.seed)
        return tuple(self.speaker(features).fresh(generator) for _ in range(1 if self.shared else players))

    @property
    def steps_by(self) -> Optimizer:
        """The optimizer of gradient rules."""
        return SGD() if self.optimizer is None else self.optimizer

    @property
    def regresses_by(self) -> Regression:
        """The regression of rules in policy space."""
        return Regression() if self.regression is None else self.regression

    def model(self, game: Game) -> SequenceModel:
        """Fresh speakers for the game's contexts."""
        from stackelberg.neural.sequence_model import SequenceModel

        players, features = (2 if isinstance(game, StackelbergGame) else 1), game.features.shape[1]
        if len(self.language) != game.preference.n:
            raise ValueError(
                f"The policy speaks {len(self.language)} sequences, and the game has {game.preference.n} actions. "
                "Make P over policy.language.labels."
            )
        parameters = tuple(each.numpy().astype(self.dtype) for each in self.start(features, players))
        memory = tuple(map(self.steps_by.init, parameters))
        return SequenceModel(self, features, game.preference.n, players, parameters, memory)

    def point(self, game: Game, geometry: Geometry) -> SequencePoint:
        """Where a run on the game starts: at the fresh speakers, whatever the game's reference."""
        return self.model(game).point(game, geometry)

    def conditionals(self, parameters: tuple[Tensor, ...], features: Tensor, role: int) -> Tensor:
        """Log-probabilities of the next token at every node, by role LEADER or FOLLOWER.

        Args:
            parameters: as :meth:`start` gives them.
            features: (contexts, d).
            role: LEADER (0) or FOLLOWER (1).

        Returns:
            (contexts, nodes, V), or (contexts, n, nodes, V) with an observed y a row.
        """
        return self.speaker(features.shape[1]).conditionals(parameters[role % len(parameters)], features, role)

    def log_probs(self, parameters: tuple[Tensor, ...], features: Tensor, role: int) -> Tensor:
        """Of whole sequences: (contexts, n), or (contexts, n, n) with an observed y a row."""
        return self.language.token_log_probs(self.conditionals(parameters, features, role)).sum(-1)

    def game_reference(self, contexts: int = 1, *, features: ArrayLike | None = None) -> dict[str, Array]:
        """The fresh network's policies, as the references of a Stackelberg game.

        Args:
            contexts: how many there are; the network is told which by a one-hot vector.
            features: (contexts, d), where contexts have features of their own.

        Returns:
            ``leader_reference`` (contexts, n) and ``follower_reference`` (contexts, n, n). For a Nash or reward
            game pass the first as ``reference=``.
        """
        given = np.eye(contexts) if features is None else np.atleast_2d(as_floats(features, "features"))
        seen = torch.from_numpy(given)
        parameters = self.start(seen.shape[1])
        with torch.no_grad():
            leader, follower = (self.log_probs(parameters, seen, role).exp().numpy() for role in (LEADER, FOLLOWER))
        return {"leader_reference": leader, "follower_reference": follower}


def rollouts(
    language: Language,
    preference: Any,
    policies: tuple[Tensor, ...],
    references: tuple[Tensor, ...],
    draws: tuple[Index, Index, Index],
    *,
    groups: Any = None,
    weights: Any = None,
) -> Batch:
    """Draws (x, y, y') as the token batch that the estimator reads.

    Args:
        language: what is spoken.
        preference: of each draw, p(y≻y'|x) or a reward, (B,).
        policies: log-probabilities of the next token at every node, (contexts, nodes, V) of the first mover and
            (contexts, n, nodes, V) of the Follower if there is one.
        references: the same for the references.
        draws: x, y and y', each (B,).
        groups: of each draw, see :class:`~stackelberg.gradient.Batch`.
        weights: of each draw, see there.
    """
    x, *ys = draws
    said = [
        _completions(language, now, before, (x, *ys[: role + 1]))
        for role, (now, before) in enumerate(zip(policies, references, strict=True))
    ]
    return Batch(preference, said[0], said[1] if len(said) > 1 else None, groups, weights)


def _completions(language: Language, now: Tensor, before: Tensor, index: tuple[Index, ...]) -> Completions:
    """The completions at ``index`` = (context, [observed], spoken)."""
    return Completions(
        language.token_log_probs(now)[index],
        language.token_log_probs(before)[index],
        now.new_tensor(language.mask)[torch.as_tensor(index[-1])],
        position_kl(now, before)[..., language.places][index],
    )
