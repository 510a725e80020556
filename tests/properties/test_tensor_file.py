"""Whatever bytes arrive, a safetensors header is parsed or refused with ArtifactError, and what passes fills its file exactly."""

from __future__ import annotations

import contextlib
import itertools
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.artifact.strict_json import parse_object
from mohawk.artifact.tensor_file import encode_header, header_size, order_aligned, parse_header
from mohawk.errors import ArtifactError
from mohawk.nouns.model import DataType, TensorEntry
from tests.support.folders import safetensors_bytes, tensors_bytes

VALID = tensors_bytes({"a": [2, 2], "b": [3], "c": []})
numbers = st.one_of(st.integers(-2, 40), st.integers(), st.booleans(), st.floats(), st.none())
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "BF16", "I8", "", None]),
        "shape": st.lists(numbers, max_size=3),
        "data_offsets": st.lists(numbers, max_size=3),
    }
)


def parse(file: bytes) -> int:
    """Bytes of data that the tensors of `file` cover."""
    start = header_size(file[:8], len(file))
    records = parse_header(file[:start], len(file))
    assert records[0].begin == 0
    assert all(earlier.end == later.begin for earlier, later in itertools.pairwise(records))
    assert start + records[-1].end == len(file)
    return records[-1].end


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_arbitrary_bytes(data: bytes):
    with contextlib.suppress(ArtifactError):
        parse(data)


@settings(max_examples=200)
@given(st.binary(max_size=120), st.integers(0, 40))
def test_arbitrary_headers(header: bytes, data: int):
    with contextlib.suppress(ArtifactError):
        parse(safetensors_bytes(header, bytes(data)))


@settings(max_examples=200)
@given(st.dictionaries(st.text(max_size=5), entries, max_size=3), st.integers(0, 60))
def test_headers_that_look_right(header: dict[str, object], data: int):
    with contextlib.suppress(ArtifactError):
        parse(safetensors_bytes(header, bytes(data)))


@settings(max_examples=200)
@given(st.integers(0, len(VALID) - 1), st.integers(0, 255), st.integers(0, len(VALID)))
def test_one_changed_byte_or_a_cut(position: int, value: int, cut: int):
    changed = bytearray(VALID)
    changed[position] = value
    for file in (bytes(changed), VALID[:cut], VALID + bytes(cut)):
        with contextlib.suppress(ArtifactError):
            parse(file)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(DataType)), st.lists(st.integers(0, 9), max_size=3)), min_size=1, max_size=8
    )
)
def test_what_is_written_is_read_back_aligned(shapes: list[tuple[DataType, list[int]]]):
    tensors = []
    for number, (dtype, shape) in enumerate(shapes):
        size = dtype.size
        for dimension in shape:
            size *= dimension
        tensors.append(TensorEntry(f"t{number}", dtype, tuple(shape), "f", 0, size))
    ordered = order_aligned(tensors)
    head = encode_header(ordered)

    records = parse_header(head, len(head) + sum(tensor.size for tensor in ordered))
    assert {(r.name, r.dtype, r.shape) for r in records} == {(t.name, t.dtype, t.shape) for t in tensors}
    assert all((len(head) + record.begin) % record.dtype.size == 0 for record in records)
    assert len(head) % 64 == 0


@settings(max_examples=200)
@given(st.binary(max_size=100))
def test_strict_json_parses_or_refuses(data: bytes):
    with contextlib.suppress(ArtifactError):
        assert parse_object(data, limit=80, tokens=20) == json.loads(data)
