"""What nodes show of their machines: one type for each kind, parsed and not believed (docs/spec/attestation.md 1, 4).

Rules, and the attack each stops:

1. The label decides which parser reads the bytes, and the type which verifier judges them: a TPM's quote under a TEE's
   label is read by nobody (T14).
2. Classes are ordered and belong to the types: no field of the evidence says how strong it is.
3. The attestation key is not in the evidence: a quote is checked with the enrolled key or not at all (T03).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, TypeAlias

from mohawk.attestation.code_history import MAXIMUM_DIGESTS, MAXIMUM_EVENTS, CodeHistory, parse_history
from mohawk.attestation.event_log import MAXIMUM_CONDENSED
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.attestation.structures import MAXIMUM_STRUCTURE, PCR_COUNT
from mohawk.crypto import canonical
from mohawk.crypto.primitives import sha256
from mohawk.crypto.tpm_primitives import TpmHash
from mohawk.errors import ArtifactError

MAXIMUM_EVIDENCE = 48 * 1024
_LARGEST_DIGEST = 48
_TPM_KEYS = (
    "bank",
    "boot",
    "code_digests",
    "code_events",
    "log",
    "log_absent",
    "pcr_values",
    "pcrs",
    "quote",
    "signature",
)
LOG_ABSENT = ("", "unavailable", "unreadable", "too-large")
"""Why evidence has no event log; empty when it has one."""
BANKS = {"sha256": TpmHash.SHA256, "sha384": TpmHash.SHA384}


class EvidenceClass(IntEnum):
    """What evidence can show at most. A class satisfies itself and those below it, never one above."""

    SOFTWARE = 0
    TPM = 1
    TEE = 2

    @property
    def word(self) -> str:
        """As policies, audit entries and people write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class SoftwareEvidence:
    """Nothing: the peer holds its certificate's key, and that is all we know."""

    evidence_class: ClassVar[EvidenceClass] = EvidenceClass.SOFTWARE

    def encode(self) -> bytes:
        return b"software/1\n{}"

    def digest(self) -> bytes:
        """What step tickets are bound to (docs/spec/tickets.md 2)."""
        return sha256(b"mohawk evidence: software")


@dataclass(frozen=True, slots=True)
class TpmEvidence:
    """A quote, and what is needed to judge it. `values`: PCRs of `bank` by index; `boot`: PCR 14 before `history`;
    `log`: a condensed event log, or empty, and then `log_absent` says why.
    """

    evidence_class: ClassVar[EvidenceClass] = EvidenceClass.TPM

    quote: bytes
    signature: bytes
    bank: TpmHash
    values: tuple[tuple[int, bytes], ...]
    boot: bytes
    history: CodeHistory
    log: bytes = b""
    log_absent: str = "unavailable"

    def __post_init__(self) -> None:
        sizes = {len(self.boot), *(len(value) for _, value in self.values)}
        indices = [index for index, _ in self.values]
        if sizes != {self.bank.size} or indices != sorted(set(indices)) or not set(indices) <= set(range(PCR_COUNT)):
            raise _unreadable()
        if self.log_absent not in LOG_ABSENT or bool(self.log) == bool(self.log_absent):
            raise _unreadable()

    def encode(self) -> bytes:
        """At most MAXIMUM_EVIDENCE bytes."""
        digests, events = self.history.encode()
        return b"tpm/1\n" + canonical.encode(
            {
                "bank": self.bank.name.lower(),
                "boot": self.boot,
                "code_digests": digests,
                "code_events": events,
                "log": self.log,
                "log_absent": self.log_absent,
                "pcr_values": b"".join(value for _, value in self.values),
                "pcrs": sum(1 << index for index, _ in self.values),
                "quote": self.quote,
                "signature": self.signature,
            }
        )

    def digest(self) -> bytes:
        """What step tickets are bound to (docs/spec/tickets.md 2)."""
        return sha256(b"mohawk evidence: tpm\0" + self.encode())


Evidence: TypeAlias = SoftwareEvidence | TpmEvidence
"""The kinds that we read; each has a class, `encode` and `digest`, and one verifier in `attestation.appraisal`."""


def parse_evidence(data: bytes) -> Evidence:
    """Raises EvidenceError: an unknown label, or bytes that are not what the label says."""
    if len(data) > MAXIMUM_EVIDENCE:
        raise EvidenceError(Reason.UNREADABLE, "evidence of more than 48 KiB")
    label, _, document = data.partition(b"\n")
    try:
        match label:
            case b"software/1":
                canonical.decode(document, MAXIMUM_EVIDENCE, ())
                return SoftwareEvidence()
            case b"tpm/1":
                return _parse_tpm(canonical.decode(document, MAXIMUM_EVIDENCE, _TPM_KEYS))
    except ArtifactError as error:
        raise EvidenceError(Reason.UNREADABLE, f"evidence that cannot be read: {error.message}") from None
    raise EvidenceError(
        Reason.UNREADABLE, "evidence of a kind that this version does not read", hint="TPM 2.0 quotes are read"
    )


def _parse_tpm(fields: canonical.Fields) -> TpmEvidence:
    bank = BANKS.get(fields.text("bank"))
    if bank is None:
        raise EvidenceError(Reason.BANK, "evidence of another PCR bank than SHA-256 and SHA-384")
    mask = fields.whole("pcrs", 0, (1 << PCR_COUNT) - 1)
    indices = [index for index in range(PCR_COUNT) if mask >> index & 1]
    joined = fields.blob("pcr_values", PCR_COUNT * _LARGEST_DIGEST)
    if len(joined) != len(indices) * bank.size:
        raise _unreadable()
    values = tuple((index, joined[at * bank.size : (at + 1) * bank.size]) for at, index in enumerate(indices))
    history = parse_history(
        fields.blob("code_digests", MAXIMUM_DIGESTS * 32), fields.blob("code_events", MAXIMUM_EVENTS)
    )
    return TpmEvidence(
        quote=fields.blob("quote", MAXIMUM_STRUCTURE),
        signature=fields.blob("signature", MAXIMUM_STRUCTURE),
        bank=bank,
        values=values,
        boot=fields.blob("boot", _LARGEST_DIGEST),
        history=history,
        log=fields.blob("log", MAXIMUM_CONDENSED),
        log_absent=fields.text("log_absent"),
    )


def _unreadable() -> EvidenceError:
    return EvidenceError(Reason.UNREADABLE, "evidence whose parts do not fit together")
