"""Equal events, counted instead of written one by one: what strangers can cause as often as they like must fill neither
a disk nor a memory (D10). Pure.

Rules, and the attack each stops:

1. Nothing is forgotten: what is beyond the bound is counted under `others` of its kind and reason.
2. Each kind and reason has a bound of its own: a flood of strangers does not hide the one refusal of a revoked node.
   What only we ourselves can cause has none: of a thousand nodes that are revoked, each is named.
"""

from __future__ import annotations

from collections import Counter

from mohawk.audit.events import AuditEvent, EventKind

SUBJECTS = 16
"""Told apart at a time, of one kind and reason (docs/spec/audit.md 5)."""
OTHERS = "others"
_REASON = "reason"
_CAUSED_BY_OTHERS = frozenset(
    {
        EventKind.CONNECTION_REFUSED,
        EventKind.ACCESS_REFUSED,
        EventKind.JOIN_REFUSED,
        EventKind.RENEWAL_REFUSED,
        EventKind.TICKETS_REFUSED,
    }
)

_Key = tuple[str, str, tuple[tuple[str, str], ...]]


class Tally:
    """Events since the last `take`. Of what others can cause it holds as many as there are kinds and reasons, times the
    bound.
    """

    def __init__(self) -> None:
        self._events: dict[_Key, AuditEvent] = {}
        self._counts: Counter[_Key] = Counter()
        self._groups: Counter[tuple[str, str]] = Counter()

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, event: AuditEvent, count: int = 1) -> None:
        key, group = _key(event), (event.kind.value, event.details.get(_REASON, ""))
        if key not in self._events:
            if self._groups[group] >= SUBJECTS and event.kind in _CAUSED_BY_OTHERS:
                event = _others(event)
                key = _key(event)
            else:
                self._groups[group] += 1
            self._events[key] = event
        self._counts[key] += count

    def take(self) -> list[tuple[AuditEvent, int]]:
        """Each event and how often it was added; the tally then starts anew."""
        taken = [(event, self._counts[key]) for key, event in self._events.items()]
        for one in (self._events, self._counts, self._groups):
            one.clear()
        return taken


def _key(event: AuditEvent) -> _Key:
    return event.kind.value, event.subject, tuple(sorted(event.details.items()))


def _others(event: AuditEvent) -> AuditEvent:
    reason = event.details.get(_REASON)
    return AuditEvent(event.kind, OTHERS, {} if reason is None else {_REASON: reason})
