"""Safetensors headers, read by our own validator and written aligned.

Rules, and the attack each stops:
- The header's length is checked against 16 MiB and against the file before one byte of it is read (S11: 2^63, 101 MB).
- Tensors lie one after the other from 0 to the file's end: no hole that hides bytes, no overlap, nothing behind the
  end (S12).
- Each length is the product of its shape times its element size, in numbers that do not overflow (S12).
- Only F32, F16 and BF16: what we cannot compute with is refused here and not in a kernel (S12).
- A pickle, a zip or a GGUF is named as what it is, by its first bytes; nothing here could run it (S13).

Format: https://github.com/huggingface/safetensors#format: u64 little-endian header length, JSON header, data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from mohawk.artifact.strict_json import JsonValue, parse_object
from mohawk.errors import ArtifactError
from mohawk.nouns.model import DataType, TensorEntry

HEADER_LIMIT = 16 << 20
"""Bytes. The largest published header is below 2 MiB."""

TENSOR_LIMIT = 1 << 16
"""Tensors in one file; with the next line this bounds the memory that a header can claim."""

_TOKENS_PER_TENSOR = 12
_RANK_LIMIT = 8
_DIMENSION_LIMIT = 1 << 48
_NAME_LIMIT = 512
_LENGTH_BYTES = 8
ALIGNMENT = 64
"""Bytes: one cache line, and what AVX-512 loads at once."""

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive (PyTorch and numpy write their pickles so)"),
    (b"PK\x05\x06", "a zip archive (PyTorch and numpy write their pickles so)"),
    (b"GGUF", "a GGUF file"),
    (b"\x93NUMPY", "a numpy file"),
    *((bytes((0x80, protocol)), "a pickle") for protocol in range(2, 6)),
)


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """One tensor of a file; `begin` and `end` are byte offsets into the data, which starts right after the header."""

    name: str
    dtype: DataType
    shape: tuple[int, ...]
    begin: int
    end: int


def header_size(start: bytes, file_size: int) -> int:
    """Bytes of header in a file of `file_size` bytes that begins with `start` (8 bytes or more), length field included.

    The data starts at this offset. Raises ArtifactError.
    """
    for magic, kind in _FOREIGN:
        # A pickle's two bytes could also begin an honest length, but one whose upper bytes are zero.
        if start.startswith(magic) and start[4:_LENGTH_BYTES] != bytes(4):
            raise ArtifactError(f"{kind}, named as a safetensors file", hint="convert the weights to safetensors")
    if len(start) < _LENGTH_BYTES:
        raise ArtifactError("a safetensors file that ends within its header's length")
    length = int.from_bytes(start[:_LENGTH_BYTES], "little")
    if length > HEADER_LIMIT:
        raise ArtifactError(f"a safetensors header that claims more than {HEADER_LIMIT} bytes")
    if _LENGTH_BYTES + length > file_size:
        raise ArtifactError("a safetensors file that ends within its header")
    return _LENGTH_BYTES + length


def parse_header(head: bytes, file_size: int) -> tuple[TensorRecord, ...]:
    """All tensors of a file, in the order of their data. `head` is its first `header_size` bytes.

    Raises ArtifactError.
    """
    if header_size(head, file_size) != len(head):
        raise ArtifactError("a safetensors header of another length than its first bytes say")
    header = parse_object(head[_LENGTH_BYTES:], limit=HEADER_LIMIT, tokens=TENSOR_LIMIT * _TOKENS_PER_TENSOR)
    _check_metadata(header.pop("__metadata__", {}))
    if not 0 < len(header) <= TENSOR_LIMIT:
        raise ArtifactError(f"a safetensors file without tensors, or with more than {TENSOR_LIMIT}")
    records = sorted((_parse_record(name, value) for name, value in header.items()), key=lambda r: (r.begin, r.end))
    if records[0].begin != 0 or records[-1].end != file_size - len(head):
        raise ArtifactError("safetensors data that does not fill the file exactly")
    if any(earlier.end != later.begin for earlier, later in pairwise(records)):
        raise ArtifactError("safetensors data with a hole or an overlap")
    return tuple(records)


def _check_metadata(value: JsonValue) -> None:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ArtifactError("safetensors metadata that does not map text to text")


def _parse_record(name: str, value: JsonValue) -> TensorRecord:
    if not (0 < len(name) <= _NAME_LIMIT and name.isascii() and name.isprintable()):
        raise ArtifactError("a tensor name that is empty, too long or not printable ASCII")
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise ArtifactError("a safetensors entry with missing or unknown fields")
    dtype = _parse_type(value["dtype"])
    shape = _parse_numbers(value["shape"], most=_RANK_LIMIT)
    offsets = _parse_numbers(value["data_offsets"], most=2)
    if len(offsets) != 2 or offsets[1] - offsets[0] != prod(shape) * dtype.size:
        raise ArtifactError("a tensor whose shape and length disagree")
    return TensorRecord(name, dtype, shape, offsets[0], offsets[1])


def _parse_type(value: JsonValue) -> DataType:
    if not isinstance(value, str) or value not in DataType.__members__.values():
        raise ArtifactError(
            "a tensor of a type other than F32, F16 and BF16",
            hint="quantised checkpoints are not supported: use the model's original weights",
        )
    return DataType(value)


def _parse_numbers(value: JsonValue, *, most: int) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > most:
        raise ArtifactError("a shape or an offset that is not a short list")
    numbers = tuple(number for number in value if isinstance(number, int) and not isinstance(number, bool))
    if len(numbers) != len(value) or not all(0 <= number < _DIMENSION_LIMIT for number in numbers):
        raise ArtifactError("a shape or an offset out of bounds")
    return numbers


def order_aligned(tensors: Sequence[TensorEntry]) -> tuple[TensorEntry, ...]:
    """The tensors in an order that keeps them aligned, since the format lets no padding stand between them.

    Sizes that are multiples of 64 bytes come first (in the models tried: all of them), in the given order; odd ones
    follow, the largest power of two that divides their size descending. So each tensor starts at a multiple of that
    power, which is never less than its element's size, and at a multiple of 64 wherever its own size is one.
    """
    return tuple(sorted(tensors, key=lambda tensor: -_divisor(tensor.size)))


def _divisor(size: int) -> int:
    """The largest power of two, at most 64, that divides `size`."""
    return min(ALIGNMENT, size & -size) if size else ALIGNMENT


def encode_header(tensors: Sequence[TensorEntry]) -> bytes:
    """The header of a file whose data is `tensors` one after the other, padded with spaces so that the data starts at
    a multiple of 64.

    Raises ArtifactError when it would exceed what `parse_header` accepts.
    """
    entries: list[str] = []
    offset = 0
    for tensor in tensors:
        shape = ",".join(map(str, tensor.shape))
        span = f"{offset},{offset + tensor.size}"
        name = tensor.name.replace("\\", "\\\\").replace('"', '\\"')
        entries.append(f'"{name}":{{"dtype":"{tensor.dtype}","shape":[{shape}],"data_offsets":[{span}]}}')
        offset += tensor.size
    body = ("{" + ",".join(entries) + "}").encode("ascii")
    body += b" " * (-(_LENGTH_BYTES + len(body)) % ALIGNMENT)
    if len(body) > HEADER_LIMIT or len(entries) > TENSOR_LIMIT:
        raise ArtifactError("a slice of too many tensors", hint="cut the model into more slices")
    return len(body).to_bytes(_LENGTH_BYTES, "little") + body
