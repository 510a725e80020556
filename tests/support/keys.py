"""Keys in clear, as Python's own bytes: for tests that compare them or search for them. The product never does this."""

from __future__ import annotations

from collections.abc import Iterable

from mohawk.artifact.keyring import Keyring
from mohawk.artifact.sealed_slice import SealedSlice, SealingContext
from mohawk.crypto.primitives import KEY_SIZE, Buffer, derive_age_into
from mohawk.host.keys import KeyProvider, open_model_key


def unwrap(keyring: Keyring, model_key: Buffer, context: SealingContext) -> bytes:
    """The data key of the slice that `context` describes."""
    out = bytearray(KEY_SIZE)
    keyring.unwrap_into(model_key, context, out)
    return bytes(out)


def keys_in_clear(provider: KeyProvider, keyring: Keyring, parts: Iterable[SealedSlice]) -> list[bytes]:
    """The model key, then the data key of each part."""
    with open_model_key(provider, keyring) as model_key:
        return [bytes(model_key.view), *(unwrap(keyring, model_key.view, part.context) for part in parts)]


def derive_age(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    out = bytearray(length)
    derive_age_into(secret, salt, info, out)
    return bytes(out)
