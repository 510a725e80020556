"""Who waits, and whose turn it is: fair between tenants, the more urgent first within one.

The virtual token counter of Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024): each tenant has a
counter of the tokens it was served, and the one with the lowest goes first, so that a tenant who asks for much delays
nobody but itself. A tenant that comes back after a pause is lifted to the lowest counter of those who wait, or, when
nobody does, to that of whoever had the last turn: idling saves up no claim.

Within a tenant the more urgent go first, but not for ever: those who were passed over `PATIENCE` times in a row get the
next turn. Whoever is first among the equally urgent waits for `PATIENCE` turns of its tenant, and one more for each
other priority, at most.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from mohawk.generation.session import Caller, Priority, Sequence

_SHARE = {Priority.HIGH: 4, Priority.NORMAL: 2, Priority.LOW: 1}
"""Of tenants that ask for more than there is, one at HIGH gets four times the tokens of one at LOW. Nobody starves."""
GENERATED_WEIGHT = 2
"""A generated token takes a step of its own; prompt tokens share one."""
PATIENCE = 8
"""Turns of a tenant that may in a row pass over its less urgent sequences."""


@dataclass(slots=True)
class _Lane:
    """Those of a tenant that are equally urgent. `waiting`: a heap in order of arrival (sequence ids grow); `passed`:
    turns that went to others since the last of its own.
    """

    waiting: list[tuple[int, Sequence]] = field(default_factory=list)
    passed: int = 0


@dataclass(slots=True)
class _Tenant:
    served: float = 0.0
    lanes: dict[Priority, _Lane] = field(default_factory=lambda: {priority: _Lane() for priority in Priority})
    """The most urgent first."""

    def waiting(self) -> list[_Lane]:
        """Lanes in which somebody is."""
        return [lane for lane in self.lanes.values() if lane.waiting]

    def next(self) -> _Lane:
        """Whose turn it is, of `waiting`, which is not empty: the most urgent's, or of those that were passed over too
        often, the one that was most often.
        """
        waiting = self.waiting()
        passed = max(waiting, key=lambda lane: lane.passed)
        return passed if passed.passed >= PATIENCE else waiting[0]

    def take(self) -> Sequence:
        """The one whose turn it is."""
        chosen = self.next()
        for lane in self.waiting():
            lane.passed += 1
        chosen.passed = 0
        return heapq.heappop(chosen.waiting)[1]


class WaitingRoom:
    """Sequences that were not admitted yet, or were thrown out again."""

    def __init__(self) -> None:
        self._tenants: dict[str, _Tenant] = {}
        self._size = 0
        self._gone: set[int] = set()
        """Left while waiting; taken out of the heaps when they come up."""
        self._last: _Tenant | None = None
        """Who had the last turn."""

    def __len__(self) -> int:
        return self._size

    def add(self, sequence: Sequence) -> None:
        """Wait, behind those of its own tenant that are as urgent and came earlier."""
        caller = sequence.request.caller
        tenant = self._tenants.setdefault(caller.tenant, _Tenant())
        if not tenant.waiting():
            served = [other.served for other in self._tenants.values() if other.waiting()]
            if not served and self._last is not None:
                served = [self._last.served]
            tenant.served = max(tenant.served, min(served, default=0.0))
        heapq.heappush(tenant.lanes[caller.priority].waiting, (sequence.id, sequence))
        self._size += 1

    def remove(self, sequence: Sequence) -> None:
        """A sequence that is waiting leaves."""
        self._gone.add(sequence.id)
        self._size -= 1
        self._drop_gone(self._tenants[sequence.request.caller.tenant])

    def next(self) -> Sequence | None:
        """Whose turn it is; it stays until `take`."""
        waiting = [(tenant.served, name) for name, tenant in self._tenants.items() if tenant.waiting()]
        return self._tenants[min(waiting)[1]].next().waiting[0][1] if waiting else None

    def take(self) -> Sequence:
        """The one whose turn it is, out of the room. Its prompt is charged, once."""
        sequence = self.next()
        assert sequence is not None  # the caller looked
        tenant = self._tenants[sequence.request.caller.tenant]
        tenant.take()
        self._last = tenant
        self._size -= 1
        self._drop_gone(tenant)
        if not sequence.attempt:
            self.charge(sequence.request.caller, len(sequence.request.prompt))
        return sequence

    def charge(self, caller: Caller, tokens: float) -> None:
        """`tokens` were computed for this caller."""
        tenant = self._tenants.get(caller.tenant) or self._tenants.setdefault(caller.tenant, _Tenant())
        tenant.served += tokens / _SHARE[caller.priority]

    def _drop_gone(self, tenant: _Tenant) -> None:
        for lane in tenant.waiting():
            while lane.waiting and lane.waiting[0][0] in self._gone:
                self._gone.discard(heapq.heappop(lane.waiting)[0])
            if not lane.waiting:
                lane.passed = 0  # nobody is left who was passed over
