"""Signatures: ECDSA P-384 with SHA-384, and ML-DSA-65 beside it for what must hold for years.

Rules, and the attack each stops:

1. `verify` raises; it returns nothing that could be forgotten.
2. The algorithm comes from us, never from the message (algorithm confusion): a key of any other kind or curve is
   refused.
3. A publisher has two keys and both must verify: forging needs a break of elliptic curves *and* of lattices.
4. A public key is trusted by the SHA-256 of its SubjectPublicKeyInfo. Compare the pin before parsing the key: a
   stranger's DER never reaches the decoder.
5. Signatures may be malleable (r, n-s): never use one as an identifier or to detect replay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from mohawk.crypto.encrypted_key import encrypt_key
from mohawk.crypto.primitives import sha256
from mohawk.errors import RemoteError, UsageError

_ECDSA = ec.ECDSA(hashes.SHA384())
_PEM_END = b"-----END"
_PEM_KEY = re.compile(rb"-----BEGIN ([A-Z ]{0,16}PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


class SigningKey:
    """An ECDSA P-384 key pair."""

    __slots__ = ("private",)

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        if not isinstance(private.curve, ec.SECP384R1):
            raise UsageError("a signing key must be on P-384")
        self.private = private
        """For `crypto.x509` only, which issues certificates with it."""

    @classmethod
    def generate(cls) -> SigningKey:
        return cls(ec.generate_private_key(ec.SECP384R1()))

    @classmethod
    def from_pem(cls, pem: bytes, password: bytes | None = None) -> SigningKey:
        """Raises UsageError: not a P-384 key in PEM, or the password does not fit."""
        private = _load_private(pem, password)
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise UsageError("not an elliptic-curve key")
        return cls(private)

    @classmethod
    def several_from_pem(cls, pem: bytes, password: bytes | None = None) -> tuple[SigningKey, ...]:
        """The keys of a file that holds one, or, while it is being replaced, two. Raises UsageError."""
        blocks = [found[0] for found in _PEM_KEY.finditer(pem)]
        if not 1 <= len(blocks) <= 2:
            raise UsageError("not one private key in PEM, nor a new and an old one")
        return tuple(cls.from_pem(block, password) for block in blocks)

    def to_pem(self, password: bytes | None = None) -> bytes:
        """PKCS #8; encrypted when a password is given, else the caller keeps the file at mode 0600."""
        return _dump_private(self.private, password)

    def sign(self, message: bytes) -> bytes:
        """A DER signature."""
        return self.private.sign(message, _ECDSA)

    def spki(self) -> bytes:
        """The public key as DER SubjectPublicKeyInfo."""
        return _dump_public(self.private.public_key())


def verify(spki: bytes, signature: bytes, message: bytes) -> None:
    """Raise RemoteError unless `signature` is `spki`'s (P-384) over `message`."""
    public = _load_public(spki)
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP384R1):
        raise RemoteError("a signature by a key that is not on P-384")
    try:
        public.verify(signature, message, _ECDSA)
    except InvalidSignature:
        raise RemoteError("a signature that does not verify") from None


def spki_sha256(spki: bytes) -> str:
    """The pin of a public key: SHA-256 of its SubjectPublicKeyInfo, in hexadecimal."""
    return sha256(spki).hex()


@dataclass(frozen=True, slots=True)
class PublisherPins:
    """Which publisher a worker believes: the SHA-256 of both public keys."""

    p384: str
    mldsa65: str

    def digest(self) -> str:
        """SHA-256 of both, in hexadecimal."""
        return sha256(f"{self.p384} {self.mldsa65}".encode("ascii", "replace")).hex()


@dataclass(frozen=True, slots=True)
class PublisherSignature:
    """Both signatures over one message, with the public keys (SPKI) that a verifier compares with its pins."""

    p384: bytes
    mldsa65: bytes
    p384_spki: bytes
    mldsa65_spki: bytes


class PublisherKey:
    """A P-384 and an ML-DSA-65 key pair that sign together."""

    __slots__ = ("_mldsa65", "_p384")

    def __init__(self, p384: SigningKey, mldsa65: MLDSA65PrivateKey) -> None:
        self._p384 = p384
        self._mldsa65 = mldsa65

    @classmethod
    def generate(cls) -> PublisherKey:
        return cls(SigningKey.generate(), MLDSA65PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes, password: bytes | None = None) -> PublisherKey:
        """Two PEM blocks: P-384, then ML-DSA-65. Raises UsageError on anything else."""
        first, marker, rest = pem.partition(_PEM_END)
        tail, newline, second = rest.partition(b"\n")
        mldsa65 = _load_private(second, password)
        if not isinstance(mldsa65, MLDSA65PrivateKey):
            raise UsageError("a publisher key holds a P-384 and an ML-DSA-65 key")
        return cls(SigningKey.from_pem(first + marker + tail + newline, password), mldsa65)

    def to_pem(self, password: bytes | None = None) -> bytes:
        return self._p384.to_pem(password) + _dump_private(self._mldsa65, password)

    def sign(self, message: bytes) -> PublisherSignature:
        spki = _dump_public(self._mldsa65.public_key())
        return PublisherSignature(self._p384.sign(message), self._mldsa65.sign(message), self._p384.spki(), spki)

    def pins(self) -> PublisherPins:
        return PublisherPins(spki_sha256(self._p384.spki()), spki_sha256(_dump_public(self._mldsa65.public_key())))


def verify_publisher(pins: PublisherPins, signature: PublisherSignature, message: bytes) -> None:
    """Raise RemoteError unless both keys are the pinned ones and both signatures verify over `message`."""
    if (spki_sha256(signature.p384_spki), spki_sha256(signature.mldsa65_spki)) != (pins.p384, pins.mldsa65):
        raise RemoteError("signed by a publisher that is not pinned here")
    verify(signature.p384_spki, signature.p384, message)
    public = _load_public(signature.mldsa65_spki)
    if not isinstance(public, MLDSA65PublicKey):
        raise RemoteError("a publisher's second key must be ML-DSA-65")
    try:
        public.verify(signature.mldsa65, message)
    except InvalidSignature:
        raise RemoteError("a signature that does not verify") from None


def is_encrypted(pem: bytes) -> bool:
    """Whether a private key in PEM asks for a password."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem


def _load_private(pem: bytes, password: bytes | None) -> PrivateKeyTypes:
    if is_encrypted(pem) and not password:
        raise UsageError("this private key is encrypted", hint="give --password-file, or set MIE_KEY_PASSWORD")
    try:
        return serialization.load_pem_private_key(pem, password if is_encrypted(pem) else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError("not a private key in PEM, or the wrong password") from None


def _load_public(spki: bytes) -> PublicKeyTypes:
    try:
        return serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        raise RemoteError("not a public key") from None


def _dump_private(private: ec.EllipticCurvePrivateKey | MLDSA65PrivateKey, password: bytes | None) -> bytes:
    pkcs8, clear = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    if password is None:
        return private.private_bytes(serialization.Encoding.PEM, pkcs8, clear)
    return encrypt_key(private.private_bytes(serialization.Encoding.DER, pkcs8, clear), password)


def _dump_public(public: ec.EllipticCurvePublicKey | MLDSA65PublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
