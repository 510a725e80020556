"""What an attacker can put together: any statement, keys of any kind, signatures that a TPM was talked into."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mohawk.attestation.enrolment import Enrolment, TpmIdentity
from mohawk.attestation.structures import Selection
from mohawk.host.tpm import ENDORSEMENT, Command, Tpm
from mohawk.host.tpm_keys import KeyBlob, open_endorsement
from mohawk.host.tpm_session import Call, Entity, SessionKind, sized, u32

SIGNING = 0x50472
"""fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign."""
NULL, SHA1, SHA256 = b"\x00\x10", b"\x00\x04", b"\x00\x0b"
_HASH, _SIGN, _CERTIFY = 0x17D, 0x15D, 0x148


def ecc_area(x: bytes = b"", y: bytes = b"", attributes: int = SIGNING, digest: bytes = SHA256) -> bytes:
    """TPMT_PUBLIC of a P-256 signing key; without coordinates, a template."""
    head = b"\x00\x23" + SHA256 + u32(attributes) + sized(b"") + NULL
    return head + b"\x00\x18" + digest + b"\x00\x03" + NULL + sized(x) + sized(y)


def rsa_area(modulus: bytes = b"", bits: int = 2048, attributes: int = SIGNING) -> bytes:
    head = b"\x00\x01" + SHA256 + u32(attributes) + sized(b"") + NULL
    return head + b"\x00\x14" + SHA256 + struct.pack(">HI", bits, 0) + sized(modulus)


def statement(
    *,
    signer: bytes,
    extra: bytes,
    selection: Selection,
    values: Iterable[bytes],
    magic: bytes = b"\xffTCG",
    kind: int = 0x8018,
    clock: tuple[int, int, int] = (1 << 40, 1 << 20, 0),
) -> bytes:
    """A TPMS_ATTEST of type quote. `clock`: milliseconds, resets, restarts."""
    head = magic + struct.pack(">H", kind) + sized(signer) + sized(extra) + struct.pack(">QIIBQ", *clock, 1, 1)
    return head + u32(1) + selection.encode() + sized(sha256(b"".join(values)).digest())


def sign_in_software(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, message: bytes) -> bytes:
    """A TPMT_SIGNATURE by a key that no TPM holds."""
    if isinstance(key, rsa.RSAPrivateKey):
        return b"\x00\x14" + SHA256 + sized(key.sign(message, PKCS1v15(), hashes.SHA256()))
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return b"\x00\x18" + SHA256 + sized(r.to_bytes(32, "big")) + sized(s.to_bytes(32, "big"))


def software_key_area(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """A public area that claims that a TPM made `key`."""
    if isinstance(key, rsa.RSAPrivateKey):
        return rsa_area(key.public_key().public_numbers().n.to_bytes(256, "big"))
    numbers = key.public_key().public_numbers()
    return ecc_area(numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))


def create_key(tpm: Tpm, area: bytes) -> KeyBlob:
    """Any key that the TPM agrees to make under its endorsement key; without a secret."""
    endorsement = open_endorsement(tpm).entity
    parameters = sized(sized(b"") * 2) + sized(area) + sized(b"") + u32(0)
    with tpm.session(SessionKind.POLICY) as session:
        tpm.allow_endorsement(session)
        answer = tpm.execute(Call(Command.CREATE, (endorsement,), parameters, (session,)))
    return KeyBlob(sized(answer.sized()), sized(answer.sized()))


def sign_with_tpm(tpm: Tpm, key: Entity, message: bytes) -> bytes:
    """TPM2_Hash and TPM2_Sign: what a restricted key signs as long as the TPM itself hashed it, and it does not look
    like a TPM's own statement.
    """
    answer = tpm.execute(Call(_HASH, (), sized(message) + SHA256 + u32(ENDORSEMENT.handle)))
    digest, ticket = answer.sized(), answer.rest()
    with tpm.session(SessionKind.HMAC) as session:
        return tpm.execute(Call(_SIGN, (key,), sized(digest) + NULL + ticket, (session,))).rest()


def certify(tpm: Tpm, key: Entity, extra: bytes) -> tuple[bytes, bytes]:
    """TPM2_Certify of the key by itself: a genuine statement of another type, by the attestation key."""
    with tpm.session(SessionKind.HMAC) as one, tpm.session(SessionKind.HMAC) as two:
        answer = tpm.execute(Call(_CERTIFY, (key, key), sized(extra) + NULL, (one, two)))
    return answer.sized(), answer.rest()


def enrolled_with(record: Enrolment, area: bytes) -> Enrolment:
    """A record that says that this key was enrolled: what an attacker would need a broken enrolment for."""
    identity = record.identity
    return replace(record, identity=TpmIdentity(identity.ek_certificate, identity.ek_public, sized(area)))
