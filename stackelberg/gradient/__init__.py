"""Gradients from rollouts: token weights whose mean is the gradient of the game, for tables of tokens of any length.

One rollout is y ~ π, y' ~ ω(·|y) and p(y≻y'). From its token log-probabilities :func:`surrogates` makes one
number a role whose gradient estimates the gradient of the role's payoff. NumPy arrays and torch tensors are
both read, so that an enumerable policy and a language model use the same lines.
"""

from stackelberg.gradient.baselines import Baseline, Constant, LeaveOneOut, NoBaseline
from stackelberg.gradient.batch import Batch, Completions, position_kl
from stackelberg.gradient.kl import KL, RaoBlackwell, RewardToGo, SequenceLevel
from stackelberg.gradient.returns import PolicyReturns, Returns, Role, StackelbergReturns
from stackelberg.gradient.surrogate import Surrogate, loss, surrogates

__all__ = [
    "KL",
    "Baseline",
    "Batch",
    "Completions",
    "Constant",
    "LeaveOneOut",
    "NoBaseline",
    "PolicyReturns",
    "RaoBlackwell",
    "Returns",
    "RewardToGo",
    "Role",
    "SequenceLevel",
    "StackelbergReturns",
    "Surrogate",
    "loss",
    "position_kl",
    "surrogates",
]
