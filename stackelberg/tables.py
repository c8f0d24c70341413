"""Where tables of policies live and in what precision: NumPy, or torch tensors on a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stackelberg.combination import Combination
from stackelberg.compiled import CompiledKernel
from stackelberg.kernel import Kernel
from stackelberg.validation import Array, shown

PRECISIONS = ("float64", "float32")


@dataclass(frozen=True)
class Tables:
    """Fresh tables at the references: what ``solve`` takes as ``policy``. Records and solutions are always float64.

    Draws, ``sampling=sb.Sample(n)``, are made from the probabilities in float64, so that equal seeds draw alike.

    Args:
        dtype: ``"float64"`` or ``"float32"``, or NumPy's name for it.
        device: a torch device such as ``"cpu"`` or ``"cuda"``; None for NumPy.
        compiled: whether large NumPy tables are passed over by loops that numba compiles (``stackelberg[fast]``). Steps
            of 1,000 actions take about half the time, the first call ever some seconds more.

    Example:
        >>> import stackelberg as sb
        >>> game = sb.NashGame(sb.PreferenceMatrix.cycle(3), tau=0.1, reference=[0.5, 0.3, 0.2])
        >>> solution = sb.solve(game, sb.EGPO(learning_rate=0.5), sb.Tables(dtype="float32"), steps=500)
        >>> bool(solution.gap < 1e-6), solution.policy.dtype
        (True, dtype('float64'))
    """

    dtype: Any = "float64"
    device: Any = None
    compiled: bool = False

    def __post_init__(self) -> None:
        try:
            name = np.dtype(self.dtype).name
        except TypeError:
            name = None
        if name not in PRECISIONS:
            raise ValueError(f"dtype must be float64 or float32, not {shown(self.dtype)}. Leave it out for float64.")
        object.__setattr__(self, "dtype", name)
        if not isinstance(self.compiled, bool):
            raise TypeError(f"compiled must be True or False, not {shown(self.compiled)}.")
        if self.compiled and self.device is not None:
            raise ValueError(
                f"compiled is for NumPy's tables, and device is {shown(self.device)}. Leave one of the two out."
            )

    def kernel(self) -> Kernel:
        """What does the passes over these tables."""
        if self.device is not None:
            return TorchKernel(self.dtype, self.device)
        return CompiledKernel(self.dtype) if self.compiled else Kernel(self.dtype)


class TorchKernel(Kernel):
    """The same passes over torch tensors, one call a pass."""

    def __init__(self, dtype: Any, device: Any) -> None:
        super().__init__(dtype)
        try:
            import torch
        except ImportError:
            raise ValueError(
                f"device {shown(device)} needs torch, which is not installed. Install it, or leave device out."
            ) from None
        self.torch = torch
        self.options = {"dtype": getattr(torch, self.dtype.name), "device": device}
        try:
            torch.zeros(1, **self.options)
        except (RuntimeError, AssertionError, TypeError, NotImplementedError) as reason:
            first = str(reason).splitlines()[0].rstrip(".")
            raise ValueError(
                f"device {shown(device)} cannot be used here: {first}. Pass a device that is there, or None for NumPy."
            ) from None

    @property
    def plain(self) -> bool:
        """Tensors are not NumPy's."""
        return False

    def native(self, values: Any) -> Any:
        """As a tensor."""
        return self.torch.tensor(np.array(values, order="C"), **self.options)

    def exact(self, table: Any) -> Array:
        """Back to NumPy's float64."""
        return np.asarray(table.double().cpu().numpy())

    def _sum(self, force: Any) -> Any:
        return force.array if isinstance(force, Combination) else force

    def soften(self, logits: Combination) -> tuple[Any, Any, bool, None, None]:
        """Normalised at once: no sums are left to divide by."""
        normal = self.torch.log_softmax(self._sum(logits), -1)
        return normal.exp(), normal, bool(normal.isfinite().all()), None, None

    def project(self, moved: Combination, floor: float) -> tuple[Any, Any, bool, None, None]:
        """By sorting each row: λ from the largest number of entries that stay above it (Held et al. 1974)."""
        values = self._sum(moved)
        ordered = values.sort(-1, descending=True).values
        count = self.torch.arange(1, values.shape[-1] + 1, **self.options)
        level = (ordered.cumsum(-1) - 1) / count
        active = (ordered > level).sum(-1, keepdim=True).clamp(min=1)
        table = (values - level.gather(-1, active - 1)).clamp(min=0)
        logits, finite, total, inner = self.logarithms(table, floor)
        return table, logits, finite and self.is_on_simplex(table), total, inner

    def is_on_simplex(self, table: Any) -> bool:
        """As the kernel for NumPy."""
        return bool((table.sum(-1) - 1).abs().max() < float(np.sqrt(np.finfo(self.dtype).eps)))

    def logarithms(self, table: Any, floor: float, out: Any = None) -> tuple[Any, bool, None, None]:
        """As the kernel for NumPy."""
        least = max(floor, float(np.finfo(self.dtype).tiny))
        return table.clamp(min=least).log(), bool(table.sum(-1).isfinite().all()), None, None

    def dot(self, weights: Any, values: Any) -> Any:
        """As the kernel for NumPy."""
        return (weights * values).sum(-1)

    def gradient(self, table: Any, natural: Any, weight: Any, total: Any) -> Any:
        """As the kernel for NumPy; ``total`` is always None."""
        force = self._sum(natural)
        gradient = table * (force - self.dot(table, force)[..., None])
        return gradient if weight is None else gradient * weight
