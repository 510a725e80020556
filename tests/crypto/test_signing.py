"""Protects signatures: they raise, take no key of another kind, and a publisher needs both of its keys."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

from mohawk.crypto.signing import PublisherKey, SigningKey, spki_sha256, verify, verify_publisher
from mohawk.errors import RemoteError, UsageError

MESSAGE = b"a manifest"


def spki_of(private: object) -> bytes:
    public = private.public_key()  # type: ignore[attr-defined]
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def publisher() -> PublisherKey:
    return PublisherKey.generate()


def test_round_trip_through_pem() -> None:
    key = SigningKey.generate()
    for password in (None, b"correct horse battery"):
        again = SigningKey.from_pem(key.to_pem(password), password)
        verify(key.spki(), again.sign(MESSAGE), MESSAGE)
    assert len(spki_sha256(key.spki())) == 64


def test_wrong_message_key_and_bytes_raise() -> None:
    key, other = SigningKey.generate(), SigningKey.generate()
    signature = key.sign(MESSAGE)
    for spki, made, message in (
        (key.spki(), signature, b"another"),
        (other.spki(), signature, MESSAGE),
        (key.spki(), b"", MESSAGE),
        (key.spki(), signature[:-1], MESSAGE),
        (b"not a key", signature, MESSAGE),
        (b"", signature, MESSAGE),
    ):
        with pytest.raises(RemoteError):
            verify(spki, made, message)


def test_keys_of_another_kind_are_refused() -> None:
    p256 = ec.generate_private_key(ec.SECP256R1())
    for private in (
        p256,
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
        mldsa.MLDSA65PrivateKey.generate(),
    ):
        with pytest.raises(RemoteError, match="P-384"):
            verify(spki_of(private), b"x", MESSAGE)
    with pytest.raises(UsageError):
        SigningKey(p256)


@pytest.mark.parametrize("pem", [b"", b"junk", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_broken_pem_is_our_users_fault(pem: bytes) -> None:
    with pytest.raises(UsageError):
        SigningKey.from_pem(pem)
    with pytest.raises(UsageError):
        PublisherKey.from_pem(pem)


def test_wrong_or_missing_password() -> None:
    pem = SigningKey.generate().to_pem(b"correct horse battery")
    for password in (None, b"wrong"):
        with pytest.raises(UsageError):
            SigningKey.from_pem(pem, password)


def test_publisher_round_trip_through_pem(publisher: PublisherKey) -> None:
    for password in (None, b"correct horse battery"):
        again = PublisherKey.from_pem(publisher.to_pem(password), password)
        assert again.pins() == publisher.pins()
        verify_publisher(publisher.pins(), again.sign(MESSAGE), MESSAGE)


def test_publisher_needs_both_signatures_and_both_pins(publisher: PublisherKey) -> None:
    made, stranger = publisher.sign(MESSAGE), PublisherKey.generate()
    theirs = stranger.sign(MESSAGE)
    for signature in (
        replace(made, p384=theirs.p384),
        replace(made, mldsa65=theirs.mldsa65),
        replace(made, mldsa65=b""),
        replace(made, p384=theirs.p384, p384_spki=theirs.p384_spki),
        replace(made, mldsa65=theirs.mldsa65, mldsa65_spki=theirs.mldsa65_spki),
        theirs,
    ):
        with pytest.raises(RemoteError):
            verify_publisher(publisher.pins(), signature, MESSAGE)
    with pytest.raises(RemoteError):
        verify_publisher(publisher.pins(), made, b"another")


def test_pins_of_the_wrong_kind_are_refused(publisher: PublisherKey) -> None:
    """Even pinned by mistake, a second P-384 key does not stand in for ML-DSA-65."""
    made = publisher.sign(MESSAGE)
    pins = replace(publisher.pins(), mldsa65=spki_sha256(made.p384_spki))
    with pytest.raises(RemoteError, match="ML-DSA-65"):
        verify_publisher(pins, replace(made, mldsa65=made.p384, mldsa65_spki=made.p384_spki), MESSAGE)


def test_publisher_pem_without_its_second_key() -> None:
    with pytest.raises(UsageError):
        PublisherKey.from_pem(SigningKey.generate().to_pem())
