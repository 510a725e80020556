"""Small audit logs, and what an attacker does to their lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mohawk.audit.chain import START, Head, append
from mohawk.audit.events import AuditEvent, EventKind
from mohawk.crypto import canonical

NODE = "spiffe://mesh.example/controller/c1"
WORKER = "spiffe://mesh.example/worker/w1"
NOW = datetime(2026, 11, 25, 12, 0, 0, 250_000, tzinfo=UTC)


def make_event(number: int = 1) -> AuditEvent:
    return AuditEvent(EventKind.KEY_RELEASED, WORKER, {"slice": f"slice_{number}_{number}"})


def make_log(count: int) -> tuple[list[bytes], Head]:
    """So many entries, a second apart, and their head."""
    lines, head = [], START
    for number in range(1, count + 1):
        line, head = append(head, make_event(number), NODE, NOW + timedelta(seconds=number))
        lines.append(line)
    return lines, head


def change(line: bytes, field: str, value: object) -> bytes:
    """One field of an entry changed, in canonical spelling again."""
    return canonical.encode(json.loads(line) | {field: value}) + b"\n"


def without(lines: Sequence[bytes], index: int) -> list[bytes]:
    return [*lines[:index], *lines[index + 1 :]]


def moved(lines: Sequence[bytes], source: int, target: int) -> list[bytes]:
    left = without(lines, source)
    return [*left[:target], lines[source], *left[target:]]
