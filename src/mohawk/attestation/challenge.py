"""What a quote answers: one connection, one node, one key, one manifest, once (docs/spec/attestation.md 3).

Rules, and the attack each stops:

1. A challenge without a whole nonce cannot be built: "no nonce given, so none checked" is the hole that other verifiers
   had (T02).
2. Every field has its length in front: no two challenges give the same bytes.
3. The node's name and the connection's exporter are in it: a quote relayed from another machine answers another
   challenge (T11). The HPKE key is in it: a quote vouches for no other key (T10).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.crypto.primitives import sha256
from mohawk.errors import UsageError
from mohawk.identity.names import NodeName

NONCE_SIZE = 32
LIFETIME = timedelta(seconds=60)
_LABEL = b"mie-att-1"


@dataclass(frozen=True, slots=True)
class Challenge:
    """`recipient`: SHA-256 of the HPKE public key; `exporter`: 32 bytes of the TLS connection; `manifest`: its digest.

    Raises EvidenceError(NONCE), UsageError when built from less.
    """

    nonce: bytes
    recipient: bytes
    name: NodeName
    exporter: bytes
    manifest: bytes
    issued: datetime

    def __post_init__(self) -> None:
        if len(self.nonce) != NONCE_SIZE:
            raise EvidenceError(Reason.NONCE, "a challenge without a nonce of 32 bytes")
        if {len(self.recipient), len(self.exporter), len(self.manifest)} != {32}:
            raise UsageError("a challenge is bound to a key, a connection and a manifest, by 32 bytes each")

    def qualifying_data(self) -> bytes:
        """The 32 bytes that the TPM signs as extraData."""
        name = str(self.name).encode("ascii")
        return sha256(length_prefixed(_LABEL, self.nonce, self.recipient, name, self.exporter, self.manifest))

    def check_fresh(self, now: datetime) -> None:
        """Raise EvidenceError(STALE) 60 seconds after it was issued. That it is used once is the nonce guard's part."""
        if not self.issued <= now <= self.issued + LIFETIME:
            raise EvidenceError(Reason.STALE, "an answer to a challenge that is over", hint="ask again")


def length_prefixed(*parts: bytes) -> bytes:
    """Unambiguous joining, lengths as u32: no two lists of parts give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
