"""Which TPM belongs to which node: proven once, kept as one record, used by verifier and releaser alike
(docs/spec/attestation.md 2).

Rules, and the attack each stops:

1. One record holds name, endorsement key, attestation key and counters; what else is asked is derived from it. Two
   stores that are read apart can be made to disagree (CVE-2022-1053; T12).
2. The attestation key is enrolled only after the endorsement key's TPM showed that it holds both: a software key with
   the right attributes is just bytes (T03).
3. The proof is bound to the node's name and connection: relaying another node's TPM proves nothing here (T11).
4. The vendor's word is asked again at every appraisal, from the certificate in the record: a root that is taken out of
   the policy is out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mohawk.attestation.challenge import length_prefixed
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.attestation.structures import Attribute, Counters, PublicArea, parse_public
from mohawk.crypto import canonical
from mohawk.crypto.canonical import Json
from mohawk.crypto.endorsement import MAXIMUM_CERTIFICATE, VendorRoots, parse_endorsement
from mohawk.crypto.primitives import require_equal, sha256
from mohawk.crypto.tpm_primitives import (
    Credential,
    RsaPublic,
    TpmCurve,
    TpmHash,
    hmac_sha256,
    make_credential,
    require_strong,
)
from mohawk.errors import ArtifactError, IdentityError, RemoteError
from mohawk.identity.names import NodeName

MAXIMUM_IDENTITY = 16 * 1024
MAXIMUM_RECORD = 20 * 1024
SECRET_SIZE = 32
_IDENTITY_FORMAT = "mie-tpm-identity-1"
_RECORD_FORMAT = "mie-enrolment-1"
_IDENTITY_KEYS = ("ak_public", "ek_certificate", "ek_public", "format")
_RECORD_KEYS = ("clock", "enrolled", "identity", "format", "name", "resets", "restarts")
_PROOF_LABEL = b"mie-enrol-1"
_MOST_PUBLIC = 1026
_LAST = 253_402_300_799
_TPM_KEY = Attribute.FIXED_TPM | Attribute.FIXED_PARENT
_ENDORSEMENT = _TPM_KEY | Attribute.RESTRICTED | Attribute.DECRYPT
_ATTESTATION = _TPM_KEY | Attribute.RESTRICTED | Attribute.SIGN | Attribute.SENSITIVE_DATA_ORIGIN


@dataclass(frozen=True, slots=True)
class TpmIdentity:
    """A TPM's keys as its node sent them (TPM2B_PUBLIC), and the vendor's certificate (DER). Raises EvidenceError when
    they cannot be read; whether they are any good, `check` says.
    """

    ek_certificate: bytes
    ek_public: bytes
    ak_public: bytes
    endorsement: PublicArea = field(init=False, repr=False, compare=False)
    attestation: PublicArea = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "endorsement", parse_public(self.ek_public))
        object.__setattr__(self, "attestation", parse_public(self.ak_public))

    @property
    def ek_hash(self) -> str:
        """SHA-256 of the endorsement key's public area, in hexadecimal: what a join token can be bound to."""
        return sha256(self.endorsement.encoded).hex()

    @property
    def ak_name(self) -> bytes:
        return self.attestation.name

    def check_vendor(self, roots: VendorRoots, now: datetime) -> None:
        """Raise EvidenceError: VENDOR, or ENDORSEMENT_KEY when the certificate is about another key."""
        try:
            certificate = parse_endorsement(self.ek_certificate)
            roots.verify(certificate, now)
        except IdentityError as error:
            raise EvidenceError(Reason.VENDOR, error.message, hint=error.hint) from None
        if certificate.key != self.endorsement.key:
            raise EvidenceError(Reason.ENDORSEMENT_KEY, "an endorsement certificate of another TPM's key")

    def check_keys(self) -> None:
        """Raise EvidenceError: ENDORSEMENT_KEY, KEY_ATTRIBUTES, WEAK_KEY."""
        other = EvidenceError(Reason.ENDORSEMENT_KEY, "not an endorsement key of the templates L-1 and L-2")
        self.endorsement.require(_ENDORSEMENT, Attribute.SIGN, other)
        key = self.endorsement.key
        is_default = key.modulus.bit_length() == 2048 if isinstance(key, RsaPublic) else key.curve is TpmCurve.P256
        if self.endorsement.name_hash is not TpmHash.SHA256 or not is_default:
            raise other
        self.attestation.require(
            _ATTESTATION,
            Attribute.DECRYPT,
            EvidenceError(
                Reason.KEY_ATTRIBUTES, "an attestation key that could sign what its TPM did not make, or leave it"
            ),
        )
        try:
            require_strong(self.endorsement.key)
            require_strong(self.attestation.key)
        except RemoteError as error:
            raise EvidenceError(Reason.WEAK_KEY, error.message) from None

    def encode(self) -> bytes:
        return canonical.encode(
            {
                "ak_public": self.ak_public,
                "ek_certificate": self.ek_certificate,
                "ek_public": self.ek_public,
                "format": _IDENTITY_FORMAT,
            }
        )


