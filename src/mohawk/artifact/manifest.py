"""The manifest: what a sealed model consists of, signed by its publisher (docs/spec/sealed-slice.md §5).

It holds facts that do not depend on where or how the model is computed. A worker builds its stage from these files and
slices only, so whatever is not named here has no way into a worker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mohawk.artifact.envelope import MAXIMUM_ENVELOPE
from mohawk.artifact.sealed_slice import (
    MAXIMUM_PLAINTEXT,
    MAXIMUM_VERSION,
    Run,
    SealedSlice,
    SealingContext,
    parse_dtype,
)
from mohawk.crypto import canonical
from mohawk.crypto.canonical import Fields, Json
from mohawk.errors import ArtifactError
from mohawk.ids import check_digest, check_model_id
from mohawk.nouns.model import MAXIMUM_LAYERS, DataType, LayerRange, check_partition
from mohawk.nouns.plan import SliceSize

MAXIMUM_SLICES = 512
REQUIRED_FILES = ("config.json", "tokenizer.json")
SIDE_FILES: Mapping[str, int] = MappingProxyType(
    {
        "config.json": 1 << 20,
        "generation_config.json": 1 << 20,
        "tokenizer.json": 64 << 20,  # tokenizers of 250 000 entries take half of it
        "tokenizer_config.json": 8 << 20,
        "chat_template.jinja": 1 << 20,
    }
)
"""The only plain files of a model, with the most bytes of each; a name outside this list is refused, so that none can
point elsewhere.
"""

_FORMAT = "mohawk-manifest-v1"
_KEYS = ("dtype", "family", "files", "format", "layers", "model", "revision", "slices", "version")
_SLICE_KEYS = ("bytes", "digest", "key", "slice")
_FILE_KEYS = ("bytes", "digest", "name")
_FAMILY = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SideFile:
    """A plain file beside the slices, with its size in bytes and its SHA-256 in hexadecimal."""

    name: str
    size: int
    digest: str

    def __post_init__(self) -> None:
        if self.name not in SIDE_FILES:
            raise ArtifactError("a side file that is not on the list")
        if not 0 <= self.size <= SIDE_FILES[self.name]:
            raise ArtifactError("a side file beyond its limit")
        check_digest(self.digest)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole sealed model; valid by construction, trusted only as the result of `trust.accept_manifest`.

    `slices` are in layer order and hold each layer once (S08); `files` are sorted by name. Raises RemoteError
    otherwise.
    """

    model_id: str
    revision: str
    version: int
    """Grows with every publication; a worker never goes back (S07)."""
    family: str
    layers: int
    dtype: DataType
    slices: tuple[SealedSlice, ...]
    files: tuple[SideFile, ...]

    def __post_init__(self) -> None:
        check_model_id(self.model_id)
        check_digest(self.revision)
        if _FAMILY.fullmatch(self.family) is None:
            raise ArtifactError("not a model family's name")
        if not 1 <= self.layers <= MAXIMUM_LAYERS or not 1 <= len(self.slices) <= MAXIMUM_SLICES:
            raise ArtifactError("more layers or slices than any model has")
        check_partition(tuple(part.context.layers for part in self.slices), self.layers)
        self._check_slices()
        names = [file.name for file in self.files]
        if names != sorted(set(names)) or not set(REQUIRED_FILES) <= set(names):
            raise ArtifactError("side files missing, repeated or out of order")

    def _check_slices(self) -> None:
        common = (self.model_id, self.revision, self.version, self.dtype)
        for context in (part.context for part in self.slices):
            if (context.model_id, context.revision, context.version, context.dtype) != common:
                raise ArtifactError("a slice of another model, revision, version or element type")
        for distinct in ({part.digest for part in self.slices}, {part.context.key_id for part in self.slices}):
            if len(distinct) != len(self.slices):
                raise ArtifactError("two slices under one data key or digest")

    def find_slice(self, slice_id: str) -> SealedSlice:
        """Raises ArtifactError when the manifest has no such slice."""
        for part in self.slices:
            if part.slice_id == slice_id:
                return part
        raise ArtifactError("the manifest names no such slice")

    def find_file(self, name: str) -> SideFile:
        """Raises ArtifactError when the manifest has no such file."""
        for file in self.files:
            if file.name == name:
                return file
        raise ArtifactError("the manifest names no such side file")

    def find_run(self, layers: LayerRange) -> Run:
        """The slices that together hold exactly `layers`, in order. Raises ArtifactError when some slice holds layers
        within and without.
        """
        run = tuple(part for part in self.slices if part.context.layers.first in layers)
        if not run or (run[0].context.layers.first, run[-1].context.layers.last) != (layers.first, layers.last):
            raise ArtifactError("no run of the manifest's slices holds just these layers")
        return run

    def sizes(self) -> tuple[SliceSize, ...]:
        """Of the slices, as a planner needs them."""
        return tuple(SliceSize(part.context.layers, part.context.plaintext_bytes) for part in self.slices)

    def encode(self) -> bytes:
        """The payload that a publisher signs."""
        slices: list[Json] = [_encode_slice(part) for part in self.slices]
        files: list[Json] = [{"bytes": file.size, "digest": file.digest, "name": file.name} for file in self.files]
        return canonical.encode(
            {
                "dtype": self.dtype.value,
                "family": self.family,
                "files": files,
                "format": _FORMAT,
                "layers": self.layers,
                "model": self.model_id,
                "revision": self.revision,
                "slices": slices,
                "version": self.version,
            }
        )


def parse_manifest(payload: bytes) -> Manifest:
    """For `trust` only: it proves nothing about who wrote `payload`. Raises RemoteError on anything but a manifest."""
    fields = canonical.decode(payload, MAXIMUM_ENVELOPE, _KEYS)
    fields.require("format", _FORMAT)
    model_id, revision = fields.text("model"), fields.text("revision")
    version = fields.whole("version", 1, MAXIMUM_VERSION)
    dtype = parse_dtype(fields.text("dtype"))

    def parse_slice(part: Fields) -> SealedSlice:
        layers = LayerRange.parse(part.text("slice"))
        size = part.whole("bytes", 1, MAXIMUM_PLAINTEXT)
        context = SealingContext(model_id, revision, version, layers, dtype, size, part.text("key"))
        return SealedSlice(context, part.text("digest"))

    return Manifest(
        model_id=model_id,
        revision=revision,
        version=version,
        family=fields.text("family"),
        layers=fields.whole("layers", 1, MAXIMUM_LAYERS),
        dtype=dtype,
        slices=tuple(parse_slice(part) for part in fields.items("slices", MAXIMUM_SLICES, _SLICE_KEYS)),
        files=tuple(_parse_file(part) for part in fields.items("files", len(SIDE_FILES), _FILE_KEYS)),
    )


def _parse_file(part: Fields) -> SideFile:
    return SideFile(part.text("name"), part.whole("bytes", 0, max(SIDE_FILES.values())), part.text("digest"))


def _encode_slice(part: SealedSlice) -> dict[str, Json]:
    """Only what differs between slices; sealed size and chunk count follow from it."""
    context = part.context
    return {
        "bytes": context.plaintext_bytes,
        "digest": part.digest,
        "key": context.key_id,
        "slice": part.slice_id,
    }
