"""Entries chained by their hashes: whoever changes, removes or moves one is contradicted by those behind it, and by a
head that was noted elsewhere (docs/spec/audit.md 1-3).

Rules, and the attack each stops:

1. Each entry holds the hash of the one before it, bound to the format's name: a changed entry no longer fits (N01).
2. A head vouches for the last entries, which have nothing behind them: entries cut off at the end are missed (N01).
3. An entry is canonical JSON, hence one line of printable ASCII: a field with CR, LF or ESC forges no line and steers
   no terminal (I10).
4. The hash alone would name the place where the chain tears; which of the two neighbours was changed is told by the
   next one: the first bad entry is named, not the first good one behind it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from mohawk.audit.events import MAXIMUM_DETAILS, MAXIMUM_TEXT, AuditEvent, EventKind
from mohawk.crypto import canonical
from mohawk.crypto.primitives import sha256
from mohawk.errors import ArtifactError, UsageError

MAXIMUM_LINE = 1 << 17
"""Bytes, newline included: more than the longest event can take, escapes included."""
_FORMAT = b"mohawk-audit-1\0"
_FIELDS = ("details", "kind", "node", "number", "previous", "subject", "time")
_HEAD = re.compile(r"(0|[1-9][0-9]{0,18}):([0-9a-f]{64})", re.ASCII)
_MOST = 10**19 - 1


class Fault(StrEnum):
    """What is wrong with the first bad entry."""

    UNREADABLE = "unreadable"
    CUT_OFF = "cut off"
    EDITED = "edited"
    DELETED = "deleted"
    REORDERED = "reordered"
    REPEATED = "repeated"
    TRUNCATED = "truncated"


class BrokenLogError(ArtifactError):
    """A log that was changed after it was written. `number`: the first bad entry's."""

    code = "broken_audit_log"

    def __init__(self, number: int, fault: Fault) -> None:
        super().__init__(
            f"the audit log is broken: its first bad entry is number {number} ({fault})",
            hint="keep the file as it is, as evidence, and compare it with a copy from elsewhere",
        )
        self.number = number
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Head:
    """So many entries, the last of which has this hash (SHA-256, hexadecimal). `str()` gives COUNT:HASH."""

    count: int
    digest: str

    def __str__(self) -> str:
        return f"{self.count}:{self.digest}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """The inverse of `str`. Raises ArtifactError."""
        match = _HEAD.fullmatch(text)
        if match is None:
            raise ArtifactError("not the head of an audit log", hint="a head reads COUNT:HASH")
        return cls(int(match[1]), match[2])


START = Head(0, sha256(_FORMAT).hex())
"""Of a log that holds nothing yet."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, where it stands and who wrote it. `previous`: the hash of the entry before."""

    number: int
    time: datetime
    node: str
    event: AuditEvent
    previous: str


def append(head: Head, event: AuditEvent, node: str, now: datetime) -> tuple[bytes, Head]:
    """The line, newline included, that `node` writes for `event` behind `head`; and the head that it makes."""
    line = canonical.encode(
        {
            "details": dict(event.details),
            "kind": event.kind.value,
            "node": node,
            "number": head.count + 1,
            "previous": head.digest,
            "subject": event.subject,
            "time": _spell(now),
        }
    )
    return line + b"\n", Head(head.count + 1, _digest(line))


def parse_entry(line: bytes) -> Entry:
    """The entry in `line`, newline included. Raises ArtifactError; whether it fits its neighbours is not asked."""
    if not line.endswith(b"\n"):
        raise ArtifactError("an audit entry without its end")
    fields = canonical.decode(line[:-1], MAXIMUM_LINE, _FIELDS)
    try:
        event = AuditEvent(
            EventKind(fields.text("kind")),
            fields.text("subject", MAXIMUM_TEXT),
            fields.named_texts("details", MAXIMUM_DETAILS, MAXIMUM_TEXT),
        )
        time = datetime.fromisoformat(fields.text("time"))
    except (ValueError, UsageError):
        raise ArtifactError("an audit entry that cannot be read") from None
    if time.tzinfo != UTC or _spell(time) != fields.text("time"):
        raise ArtifactError("an audit entry whose time is not in its one spelling")
    node, number = fields.text("node", MAXIMUM_TEXT), fields.whole("number", 1, _MOST)
    return Entry(number, time, node, event, fields.text("previous"))


def verify(lines: Iterable[bytes], known: Head | None = None) -> Head:
    """Read a whole log, newlines included, against a head that is known of it; the log's own head.

    Raises BrokenLogError naming the first bad entry. Holds two entries at a time, however long the log.
    """
    rest = iter(lines)
    head = START
    for line in rest:
        entry = _read(line, head.count + 1)
        if entry.number != head.count + 1:
            raise _misplaced(entry.number, head.count + 1, rest)
        following = Head(entry.number, _digest(line[:-1]))
        if entry.previous != head.digest:
            raise _edited(following, next(rest, b""), known)
        head = following
        if known is not None and known.count == head.count and known.digest != head.digest:
            raise BrokenLogError(head.count, Fault.EDITED)
    if known is not None and known.count > head.count:
        raise BrokenLogError(head.count + 1, Fault.TRUNCATED)
    return head


def _spell(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _digest(line: bytes) -> str:
    return sha256(_FORMAT + line).hex()


def _read(line: bytes, number: int) -> Entry:
    try:
        return parse_entry(line)
    except ArtifactError:
        is_cut_off = len(line) < MAXIMUM_LINE and not line.endswith(b"\n")
        raise BrokenLogError(number, Fault.CUT_OFF if is_cut_off else Fault.UNREADABLE) from None


def _misplaced(found: int, expected: int, rest: Iterator[bytes]) -> BrokenLogError:
    """Entry `found` stands where `expected` should: what lies behind it says how that came."""
    numbers = map(_number, rest)
    after = next(numbers, 0)
    if found > expected and expected in itertools.chain((after,), numbers):
        fault = Fault.REORDERED
    elif after == expected + 1:
        fault = Fault.EDITED  # its number is wrong, and nothing else
    else:
        fault = Fault.DELETED if found > expected else Fault.REPEATED
    return BrokenLogError(expected, fault)


def _edited(later: Head, after: bytes, known: Head | None) -> BrokenLogError:
    """The entry at `later` remembers another predecessor. If what is behind it still fits it, the predecessor was
    edited; else it was itself. `after`: the next line, empty behind the last one.
    """
    try:
        is_earlier = parse_entry(after).previous == later.digest
    except ArtifactError:
        is_earlier = known is None or known == later
    return BrokenLogError(max(1, later.count - is_earlier), Fault.EDITED)


def _number(line: bytes) -> int:
    """0 for what is no entry."""
    try:
        return parse_entry(line).number
    except ArtifactError:
        return 0
