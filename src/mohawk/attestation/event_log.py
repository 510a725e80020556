"""The firmware's event log: how PCR values came about (TCG PC Client Platform Firmware Profile 10; crypto-agile format;
docs/spec/attestation.md 8).

Rules, and the attack each stops:

1. Only digests decide. Types and data are not authenticated: whoever holds the log can rewrite them and it replays the
   same, so a verifier that believes a type is led by the attacker.
2. Types that are not in the profile, or are kept in reserve, refuse the log: renaming an event to EV_UNUSED is how one
   is hidden from whoever sorts by type (T08).
3. EV_NO_ACTION is not extended; renaming an event to it changes the replay, which then misses the quoted value.
4. Every count and length is bounded before anything is allocated; each event has exactly the header's banks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mohawk.attestation.reader import Reader
from mohawk.attestation.reasons import EvidenceError, Reason
from mohawk.attestation.structures import PCR_COUNT
from mohawk.crypto.tpm_primitives import TpmHash

MAXIMUM_LOG = 1 << 20
"""Bytes of a log as the firmware left it."""
MAXIMUM_CONDENSED = 24 * 1024
"""Bytes of a log within evidence."""
_MOST_EVENTS = 8192
_MOST_BANKS = 8
_LONGEST_DIGEST = 64
_SIGNATURE = b"Spec ID Event03\0"
_STARTUP_LOCALITY = b"StartupLocality\0"
_LEGACY_DIGEST = bytes(20)
_NO_ACTION = 0x00000003
_KNOWN_TYPES = frozenset(
    {0x00000001, _NO_ACTION, *range(0x00000004, 0x00000014), *range(0x80000001, 0x8000000F), 0x80000010}
    | set(range(0x800000E0, 0x800000E5))
)
"""All of the profile's types but EV_PREBOOT_CERT (0) and EV_UNUSED (2), which are reserved."""


@dataclass(frozen=True, slots=True)
class Event:
    """One measurement. `digests` in the order of the log's banks; `data` explains it and proves nothing."""

    pcr: int
    kind: int
    digests: tuple[bytes, ...]
    data: bytes

    @property
    def startup_locality(self) -> int | None:
        """What PCR 0 begins with, when this event tells it."""
        if self.kind != _NO_ACTION or len(self.data) != len(_STARTUP_LOCALITY) + 1:
            return None
        return self.data[-1] if self.data.startswith(_STARTUP_LOCALITY) else None

    @property
    def is_extended(self) -> bool:
        return self.kind != _NO_ACTION


@dataclass(frozen=True, slots=True)
class EventLog:
    """A whole log. `banks`: (number of the TPM's registry, bytes of a digest) each."""

    banks: tuple[tuple[int, int], ...]
    events: tuple[Event, ...]

    def replay(self, bank: TpmHash) -> dict[int, bytes]:
        """What each PCR of `bank` holds after this log; PCRs without an event are missing.

        Raises EvidenceError(LOG): the log has no such bank.
        """
        position = self._position(bank)
        values: dict[int, bytes] = {}
        for event in self.events:
            locality = event.startup_locality
            if locality is not None and event.pcr == 0 and 0 not in values:
                values[0] = locality.to_bytes(bank.size, "big")
            elif event.is_extended:
                before = values.get(event.pcr, bytes(bank.size))
                values[event.pcr] = bank.digest(before + event.digests[position])
        return values

    def condense(self, bank: TpmHash, pcrs: frozenset[int]) -> EventLog:
        """The part that a verifier of these PCRs can use: one bank, and no data but the startup locality's."""
        position = self._position(bank)
        kept = tuple(
            Event(event.pcr, event.kind, (event.digests[position],), b"" if event.is_extended else event.data)
            for event in self.events
            if event.pcr in pcrs and (event.is_extended or event.startup_locality is not None)
        )
        return EventLog(((int(bank), bank.size),), kept)

    def _position(self, bank: TpmHash) -> int:
        numbers = [number for number, _ in self.banks]
        if int(bank) not in numbers:
            raise EvidenceError(Reason.LOG, "an event log without the bank that the policy asks for")
        return numbers.index(int(bank))

    def encode(self) -> bytes:
        """The log as firmware would write it; `parse_event_log` reads it again."""
        banks = b"".join(_u16(number) + _u16(size) for number, size in self.banks)
        specification = _SIGNATURE + bytes(4) + b"\0\2\0\2" + _u32(len(self.banks)) + banks + b"\0"
        header = _u32(0) + _u32(_NO_ACTION) + _LEGACY_DIGEST + _u32(len(specification)) + specification
        return header + b"".join(map(self._encode_event, self.events))

    def _encode_event(self, event: Event) -> bytes:
        pairs = zip(self.banks, event.digests, strict=True)
        digests = b"".join(_u16(number) + digest for (number, _), digest in pairs)
        count = _u32(len(self.banks))
        return _u32(event.pcr) + _u32(event.kind) + count + digests + _u32(len(event.data)) + event.data


