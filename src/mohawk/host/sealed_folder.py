"""A sealed model as it lies on the publisher's and the controller's disk: manifest, keyring, slices, side files.

The controller transports it and opens data keys with it; it never opens a slice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mohawk.artifact.envelope import MAXIMUM_ENVELOPE
from mohawk.artifact.keyring import MAXIMUM_KEYRING, Keyring, parse_keyring
from mohawk.artifact.manifest import Manifest
from mohawk.artifact.sealed_slice import SealedSlice
from mohawk.artifact.trust import accept_manifest, check_side_file
from mohawk.crypto.signing import PublisherPins
from mohawk.errors import NotFoundError, UsageError
from mohawk.host.files import open_regular, read_file
from mohawk.ids import parse_slice_id

MANIFEST = "manifest.json"
KEYRING = "keyring.json"
RETIRED = "keyring.retired.json"
"""A wrapped model key that is to be destroyed; there only while a change of keys is under way (spec §4.3)."""


def slice_path(folder: Path, slice_id: str) -> Path:
    """Where a slice lies. The id was matched in full, so it cannot leave the folder. Raises RemoteError."""
    parse_slice_id(slice_id)
    return folder / f"{slice_id}.sealed"


@dataclass(frozen=True, slots=True)
class SealedFolder:
    """A sealed model whose manifest its publisher signed. `envelope` is the manifest as it travels."""

    folder: Path
    envelope: bytes
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path, pins: PublisherPins) -> SealedFolder:
        """Raises UntrustedArtifactError (another publisher), ArtifactError (broken), HostError, UsageError (no sealed
        model there)."""
        if not (folder / MANIFEST).exists():
            raise UsageError(f"{folder} holds no sealed model", hint="seal one with `mohawk model seal`")
        envelope = read_file(folder / MANIFEST, MAXIMUM_ENVELOPE)
        return cls(folder, envelope, accept_manifest(envelope, pins, {}))

    def keyring(self) -> Keyring:
        """Raises NotFoundError where there is none: without it the slices are garbage."""
        if not (self.folder / KEYRING).exists():
            raise NotFoundError(
                "this sealed model has no keyring: nothing opens its slices",
                hint=f"its key was destroyed, or {KEYRING} was not copied along",
            )
        return parse_keyring(read_file(self.folder / KEYRING, MAXIMUM_KEYRING))

    def side_files(self) -> dict[str, bytes]:
        """The plain files, each equal to what was signed. Raises ArtifactError."""
        files = {}
        for entry in self.manifest.files:
            files[entry.name] = read_file(self.folder / entry.name, entry.size)
            check_side_file(self.manifest, entry.name, files[entry.name])
        return files

    @contextmanager
    def open_slice_file(self, part: SealedSlice) -> Iterator[int]:
        """A descriptor of the sealed bytes, to send them. Whether they are right is for the receiver to find."""
        with open_regular(slice_path(self.folder, part.slice_id)) as descriptor:
            yield descriptor
