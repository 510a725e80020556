"""The one door through which a model becomes trusted. Order matters; each step stops an attack and the next relies on
it.

1. Both signatures under the pinned publisher keys: nobody else's model is run (C01).
2. The manifest parses, and its slices hold each layer exactly once (S08).
3. Its version is not below the highest one seen: an old, correctly signed model does not come back (S07).

What comes after needs the file: `host.slice_file.open_slice` (header, commitment, chunks, digest) and
`check_side_file`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mohawk.artifact.envelope import sign_envelope, verify_envelope
from mohawk.artifact.manifest import Manifest, SideFile, parse_manifest
from mohawk.crypto.primitives import require_equal, sha256
from mohawk.errors import ArtifactError, UntrustedArtifactError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mohawk.crypto.signing import PublisherKey, PublisherPins


def sign_manifest(manifest: Manifest, key: PublisherKey) -> bytes:
    """The envelope (`manifest.json`) for workers who pin `key`. Raises ArtifactError when it would be too large."""
    return sign_envelope(manifest.encode(), key)


def accept_manifest(envelope: bytes, pins: PublisherPins, seen_versions: Mapping[str, int]) -> Manifest:
    """The manifest in `envelope`, once it may be believed. `seen_versions`: highest accepted version by model id.

    A mapping and not one number, because the model's id is itself only believed after the signature. The caller
    remembers the version (`host.slice_store.remember_version`) before it loads anything.

    Raises UntrustedArtifactError: not signed by the pinned publisher, or older than one already seen. ArtifactError:
    broken.
    """
    manifest = parse_manifest(verify_envelope(envelope, pins))
    if manifest.version < seen_versions.get(manifest.model_id, 0):
        raise UntrustedArtifactError(
            "this manifest is older than one already accepted", hint="publish the model again with a higher version"
        )
    return manifest


def check_side_file(manifest: Manifest, name: str, data: bytes) -> None:
    """Raise ArtifactError unless `data` is the file that the publisher signed under `name` (C05)."""
    check_file(manifest.find_file(name), data)


def check_file(file: SideFile, data: bytes) -> None:
    """Raise ArtifactError unless `data` is this file of an accepted manifest."""
    error = ArtifactError("a side file differs from the one its publisher signed", hint="fetch the model again")
    require_equal(sha256(data), bytes.fromhex(file.digest), error)
