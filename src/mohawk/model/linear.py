"""Which kernels multiply: the choice that decides how fast a stage decodes (docs/adr/0020).

One row in bfloat16 goes through torch's own matrix-vector kernel, over the weight as it was opened. More rows go
through oneDNN over a second copy, laid out once in the order in which its kernels read: otherwise it orders every
weight anew in every pass.

The rule, and what it stops: a packed copy is no tensor that a state dict knows, so it is overwritten by its own
address; else the model would lie in memory that a worker has given back (S18).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.functional import linear


class PackedLinear(nn.Module):
    """A bfloat16 linear layer with a packed copy beside its weight."""

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(plain.weight.detach(), None)

    @property
    def copy(self) -> memoryview:
        """The packed bytes; never to be used beyond this layer's life."""
        address = torch.ops.mkldnn.data_ptr(self._packed)
        return memoryview((ctypes.c_char * torch.ops.mkldnn._nbytes(self._packed)).from_address(address)).cast("B")

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """[..., inputs] -> [..., outputs]."""
        if rows.numel() == rows.shape[-1]:
            return linear(rows, self.weight, self.bias)
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise.default(rows, self._packed, self.bias, "none", [], "")
        return output

    def overwrite(self) -> None:
        """Zeros over the copy. The layer computes nothing any more."""
        content = self.copy
        ctypes.memset(ctypes.addressof(ctypes.c_char.from_buffer(content)), 0, len(content))


@torch.inference_mode()
def pack(model: nn.Module) -> None:
    """Give every bfloat16 linear layer a packed copy, where this processor multiplies bfloat16 through oneDNN."""
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (available and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is nn.Linear and layer.weight.dtype == torch.bfloat16:
                setattr(parent, name, PackedLinear(layer))


def packed_layers(model: nn.Module) -> list[PackedLinear]:
    """All layers of a model that have a packed copy."""
    return [module for module in model.modules() if isinstance(module, PackedLinear)]


@contextmanager
def choose_kernels(rows: int, dtype: torch.dtype) -> Iterator[None]:
    """One row in bfloat16: torch's own matrix-vector kernel instead of oneDNN, which reads weights at less than half
    the speed (14-15 against 36 GB/s). More rows: oneDNN, because there the native kernel is ten times slower.

    The switch is process-wide, so a process may have one computing thread only.
    """
    if rows != 1 or dtype != torch.bfloat16:
        yield
        return
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before
