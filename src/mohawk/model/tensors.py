"""Tensors and the bytes they travel or rest as, without a copy wherever memory allows it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch

from mohawk.errors import ArtifactError, MessageError, UsageError
from mohawk.nouns.model import DataType

TORCH_TYPES = {
    DataType.FLOAT32: torch.float32,
    DataType.FLOAT16: torch.float16,
    DataType.BFLOAT16: torch.bfloat16,
}

if sys.byteorder != "little":
    raise ImportError("Mohawk's wire and slices are little-endian, and so must be the processor")


@dataclass(frozen=True, slots=True)
class TensorView:
    """One tensor of an opened slice: `data` is a writable view into memory that belongs to this process."""

    dtype: DataType
    shape: tuple[int, ...]
    data: memoryview


def to_tensor(view: TensorView) -> torch.Tensor:
    """The tensor whose memory *is* the view's memory. Raises ArtifactError, UsageError.

    A read-only view is refused: it would be a mapped file or someone else's bytes, and weights are computed from own
    memory only (a file that another process can write changes after it was verified).
    """
    if view.data.readonly:
        raise UsageError("weights must lie in writable memory of this process")
    elements = 1
    for length in view.shape:
        elements *= length
    if elements * view.dtype.size != view.data.nbytes or elements == 0:
        raise ArtifactError("a tensor whose bytes do not match its shape")
    return torch.frombuffer(view.data, dtype=TORCH_TYPES[view.dtype]).view(view.shape)


def to_buffer(tensor: torch.Tensor) -> memoryview:
    """[rows, hidden size] -> its bytes, row by row; a view of the same memory when the tensor is contiguous."""
    flat: memoryview = tensor.contiguous().view(torch.uint8).numpy().data
    return flat.cast("B")


def from_buffer(buffer: bytearray | memoryview, rows: int, hidden_size: int, dtype: DataType) -> torch.Tensor:
    """Bytes -> [rows, hidden size]; a view of the same memory when that is writable and aligned.

    Raises MessageError when the length is not exactly rows x hidden size x element size.
    """
    view = memoryview(buffer)
    if rows <= 0 or view.nbytes != rows * hidden_size * dtype.size:
        raise MessageError("activations whose length does not match their rows")
    if view.readonly:
        view = memoryview(bytearray(view))
    raw = torch.frombuffer(view, dtype=torch.uint8)
    if raw.data_ptr() % dtype.size:
        raw = raw.clone()
    return raw.view(TORCH_TYPES[dtype]).view(rows, hidden_size)


def configure_threads(count: int) -> None:
    """Compute threads of this process; set once, before the first pass."""
    if count < 1:
        raise UsageError("at least one compute thread is needed", field="threads")
    torch.set_num_threads(count)
