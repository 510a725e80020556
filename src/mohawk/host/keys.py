"""Key providers: who keeps the model key while the machine is off.

A provider wraps the model key (32 bytes) into a blob that lies in the keyring beside the slices, and unwraps it again.
Each says in plain words what it protects and what it does not; status and documentation repeat that sentence.

Rules, and the attack each stops:

1. Secrets come from files that only their owner may read, never from an argument (`ps` shows those).
2. They are read into, and keys are opened into, memory that is locked and overwritten after use (`host.memory`): no key
   in swap or in a core file (S18).
3. A blob is bounded before it costs anything: its size, and the passphrase's cost, come from a file.
4. `destroy` promises only what it can do. A copy of a keyring beside a copy of its secret opens for ever.
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
    derive_from_passphrase_into,
    derive_into,
    random_bytes,
)
from mohawk.errors import ArtifactError, HostError, RemoteError, UsageError
from mohawk.host.files import open_regular, require_private, sync_folder, translate_errors, write_at
from mohawk.host.memory import SecretBytes

if TYPE_CHECKING:
    from pathlib import Path

    from mohawk.artifact.keyring import Keyring
    from mohawk.crypto.primitives import Buffer

_SALT_SIZE = 32
_HEAD_SIZE = 1 + _SALT_SIZE
_BLOB_SIZE = _HEAD_SIZE + KEY_SIZE + TAG_SIZE
_NONCE = bytes(NONCE_SIZE)  # each wrapping key is derived with a fresh salt and seals once
_SHORTEST_PASSPHRASE = 12
_LONGEST_PASSPHRASE = 1024


class KeyProvider(Protocol):
    """Wraps and unwraps model keys, and forgets them; nothing else."""

    @property
    def name(self) -> str:
        """As the keyring stores it, for example `key-file`."""

    def describe(self) -> str:
        """One honest sentence: what this protects, and what not."""

    def wrap(self, key: Buffer) -> bytes:
        """A blob for the keyring."""

    def unwrap(self, blob: bytes) -> SecretBytes:
        """The key, in memory that the caller releases.

        Raises ArtifactError (a broken blob), UsageError (another secret, or one that was destroyed), HostError (the
        secret cannot be reached), PolicyError (it must not be used as things are).
        """

    def destroy(self, blob: bytes) -> str:
        """Make what `blob` holds unreadable for ever, as far as this provider can; one honest sentence on how far.

        Twice is once: what was destroyed already is said, not refused, or a change that was cut short could never be
        finished. Raises like `unwrap`; UsageError where somebody else holds it, for then it is not gone.
        """


class PassphraseFile:
    """The model key under a passphrase (scrypt), read from a 0600 file at each use and not kept."""

    name = "passphrase-file"

    def __init__(self, path: Path) -> None:
        self._path = path

    @staticmethod
    def describe() -> str:
        return (
            "Protects slices and keyring from whoever lacks the passphrase, as well as that is hard to guess; "
            "not from whoever can read the passphrase file on this host."
        )

    def wrap(self, key: Buffer) -> bytes:
        """Cost (1 byte: log2 of scrypt's N) ‖ salt (32) ‖ sealed key (48)."""
        head = bytes([SCRYPT_MINIMUM_LOG2]) + random_bytes(_SALT_SIZE)
        return head + self._aead(head).seal(_NONCE, key, head)

    def unwrap(self, blob: bytes) -> SecretBytes:
        head, sealed = _split(blob)
        return _open(self._aead(head), sealed, head, "this passphrase does not open the keyring")

    def destroy(self, blob: bytes) -> str:
        _split(blob)
        return (
            "Nothing but this keyring can be destroyed: whoever has a copy of it and the passphrase opens the slices."
        )

    def _aead(self, head: bytes) -> AeadKey:
        with _read_secret(self._path, _LONGEST_PASSPHRASE) as file, SecretBytes(KEY_SIZE) as key:
            passphrase = _without_line_end(file.view)
            if len(passphrase) < _SHORTEST_PASSPHRASE:
                raise UsageError("a passphrase of less than 12 bytes", hint="use six random words or more")
            derive_from_passphrase_into(passphrase, head[1:], head[0], key.view)
            return AeadKey(key.view)


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
            with SecretBytes.random(KEY_SIZE) as secret:
                write_at(descriptor, secret.view, 0)
            os.fsync(descriptor)
            sync_folder(path.parent)
        return cls(path)

    @staticmethod
    def describe() -> str:
        return "Protects copied slices, not this host: whoever can read the key file here can open them."

    def wrap(self, key: Buffer) -> bytes:
        """0 (1 byte) ‖ salt (32) ‖ sealed key (48): the layout of `PassphraseFile`, without a cost."""
        head = bytes(1) + random_bytes(_SALT_SIZE)
        return head + self._aead(head).seal(_NONCE, key, head)

    def unwrap(self, blob: bytes) -> SecretBytes:
        head, sealed = _split(blob)
        return _open(self._aead(head), sealed, head, "this key file does not open the keyring")

    def destroy(self, blob: bytes) -> str:
        """The file stays: other models' keys are wrapped under it too."""
        _split(blob)
        return (
            "The key file is shared with other models and was kept: "
            "whoever has a copy of this keyring and of the key file opens the slices."
        )

    def _aead(self, head: bytes) -> AeadKey:
        with _read_secret(self._path, KEY_SIZE) as secret, SecretBytes(KEY_SIZE) as key:
            if len(secret.view) != KEY_SIZE:
                raise HostError("a key file of the wrong size", hint="restore it from its backup")
            derive_into(secret.view, head[1:], b"mie-key-file-v1", key.view)
            return AeadKey(key.view)


def open_model_key(provider: KeyProvider, keyring: Keyring) -> SecretBytes:
    """The model key of `keyring`, in memory that the caller releases. Raises like `require_keeper` and `unwrap`."""
    require_keeper(provider, keyring)
    return provider.unwrap(keyring.model_key)


def require_keeper(provider: KeyProvider, keyring: Keyring) -> None:
    """Raise UsageError unless `keyring` was wrapped by a provider of this kind: another one would only say that the
    blob is broken.
    """
    if provider.name != keyring.provider:
        raise UsageError(
            f"this model's key is kept by {keyring.provider}, not by {provider.name}",
            hint="say where with --key, or in MIE_KEY_PROVIDER",
        )


def _split(blob: bytes) -> tuple[bytes, bytes]:
    """Head and sealed key. Raises ArtifactError."""
    if len(blob) != _BLOB_SIZE:
        raise ArtifactError("a wrapped model key of the wrong size")
    return blob[:_HEAD_SIZE], blob[_HEAD_SIZE:]


def _open(aead: AeadKey, sealed: bytes, head: bytes, refusal: str) -> SecretBytes:
    key = SecretBytes(KEY_SIZE)
    try:
        aead.open_into(_NONCE, sealed, head, key.view)
    except RemoteError:
        raise UsageError(refusal, hint="it was sealed with another secret, or the keyring was altered") from None
    return key


def _read_secret(path: Path, limit: int) -> SecretBytes:
    """All of a file that only we may read, never as bytes of Python's own. Raises HostError, PolicyError."""
    with open_regular(path) as descriptor, translate_errors("reading a secret file"):
        require_private(descriptor)
        size = os.fstat(descriptor).st_size
        if not 1 <= size <= limit:
            raise HostError("a secret file that is empty or beyond its size limit")
        secret = SecretBytes(size)
        if os.preadv(descriptor, [secret.view], 0) != size:
            raise HostError("a secret file became shorter while it was read")
        return secret


def _without_line_end(text: memoryview) -> memoryview:
    end = len(text)
    while end and text[end - 1] in b"\r\n":
        end -= 1
    return text[:end]
