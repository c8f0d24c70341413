"""A torch device "far" that computes on the processor but whose memory NumPy cannot see, as no CUDA device's is seen.

Here ``tensor.numpy()``, ``np.asarray(tensor)``, and operations between tensors of two devices fail as they do on CUDA,
and torch takes the ways that are not the processor's. Importing this module registers the device for the whole
process, so that it is only for processes of their own. It uses torch's experimental door for backends in Python.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.utils import _pytree as tree
from torch.utils._mode_utils import no_dispatch
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "far"
TWO_DEVICES = ("aten::_copy_from", "aten::copy_", "aten::index.Tensor", "aten::_index_put_impl_", "aten::index_put_")
"""What takes tensors of two devices on CUDA too: copies, and indices on the processor."""


class Far(torch.Tensor):
    """What the device holds: ``raw`` is where the numbers really are."""

    raw: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def of(cls, raw: torch.Tensor) -> Far:
        about = {"dtype": raw.dtype, "device": torch.device(NAME, 0)}
        far = torch.Tensor._make_wrapper_subclass(cls, raw.shape, raw.stride(), raw.storage_offset(), **about)
        far.raw = raw
        return far

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.cpu().numpy()
        raise TypeError(
            "can't convert far:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
        )

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return act(operation, *args, **(kwargs or {}))


def act(operation: Any, *args: Any, **options: Any) -> Any:
    """The operation on the raw numbers, its answers on the device again."""

    def near(value: Any) -> Any:
        if isinstance(value, torch.device):
            return torch.device("cpu")
        if isinstance(value, Far):
            return value.raw
        if isinstance(value, torch.Tensor) and value.dim() and operation.name() not in TWO_DEVICES:
            raise RuntimeError(f"{operation}: expected all tensors to be on the same device, but found far:0 and cpu")
        return value

    given = [value for value in tree.tree_leaves((args, options)) if isinstance(value, Far)]
    raw_args, raw_options = tree.tree_map(near, (args, options))
    found = operation(*raw_args, **raw_options)
    if torch.Tag.inplace_view in operation.tags:
        with no_dispatch():
            operation(*args, **options)
    if operation.name() == "aten::_to_copy" and options.get("device", torch.device(NAME)).type != NAME:
        return found
    for value in given:
        assert value.raw.shape == value.shape, f"{operation} gave a tensor another shape in place"
    same = {id(value.raw): value for value in given}
    wrapped = lambda value: same.get(id(value)) if id(value) in same else Far.of(value)  # noqa: E731
    return tree.tree_map(lambda value: wrapped(value) if isinstance(value, torch.Tensor) else value, found)


def copy(source: torch.Tensor, to: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    """Between the devices."""
    there, here = (getattr(each, "raw", each) for each in (to, source))
    there.copy_(here)
    return to


_setup_privateuseone_for_python_backend(NAME)
_every = torch.library.Library("_", "IMPL")
_every.fallback(act, "PrivateUse1")
_some = torch.library.Library("aten", "IMPL")
_some.impl("_copy_from", copy, "PrivateUse1")
for _overload in ("default", "start", "start_step"):
    _range = getattr(torch.ops.aten.arange, _overload)
    _some.impl(_range.name().removeprefix("aten::"), partial(act, _range), "PrivateUse1")
