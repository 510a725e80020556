"""How a controller asks a worker for evidence of its machine, and how a TPM is enrolled (docs/spec/messages.md 8).

What is inside `evidence`, `identity` and the credential is `attestation`'s; here it is bytes of a bounded size.
"""

from __future__ import annotations

from dataclasses import dataclass

from mohawk.contract.checks import require

NONCE_SIZE = 32
MAXIMUM_EVIDENCE = 48 * 1024
MAXIMUM_IDENTITY = 16 * 1024
MAXIMUM_CREDENTIAL = 2048
PCR_COUNT = 24
BANKS = ("sha256", "sha384")


@dataclass(frozen=True, slots=True)
class AttestOrder:
    """Controller to worker: quote these PCRs (bit mask) of this bank, now, for this nonce."""

    nonce: bytes
    bank: str
    pcrs: int

    def __post_init__(self) -> None:
        require(len(self.nonce) == NONCE_SIZE, "a challenge without a nonce of 32 bytes")
        require(self.bank in BANKS and 0 <= self.pcrs < 1 << PCR_COUNT, "no such PCRs")


@dataclass(frozen=True, slots=True)
class AttestReply:
    """Worker to controller: what it has to show, `software` where it has no TPM."""

    evidence: bytes

    def __post_init__(self) -> None:
        require(0 < len(self.evidence) <= MAXIMUM_EVIDENCE, "evidence of a wrong size")


@dataclass(frozen=True, slots=True)
class EnrolOrder:
    """Controller to worker: show your TPM's keys."""


@dataclass(frozen=True, slots=True)
class TpmKeys:
    """Worker to controller: endorsement certificate and key, attestation key."""

    identity: bytes

    def __post_init__(self) -> None:
        require(0 < len(self.identity) <= MAXIMUM_IDENTITY, "a TPM's identity of a wrong size")


@dataclass(frozen=True, slots=True)
class CredentialOffer:
    """Controller to worker: a secret that only the TPM with both keys unwraps (TPM2_MakeCredential)."""

    id_object: bytes
    encrypted_seed: bytes

    def __post_init__(self) -> None:
        require(0 < len(self.id_object) <= MAXIMUM_CREDENTIAL, "a credential of a wrong size")
        require(0 < len(self.encrypted_seed) <= MAXIMUM_CREDENTIAL, "a credential of a wrong size")


@dataclass(frozen=True, slots=True)
class CredentialProof:
    """Worker to controller: a MAC with that secret, bound to name and connection."""

    proof: bytes

    def __post_init__(self) -> None:
        require(len(self.proof) == 32, "a proof of a wrong size")
