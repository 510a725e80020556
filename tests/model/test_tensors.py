"""Tensors and their bytes: equal both ways, and the same memory where memory allows it."""

from __future__ import annotations

import pytest
import torch

from mohawk.errors import ArtifactError, MessageError
from mohawk.model.tensors import TORCH_TYPES, TensorView, from_buffer, to_buffer, to_tensor
from mohawk.nouns.model import DataType


@pytest.mark.parametrize("dtype", DataType)
def test_activations_come_back_equal_without_a_copy(dtype: DataType) -> None:
    tensor = torch.randn(3, 8).to(TORCH_TYPES[dtype])
    buffer = to_buffer(tensor)
    assert (buffer.format, buffer.ndim, buffer.nbytes) == ("B", 1, 24 * dtype.size)
    back = from_buffer(bytearray(buffer), 3, 8, dtype)
    assert back.equal(tensor)
    assert from_buffer(buffer, 3, 8, dtype).data_ptr() == tensor.data_ptr()


def test_transposed_and_inference_tensors_have_bytes_too() -> None:
    with torch.inference_mode():
        tensor = torch.arange(6.0).view(2, 3).T
    assert from_buffer(to_buffer(tensor), 3, 2, DataType.FLOAT32).tolist() == tensor.tolist()


def test_read_only_or_unaligned_bytes_are_copied() -> None:
    tensor = torch.randn(2, 4)
    raw = bytes(to_buffer(tensor))
    assert from_buffer(memoryview(raw), 2, 4, DataType.FLOAT32).equal(tensor)
    shifted = memoryview(bytearray(b"\0" + raw))[1:]
    assert from_buffer(shifted, 2, 4, DataType.FLOAT32).equal(tensor)


@pytest.mark.parametrize(("length", "rows"), [(31, 2), (33, 2), (0, 0), (32, -2)])
def test_bytes_of_another_length_are_refused(length: int, rows: int) -> None:
    with pytest.raises(MessageError):
        from_buffer(bytearray(length), rows, 4, DataType.FLOAT32)


@pytest.mark.parametrize("shape", [(3,), (5,), (0,), (2, 3)])
def test_a_tensor_of_another_size_than_its_bytes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArtifactError):
        to_tensor(TensorView(DataType.FLOAT32, shape, memoryview(bytearray(16))))
