"""From a model folder to a sealed model: plan, cut, seal, sign. Needs neither torch nor the memory to hold the model.

    checkpoint.reader -> planning -> checkpoint.slicer -> host.slice_file -> artifact.manifest -> signature

The folder it writes: `slice_<first>_<last>.sealed` per slice, the plain side files, `keyring.json`, and `manifest.json`
last, so that a folder with a manifest is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mohawk.artifact.keyring import SALT_SIZE, Keyring, WrappedKey, wrap_data_key
from mohawk.artifact.manifest import Manifest, SideFile
from mohawk.artifact.sealed_slice import KEY_ID_SIZE, SealedSlice, SealingContext
from mohawk.artifact.trust import sign_manifest
from mohawk.checkpoint.reader import read_side_files
from mohawk.checkpoint.slicer import SliceSource
from mohawk.crypto.primitives import KEY_SIZE, random_bytes
from mohawk.crypto.signing import PublisherKey
from mohawk.host.files import make_private_folder, write_file
from mohawk.host.keys import KeyProvider
from mohawk.host.memory import SecretBytes
from mohawk.host.sealed_folder import KEYRING, MANIFEST, slice_path
from mohawk.host.slice_file import seal_slice
from mohawk.nouns.model import LayerRange, ModelCard

_BLOCK = 1 << 20
Progress = Callable[[int, int], None]
"""Told the bytes sealed so far, and the bytes in all."""


@dataclass(frozen=True, slots=True)
class Publication:
    """What to seal, and with whose keys."""

    source: Path
    card: ModelCard
    version: int
    publisher: PublisherKey
    provider: KeyProvider


def seal_model(
    publication: Publication,
    ranges: tuple[LayerRange, ...],
    target: Path,
    progress: Progress,
) -> Manifest:
    """Write the sealed model into `target`, one slice per range. Raises ArtifactError, HostError, UsageError."""
    make_private_folder(target)
    (target / MANIFEST).unlink(missing_ok=True)  # until everything else is new, this folder is not a whole model
    sources = [SliceSource(publication.source, publication.card, layers) for layers in ranges]
    provider = publication.provider
    with SecretBytes.random(KEY_SIZE) as model_key:
        blob = provider.wrap(model_key.view)  # first: a token that refuses its PIN does so before gigabytes are sealed
        try:
            slices, keys = _seal_all(publication, sources, target, model_key, progress)
            manifest = _manifest(publication, slices, _copy_side_files(publication.source, target))
        except BaseException:
            provider.destroy(blob)
            raise
    write_file(target / KEYRING, Keyring(provider.name, blob, keys).encode())
    write_file(target / MANIFEST, sign_manifest(manifest, publication.publisher))
    return manifest


def _seal_all(
    publication: Publication, sources: list[SliceSource], target: Path, model_key: SecretBytes, progress: Progress
) -> tuple[tuple[SealedSlice, ...], tuple[WrappedKey, ...]]:
    total, before = sum(source.size for source in sources), 0
    slices, keys = [], []
    for source in sources:
        context = _context(publication, source)
        wrapped, sealed = _seal(target, context, source, model_key, _continue(progress, before, total))
        slices.append(sealed)
        keys.append(wrapped)
        before += source.size
    return tuple(slices), tuple(keys)


def _continue(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    """One slice's progress as progress of the whole."""
    return lambda done: progress(before + done, total)


def _context(publication: Publication, source: SliceSource) -> SealingContext:
    card = publication.card
    return SealingContext(
        model_id=card.model_id,
        revision=card.revision,
        version=publication.version,
        layers=source.layers,
        dtype=card.dtype,
        plaintext_bytes=source.size,
        key_id=random_bytes(KEY_ID_SIZE).hex(),
    )


def _seal(
    target: Path, context: SealingContext, source: SliceSource, model_key: SecretBytes, progress: Callable[[int], None]
) -> tuple[WrappedKey, SealedSlice]:
    """A fresh data key per file: never two files under one key."""
    with SecretBytes.random(KEY_SIZE) as data_key:
        path = slice_path(target, context.slice_id)
        sealed = seal_slice(path, context, data_key.view, source.chunks(_BLOCK), progress)
        return wrap_data_key(model_key.view, data_key.view, context, random_bytes(SALT_SIZE)), sealed


def _copy_side_files(source: Path, target: Path) -> tuple[SideFile, ...]:
    files = read_side_files(source)
    for name, data in files.items():
        write_file(target / name, data)
    return tuple(SideFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in sorted(files.items()))


def _manifest(publication: Publication, slices: tuple[SealedSlice, ...], files: tuple[SideFile, ...]) -> Manifest:
    card = publication.card
    return Manifest(
        model_id=card.model_id,
        revision=card.revision,
        version=publication.version,
        family=card.family,
        layers=card.layers,
        dtype=card.dtype,
        slices=slices,
        files=files,
    )
