"""The keys that speak for a machine: its endorsement key, and attestation keys under it (docs/spec/attestation.md 2).

Rules, and the attack each stops:

1. The endorsement key is taken from its TCG handle or made from the TCG's template, and must be the one that the
   vendor's certificate is about: a handle alone proves nothing.
2. An attestation key is restricted: it signs only what its TPM made. It never leaves the TPM in clear, and its use
   asks for a secret of the service's user.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from mohawk.attestation.structures import Attribute, Selection, parse_public
from mohawk.crypto.endorsement import parse_endorsement
from mohawk.crypto.tpm_primitives import Credential, TpmHash, require_strong
from mohawk.errors import HostError, RemoteError
from mohawk.host.tpm import ENDORSEMENT, Command, Tpm
from mohawk.host.tpm_device import HANDLE_UNKNOWN, TpmError
from mohawk.host.tpm_session import ENCRYPT_COMMAND, Call, Entity, SessionKind, sized, u32

_NULL = b"\x00\x10"
_SHA256 = b"\x00\x0b"
_AES_128_CFB = b"\x00\x06\x00\x80\x00\x43"
_RSA, _ECC, _ECDSA = b"\x00\x01", b"\x00\x23", b"\x00\x18"
_P256 = b"\x00\x03"
_EK_ATTRIBUTES = 0x000300B2
_EK_POLICY = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
"""PolicySecret(endorsement hierarchy): TCG EK Credential Profile B.3.3."""
_EK_HEAD = _SHA256 + u32(_EK_ATTRIBUTES) + sized(_EK_POLICY) + _AES_128_CFB + _NULL
_AK_ATTRIBUTES = (
    Attribute.FIXED_TPM
    | Attribute.FIXED_PARENT
    | Attribute.SENSITIVE_DATA_ORIGIN
    | Attribute.USER_WITH_AUTH
    | Attribute.NO_DICTIONARY_ATTACKS
    | Attribute.RESTRICTED
    | Attribute.SIGN
)
_AK_PUBLIC = (
    _ECC + _SHA256 + u32(_AK_ATTRIBUTES) + sized(b"") + _NULL + _ECDSA + _SHA256 + _P256 + _NULL + sized(b"") * 2
)
_NOTHING_CREATED = sized(b"") + u32(0)
"""No outside information, no PCRs at creation."""


@dataclass(frozen=True, slots=True)
class Template:
    """An endorsement key of the TCG's default templates: where its certificate lies, its handle, its public area."""

    certificate: int
    handle: int
    public: bytes


TEMPLATES = (
    Template(0x01C00002, 0x81010001, _RSA + _EK_HEAD + b"\x08\x00" + u32(0) + sized(bytes(256))),  # L-1
    Template(0x01C0000A, 0x81010002, _ECC + _EK_HEAD + _P256 + _NULL + sized(bytes(32)) * 2),  # L-2
)


@dataclass(frozen=True, slots=True)
class EndorsementKey:
    """`entity`: loaded in the TPM; `public`: TPM2B_PUBLIC; `certificate`: DER."""

    entity: Entity
    public: bytes
    certificate: bytes


@dataclass(frozen=True, slots=True)
class KeyBlob:
    """A key as its TPM wrapped it for its parent: TPM2B_PRIVATE and TPM2B_PUBLIC."""

    private: bytes
    public: bytes


def open_endorsement(tpm: Tpm) -> EndorsementKey:
    """The endorsement key that the vendor certified. Made persistent where the TCG expects it, if it is not there yet:
    a discrete TPM computes for seconds to make it.

    Raises HostError: no certificate, or a key that the certificate is not about.
    """
    template, certificate = _find_certificate(tpm)
    try:
        public, name = tpm.read_public(template.handle)
    except TpmError as error:
        if error.response != HANDLE_UNKNOWN:
            raise
        with create_primary(tpm, ENDORSEMENT, template.public) as made:
            tpm.evict(made, template.handle)
        public, name = tpm.read_public(template.handle)
    try:
        key = parse_public(public).key
        require_strong(key)
        is_certified = parse_endorsement(certificate).key == key
    except RemoteError as error:
        raise HostError(f"this machine's endorsement key cannot be used: {error.message}", hint=error.hint) from None
    if not is_certified:
        raise HostError(
            f"handle 0x{template.handle:08x} holds another key than the vendor's certificate is about",
            hint="remove it (tpm2_evictcontrol); the endorsement key is then made there",
        )
    return EndorsementKey(Entity(template.handle, name), public, certificate)


