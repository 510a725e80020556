"""What TPM 2.0 asks of cryptography: key derivations, credentials, parameter encryption, and the signatures of
attestation keys (TPM 2.0 Library part 1, sections cited as TPM1; docs/spec/attestation.md 2, 5, 11).

Rules, and the attack each stops:

1. Hashes are SHA-256 and SHA-384, curves P-256 and P-384, RSA has 2,048 to 4,096 bits: SHA-1 and RSA-1024, which TPMs
   still offer, cannot be spelled here (T18).
2. `verify_signature` raises, and a signature whose scheme is not one of its key's type is refused: the algorithm is
   never the signature's choice alone.
3. A credential is bound to the name of the key that it is for: it opens in no other TPM and for no other key (T03).
4. Parameter encryption (AES-CFB) has no integrity of its own. The session's HMAC covers what it encrypts, and is
   checked before anything is decrypted.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from mohawk.crypto.primitives import Buffer, random_bytes
from mohawk.errors import RemoteError

SEED_SIZE = 32
_AES_KEY_SIZE = 16
_EXPONENT = 65537


class TpmHash(IntEnum):
    """A hash by its number in the TPM's registry of algorithms."""

    SHA256 = 0x000B
    SHA384 = 0x000C

    @property
    def size(self) -> int:
        return 32 if self is TpmHash.SHA256 else 48

    def digest(self, data: Buffer) -> bytes:
        return (hashlib.sha256 if self is TpmHash.SHA256 else hashlib.sha384)(data).digest()

    def tpm_name(self, data: Buffer) -> bytes:
        """The algorithm's number ‖ hash: how a TPM names a public area (TPM1 16)."""
        return self.to_bytes(2, "big") + self.digest(data)


class TpmCurve(IntEnum):
    """A curve by its number in the TPM's registry."""

    P256 = 0x0003
    P384 = 0x0004

    @property
    def size(self) -> int:
        """Bytes of a coordinate."""
        return 32 if self is TpmCurve.P256 else 48

    @property
    def native(self) -> ec.EllipticCurve:
        return ec.SECP256R1() if self is TpmCurve.P256 else ec.SECP384R1()


@dataclass(frozen=True, slots=True)
class RsaPublic:
    """An RSA public key as numbers; `require_strong` says whether we use it."""

    modulus: int
    exponent: int = _EXPONENT


@dataclass(frozen=True, slots=True)
class EccPublic:
    """A point; `require_strong` says whether it lies on its curve."""

    curve: TpmCurve
    x: int
    y: int


TpmPublicKey: TypeAlias = RsaPublic | EccPublic


class Scheme(Enum):
    """How a TPM signs; the value is its number in the TPM's registry."""

    RSASSA = 0x0014
    RSAPSS = 0x0016
    ECDSA = 0x0018


@dataclass(frozen=True, slots=True)
class TpmSignature:
    """A parsed TPMT_SIGNATURE. `parts`: (r, s) of ECDSA, else the one value."""

    scheme: Scheme
    hash: TpmHash
    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Credential:
    """What TPM2_ActivateCredential takes: both as the TPM reads them, sizes (u16) in front."""

    id_object: bytes
    encrypted_seed: bytes


def require_strong(key: TpmPublicKey) -> None:
    """Raise RemoteError unless `key` is RSA of 2,048 to 4,096 bits with exponent 65537, or a point of its curve."""
    _native(key)


def verify_signature(key: TpmPublicKey, signature: TpmSignature, message: bytes) -> None:
    """Raise RemoteError unless `signature` is `key`'s over `message`."""
    public = _native(key)
    digest = hashes.SHA256() if signature.hash is TpmHash.SHA256 else hashes.SHA384()
    try:
        if isinstance(public, ec.EllipticCurvePublicKey) and signature.scheme is Scheme.ECDSA:
            r, s = (int.from_bytes(part, "big") for part in signature.parts)
            public.verify(encode_dss_signature(r, s), message, ec.ECDSA(digest))
        elif isinstance(public, rsa.RSAPublicKey) and signature.scheme is not Scheme.ECDSA:
            public.verify(signature.parts[0], message, _padding(signature.scheme, digest), digest)
        else:
            raise RemoteError("a signature of another algorithm than its key's")
    except InvalidSignature:
        raise RemoteError("a TPM's signature that does not verify") from None


def _padding(scheme: Scheme, digest: hashes.HashAlgorithm) -> padding.AsymmetricPadding:
    if scheme is Scheme.RSASSA:
        return padding.PKCS1v15()
    return padding.PSS(padding.MGF1(digest), padding.PSS.AUTO)  # TPMs differ in the salt's length (TPM1 B.7)


