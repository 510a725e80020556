"""Headers that we accept are those that the safetensors library accepts, and what we write it opens; data stays aligned."""

from __future__ import annotations

import json

import pytest
from safetensors import SafetensorError, deserialize

from mohawk.artifact.tensor_file import ALIGNMENT, encode_header, header_size, order_aligned, parse_header
from mohawk.errors import ArtifactError
from mohawk.nouns.model import DataType, TensorEntry
from tests.support.folders import safetensors_bytes, tensors_bytes


def parse(file: bytes):
    return parse_header(file[: header_size(file[:8], len(file))], len(file))


def entry(name: str, *shape: int, dtype: DataType = DataType.FLOAT32) -> TensorEntry:
    size = dtype.size
    for dimension in shape:
        size *= dimension
    return TensorEntry(name, dtype, shape, "model.safetensors", 0, size)


def test_reads_names_types_shapes_and_offsets():
    records = parse(tensors_bytes({"a": [2, 3], "b": []}))

    assert [(r.name, r.dtype, r.shape, r.begin, r.end) for r in records] == [
        ("a", DataType.FLOAT32, (2, 3), 0, 24),
        ("b", DataType.FLOAT32, (), 24, 28),
    ]


def test_order_of_the_header_does_not_matter():
    header = {
        "b": {"dtype": "F16", "shape": [2], "data_offsets": [4, 8]},
        "a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
        "empty": {"dtype": "F32", "shape": [0, 7], "data_offsets": [4, 4]},
        "__metadata__": {"format": "pt"},
    }

    assert [record.name for record in parse(safetensors_bytes(header, bytes(8)))] == ["a", "empty", "b"]


def test_metadata_that_is_not_text_is_refused():
    header = {"__metadata__": {"a": 1}, "t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}

    with pytest.raises(ArtifactError):
        parse(safetensors_bytes(header, bytes(4)))


@pytest.mark.parametrize("name", ["", "a" * 513, "a\nb", "ü", "a\x00"])
def test_names_are_printable_ascii(name: str):
    header = {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}

    with pytest.raises(ArtifactError):
        parse(safetensors_bytes(header, bytes(4)))


@pytest.mark.parametrize(
    "change", [{"shape": [True]}, {"shape": [1.0]}, {"shape": [-1]}, {"shape": "1"}, {"extra": 1}, {"dtype": ["F32"]}]
)
def test_fields_have_exactly_their_types(change: dict[str, object]):
    header = {"t": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | change}

    with pytest.raises(ArtifactError):
        parse(safetensors_bytes(header, bytes(4)))


def test_what_we_refuse_for_its_layout_the_library_refuses_too():
    hole = {
        "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "b": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]},
    }
    file = safetensors_bytes(hole, bytes(12))

    with pytest.raises(SafetensorError):
        deserialize(file)
    with pytest.raises(ArtifactError):
        parse(file)


def test_encoded_header_is_read_back_by_us_and_by_the_library():
    tensors = (entry("model.a", 4, 16), entry('odd "name"\\', 3, dtype=DataType.BFLOAT16), entry("scalar"))
    size = sum(tensor.size for tensor in tensors)
    file = encode_header(tensors) + bytes(range(256))[:size] + bytes(max(0, size - 256))

    ours = {r.name: (str(r.dtype), list(r.shape)) for r in parse(file)}
    theirs = {name: (view["dtype"], view["shape"]) for name, view in deserialize(file)}
    assert ours == theirs
    assert set(ours) == {tensor.name for tensor in tensors}


@pytest.mark.parametrize("count", range(1, 40))
def test_data_starts_at_a_multiple_of_64(count: int):
    assert len(encode_header([entry("n" * count, 16)])) % ALIGNMENT == 0


def test_odd_sizes_go_last_and_stay_aligned_to_their_elements():
    odd = [
        entry("bytes6", 3, dtype=DataType.FLOAT16),
        entry("bytes12", 3),
        entry("bytes32", 8),
        entry("bytes2", 1, dtype=DataType.FLOAT16),
    ]
    even = [entry("even1", 16), entry("even2", 32)]
    ordered = order_aligned([odd[0], even[0], odd[1], odd[2], even[1], odd[3]])

    offset = 0
    for tensor in ordered:
        assert offset % tensor.dtype.size == 0
        if tensor.size % ALIGNMENT == 0:
            assert offset % ALIGNMENT == 0
        offset += tensor.size
    assert [tensor.name for tensor in ordered[:3]] == ["even1", "even2", "bytes32"]


def test_unknown_fields_of_json_do_not_reach_the_error():
    file = safetensors_bytes({"secret-name": {"dtype": "F32", "shape": [1], "data_offsets": [0, 5]}}, bytes(5))

    with pytest.raises(ArtifactError) as caught:
        parse(file)
    assert "secret" not in caught.value.message + caught.value.hint


def test_header_of_another_length_than_given_is_refused():
    file = tensors_bytes({"a": [1]})

    with pytest.raises(ArtifactError):
        parse_header(file[:-6], len(file))
    assert json.loads(file[8:-4])
