"""A request proves that its sender holds the key, and says nothing else that we would believe."""

from __future__ import annotations

import contextlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.crypto.certificate_request import CertificateRequest, make_request, parse_request
from mohawk.crypto.signing import SigningKey
from mohawk.errors import IdentityError

KEY = SigningKey.generate()
REQUEST = make_request(KEY)


def test_a_request_gives_the_key_that_signed_it() -> None:
    assert parse_request(REQUEST) == CertificateRequest(KEY.spki())


def test_somebody_elses_key_is_refused() -> None:
    """The public key of another in a request that we sign ourselves: its certificate would be ours to hand around."""
    other = SigningKey.generate().spki()
    assert len(other) == len(KEY.spki())
    assert REQUEST.count(KEY.spki()) == 1
    with pytest.raises(IdentityError, match="did not sign"):
        parse_request(REQUEST.replace(KEY.spki(), other))


@pytest.mark.parametrize(("curve", "digest"), [(ec.SECP256R1(), hashes.SHA384()), (ec.SECP384R1(), hashes.SHA256())])
def test_weaker_keys_and_signatures_are_refused(curve: ec.EllipticCurve, digest: hashes.HashAlgorithm) -> None:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    weak = builder.sign(ec.generate_private_key(curve), digest).public_bytes(Encoding.DER)
    with pytest.raises(IdentityError, match="P-384 with SHA-384"):
        parse_request(weak)


@settings(max_examples=150)
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
def test_a_changed_request_is_refused(position: int, patch: bytes) -> None:
    data = bytearray(REQUEST)
    position %= len(data) - 3
    data[position : position + len(patch)] = patch
    if bytes(data) != REQUEST:
        with pytest.raises(IdentityError):
            parse_request(bytes(data))


@settings(max_examples=100)
@given(st.binary(max_size=300) | st.just(bytes(5000)))
def test_any_bytes_are_refused(data: bytes) -> None:
    with contextlib.suppress(IdentityError):
        parse_request(data)
