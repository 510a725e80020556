"""Whose turn it is within a tenant. Whatever the order of events: tests/properties/test_waiting.py."""

from __future__ import annotations

from mohawk.generation.session import Caller, GenerationRequest, Priority, Sequence
from mohawk.generation.waiting import PATIENCE, WaitingRoom
from mohawk.nouns.model import SamplingParameters


def make(number: int, priority: Priority = Priority.NORMAL, tenant: str = "a") -> Sequence:
    caller = Caller(tenant=tenant, priority=priority)
    request = GenerationRequest((1, 2), 1, SamplingParameters(), caller=caller)
    return Sequence(number, request)


def test_those_who_were_passed_over_too_often_get_the_next_turn() -> None:
    room = WaitingRoom()
    room.add(make(1, Priority.LOW))
    room.add(make(2, Priority.NORMAL))
    urgent = list(range(3, 3 + 2 * PATIENCE))
    for number in urgent:
        room.add(make(number, Priority.HIGH))
    order = [room.take().id for _ in range(len(room))]
    assert order == [*urgent[:PATIENCE], 2, 1, *urgent[PATIENCE:]]


def test_who_leaves_takes_its_claim_along() -> None:
    room, low = WaitingRoom(), make(0, Priority.LOW)
    room.add(low)
    for number in range(1, 4 * PATIENCE):
        room.add(make(number, Priority.HIGH))
    for _ in range(PATIENCE):
        room.take()
    room.remove(low)
    room.add(make(99, Priority.LOW))
    assert 99 not in [room.take().id for _ in range(PATIENCE)]
    assert room.take().id == 99


def test_who_comes_while_nobody_waits_has_no_claim_over_those_who_were_served() -> None:
    """Else a tenant that was away would have every turn until it was served as much as the others ever were."""
    room = WaitingRoom()
    room.add(make(1, tenant="old"))
    room.charge(room.take().request.caller, 1_000_000)
    numbers = iter(range(2, 100))
    for _ in range(3):
        for tenant in ("new", "old"):
            room.add(make(next(numbers), tenant=tenant))
    turns = [room.take().request.caller.tenant for _ in range(4)]
    assert sorted(turns) == ["new", "new", "old", "old"]
