"""The model that a run trains: networks with their parameters, in a game and on their own."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from stackelberg.container import load_as, save_as
from stackelberg.game import Game, StackelbergGame
from stackelberg.geometry import Geometry, Natural, Simplex, Softmax
from stackelberg.neural.mlp import FIRST, FOLLOWER, Network
from stackelberg.neural.optimizer import Memory
from stackelberg.neural.players import Players
from stackelberg.neural.point import Ground, ParameterPoint
from stackelberg.policy import Tabular
from stackelberg.simplex import log_of
from stackelberg.validation import Array, as_floats, shown

if TYPE_CHECKING:
    from typing import Self

    from stackelberg.neural.spec import Neural

KIND, VERSION = "stackelberg model", 1


@dataclass(frozen=True, eq=False)
class NeuralModel:
    """Networks with their parameters; it never changes. Usable in any context, and in another ``solve`` to go on.

    Attributes:
        spec: what was asked for.
        features: d, how many features a context has.
        actions: n.
        players: 2 in a Stackelberg game, else 1.
        parameters: one flat vector a network.
        memory: what the optimizer remembers of each, so that going on is going on.
        references: π_ref of each player, (n,) or (n, n), where it is the same in all contexts; None elsewhere.

    Example:
        >>> import stackelberg as sb
        >>> mixture = sb.AnnotatorMixture.random(3, types=4, features=2, seed=0)
        >>> game = sb.NashGame(mixture, tau=0.1, contexts=mixture.draw(8, seed=1))
        >>> model = sb.solve(game, sb.EGPO(), sb.Neural(hidden=(16,)), steps=20).model
        >>> model.policy([0.0, 0.0]).shape, len(model.parameters)
        ((3,), 1)
    """

    spec: Neural
    features: int
    actions: int
    players: int
    parameters: tuple[Array, ...]
    memory: tuple[Memory, ...]
    references: tuple[Array, ...] | None = None

    # ------------------------------------------------------------------ in a game

    @property
    def dtype(self) -> torch.dtype:
        """Of the networks."""
        return torch.float64 if self.spec.dtype == "float64" else torch.float32

    def tensor(self, values: Array) -> Tensor:
        """A copy with the networks' type, on their device."""
        return torch.tensor(values, dtype=self.dtype, device=self.spec.device)

    def build(self) -> tuple[Network, ...]:
        """New networks of these sizes, with first weights from torch's own generator."""
        roles = (FIRST, FOLLOWER)[: self.players]
        each = (roles,) if self.spec.shared else tuple((role,) for role in roles)
        sizes = self.spec.hidden, self.spec.embedding, self.spec.activation
        with torch.device("cpu"):  # whatever torch's default
            return tuple(Network(self.features, self.actions, own, *sizes) for own in each)

    @cached_property
    def _networks(self) -> tuple[Network, ...]:
        with torch.random.fork_rng(devices=[]):  # only their shapes are used
            return self.build()

    def at(self, features: Array) -> Players:
        """The networks in front of contexts, (contexts, d)."""
        if features.shape[-1] != self.features:
            raise ValueError(
                f"The model is for {self.features} features a context, not {features.shape[-1]}. "
                "Pass those it was trained on, one row a context."
            )
        self._check_device()
        return Players(self._networks, self.players, self.tensor(features), self.actions)

    def on(self, device: str) -> Self:
        """The same model on another device: one that was trained on CUDA, say, and is read where there is none.

        Example:
            >>> import stackelberg as sb
            >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.1)
            >>> model = sb.solve(game, sb.EGPO(), sb.Neural(hidden=(4,)), steps=1).model
            >>> model.on("cuda").spec.device, model.on("cuda").on("cpu").policy([1.0]).round(3)
            ('cuda', array([0.333, 0.333, 0.333]))
        """
        return replace(self, spec=replace(self.spec, device=device))

    def _check_device(self) -> None:
        try:
            torch.zeros(1, dtype=self.dtype, device=self.spec.device)
        except (RuntimeError, AssertionError, TypeError, NotImplementedError) as reason:
            first = str(reason).splitlines()[0].rstrip(".")
            raise ValueError(
                f"device {shown(self.spec.device)} cannot be used here: {first}. Pass a device that is there, or read "
                "a trained model elsewhere: model.on('cpu')."
            ) from None

    def point(self, game: Game, geometry: Geometry) -> ParameterPoint:
        """The model standing in a game: its networks before the game's contexts, tilting the game's reference."""
        self._check_geometry(geometry)
        references = references_of(game)
        everywhere = all((each == each[:1]).all() for each in references)
        known = tuple(each[:1] for each in references) if everywhere else None
        residual = np.zeros(game.shape[0]) if isinstance(geometry, Natural) else None
        return ParameterPoint(geometry, replace(self, references=known), self.ground(game), residual)

    def tables(self, game: Game) -> tuple[Tabular, ...]:
        """Every player's policy over the game's contexts and actions."""
        return ParameterPoint(Natural(), self, self.ground(game)).tables

    def ground(self, game: Game) -> Ground:
        """What a point needs of the game."""
        references = references_of(game)
        if (len(references), game.preference.n) != (self.players, self.actions):
            raise ValueError(
                f"The model is for {self.players} player(s) with {self.actions} actions, and the game has "
                f"{len(references)} with {game.preference.n}. Pass sb.Neural(...) for a fresh one."
            )
        weights: Array = game.context_weights  # type: ignore[attr-defined]  # every game sets its own
        return Ground(self.at(game.features), tuple(map(log_of, references)), weights)

    def _check_geometry(self, geometry: Geometry) -> None:
        if isinstance(geometry, Simplex):
            raise ValueError(
                "Simplex() projects probabilities, and the parameters of a network are none. "
                "Pass geometry=sb.Softmax() for gradient steps in the parameters."
            )
        unused = "regression" if isinstance(geometry, Softmax) else "optimizer"
        if getattr(self.spec, unused) is not None:
            kind = "gradient steps in parameters" if unused == "regression" else "steps of policies, by regression"
            raise ValueError(f"This solver takes {kind}, for which the {unused} is not used. Leave it out of Neural.")

    # ------------------------------------------------------------------ on its own

    def parts(self, features: ArrayLike) -> tuple[Tabular, ...]:
        """Every player's policy in contexts with these features, (contexts, d)."""
        if self.references is None:
            raise ValueError(
                "The reference differs from context to context, so it is not known for these features. "
                "Use sb.evaluate(game, model) with a game on them."
            )
        players = self.at(np.atleast_2d(as_floats(features, "features")))
        with torch.no_grad():
            ratios = players.ratios(tuple(map(self.tensor, self.parameters)))
        rows = zip(ratios, self.references, strict=True)
        return tuple(Tabular.from_logits(ratio.cpu().double().numpy() + log_of(at)) for ratio, at in rows)

    def _probabilities(self, features: ArrayLike, player: int) -> Array:
        table = self.parts(features)[player].probabilities
        return table[0] if np.ndim(features) == 1 else table

    def leader(self, features: ArrayLike) -> Array:
        """π(·|x), (n,) for one context (d,), (contexts, n) for several."""
        return self._probabilities(features, FIRST)

    policy = leader
    """The policy of a game in which one policy answers."""

    def follower(self, features: ArrayLike) -> Array:
        """ω(·|x, y), (n, n) with a row an observed action y; (contexts, n, n) for several contexts."""
        if self.players == 1:
            raise ValueError("A Nash or reward game has no Follower. Use model.policy(features).")
        return self._probabilities(features, FOLLOWER)

    def support(self) -> NDArray[np.int64]:
        """The actions, as indices."""
        return np.arange(self.actions)

    def log_prob(self, context: ArrayLike, action: int, *, observed: int | None = None) -> float:
        """``log π(action|x)`` of who moves first, or the Follower's ``log ω(action|x, observed)``."""
        return float(self._row(context, observed)[action])

    def sample(self, context: ArrayLike, rng: np.random.Generator, *, observed: int | None = None) -> int:
        """An action of who moves first in the context with features (d,), or of the Follower who observed one."""
        return int(rng.choice(self.actions, p=np.exp(self._row(context, observed))))

    def _row(self, context: ArrayLike, observed: int | None) -> Array:
        parts = self.parts(np.reshape(context, (1, -1)))
        return parts[FIRST].logits[0] if observed is None else parts[FOLLOWER].logits[0, observed]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to one ``.npz`` file: arrays, and the rest as JSON. Nothing in it is code.

        Raises:
            ValueError: the activation is a function of one's own, which cannot be written.
        """
        save_as(Path(path), KIND, VERSION, self)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> NeuralModel:
        """Read what :meth:`save` wrote, to the last bit.

        Raises:
            ValueError: the file is damaged, was changed, or is no model; the message says which.
        """
        model, _ = load_as(Path(path), KIND, VERSION)
        if not isinstance(model, NeuralModel):
            raise ValueError(f"{os.fspath(path)} holds a {type(model).__name__}, no model. Write it with model.save.")
        return model


def references_of(game: Game) -> tuple[Array, ...]:
    """π_ref of every player, in the smallest shape that broadcasts to (contexts, n) and (contexts, n, n)."""
    if isinstance(game, StackelbergGame):
        return game.leader_reference, game.follower_reference
    return (game.reference,)  # type: ignore[attr-defined]  # every other game has one policy
