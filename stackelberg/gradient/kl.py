"""How the KL to the reference enters the token weights. All three have the same mean; they differ in variance.

Write ℓ_t for the log-ratio of token t and KL_t for the exact KL over the vocabulary at position t, given the
tokens before. ``KL(π‖π_ref) = E Σ_t ℓ_t = E Σ_t KL_t``, and its gradient is the mean of each of

- ``Σ_t (Σ_s ℓ_s) ∇log π_t``                       :class:`SequenceLevel`
- ``Σ_t (Σ_{s≥t} ℓ_s) ∇log π_t``                    :class:`RewardToGo`: token t cannot change what came before it
- ``Σ_t [(Σ_{s>t} KL_s) ∇log π_t + ∇KL_t]``         :class:`RaoBlackwell`: the next token is averaged exactly

None has the least variance everywhere (``benchmarks/gradient_variance.py``). At an equilibrium the payoff less the
*whole* log-ratios is the same number for every rollout, so that SequenceLevel with LeaveOneOut has no variance at
all, and the other two, which cut or average that sum, have some. Far from it the others are ahead.

Two common shortcuts are not here because their mean is another one: ``ℓ_t ∇log π_t`` (drops the effect on later
tokens), and the k3 estimate as a detached reward (its gradient is ∇KL(π‖ref) − ∇KL(ref‖π), almost 0 near the
reference). ``tests/laws/test_gradient_laws.py`` measures by how much.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from stackelberg.gradient.arrays import Tensor, detached, to_go
from stackelberg.gradient.batch import Completions


class KL(ABC):
    """One way to estimate the KL of a role's completions and its gradient."""

    @abstractmethod
    def weights(self, said: Completions) -> Tensor:
        """What multiplies ∇log π_t for the role's own KL, detached, (B, T)."""

    @abstractmethod
    def total(self, said: Completions) -> Tensor:
        """The KL of the whole completion as it enters the *other* player's payoff, detached, (B,)."""

    def differentiable(self, said: Completions) -> Tensor | None:
        """The per-position KL that is differentiated itself, (B, T); None where there is none."""
        return None


@dataclass(frozen=True)
class SequenceLevel(KL):
    """The log-ratio of the whole completion on every token: the textbook form.

    At an equilibrium it makes every rollout's payoff the same number, and with LeaveOneOut every weight 0.
    """

    def weights(self, said: Completions) -> Tensor:
        """``Σ_s ℓ_s`` at every t."""
        return self.total(said)[:, None] + 0 * said.log_ratios

    def total(self, said: Completions) -> Tensor:
        """``Σ_s ℓ_s``."""
        return said.log_ratios.sum(-1)


@dataclass(frozen=True)
class RewardToGo(KL):
    """Token t carries the log-ratios from t on: the default.

    Example:
        >>> import numpy as np
        >>> said = Completions(np.log([[0.5, 0.5]]), np.log([[0.25, 1.0]]), np.ones((1, 2)))
        >>> RewardToGo().weights(said).round(4), RewardToGo().total(said).round(4)
        (array([[ 0.    , -0.6931]]), array([0.]))
    """

    def weights(self, said: Completions) -> Tensor:
        """``Σ_{s≥t} ℓ_s``."""
        return to_go(said.log_ratios)

    def total(self, said: Completions) -> Tensor:
        """``Σ_s ℓ_s``."""
        return said.log_ratios.sum(-1)


@dataclass(frozen=True)
class RaoBlackwell(KL):
    """The exact KL over the vocabulary: differentiated at its own position, a reward for the tokens before.

    In the other player's payoff it counts as ``Σ_s KL_s``, which does not vary with the token drawn at s.
    Needs :attr:`Completions.kl`. Source: Amini, Vieira and Cotterell 2025.
    """

    def weights(self, said: Completions) -> Tensor:
        """``Σ_{s>t} KL_s``, detached."""
        kl = detached(said.exact_kl)
        return to_go(kl) - kl

    def total(self, said: Completions) -> Tensor:
        """``Σ_s KL_s``, detached."""
        return detached(said.exact_kl).sum(-1)

    def differentiable(self, said: Completions) -> Tensor | None:
        """``KL_t`` with its gradient."""
        return said.exact_kl