def parse_event_log(data: bytes, limit: int) -> EventLog:
    """A log of at most `limit` bytes. Raises EvidenceError(LOG), whatever the bytes."""
    error = EvidenceError(Reason.LOG, "an event log that is not in the TCG's crypto-agile format, or too large")
    if len(data) > limit:
        raise error
    reader = Reader(data, error, "little")
    banks = _parse_header(reader)
    events = tuple(_parse_events(reader, banks))
    return EventLog(banks, events)


def _parse_header(reader: Reader) -> tuple[tuple[int, int], ...]:
    """The first event, in the older format, which names the banks (profile 10.4.5.1)."""
    if (reader.u32(), reader.u32(), reader.take(len(_LEGACY_DIGEST))) != (0, _NO_ACTION, _LEGACY_DIGEST):
        raise reader.error
    event = Reader(reader.take(reader.u32()), reader.error, "little")
    if event.take(len(_SIGNATURE)) != _SIGNATURE:
        raise reader.error
    event.take(8)  # platform class, versions, size of an integer
    banks = tuple((event.u16(), event.u16()) for _ in range(event.count(_MOST_BANKS)))
    event.take(event.u8())  # vendor information
    event.end()
    if not banks or len({number for number, _ in banks}) != len(banks):
        raise reader.error
    sizes = {int(known): known.size for known in TpmHash}
    if any(not 0 < size <= _LONGEST_DIGEST or size != sizes.get(number, size) for number, size in banks):
        raise reader.error
    return banks


def _parse_events(reader: Reader, banks: tuple[tuple[int, int], ...]) -> Iterator[Event]:
    count = 0
    while not reader.is_at_end:
        count += 1
        if count > _MOST_EVENTS:
            raise reader.error
        yield _parse_event(reader, banks)


def _parse_event(reader: Reader, banks: tuple[tuple[int, int], ...]) -> Event:
    pcr, kind = reader.u32(), reader.u32()
    if kind not in _KNOWN_TYPES:
        raise EvidenceError(Reason.LOG, "an event log with an event of a reserved or unknown type")
    if pcr >= PCR_COUNT and kind != _NO_ACTION:
        raise reader.error
    digests = _parse_digests(reader, banks)
    return Event(pcr, kind, digests, reader.take(reader.u32()))


def _parse_digests(reader: Reader, banks: tuple[tuple[int, int], ...]) -> tuple[bytes, ...]:
    """One of each bank, in whatever order they stand."""
    if reader.u32() != len(banks):
        raise reader.error
    sizes, found = dict(banks), {}
    for _ in banks:
        number = reader.u16()
        if number not in sizes or number in found:
            raise reader.error
        found[number] = reader.take(sizes[number])
    return tuple(found[number] for number, _ in banks)


def _u16(number: int) -> bytes:
    return number.to_bytes(2, "little")


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "little")
