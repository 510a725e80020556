"""TPM structures as facts (TPM 2.0 Library part 2, sections cited as TPM2; docs/spec/attestation.md 2, 5).

Rules, and the attack each stops:

1. Only what we ask a TPM for is read: RSA and elliptic-curve public areas, quotes, three kinds of signature. Every
   other type ends in a reason (T05: a certification is signed by the same key, but says nothing of PCRs).
2. SHA-1 has no type here: a signature or name made with it cannot be read (T18). A PCR bank keeps its number unread,
   so that the refusal can say that it was the bank (T06).
3. A structure ends where its bytes end.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

from mohawk.attestation.reader import Reader
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.crypto.tpm_primitives import EccPublic, RsaPublic, Scheme, TpmCurve, TpmHash, TpmPublicKey, TpmSignature

MAXIMUM_STRUCTURE = 1024
"""Bytes of any structure here; an RSA-4096 public area takes about 550."""
MAGIC = b"\xffTCG"
QUOTE = 0x8018
ENDORSEMENT_HIERARCHY = 0x4000000B
PCR_COUNT = 24
_RSA, _ECC, _NULL = 0x0001, 0x0023, 0x0010
_MOST_SELECTIONS = 16
_SHORT = 64
_LONG = 512


class Attribute(IntFlag):
    """TPMA_OBJECT (TPM2 8.3), as far as we ask for it."""

    FIXED_TPM = 1 << 1
    FIXED_PARENT = 1 << 4
    SENSITIVE_DATA_ORIGIN = 1 << 5
    USER_WITH_AUTH = 1 << 6
    ADMIN_WITH_POLICY = 1 << 7
    NO_DICTIONARY_ATTACKS = 1 << 10
    RESTRICTED = 1 << 16
    DECRYPT = 1 << 17
    SIGN = 1 << 18


@dataclass(frozen=True, slots=True)
class PublicArea:
    """A key as its TPM describes it. `encoded`: TPMT_PUBLIC, which its name is the hash of."""

    encoded: bytes
    name_hash: TpmHash
    attributes: int
    key: TpmPublicKey

    @property
    def name(self) -> bytes:
        """Algorithm (u16) ‖ hash of the public area."""
        return self.name_hash.tpm_name(self.encoded)

    def require(self, needed: Attribute, forbidden: Attribute, error: EvidenceError) -> None:
        """Raise `error` unless all of `needed` and none of `forbidden` are set."""
        if self.attributes & needed != needed or self.attributes & forbidden:
            raise error


@dataclass(frozen=True, slots=True)
class Counters:
    """A TPM's clock (TPMS_CLOCK_INFO): resets, restarts since the last reset, milliseconds."""

    resets: int
    restarts: int
    clock: int

    def require_not_before(self, last: Counters) -> None:
        """Raise EvidenceError(COUNTER) unless this can come after `last` (docs/spec/attestation.md 5.8).

        Tuples compare in this order: a clock may fall when the power was cut, but then `resets` has risen.
        """
        if (self.resets, self.restarts, self.clock) < (last.resets, last.restarts, last.clock):
            raise EvidenceError(
                Reason.COUNTER,
                "the TPM's counters are behind those seen before: it was set back to an earlier state",
                hint="if its firmware or virtual machine was restored or cleared on purpose, enrol it anew",
            )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which PCRs of which bank. `bank`: a number of the TPM's registry."""

    bank: int
    pcrs: frozenset[int]

    def encode(self) -> bytes:
        """TPMS_PCR_SELECTION with 24 bits."""
        mask = sum(1 << index for index in self.pcrs)
        return self.bank.to_bytes(2, "big") + b"\3" + mask.to_bytes(3, "little")


@dataclass(frozen=True, slots=True)
class Quote:
    """A TPMS_ATTEST of type quote. `signer`: the key's qualified name; `extra`: what the challenger sent."""

    encoded: bytes
    signer: bytes
    extra: bytes
    counters: Counters
    firmware: int
    selections: tuple[Selection, ...]
    pcr_digest: bytes


