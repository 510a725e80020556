"""Whoever comes and leaves, in whatever order: a tenant's more urgent sequences go first, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from mohawk.generation.session import Caller, GenerationRequest, Priority, Sequence
from mohawk.generation.waiting import PATIENCE, WaitingRoom
from mohawk.nouns.model import SamplingParameters

TURNS = PATIENCE + len(Priority) - 1
"""The most for which the first of a priority is passed over."""

ARRIVALS = st.sampled_from(Priority)
LEAVING = st.integers(0, 20)
"""Who of those that wait, by place."""
EVENTS = st.lists(st.one_of(ARRIVALS, st.just("take"), LEAVING), max_size=200)


def make(number: int, priority: Priority) -> Sequence:
    request = GenerationRequest((1, 2), 1, SamplingParameters(), caller=Caller(priority=priority))
    return Sequence(number, request)


def urgency(sequence: Sequence) -> Priority:
    return sequence.request.caller.priority


def firsts(waiting: list[Sequence]) -> Iterator[Sequence]:
    """Of each priority, who came first."""
    for priority in Priority:
        yield from [one for one in waiting if urgency(one) is priority][:1]


@given(EVENTS)
def test_the_more_urgent_go_first_but_nobody_is_passed_over_for_ever(events: list[Priority | str | int]) -> None:
    room, waiting = WaitingRoom(), list[Sequence]()
    passed: dict[Priority, int] = dict.fromkeys(Priority, 0)
    for number, event in enumerate(events):
        if isinstance(event, Priority):
            waiting.append(make(number, event))
            room.add(waiting[-1])
        elif isinstance(event, int) and event < len(waiting):
            room.remove(waiting.pop(event))
        elif event == "take" and waiting:
            heads = list(firsts(waiting))
            taken = room.take()
            assert taken in heads, "those who are equally urgent go in order"
            assert taken is heads[0] or passed[urgency(taken)] >= PATIENCE
            waiting.remove(taken)
            for head in heads:
                passed[urgency(head)] = 0 if head is taken else passed[urgency(head)] + 1
        for priority in Priority:
            if all(urgency(one) is not priority for one in waiting):
                passed[priority] = 0
        assert len(room) == len(waiting)
        assert max(passed.values()) <= TURNS


@given(st.sampled_from([Priority.NORMAL, Priority.LOW]))
def test_under_an_endless_stream_of_urgent_ones(priority: Priority) -> None:
    room = WaitingRoom()
    room.add(make(0, priority))
    for turn in range(1, TURNS + 2):
        room.add(make(turn, Priority.HIGH))
        if room.take().id == 0:
            return
    raise AssertionError("passed over for ever")
