"""Key providers: who keeps the model key while the machine is off.

A provider wraps the model key (32 bytes) into a blob that lies in the keyring beside the slices, and unwraps it again.
Each says in plain words what it protects and what it does not; status and documentation repeat that sentence.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from mohawk.crypto.primitives import (
    KEY_SIZE,
    NONCE_SIZE,
    SCRYPT_MINIMUM_LOG2,
    TAG_SIZE,
    AeadKey,
    derive,
    derive_from_passphrase,
    random_bytes,
)
from mohawk.errors import ArtifactError, HostError, RemoteError, UsageError
from mohawk.host.files import open_regular, read_file, sync_folder, translate_errors, write_at

if TYPE_CHECKING:
    from pathlib import Path

_SALT_SIZE = 32
_BLOB_SIZE = 1 + _SALT_SIZE + KEY_SIZE + TAG_SIZE
_NONCE = bytes(NONCE_SIZE)  # each wrapping key is derived with a fresh salt and seals once
_SHORTEST_PASSPHRASE = 12
_LONGEST_PASSPHRASE = 1024


class KeyProvider(Protocol):
    """Wraps and unwraps a model key; nothing else."""

    @property
    def name(self) -> str:
        """As the keyring stores it, for example `key-file`."""

    def describe(self) -> str:
        """One honest sentence: what this protects, and what not."""

    def wrap(self, key: bytes) -> bytes:
        """A blob for the keyring."""

    def unwrap(self, blob: bytes) -> bytes:
        """The key. Raises ArtifactError (a broken blob), UsageError (another secret), HostError (the secret cannot be
        read).
        """


class PassphraseFile:
    """The model key under a passphrase (scrypt), read from a 0600 file at each use and not kept."""

    name = "passphrase-file"

    def __init__(self, path: Path) -> None:
        self._path = path

    def describe(self) -> str:
        return (
            "Protects slices and keyring from whoever lacks the passphrase, as well as that is hard to guess; "
            "not from whoever can read the passphrase file on this host."
        )

    def wrap(self, key: bytes) -> bytes:
        """Cost (1 byte: log2 of scrypt's N) ‖ salt (32) ‖ sealed key (48)."""
        head = bytes([SCRYPT_MINIMUM_LOG2]) + random_bytes(_SALT_SIZE)
        return head + self._aead(head).seal(_NONCE, key, head)

    def unwrap(self, blob: bytes) -> bytes:
        if len(blob) != _BLOB_SIZE:
            raise ArtifactError("a wrapped model key of the wrong size")
        head = blob[: 1 + _SALT_SIZE]
        return _open(self._aead(head), blob[len(head) :], head, "this passphrase does not open the keyring")

    def _aead(self, head: bytes) -> AeadKey:
        return AeadKey(derive_from_passphrase(self._read(), head[1:], head[0]))

    def _read(self) -> bytes:
        passphrase = read_file(self._path, _LONGEST_PASSPHRASE, private=True).rstrip(b"\r\n")
        if len(passphrase) < _SHORTEST_PASSPHRASE:
            raise UsageError("a passphrase of less than 12 bytes", hint="use six random words or more")
        return passphrase


class KeyFile:
    """The model key under 32 random bytes in a 0600 file, which is kept apart from the slices."""

    name = "key-file"

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def create(cls, path: Path) -> KeyFile:
        """Write a new key file. Raises HostError when there is one: overwriting it would lose what it protects."""
        new = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with open_regular(path, new) as descriptor, translate_errors("writing a key file"):
            write_at(descriptor, random_bytes(KEY_SIZE), 0)
            os.fsync(descriptor)
            sync_folder(path.parent)
        return cls(path)

    def describe(self) -> str:
        return "Protects copied slices, not this host: whoever can read the key file here can open them."

    def wrap(self, key: bytes) -> bytes:
        """0 (1 byte) ‖ salt (32) ‖ sealed key (48): the layout of `PassphraseFile`, without a cost."""
        head = bytes(1) + random_bytes(_SALT_SIZE)
        return head + self._aead(head).seal(_NONCE, key, head)

    def unwrap(self, blob: bytes) -> bytes:
        if len(blob) != _BLOB_SIZE:
            raise ArtifactError("a wrapped model key of the wrong size")
        head = blob[: 1 + _SALT_SIZE]
        return _open(self._aead(head), blob[len(head) :], head, "this key file does not open the keyring")

    def _aead(self, head: bytes) -> AeadKey:
        secret = read_file(self._path, KEY_SIZE, private=True)
        if len(secret) != KEY_SIZE:
            raise HostError("a key file of the wrong size", hint="restore it from its backup")
        return AeadKey(derive(secret, head[1:], b"mie-key-file-v1"))


def _open(aead: AeadKey, sealed: bytes, head: bytes, refusal: str) -> bytes:
    try:
        return aead.open(_NONCE, sealed, head)
    except RemoteError:
        raise UsageError(refusal, hint="it was sealed with another secret, or the keyring was altered") from None
