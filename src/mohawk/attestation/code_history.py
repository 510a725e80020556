"""Which code this machine's service ran since boot, as PCR 14 tells it (docs/spec/attestation.md 7).

Rules, and the attack each stops:

1. Start and stop are part of what is measured: turning one into the other changes the replay.
2. What PCR 14 held before the first event must be allowed too: otherwise an attacker measures what he likes, then
   presents the result as the beginning.
3. Every start counts, not only the last: code that is not allowed ran with the same key on the same boot.
4. The list is bounded, in events and in different digests: it comes from the peer.
"""

from __future__ import annotations

from dataclasses import dataclass

from mohawk.attestation.challenge import length_prefixed
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.crypto.tpm_primitives import TpmHash

PCR = 14
DIGEST_SIZE = 32
MAXIMUM_EVENTS = 1024
MAXIMUM_DIGESTS = 64
_START, _STOP = b"mie-code-start-1", b"mie-code-stop-1"


@dataclass(frozen=True, slots=True)
class CodeEvent:
    """The service with this code digest (SHA-256) began, or is about to end."""

    digest: bytes
    is_stop: bool = False

    def measured(self) -> bytes:
        """What TPM2_PCR_Event is given; every bank extends its own hash of it."""
        return length_prefixed(_STOP if self.is_stop else _START, self.digest)


@dataclass(frozen=True, slots=True)
class CodeHistory:
    """All events since boot, oldest first. Raises EvidenceError(CODE_HISTORY) beyond the bounds."""

    events: tuple[CodeEvent, ...] = ()

    def __post_init__(self) -> None:
        digests = {event.digest for event in self.events}
        if len(self.events) > MAXIMUM_EVENTS or len(digests) > MAXIMUM_DIGESTS:
            raise EvidenceError(
                Reason.CODE_HISTORY,
                "more starts and stops since boot than a history holds",
                hint="restart this machine: PCR 14 then begins anew",
            )
        if any(len(digest) != DIGEST_SIZE for digest in digests):
            raise _unreadable()

    def then(self, event: CodeEvent) -> CodeHistory:
        return CodeHistory((*self.events, event))

    def replay(self, bank: TpmHash, boot: bytes) -> bytes:
        """PCR 14 of `bank` after these events. `boot`: its value before the first."""
        value = boot
        for event in self.events:
            value = bank.digest(value + bank.digest(event.measured()))
        return value

    def check(self, allowed: frozenset[bytes]) -> None:
        """Raise EvidenceError: CODE (a start that is not allowed), CODE_HISTORY (a stop of something else), STOPPED."""
        running: bytes | None = None
        for event in self.events:
            if event.is_stop and event.digest != running:
                raise EvidenceError(Reason.CODE_HISTORY, "a service that stopped without having started")
            if not event.is_stop and event.digest not in allowed:
                raise EvidenceError(
                    Reason.CODE,
                    "since this machine booted, its service ran code that the policy does not allow",
                    hint="install the allowed version, then restart the machine",
                )
            running = None if event.is_stop else event.digest
        if running is None:
            raise EvidenceError(Reason.STOPPED, "no service of ours measured itself as running on this machine")

    def encode(self) -> tuple[bytes, bytes]:
        """(the different digests joined, one byte for each event: index x 2, + 1 for a stop)."""
        digests = tuple(dict.fromkeys(event.digest for event in self.events))
        steps = bytes(2 * digests.index(event.digest) + event.is_stop for event in self.events)
        return b"".join(digests), steps


def parse_history(joined: bytes, steps: bytes) -> CodeHistory:
    """The reverse of `CodeHistory.encode`; raises EvidenceError(CODE_HISTORY) on anything that it does not give."""
    digests = [joined[at : at + DIGEST_SIZE] for at in range(0, len(joined), DIGEST_SIZE)]
    if any(step // 2 >= len(digests) for step in steps):
        raise _unreadable()
    history = CodeHistory(tuple(CodeEvent(digests[step // 2], bool(step & 1)) for step in steps))
    if history.encode() != (joined, steps):
        raise _unreadable()
    return history


def _unreadable() -> EvidenceError:
    return EvidenceError(Reason.CODE_HISTORY, "a history of starts and stops that cannot be read")
