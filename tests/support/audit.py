"""In place of an audit trail, where writing it is not the subject."""

from __future__ import annotations

from dataclasses import dataclass, field

from mohawk.audit.events import AuditEvent, EventKind


@dataclass
class Heard:
    """What a node told its audit log, in order; a counted event as often as it was counted."""

    events: list[AuditEvent] = field(default_factory=list)

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)

    def note(self, event: AuditEvent, count: int = 1) -> None:
        self.events += [event] * count

    def of(self, kind: EventKind) -> list[AuditEvent]:
        return [event for event in self.events if event.kind is kind]
