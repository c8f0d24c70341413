"""``Neural``: what is asked for when the policies are to be networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stackelberg.game import Game
from stackelberg.geometry import Geometry
from stackelberg.neural.mlp import Activation, flat
from stackelberg.neural.model import NeuralModel, references_of
from stackelberg.neural.optimizer import SGD, Optimizer, check_optimizer
from stackelberg.neural.point import ParameterPoint
from stackelberg.neural.regression import Regression
from stackelberg.validation import shown


@dataclass(frozen=True)
class Neural:
    """Policies that are MLPs over the features of a context, started exactly at the reference.

    ``log π(y|x) = log π_ref(y|x) + network(x)[y] − constant``, the last layer zero at first. The Follower also
    sees an embedding of the observed action. A specification: the sizes of the game are taken from the game, and
    ``solve`` trains a :class:`NeuralModel`, ``solution.model``, of its own. Features are used as they come:
    scale them to about one.

    Gradient rules (``geometry=Softmax()``) move in the parameters, along the gradient of ``Σ_x ρ(x) f_x``.
    Rules of policy space (``MirrorDescent`` and its like) are followed by regression onto each step's target.

    Args:
        hidden: widths of the hidden layers; () is a linear policy.
        shared: one network for Leader and Follower, told its role by an embedding, in place of one each. κ then
            weighs the Follower's direction in the one vector; with separate networks it multiplies her rate.
        embedding: width of the embeddings of observed action and role.
        activation: ``sb.Activation.TANH``, another :class:`Activation`, or any function of a tensor (not saveable).
        seed: of the first weights.
        optimizer: how gradients become steps, ``sb.SGD()`` (the default) or ``sb.Adam()``.
        regression: how rules of policy space are followed, ``sb.Regression()`` by default.
        dtype: of the networks, "float64" or "float32"; tables and diagnostics are float64 always.
        device: where the networks compute, such as "cuda"; first weights are the same whatever it is.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.StackelbergGame(sb.PreferenceMatrix.condorcet([0.5, 0.3, 0.2]), tau=0.1)
        >>> policy = sb.Neural(hidden=(16,), optimizer=sb.Adam())
        >>> solution = sb.solve(game, sb.StackelbergGDA(learning_rate=0.01), policy, steps=300)
        >>> bool(solution.gap < 0.01)
        True
    """

    hidden: tuple[int, ...] = (64, 64)
    shared: bool = False
    embedding: int = 16
    activation: Callable[[Tensor], Tensor] = Activation.TANH
    seed: int = 0
    optimizer: Optimizer | None = None
    regression: Regression | None = None
    dtype: str = "float64"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not isinstance(self.hidden, (tuple, list)):
            raise ValueError(f"hidden is one width a layer, not {shown(self.hidden)}. Pass for example (16,).")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for name, widths in (("hidden", self.hidden), ("embedding", (self.embedding,))):
            if any(isinstance(width, bool) or not isinstance(width, int) or width < 1 for width in widths):
                raise ValueError(f"{name} must hold positive whole numbers, not {shown(widths)}. Pass for example 16.")
        if not callable(self.activation) or isinstance(self.activation, type):
            names = ", ".join(f"sb.Activation.{each.name}" for each in Activation)
            raise TypeError(f"activation must be a function, not {shown(self.activation)}. Pass one of {names}.")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f'dtype must be "float32" or "float64", not {shown(self.dtype)}. Tables are float64.')
        check_optimizer(self.optimizer)
        if self.regression is not None and not isinstance(self.regression, Regression):
            raise TypeError(f"regression must be a Regression or None, not {shown(self.regression)}. Pass its options.")

    @property
    def steps_by(self) -> Optimizer:
        """The optimizer of gradient rules."""
        return SGD() if self.optimizer is None else self.optimizer

    @property
    def regresses_by(self) -> Regression:
        """The regression of rules in policy space."""
        return Regression() if self.regression is None else self.regression

    def model(self, game: Game) -> NeuralModel:
        """Fresh networks of the game's sizes, at its reference."""
        players = len(references_of(game))
        features = game.features.shape[1]
        blank = NeuralModel(self, features, game.preference.n, players, (), ())
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)  # no device's generator is touched
            parameters = tuple(flat(network.to(blank.dtype)).numpy() for network in blank.build())
        memory = tuple(self.steps_by.init(vector) for vector in parameters)
        return replace(blank, parameters=parameters, memory=memory)

    def point(self, game: Game, geometry: Geometry) -> ParameterPoint:
        """Where a run on the game starts: see :meth:`NeuralModel.point`."""
        return self.model(game).point(game, geometry)
