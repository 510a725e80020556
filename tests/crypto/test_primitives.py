"""Protects the vocabulary: known answers (rerun when the crypto dependency moves), refusals that raise, buffers that
are overwritten.
"""

from __future__ import annotations

import threading

import pytest

from mohawk.crypto import primitives
from mohawk.crypto.primitives import AeadKey
from mohawk.errors import RemoteError, UsageError
from tests.support.keys import derive_age

# RFC 8439 §2.8.2
KEY = bytes(range(0x80, 0xA0))
NONCE = bytes.fromhex("070000004041424344454647")
ASSOCIATED = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
PLAINTEXT = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
TAG = bytes.fromhex("1ae10b594f09e26a7e902ecbd0600691")


def test_aead_known_answer() -> None:
    sealed = AeadKey(KEY).seal(NONCE, PLAINTEXT, ASSOCIATED)
    assert sealed[:16] == bytes.fromhex("d31a8d34648e60db7b86afbc53ef7ec2")
    assert sealed[-16:] == TAG
    assert AeadKey(KEY).open(NONCE, sealed, ASSOCIATED) == PLAINTEXT


def test_into_and_plain_calls_agree() -> None:
    sealed = bytearray(len(PLAINTEXT) + 16)
    AeadKey(KEY).seal_into(NONCE, PLAINTEXT, ASSOCIATED, sealed)
    assert sealed == AeadKey(KEY).seal(NONCE, PLAINTEXT, ASSOCIATED)
    opened = bytearray(len(PLAINTEXT))
    AeadKey(KEY).open_into(NONCE, sealed, ASSOCIATED, opened)
    assert opened == PLAINTEXT


@pytest.mark.parametrize("at", [0, 50, -16, -1])
def test_wrong_tag_raises_and_leaves_zeros(at: int) -> None:
    sealed = bytearray(AeadKey(KEY).seal(NONCE, PLAINTEXT, ASSOCIATED))
    sealed[at] ^= 1
    out = bytearray(b"x" * len(PLAINTEXT))
    with pytest.raises(RemoteError):
        AeadKey(KEY).open_into(NONCE, sealed, ASSOCIATED, out)
    assert out == bytes(len(PLAINTEXT))
    with pytest.raises(RemoteError):
        AeadKey(KEY).open(NONCE, bytes(sealed), ASSOCIATED)


@pytest.mark.parametrize("sealed", [b"", b"short", bytes(15)])
def test_less_than_a_tag_raises(sealed: bytes) -> None:
    with pytest.raises(RemoteError):
        AeadKey(KEY).open(NONCE, sealed, b"")


def test_key_of_another_size_is_refused() -> None:
    with pytest.raises(UsageError):
        AeadKey(bytes(16))


def test_threads_share_one_key() -> None:
    aead = AeadKey(KEY)
    sealed = [aead.seal(bytes([i]) * 12, bytes([i]) * 65536, b"") for i in range(8)]
    wrong: list[int] = []

    def work(index: int) -> None:
        for _ in range(50):
            if aead.open(bytes([index]) * 12, sealed[index], b"") != bytes([index]) * 65536:
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_hkdf_known_answer() -> None:
    # RFC 5869's inputs of case 1; output for SHA-384 computed from RFC 5869's definition with hmac below.
    import hashlib
    import hmac

    secret, salt, info = b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA))
    pseudorandom = hmac.digest(salt, secret, hashlib.sha384)
    first = hmac.digest(pseudorandom, info + b"\1", hashlib.sha384)
    assert primitives.extract(salt, secret) == pseudorandom
    assert primitives.expand(pseudorandom, info, 42) == first[:42]
    assert primitives.derive(secret, salt, info) == first[:32]
    out = bytearray(32)
    primitives.derive_into(secret, salt, info, out)
    assert out == first[:32]
    # RFC 5869 A.1, SHA-256
    assert derive_age(secret, salt, info, 42) == bytes.fromhex(
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_a_key_may_be_overwritten_once_it_is_in_use() -> None:
    """The library has a copy; if it only pointed at ours, what is sealed next would be under zeros."""
    key = bytearray(KEY)
    aead = AeadKey(key)
    primitives.overwrite(key)
    assert aead.seal(NONCE, PLAINTEXT, ASSOCIATED)[-16:] == TAG


@pytest.mark.parametrize("log2_cost", [0, 10, 16, 21, 63, 255])
def test_passphrase_cost_is_bounded(log2_cost: int) -> None:
    with pytest.raises(RemoteError):
        primitives.derive_from_passphrase_into(b"correct horse", bytes(32), log2_cost, bytearray(32))


def test_require_equal_raises_the_given_error() -> None:
    primitives.require_equal(b"same", b"same", RemoteError("no"))
    for other in (b"sama", b"", b"same longer"):
        with pytest.raises(RemoteError, match="no"):
            primitives.require_equal(b"same", other, RemoteError("no"))


def test_overwrite_reaches_every_byte() -> None:
    buffer = bytearray(b"x" * (3 * 65536 + 7))
    primitives.overwrite(buffer)
    assert buffer == bytes(len(buffer))
