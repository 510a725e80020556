"""S12: a safetensors header with a duplicate key, a hole, an overlap, an overflow, or an unknown type.

Expected: each refused with ArtifactError, alone and inside a model folder.
Defence: mohawk/artifact/tensor_file.py:parse_header (contiguity), _parse_record (length, type) and
mohawk/artifact/strict_json.py:_refuse_repeated_keys; removed, bytes hide in a hole, two tensors share memory, a
tensor reads beyond the file, or the last of two keys wins where another reader takes the first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mohawk.artifact.tensor_file import header_size, parse_header
from mohawk.checkpoint.reader import read_card
from mohawk.errors import ArtifactError
from tests.support.folders import safetensors_bytes, write_folder


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


ATTACKS: dict[str, tuple[object, int]] = {
    "duplicate key": (
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        4,
    ),
    "duplicate field": (b'{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    "hole": ({"a": entry(0, 4, [1]), "b": entry(8, 12, [1])}, 12),
    "hole at the start": ({"a": entry(4, 8, [1])}, 8),
    "overlap": ({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, 12),
    "two names for the same bytes": ({"a": entry(0, 4, [1]), "b": entry(0, 4, [1])}, 4),
    "data behind the end": ({"a": entry(0, 4, [1])}, 8),
    "tensor beyond the file": ({"a": entry(0, 8, [2])}, 4),
    "backwards": ({"a": entry(4, 0, [1])}, 4),
    "negative": ({"a": entry(-4, 0, [1])}, 4),
    "shape and length disagree": ({"a": entry(0, 8, [1])}, 8),
    "product overflows 64 bits to 4": ({"a": entry(0, 4, [1 << 32, 1 << 32, 1])}, 4),
    "product wraps to the length": ({"a": entry(0, 16, [(1 << 62) + 4])}, 16),
    "huge dimension times zero": ({"a": entry(0, 0, [1 << 63, 0])}, 0),
    "many dimensions": ({"a": entry(0, 4, [1] * 1000)}, 4),
    "8-bit integers": ({"a": entry(0, 4, [4], "I8")}, 4),
    "float64": ({"a": entry(0, 8, [1], "F64")}, 8),
    "unknown type": ({"a": entry(0, 4, [1], "X99")}, 4),
    "type of another case": ({"a": entry(0, 4, [1], "f32")}, 4),
    "no tensor at all": ({}, 0),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_the_layout_is_refused(name: str):
    header, size = ATTACKS[name]
    file = safetensors_bytes(header, bytes(size))

    with pytest.raises(ArtifactError):
        parse_header(file[: header_size(file[:8], len(file))], len(file))


def test_a_model_folder_with_such_a_file_is_refused(tmp_path: Path):
    folder = write_folder(tmp_path / "m")
    for header, size in ATTACKS.values():
        (folder / "model.safetensors").write_bytes(safetensors_bytes(header, bytes(size)))
        with pytest.raises(ArtifactError):
            read_card(folder)
