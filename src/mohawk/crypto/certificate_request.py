"""Certificate requests (PKCS #10, RFC 2986): a public key, and the proof that the sender holds its private half.

Nothing else of a request is believed: names, extensions and lifetimes are the issuer's to decide, so they are neither
sent nor read.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import SignatureAlgorithmOID

from mohawk.crypto.signing import SigningKey
from mohawk.errors import IdentityError

MAXIMUM_REQUEST = 4096
"""Bytes in DER; ours take about 400."""


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A P-384 public key (SubjectPublicKeyInfo, DER) whose holder signed the request."""

    spki: bytes


def make_request(key: SigningKey) -> bytes:
    """A request for `key`, in DER."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key.private, hashes.SHA384()).public_bytes(Encoding.DER)


def parse_request(data: bytes) -> CertificateRequest:
    """The key of a request. Raises IdentityError: unreadable, not P-384 with SHA-384, or not signed by its own key (a
    certificate for somebody else's key would let a node speak as another).
    """
    if len(data) > MAXIMUM_REQUEST:
        raise IdentityError("a certificate request larger than 4 KiB")
    try:
        request = x509.load_der_x509_csr(data)
        public = request.public_key()
        is_ours = isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP384R1)
        if not is_ours or request.signature_algorithm_oid != SignatureAlgorithmOID.ECDSA_WITH_SHA384:
            raise IdentityError("a certificate request that is not P-384 with SHA-384")
        if not request.is_signature_valid:
            raise IdentityError("a certificate request that its own key did not sign")
        return CertificateRequest(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise IdentityError("a certificate request that cannot be read") from None
