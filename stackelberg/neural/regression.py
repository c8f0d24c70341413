"""Networks made to follow a policy-space rule: least squares on centred log-probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from stackelberg.validation import Array, shown

if TYPE_CHECKING:
    from stackelberg.neural.model import NeuralModel
    from stackelberg.neural.players import Players
    from stackelberg.neural.point import Ground

LARGEST = 1 << 27
"""Cells of the largest Jacobian that is formed: one gigabyte in float64."""


@dataclass(frozen=True)
class Regression:
    """Weighted least squares by Levenberg–Marquardt, from where the networks stand.

    ``min_θ Σ_x ρ(x) Σ_i mean_{rows, y} (c log π_i(y|x) − c log target_i(y|x))²`` with c the centring of a row
    (log-probabilities less their mean), so that the constant of every row is free. The weight is ρ(x) times
    uniform over the actions, for the Follower over the observed ones too. Each step solves the damped normal
    equations exactly, in parameters or in cells, whichever are fewer.

    Args:
        iterations: how many steps of Levenberg–Marquardt at most.
        tolerance: a root mean square misfit, in nats, that is good enough.
        improvement: stop where a step lowers the misfit by less than this fraction.

    Example:
        >>> import stackelberg as sb
        >>> sb.Regression(iterations=5)
        Regression(iterations=5, tolerance=1e-08, improvement=0.05)
    """

    iterations: int = 20
    tolerance: float = 1e-8
    improvement: float = 0.05

    def __post_init__(self) -> None:
        if isinstance(self.iterations, bool) or not isinstance(self.iterations, int) or self.iterations < 1:
            raise ValueError(f"iterations must be a positive whole number, not {shown(self.iterations)}. Pass 20.")
        for name in ("tolerance", "improvement"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), not {shown(getattr(self, name))}. Pass for example 1e-6.")

    def fit(self, model: NeuralModel, ground: Ground, targets: tuple[Array, ...]) -> tuple[tuple[Array, ...], Array]:
        """The parameters that fit the target log-ratios best, and the misfit of each context, in nats.

        Args:
            model: where to begin.
            ground: the contexts, and what they weigh.
            targets: of each player, (contexts, n) or (contexts, n, n), up to a constant a row.
        """
        players, fitted = ground.players, []
        wanted = tuple(_centred(model.tensor(target)) for target in targets)
        for owner, vector in enumerate(model.parameters):
            misfit = Misfit(players, players.wearers(owner), wanted, model.tensor(ground.weights))
            fitted.append(self._descend(misfit, model.tensor(vector)))
        with torch.no_grad():
            ratios = players.ratios(fitted)
            missed = [(_centred(a) - b).square().flatten(1).mean(1) for a, b in zip(ratios, wanted, strict=True)]
        residual = torch.stack(missed).mean(0).sqrt().cpu().double().numpy()
        return tuple(vector.cpu().numpy() for vector in fitted), residual

    def _descend(self, misfit: Misfit, at: Tensor) -> Tensor:
        missed, damping = misfit.residuals(at), 1e-9
        for _ in range(self.iterations):
            before = missed.norm()
            if before <= self.tolerance:
                break
            shift = _shifts(misfit.jacobian(at), missed)
            while damping < 1e6:
                moved = at - shift(damping)
                there = misfit.residuals(moved)
                if there.norm() < before:
                    at, missed, damping = moved, there, max(damping / 10, 1e-12)
                    break
                damping *= 10
            if not missed.norm() < (1 - self.improvement) * before:
                break
        return at


@dataclass(frozen=True, eq=False)
class Misfit:
    """Weighted residuals of the players who wear one vector of parameters, and their derivatives."""

    players: Players
    wearers: list[int]
    wanted: tuple[Tensor, ...]
    weights: Tensor

    def residuals(self, vector: Tensor) -> Tensor:
        """(cells,)."""
        with torch.no_grad():
            missed = {p: _centred(self.players.ratio(p, vector)) - self.wanted[p] for p in self.wearers}
            return torch.cat([self._weighed(p, values).flatten() for p, values in missed.items()])

    def jacobian(self, vector: Tensor) -> Tensor:
        """(cells, parameters)."""
        cells = sum(self.wanted[player].numel() for player in self.wearers)
        if cells * vector.numel() > LARGEST:
            raise ValueError(
                f"The regression has {cells} cells and {vector.numel()} parameters, too many for one Jacobian. "
                "Use fewer contexts or a smaller network, or a gradient rule: geometry=sb.Softmax()."
            )
        rows = []
        for player in self.wearers:
            slopes = self.players.jacobian(player, vector)
            slopes -= slopes.mean(-2, keepdim=True)
            rows.append(self._weighed(player, slopes).flatten(0, -2))
        return torch.cat(rows)

    def _weighed(self, player: int, values: Tensor) -> Tensor:
        cells = self.wanted[player][0].numel()
        return values * (self.weights / cells).sqrt().view(-1, *[1] * (values.ndim - 1))


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(-1, keepdim=True)


def _shifts(slopes: Tensor, missed: Tensor) -> Callable[[float], Tensor]:
    """The damped Gauss–Newton step for any damping, in units of the mean square slope; NaN where it has none."""
    cells, parameters = slopes.shape
    wide = cells <= parameters  # then the shortest of the steps that fit, found in cells
    gram, right = (slopes @ slopes.T, missed) if wide else (slopes.T @ slopes, slopes.T @ missed)
    diagonal = gram.diagonal().clone()

    def shift(damping: float) -> Tensor:
        gram.diagonal().copy_(diagonal + damping * diagonal.mean())
        factor, failed = torch.linalg.cholesky_ex(gram)
        if failed:
            return torch.full_like(slopes[0], torch.nan)
        solved = torch.cholesky_solve(right[:, None], factor)[:, 0]
        return slopes.T @ solved if wide else solved

    return shift