def _native(key: TpmPublicKey) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey:
    try:
        if isinstance(key, EccPublic):
            return ec.EllipticCurvePublicNumbers(key.x, key.y, key.curve.native).public_key()
        is_odd = key.modulus & 1  # the library takes an even one, and fails in use
        if not 2048 <= key.modulus.bit_length() <= 4096 or key.exponent != _EXPONENT or not is_odd:
            raise RemoteError("an RSA key of less than 2,048 bits, or of an unusual form")
        return rsa.RSAPublicNumbers(key.exponent, key.modulus).public_key()
    except ValueError:
        raise RemoteError("a TPM key that is no key of its type") from None


# ---- derivations ----------------------------------------------------------------------------------------------------


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def derive_tpm(key: bytes, label: bytes, context_u: bytes, context_v: bytes, bits: int) -> bytes:
    """KDFa with SHA-256 (TPM1 11.4.10.2; SP 800-108 in counter mode): `bits` / 8 bytes."""
    tail = label + b"\0" + context_u + context_v + bits.to_bytes(4, "big")
    blocks = range(1, -(-bits // 256) + 1)
    return b"".join(hmac_sha256(key, counter.to_bytes(4, "big") + tail) for counter in blocks)[: bits // 8]


def _derive_shared(shared: bytes, label: bytes, party_u: bytes, party_v: bytes) -> bytes:
    """KDFe with SHA-256 (TPM1 11.4.10.3; SP 800-56A), one block: 32 bytes."""
    return hashlib.sha256((1).to_bytes(4, "big") + shared + label + b"\0" + party_u + party_v).digest()


def encrypt_seed(key: TpmPublicKey, label: bytes) -> tuple[bytes, bytes]:
    """A fresh secret for the TPM that holds `key` (TPM1 B.10, C.6): (32 bytes, the TPM's TPM2B_ENCRYPTED_SECRET).

    `label`: `IDENTITY` for credentials, `SECRET` for a session's salt. Raises RemoteError when `key` is too weak.
    """
    public = _native(key)
    if isinstance(public, rsa.RSAPublicKey):
        seed = random_bytes(SEED_SIZE)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label + b"\0")
        return seed, _sized(public.encrypt(seed, oaep))
    ephemeral = ec.generate_private_key(public.curve)
    shared = ephemeral.exchange(ec.ECDH(), public)
    size = len(shared)
    ours, theirs = ephemeral.public_key().public_numbers(), public.public_numbers()
    x, y = ours.x.to_bytes(size, "big"), ours.y.to_bytes(size, "big")
    return _derive_shared(shared, label, x, theirs.x.to_bytes(size, "big")), _sized(_sized(x) + _sized(y))


# ---- what they protect ----------------------------------------------------------------------------------------------


def make_credential(endorsement: TpmPublicKey, name: bytes, secret: bytes) -> Credential:
    """`secret` for whoever holds `endorsement` and, in the same TPM, the key called `name` (TPM1 24).

    For endorsement keys of the default templates L-1 and L-2 (SHA-256, AES-128-CFB). Raises RemoteError: a weak key.
    """
    seed, encrypted_seed = encrypt_seed(endorsement, b"IDENTITY")
    cipher_key = derive_tpm(seed, b"STORAGE", name, b"", 128)
    identity = encrypt_cfb(cipher_key, bytes(16), _sized(secret))
    tag = hmac_sha256(derive_tpm(seed, b"INTEGRITY", b"", b"", 256), identity + name)
    return Credential(_sized(_sized(tag) + identity), encrypted_seed)


def encrypt_cfb(key: bytes, initial: bytes, plaintext: bytes) -> bytes:
    """AES-128-CFB, only because TPMs know nothing else; each key and initial value serve once."""
    return Cipher(algorithms.AES(key), CFB(initial)).encryptor().update(plaintext)


def decrypt_cfb(key: bytes, initial: bytes, ciphertext: bytes) -> bytes:
    """Call it after the session's HMAC was checked: CFB itself notices nothing."""
    return Cipher(algorithms.AES(key), CFB(initial)).decryptor().update(ciphertext)


def parameter_key(session_value: bytes, nonce_newer: bytes, nonce_older: bytes) -> tuple[bytes, bytes]:
    """Key and initial value that encrypt one parameter of one command or response (TPM1 21.3)."""
    both = derive_tpm(session_value, b"CFB", nonce_newer, nonce_older, 256)
    return both[:_AES_KEY_SIZE], both[_AES_KEY_SIZE:]


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data