def parse_identity(data: bytes) -> TpmIdentity:
    """Raises EvidenceError, whatever the bytes."""
    try:
        fields = canonical.decode(data, MAXIMUM_IDENTITY, _IDENTITY_KEYS)
        fields.require("format", _IDENTITY_FORMAT)
        return TpmIdentity(
            fields.blob("ek_certificate", MAXIMUM_CERTIFICATE),
            fields.blob("ek_public", _MOST_PUBLIC),
            fields.blob("ak_public", _MOST_PUBLIC),
        )
    except ArtifactError as error:
        raise EvidenceError(Reason.UNREADABLE, f"a TPM's identity that cannot be read: {error.message}") from None


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The record. `counters`: the highest that this TPM has shown."""

    name: NodeName
    identity: TpmIdentity
    counters: Counters
    enrolled: datetime

    @property
    def ek_hash(self) -> str:
        return self.identity.ek_hash

    @property
    def ak_name(self) -> bytes:
        return self.identity.ak_name

    def binding(self) -> bytes:
        """Digest of name and keys, without the counters: two records with the same one are the same enrolment."""
        return sha256(length_prefixed(str(self.name).encode("ascii"), self.identity.encode()))

    def advanced(self, counters: Counters) -> Enrolment:
        """With newer counters. Raises EvidenceError(COUNTER) when they are older."""
        counters.require_not_before(self.counters)
        return replace(self, counters=counters)

    def encode(self) -> bytes:
        fields: dict[str, Json] = {
            "clock": self.counters.clock,
            "enrolled": int(self.enrolled.timestamp()),
            "format": _RECORD_FORMAT,
            "identity": self.identity.encode(),
            "name": str(self.name),
            "resets": self.counters.resets,
            "restarts": self.counters.restarts,
        }
        return canonical.encode(fields)


def parse_enrolment(data: bytes) -> Enrolment:
    """Raises EvidenceError(UNREADABLE), IdentityError, whatever the bytes."""
    try:
        fields = canonical.decode(data, MAXIMUM_RECORD, _RECORD_KEYS)
        fields.require("format", _RECORD_FORMAT)
        u32, u64 = (1 << 32) - 1, (1 << 64) - 1
        return Enrolment(
            name=NodeName.parse(fields.text("name", 512)),
            identity=parse_identity(fields.blob("identity", MAXIMUM_IDENTITY)),
            counters=Counters(
                fields.whole("resets", 0, u32), fields.whole("restarts", 0, u32), fields.whole("clock", 0, u64)
            ),
            enrolled=datetime.fromtimestamp(fields.whole("enrolled", 0, _LAST), UTC),
        )
    except ArtifactError as error:
        raise EvidenceError(Reason.UNREADABLE, f"an enrolment that cannot be read: {error.message}") from None


@dataclass(frozen=True, slots=True)
class Offer:
    """An enrolment under way, on the controller: `credential` goes to the node, `secret` stays here."""

    name: NodeName
    identity: TpmIdentity
    credential: Credential
    secret: bytes = field(repr=False)

    def complete(self, proof: bytes, exporter: bytes, now: datetime) -> Enrolment:
        """The record, once the node has shown what its TPM unwrapped. Raises EvidenceError(PROOF)."""
        expected = activation_proof(self.secret, self.name, exporter, self.identity)
        require_equal(
            proof, expected, EvidenceError(Reason.PROOF, "this node's TPM does not hold the keys that it showed")
        )
        return Enrolment(self.name, self.identity, Counters(0, 0, 0), now)


def offer_enrolment(name: NodeName, identity: TpmIdentity, roots: VendorRoots, secret: bytes, now: datetime) -> Offer:
    """Begin to enrol. `secret`: 32 random bytes. Raises EvidenceError: VENDOR, ENDORSEMENT_KEY, KEY_ATTRIBUTES,
    WEAK_KEY.
    """
    assert len(secret) == SECRET_SIZE
    identity.check_keys()
    identity.check_vendor(roots, now)
    return Offer(name, identity, make_credential(identity.endorsement.key, identity.ak_name, secret), secret)


def activation_proof(secret: bytes, name: NodeName, exporter: bytes, identity: TpmIdentity) -> bytes:
    """What the node answers with `secret`, the 32 bytes that its TPM unwrapped."""
    bound = length_prefixed(_PROOF_LABEL, str(name).encode("ascii"), exporter, sha256(identity.encode()))
    return hmac_sha256(secret, bound)
