"""What a sealed slice file is (docs/spec/sealed-slice.md §2 and §3). Bytes in, values out; the file itself is
`host.slice_file`'s.

    magic (16) ‖ u32 header length ‖ header: the sealing context in canonical JSON ‖ commitment (32) ‖ age payload

Rules, and the attack each stops:

1. The whole sealing context is in the key derivation (`stream_info`): a header moved onto another body derives another
   key and fails at the commitment (S06), before a chunk is opened.
2. No digest in the header: one of the plaintext would let a host confirm that it holds a known model.
3. Parsing proves nothing. What is believed is the manifest's context, and the file's must equal it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from mohawk.crypto import canonical
from mohawk.crypto.primitives import sha384
from mohawk.crypto.stream import COMMITMENT_SIZE, STREAM_NONCE_SIZE, count_chunks, sealed_size
from mohawk.errors import ArtifactError
from mohawk.ids import check_digest, check_model_id
from mohawk.nouns.model import DataType, LayerRange

MAGIC = b"mohawk-slice-v1\n"
MAXIMUM_HEADER = 1024
"""Bytes of canonical JSON; the longest valid one stays below half of it."""
MAXIMUM_PREFIX = len(MAGIC) + 4 + MAXIMUM_HEADER + COMMITMENT_SIZE + STREAM_NONCE_SIZE
MAXIMUM_PLAINTEXT = 1 << 44
MAXIMUM_VERSION = (1 << 53) - 1
"""The largest integer that every JSON reader holds exactly."""
KEY_ID_SIZE = 16
_KEY_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_CONTEXT_KEYS = ("bytes", "chunks", "dtype", "key", "layers", "model", "revision", "slice", "version")


@dataclass(frozen=True, slots=True)
class SealingContext:
    """What a sealed slice says it is; every field is bound into its key. Raises RemoteError when it cannot be true."""

    model_id: str
    revision: str
    version: int
    layers: LayerRange
    dtype: DataType
    plaintext_bytes: int
    key_id: str
    """Of the data key: 16 random bytes in hexadecimal, fresh for each slice file. Not the model key's, which may
    change.
    """

    def __post_init__(self) -> None:
        check_model_id(self.model_id)
        check_digest(self.revision)
        if not 1 <= self.version <= MAXIMUM_VERSION:
            raise ArtifactError("a version must lie between 1 and 2^53 - 1")
        if not 1 <= self.plaintext_bytes <= MAXIMUM_PLAINTEXT:
            raise ArtifactError("a slice must hold between 1 byte and 16 TiB")
        if _KEY_ID.fullmatch(self.key_id) is None:
            raise ArtifactError("not a data key's id")

    @property
    def slice_id(self) -> str:
        return self.layers.slice_id

    def encode(self) -> bytes:
        """Canonical JSON; also the input of the key derivation."""
        return canonical.encode(
            {
                "bytes": self.plaintext_bytes,
                "chunks": count_chunks(self.plaintext_bytes),
                "dtype": self.dtype.value,
                "key": self.key_id,
                "layers": len(self.layers),
                "model": self.model_id,
                "revision": self.revision,
                "slice": self.slice_id,
                "version": self.version,
            }
        )

    def digest(self) -> bytes:
        """SHA-384 of the encoding: 48 bytes."""
        return sha384(self.encode())

    def stream_info(self) -> bytes:
        """The `info` of the payload key's derivation (spec §3)."""
        return b"mie-slice-v1\0" + self.digest()


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """Everything before the first chunk."""

    context: SealingContext
    commitment: bytes
    nonce: bytes

    def encode(self) -> bytes:
        context = self.context.encode()
        return MAGIC + len(context).to_bytes(4, "big") + context + self.commitment + self.nonce


@dataclass(frozen=True, slots=True)
class SealedSlice:
    """One sealed file as the manifest knows it: what is inside, and the SHA-256 (hex) of the whole file."""

    context: SealingContext
    digest: str

    def __post_init__(self) -> None:
        check_digest(self.digest)

    @property
    def slice_id(self) -> str:
        return self.context.slice_id

    @property
    def sealed_bytes(self) -> int:
        """Size of the file; follows from the context, so no second number can contradict it."""
        return prefix_size(self.context) + sealed_size(self.context.plaintext_bytes)


Run: TypeAlias = tuple[SealedSlice, ...]
"""Slices of consecutive layers, in order: what one stage is made of. From `Manifest.find_run`, so never empty."""


def run_layers(run: Run) -> LayerRange:
    """All layers of a run."""
    return LayerRange(run[0].context.layers.first, run[-1].context.layers.last)


def prefix_size(context: SealingContext) -> int:
    """Bytes before the first chunk."""
    return len(MAGIC) + 4 + len(context.encode()) + COMMITMENT_SIZE + STREAM_NONCE_SIZE


def parse_header(data: bytes) -> SliceHeader:
    """The header at the start of `data` (more bytes may follow). Raises RemoteError on anything else."""
    start = len(MAGIC) + 4
    if data[: len(MAGIC)] != MAGIC:
        raise ArtifactError("not a sealed slice of this format")
    length = int.from_bytes(data[len(MAGIC) : start], "big")
    if length > MAXIMUM_HEADER or len(data) < start + length + COMMITMENT_SIZE + STREAM_NONCE_SIZE:
        raise ArtifactError("a sealed slice with a broken header")
    commitment = start + length
    nonce = commitment + COMMITMENT_SIZE
    context = _parse_context(data[start:commitment])
    return SliceHeader(context, data[commitment:nonce], data[nonce : nonce + STREAM_NONCE_SIZE])


def _parse_context(data: bytes) -> SealingContext:
    fields = canonical.decode(data, MAXIMUM_HEADER, _CONTEXT_KEYS)
    context = SealingContext(
        model_id=fields.text("model"),
        revision=fields.text("revision"),
        version=fields.whole("version", 1, MAXIMUM_VERSION),
        layers=LayerRange.parse(fields.text("slice")),
        dtype=parse_dtype(fields.text("dtype")),
        plaintext_bytes=fields.whole("bytes", 1, MAXIMUM_PLAINTEXT),
        key_id=fields.text("key"),
    )
    if context.encode() != data:  # `chunks` and `layers` follow from the rest; another value is a lie
        raise ArtifactError("a sealing context that contradicts itself")
    return context


def parse_dtype(text: str) -> DataType:
    """A safetensors dtype name from the allow-list. Raises ArtifactError."""
    try:
        return DataType(text)
    except ValueError:
        raise ArtifactError("an element type that is not on the list") from None
