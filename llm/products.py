"""Large float32 matrix products on a CPU by oneDNN.

torch carries two libraries that multiply matrices, oneDNN and its BLAS (MKL), and takes MKL for float32. On AMD
processors MKL uses half of what the processor can do and oneDNN all of it; for few rows, as when a token is drawn,
oneDNN gains as much again from weights that lie in its own order. The products are the same, rounded otherwise.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LARGE = 1 << 22
"""Products of fewer multiplications stay with BLAS: handing them over takes as long as they do."""

WIDE = 1 << 16
"""Weights of fewer numbers are not put in oneDNN's order."""


class Linear(nn.Linear):
    """``nn.Linear`` that leaves its large products to oneDNN, where :func:`by_onednn` allows.

    Example:
        >>> layer, inputs = Linear(512, 512, bias=False), torch.ones(64, 512)
        >>> torch.allclose(layer(inputs), torch.nn.functional.linear(inputs, layer.weight), atol=1e-5)
        True
    """

    ordered: Tensor | None = None
    """The weights in oneDNN's order, within :func:`drawing_quickly`."""

    def forward(self, input: Tensor) -> Tensor:
        """``input · weightᵀ + bias``, differentiable once where oneDNN has made it."""
        if self.ordered is not None and not torch.is_grad_enabled() and _fits(input):
            return _product(input, self.ordered, self.bias)
        if by_onednn(input, self.weight):
            return _Product.apply(input, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return super().forward(input)


def with_large_products(network: nn.Module) -> None:
    """Make every ``nn.Linear`` of the network a :class:`Linear`, in place; its weights and their names stay."""
    for part in network.modules():
        if type(part) is nn.Linear:
            part.__class__ = Linear


@contextmanager
def drawing_quickly(network: nn.Module, rows: int) -> Iterator[None]:
    """Within, the weights also lie in oneDNN's order, best for so many rows, and must not change."""
    linear = [each for each in network.modules() if isinstance(each, Linear) and each.ordered is None]
    parts = [each for each in linear if each.weight.numel() >= WIDE and _fits(each.weight) and _here()]
    try:
        for part in parts:
            part.ordered = torch.ops.mkldnn._reorder_linear_weight(part.weight.detach(), rows)
        yield
    finally:
        for part in parts:
            part.ordered = None


def by_onednn(inputs: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN makes this product: large, of plain float32 tensors on an x86 processor, and not switched off.

    It is switched off by ``torch.backends.mkldnn.flags(enabled=False)``.

    Example:
        >>> inputs, weight = torch.ones(64, 512), torch.ones(512, 512)
        >>> by_onednn(inputs.double(), weight.double()), by_onednn(inputs[:1], weight)
        (False, False)
    """
    return inputs.numel() * weight.shape[0] >= LARGE and _fits(inputs) and _fits(weight) and _here()


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return _product(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        rows = upstream.flatten(0, -2)
        wanted = ctx.needs_input_grad
        return (
            _product(upstream, weight.t()) if wanted[0] else None,
            _product(rows.t(), inputs.flatten(0, -2).t()) if wanted[1] else None,
            rows.sum(0) if wanted[2] else None,
        )


def _product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return product


def _fits(tensor: Tensor) -> bool:
    """Whether a product of it can be oneDNN's: no other precision, device or kind, and no cast on the way."""
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
    )


def _here() -> bool:
    return _carried() and bool(torch.backends.mkldnn.enabled)


@cache
def _carried() -> bool:
    """Whether this torch has oneDNN's linear product, on an x86 processor."""
    ours = platform.machine().lower() in ("x86_64", "amd64")
    names = ("_linear_pointwise", "_reorder_linear_weight")
    return ours and bool(torch._C._has_mkldnn) and all(hasattr(torch.ops.mkldnn, name) for name in names)
