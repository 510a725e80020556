"""S13: a pickle, a zip (PyTorch, npz), a numpy file or a GGUF renamed to `model.safetensors`.

Expected: refused with exit code 5, and the payload (a canary that would create a file) never runs.
Defence: mohawk/artifact/tensor_file.py:header_size; its table of first bytes removed, the kinds are no longer named, and the
length's limits still refuse them. What really stops the canary is that nothing unpickles: with a fallback to unpickling put
into mohawk/checkpoint/reader.py:read_tensors, it runs. reader.py:_refuse_unsupported_files removed, a folder with pickled
weights alone is called broken, without a word about why and what to do.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from mohawk.checkpoint.reader import read_card
from mohawk.errors import ArtifactError, UnsupportedModelError
from tests.support.folders import write_folder


def canary(path: Path, protocol: int) -> bytes:
    """A pickle that creates `path` when it is loaded, written by its opcodes: no class of ours is needed to attack."""
    target = str(path).encode()
    body = b"cbuiltins\nopen\n(V" + target + b"\nVw\ntR."
    return (bytes((0x80, protocol)) if protocol >= 2 else b"") + body


def as_zip(payload: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
    return buffer.getvalue()


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize("wrap", ["pickle", "zip"])
def test_a_renamed_pickle_is_refused_and_does_not_run(tmp_path: Path, protocol: int, wrap: str):
    trace = tmp_path / "canary"
    payload = canary(trace, protocol)
    folder = write_folder(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(payload if wrap == "pickle" else as_zip(payload))

    with pytest.raises(ArtifactError) as caught:
        read_card(folder)
    assert caught.value.exit_code == 5
    if protocol >= 2 or wrap == "zip":
        assert wrap in caught.value.message
        assert caught.value.hint
    assert not trace.exists()


@pytest.mark.parametrize("start", [b"GGUF\x03\x00\x00\x00", b"\x93NUMPY\x01\x00", b"PK\x05\x06" + b"\xff" * 18])
def test_other_formats_are_named(tmp_path: Path, start: bytes):
    folder = write_folder(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(start + bytes(200))

    with pytest.raises(ArtifactError, match="named as a safetensors file"):
        read_card(folder)


def test_a_shard_that_is_a_pickle_is_refused(tmp_path: Path):
    folder = write_folder(tmp_path / "m", shards=2)
    (folder / "model-00002-of-00002.safetensors").write_bytes(canary(tmp_path / "canary", 4))

    with pytest.raises(ArtifactError):
        read_card(folder)
    assert not (tmp_path / "canary").exists()


def test_pickled_weights_alone_are_refused_by_policy(tmp_path: Path):
    folder = write_folder(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(canary(tmp_path / "canary", 2))

    with pytest.raises(UnsupportedModelError) as caught:
        read_card(folder)
    assert caught.value.exit_code == 5
    assert "pickle" in caught.value.hint
    assert not (tmp_path / "canary").exists()
