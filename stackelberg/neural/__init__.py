"""Policies that are neural networks. This package needs torch, and is imported only when it is asked for."""

try:
    import torch  # noqa: F401
except ImportError as error:
    raise ImportError('Neural policies need torch, which is absent. Run: pip install "stackelberg[torch]".') from error

from stackelberg.neural.mlp import Activation
from stackelberg.neural.model import NeuralModel
from stackelberg.neural.optimizer import SGD, Adam, Optimizer
from stackelberg.neural.regression import Regression
from stackelberg.neural.sequence import SequencePolicy
from stackelberg.neural.sequence_model import SequenceModel
from stackelberg.neural.spec import Neural

__all__ = [
    "Activation",
    "Adam",
    "Neural",
    "NeuralModel",
    "Optimizer",
    "Regression",
    "SGD",
    "SequenceModel",
    "SequencePolicy",
]