def parse_public(data: bytes) -> PublicArea:
    """A TPM2B_PUBLIC. Raises EvidenceError: UNREADABLE, or WEAK_KEY (SHA-1, another type or curve)."""
    reader = Reader(data, EvidenceError(Reason.UNREADABLE, "a TPM's public key that cannot be read"))
    encoded = reader.sized(MAXIMUM_STRUCTURE)
    reader.end()
    area = Reader(encoded, reader.error)
    kind, name_hash, attributes = area.u16(), _hash(area.u16()), area.u32()
    area.sized(_SHORT)  # the policy that authorises its use
    if area.u16() != _NULL:
        area.take(4)  # symmetric cipher of a storage key: bits, mode
    if area.u16() != _NULL:
        area.take(2)  # signing scheme: its hash
    key = _parse_rsa(area) if kind == _RSA else _parse_ecc(area) if kind == _ECC else None
    if key is None:
        raise EvidenceError(Reason.WEAK_KEY, "a TPM key that is neither RSA nor on an elliptic curve")
    area.end()
    return PublicArea(encoded, name_hash, attributes, key)


def _parse_rsa(area: Reader) -> RsaPublic:
    area.u16()  # bits; the modulus says it itself
    exponent = area.u32() or 65537
    return RsaPublic(int.from_bytes(area.sized(_LONG), "big"), exponent)


def _parse_ecc(area: Reader) -> EccPublic:
    number = area.u16()
    if number not in TpmCurve.__members__.values():
        raise EvidenceError(Reason.WEAK_KEY, "a TPM key on another curve than P-256 and P-384")
    if area.u16() != _NULL:
        area.take(2)  # key derivation: its hash
    x, y = area.sized(_SHORT), area.sized(_SHORT)
    return EccPublic(TpmCurve(number), int.from_bytes(x, "big"), int.from_bytes(y, "big"))


def parse_quote(data: bytes) -> Quote:
    """A TPMS_ATTEST. Raises EvidenceError: MAGIC, TYPE, UNREADABLE."""
    reader = Reader(data, EvidenceError(Reason.UNREADABLE, "a quote that cannot be read"))
    if reader.take(len(MAGIC)) != MAGIC:
        raise EvidenceError(Reason.MAGIC, "a signed structure that no TPM made")
    if reader.u16() != QUOTE:
        raise EvidenceError(Reason.TYPE, "a TPM's statement that is not a quote")
    signer, extra = reader.sized(_SHORT + 2), reader.sized(_SHORT)
    clock, resets, restarts, _safe = reader.u64(), reader.u32(), reader.u32(), reader.u8()
    firmware = reader.u64()
    selections = parse_selections(reader)
    digest = reader.sized(_SHORT)
    reader.end()
    return Quote(data, signer, extra, Counters(resets, restarts, clock), firmware, selections, digest)


def parse_selections(reader: Reader) -> tuple[Selection, ...]:
    """A TPML_PCR_SELECTION, in the midst of something else."""
    return tuple(_parse_selection(reader) for _ in range(reader.count(_MOST_SELECTIONS)))


def _parse_selection(reader: Reader) -> Selection:
    bank, size = reader.u16(), reader.u8()
    if size > PCR_COUNT // 8:
        raise reader.error
    mask = int.from_bytes(reader.take(size), "little")
    return Selection(bank, frozenset(index for index in range(PCR_COUNT) if mask >> index & 1))


def parse_signature(data: bytes) -> TpmSignature:
    """A TPMT_SIGNATURE. Raises EvidenceError: WEAK_KEY (SHA-1, another scheme), UNREADABLE."""
    reader = Reader(data, EvidenceError(Reason.UNREADABLE, "a TPM's signature that cannot be read"))
    number = reader.u16()
    if number not in {scheme.value for scheme in Scheme}:
        raise EvidenceError(Reason.WEAK_KEY, "a TPM's signature of a kind that we do not accept")
    scheme, digest = Scheme(number), _hash(reader.u16())
    parts = tuple(reader.sized(_LONG) for _ in range(2 if scheme is Scheme.ECDSA else 1))
    reader.end()
    return TpmSignature(scheme, digest, parts)


def _hash(number: int) -> TpmHash:
    if number not in TpmHash.__members__.values():
        raise EvidenceError(Reason.WEAK_KEY, "a TPM structure made with another hash than SHA-256 and SHA-384")
    return TpmHash(number)


def qualified_name(endorsement: PublicArea, key: PublicArea) -> bytes:
    """The name of `key` as a child of that endorsement key, hierarchy included (docs/spec/attestation.md 5.3)."""
    parent = endorsement.name_hash.tpm_name(ENDORSEMENT_HIERARCHY.to_bytes(4, "big") + endorsement.name)
    return key.name_hash.tpm_name(parent + key.name)
