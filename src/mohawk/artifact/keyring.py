"""The keyring: data keys wrapped by the model key, and the model key wrapped by a key provider (spec §4). Lies beside
the slices.

    key provider (passphrase, key file, …) -> model key -> one data key per slice file

Rules, and the attack each stops:

1. Keys are not in the slices: a new model key or provider re-wraps some hundred bytes, and no slice changes its
   address.
2. Each wrapping key is derived with 32 fresh random bytes and used once, so its nonce can be constant (nonce reuse).
3. The derivation binds the data key's id and the sealing context: a wrapped key moved to another slice does not unwrap.
4. A keyring needs no signature: a forged data key fails at its slice's commitment, and the slices' digests are signed.
5. Keys are opened into buffers of the caller's, and derived ones are overwritten here: bytes could not be (S18).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mohawk.artifact.manifest import MAXIMUM_SLICES
from mohawk.artifact.sealed_slice import SealingContext
from mohawk.crypto import canonical
from mohawk.crypto.canonical import Json
from mohawk.crypto.primitives import KEY_SIZE, NONCE_SIZE, TAG_SIZE, AeadKey, Buffer, derive_into, overwrite
from mohawk.errors import ArtifactError, RemoteError

SALT_SIZE = 32
MAXIMUM_KEYRING = 256 * 1024
MAXIMUM_BLOB = 4096
"""A model key as its provider wrapped it; a TPM's or a token's blob is the largest to come."""
_FORMAT = "mohawk-keyring-v1"
_PROVIDER = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_HEX_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_KEY_FIELDS = ("key", "salt", "wrapped")
_NONCE = bytes(NONCE_SIZE)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """One data key (32 bytes), readable only with the model key and under its own sealing context."""

    key_id: str
    salt: bytes
    wrapped: bytes

    def __post_init__(self) -> None:
        if _HEX_ID.fullmatch(self.key_id) is None or len(self.salt) != SALT_SIZE:
            raise ArtifactError("a wrapped key with a broken id or salt")
        if len(self.wrapped) != KEY_SIZE + TAG_SIZE:
            raise ArtifactError("a wrapped key of the wrong size")


@dataclass(frozen=True, slots=True)
class Keyring:
    """`provider` names the key provider that wrapped the model key into `model_key`."""

    provider: str
    model_key: bytes
    data_keys: tuple[WrappedKey, ...]

    def __post_init__(self) -> None:
        if _PROVIDER.fullmatch(self.provider) is None or not 1 <= len(self.model_key) <= MAXIMUM_BLOB:
            raise ArtifactError("a keyring with a broken model key")
        ids = {entry.key_id for entry in self.data_keys}
        if len(self.data_keys) > MAXIMUM_SLICES or len(ids) != len(self.data_keys):
            raise ArtifactError("a keyring with too many or repeated data keys")

    def unwrap_into(self, model_key: Buffer, context: SealingContext, out: Buffer) -> None:
        """Write the data key of the slice that `context` describes into `out` (32 bytes).

        Raises ArtifactError: no such key, another model key, or a key that belongs to another slice.
        """
        found = [entry for entry in self.data_keys if entry.key_id == context.key_id]
        if not found:
            raise ArtifactError("the keyring holds no key for this slice")
        _unwrap_into(found[0], model_key, context, out)

    def encode(self) -> bytes:
        keys: list[Json] = [
            {"key": entry.key_id, "salt": entry.salt, "wrapped": entry.wrapped} for entry in self.data_keys
        ]
        return canonical.encode(
            {"data_keys": keys, "format": _FORMAT, "model_key": self.model_key, "provider": self.provider}
        )


def parse_keyring(data: bytes) -> Keyring:
    """Raises ArtifactError on anything but a keyring."""
    fields = canonical.decode(data, MAXIMUM_KEYRING, ("data_keys", "format", "model_key", "provider"))
    fields.require("format", _FORMAT)
    keys = tuple(
        WrappedKey(entry.text("key"), entry.blob("salt", SALT_SIZE), entry.blob("wrapped", KEY_SIZE + TAG_SIZE))
        for entry in fields.items("data_keys", MAXIMUM_SLICES, _KEY_FIELDS)
    )
    return Keyring(fields.text("provider"), fields.blob("model_key", MAXIMUM_BLOB), keys)


def wrap_data_key(model_key: Buffer, data_key: Buffer, context: SealingContext, salt: bytes) -> WrappedKey:
    """Wrap `data_key` (32 bytes) for the slice of `context`. `salt`: 32 bytes, random, never used before."""
    wrapped = _wrapping_key(model_key, salt, context).seal(_NONCE, data_key, b"")
    return WrappedKey(context.key_id, salt, wrapped)


def _unwrap_into(entry: WrappedKey, model_key: Buffer, context: SealingContext, out: Buffer) -> None:
    try:
        _wrapping_key(model_key, entry.salt, context).open_into(_NONCE, entry.wrapped, b"", out)
    except RemoteError:
        raise ArtifactError(
            "a data key that this model key does not open", hint="the keyring belongs to another model or was altered"
        ) from None


def _wrapping_key(model_key: Buffer, salt: bytes, context: SealingContext) -> AeadKey:
    info = b"mie-data-key-v1\0" + context.key_id.encode("ascii") + b"\0" + context.digest()
    key = bytearray(KEY_SIZE)
    derive_into(model_key, salt, info, key)
    try:
        return AeadKey(key)
    finally:
        overwrite(key)
