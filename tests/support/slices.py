"""Small sealed models for tests: real keys, real files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mohawk.artifact.manifest import Manifest, SideFile
from mohawk.artifact.sealed_slice import SealedSlice, SealingContext
from mohawk.crypto.stream import CHUNK_SIZE
from mohawk.host.slice_file import open_slice, seal_slice
from mohawk.nouns.model import DataType, LayerRange

if TYPE_CHECKING:
    from pathlib import Path

REVISION = "ab" * 32
SIDE_FILES = {"config.json": b'{"model_type":"llama"}', "tokenizer.json": b"{}"}
DATA_KEY = bytes(range(32))
SIZE = 3 * CHUNK_SIZE + 1000
"""Three full chunks and a short one."""


def make_context(first: int = 0, last: int = 7, size: int = SIZE, version: int = 1) -> SealingContext:
    """Its key id follows from layers and version, so that no two slices share one."""
    key_id = hashlib.sha256(b"%d %d %d" % (first, last, version)).hexdigest()[:32]
    return SealingContext("tiny", REVISION, version, LayerRange(first, last), DataType.BFLOAT16, size, key_id)


def make_plaintext(size: int = SIZE, seed: bytes = b"weights") -> bytes:
    return hashlib.shake_256(seed).digest(size)


def seal_to_file(path: Path, context: SealingContext, plaintext: bytes, data_key: bytes = DATA_KEY) -> SealedSlice:
    return seal_slice(path, context, data_key, iter([plaintext]), lambda done: None)


def open_from_file(path: Path, expected: SealedSlice, data_key: bytes = DATA_KEY) -> bytes:
    buffer = bytearray(expected.context.plaintext_bytes)
    open_slice(path, expected, data_key, memoryview(buffer))
    return bytes(buffer)


def as_signed(part: SealedSlice, sealed: bytes) -> SealedSlice:
    """`part` as if the publisher had signed the digest of `sealed`: takes the digest's defence away, to test the
    others.
    """
    return SealedSlice(part.context, hashlib.sha256(sealed).hexdigest())


def make_manifest(parts: tuple[tuple[int, int], ...] = ((0, 3), (4, 7)), version: int = 1) -> Manifest:
    """Slices that exist on paper only."""
    slices = tuple(
        SealedSlice(make_context(*part, version=version), hashlib.sha256(repr(part).encode()).hexdigest())
        for part in parts
    )
    files = tuple(
        SideFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in sorted(SIDE_FILES.items())
    )
    return Manifest("tiny", REVISION, version, "llama", parts[-1][1] + 1, DataType.BFLOAT16, slices, files)


def names(folder: Path) -> list[str]:
    """Of everything in `folder`, sorted."""
    return sorted(path.name for path in folder.iterdir())
