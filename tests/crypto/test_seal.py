"""Protects sealed keys: only the recipient, only in the stated context, and no stranger's public key breaks us."""

from __future__ import annotations

import pytest

from mohawk.crypto.seal import PUBLIC_KEY_SIZE, SEALED_OVERHEAD, RecipientKey, seal_to
from mohawk.errors import RemoteError

MESSAGE = bytes(range(32))


def test_round_trip_and_sizes() -> None:
    key = RecipientKey.generate()
    assert len(key.public_bytes()) == PUBLIC_KEY_SIZE
    sealed = seal_to(key.public_bytes(), MESSAGE, b"worker w1")
    assert len(sealed) == len(MESSAGE) + SEALED_OVERHEAD
    assert key.open(sealed, b"worker w1") == MESSAGE


def test_two_seals_share_nothing() -> None:
    key = RecipientKey.generate()
    assert seal_to(key.public_bytes(), MESSAGE, b"")[:64] != seal_to(key.public_bytes(), MESSAGE, b"")[:64]


def test_another_recipient_or_context_does_not_open() -> None:
    key = RecipientKey.generate()
    sealed = seal_to(key.public_bytes(), MESSAGE, b"worker w1")
    with pytest.raises(RemoteError):
        RecipientKey.generate().open(sealed, b"worker w1")
    with pytest.raises(RemoteError):
        key.open(sealed, b"worker w2")


@pytest.mark.parametrize("at", [0, 600, 1087, 1088, 1119, 1120, 1151, -1])
def test_altered_bytes_do_not_open(at: int) -> None:
    key = RecipientKey.generate()
    sealed = bytearray(seal_to(key.public_bytes(), MESSAGE, b""))
    sealed[at] ^= 1
    with pytest.raises(RemoteError):
        key.open(bytes(sealed), b"")


@pytest.mark.parametrize("size", [0, 1, SEALED_OVERHEAD - 1, SEALED_OVERHEAD])
def test_truncated_bytes_do_not_open(size: int) -> None:
    key = RecipientKey.generate()
    with pytest.raises(RemoteError):
        key.open(seal_to(key.public_bytes(), MESSAGE, b"")[:size], b"")


def test_share_of_small_order_does_not_open() -> None:
    key = RecipientKey.generate()
    sealed = seal_to(key.public_bytes(), MESSAGE, b"")
    with pytest.raises(RemoteError):
        key.open(sealed[:1088] + bytes(32) + sealed[1120:], b"")


@pytest.mark.parametrize(
    "public",
    [b"", bytes(PUBLIC_KEY_SIZE - 1), bytes(PUBLIC_KEY_SIZE + 1), bytes(PUBLIC_KEY_SIZE), b"\xff" * PUBLIC_KEY_SIZE],
    ids=["empty", "short", "long", "zero point", "coefficients beyond the modulus"],
)
def test_bad_public_keys_are_refused(public: bytes) -> None:
    with pytest.raises(RemoteError):
        seal_to(public, MESSAGE, b"")