def _find_certificate(tpm: Tpm) -> tuple[Template, bytes]:
    for template in TEMPLATES:
        try:
            return template, _trim(tpm.read_stored(template.certificate))
        except TpmError as error:
            if error.response != HANDLE_UNKNOWN:
                raise
    raise HostError(
        "this machine's TPM holds no endorsement certificate for an RSA-2048 or P-256 key",
        hint="ask the vendor; virtual TPMs get one when they are made (swtpm_setup --create-ek-cert)",
    )


def _trim(stored: bytes) -> bytes:
    """Without what some vendors leave behind the certificate: DER says its own length."""
    if len(stored) < 4 or stored[:2] != b"\x30\x82":
        return stored
    return stored[: 4 + int.from_bytes(stored[2:4], "big")]


@contextmanager
def create_primary(
    tpm: Tpm, hierarchy: Entity, public: bytes, sensitive: bytes = b"", salted_to: Entity | None = None
) -> Iterator[Entity]:
    """A primary object made from a template, loaded until the block ends. `sensitive`: TPMS_SENSITIVE_CREATE, which
    crosses the bus encrypted when there is a key to salt the session to.
    """
    parameters = sized(sensitive or sized(b"") * 2) + sized(public) + _NOTHING_CREATED
    call = Call(Command.CREATE_PRIMARY, (hierarchy,), parameters, (None,), handles=1)
    if salted_to is None:
        answer = tpm.execute(call)
    else:
        with tpm.session(SessionKind.HMAC, salted_to) as session:
            answer = tpm.execute(replace(call, sessions=(session,), protect=ENCRYPT_COMMAND))
    with tpm.flushing(answer.u32()) as handle:
        yield Entity(handle, TpmHash.SHA256.tpm_name(answer.sized()))  # all our templates are named by SHA-256


def create_attestation_key(tpm: Tpm, endorsement: Entity, auth: bytes) -> KeyBlob:
    """A new P-256 attestation key under the endorsement key. `auth`: 32 bytes that its use will ask for; they cross
    the bus encrypted.
    """
    parameters = sized(sized(auth) + sized(b"")) + sized(_AK_PUBLIC) + _NOTHING_CREATED
    with tpm.session(SessionKind.POLICY, salted_to=endorsement) as session:
        tpm.allow_endorsement(session)
        answer = tpm.execute(Call(Command.CREATE, (endorsement,), parameters, (session,), ENCRYPT_COMMAND))
    return KeyBlob(sized(answer.sized()), sized(answer.sized()))


@contextmanager
def load_key(tpm: Tpm, endorsement: Entity, blob: KeyBlob, auth: bytes) -> Iterator[Entity]:
    """The key of `blob`, loaded until the block ends. Raises TpmError: made by another TPM, or before this one was
    cleared.
    """
    with tpm.session(SessionKind.POLICY) as session:
        tpm.allow_endorsement(session)
        answer = tpm.execute(Call(Command.LOAD, (endorsement,), blob.private + blob.public, (session,), handles=1))
    with tpm.flushing(answer.u32()) as handle:
        yield Entity(handle, answer.sized(64), auth)


def activate(tpm: Tpm, key: Entity, endorsement: Entity, credential: Credential) -> bytes:
    """The secret in `credential`, which only this TPM opens, and only for `key`."""
    with tpm.session(SessionKind.HMAC) as session, tpm.session(SessionKind.POLICY) as policy:
        tpm.allow_endorsement(policy)
        call = Call(
            Command.ACTIVATE_CREDENTIAL,
            (key, endorsement),
            credential.id_object + credential.encrypted_seed,
            (session, policy),
        )
        return tpm.execute(call).sized(64)


def quote(tpm: Tpm, key: Entity, qualifying_data: bytes, selection: Selection) -> tuple[bytes, bytes]:
    """TPMS_ATTEST and TPMT_SIGNATURE over what these PCRs hold now."""
    parameters = sized(qualifying_data) + _NULL + u32(1) + selection.encode()
    with tpm.session(SessionKind.HMAC) as session:
        answer = tpm.execute(Call(Command.QUOTE, (key,), parameters, (session,)))
    return answer.sized(), answer.rest()
