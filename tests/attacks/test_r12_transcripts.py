"""R12: one field of the transcript differs between the two ends: another profile, node, certificate, plan, evidence or
connection.

Expected: the first record fails, whichever field it is; so does a transcript whose fields run into each other.
Defence: channel/record.py:Transcript.digest (every field, each with its length in front); removed, a record of one plan,
or for one node, opens under another.
Defence: controller/tickets.py:TicketWriter and worker/tickets.py:TicketReader (each end fills it from what it knows
itself); removed, a stage believes whom and what it is told.
"""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import pytest

from mohawk.channel.record import Transcript
from mohawk.channel.replay import RecordRefusedError
from mohawk.contract.steps import StagePart
from mohawk.identity.names import NodeName
from mohawk.nouns.segment import Segment
from mohawk.worker.tickets import TicketReader
from tests.support.tickets import CONTROLLER, EXPECTATION, TRANSCRIPT, make_ends, make_opener, make_route, make_sealer

PART = StagePart((Segment(sequence=1, start=0, count=1, sample=True),))


def change(name: str) -> Transcript:
    value = getattr(TRANSCRIPT, name)
    changed = value[:-1] + ("x" if isinstance(value, str) else bytes([value[-1] ^ 1]))
    return replace(TRANSCRIPT, **{name: changed})


@pytest.mark.parametrize("name", [field.name for field in fields(Transcript)])
def test_one_field_that_differs_is_enough(name: str) -> None:
    record = make_sealer(change(name)).seal(b"step", EXPECTATION)
    moved = record[:17] + TRANSCRIPT.connection_id + record[33:]  # what the header shows is no obstacle
    for one in (record, moved):
        with pytest.raises(RecordRefusedError):
            make_opener().open(one, EXPECTATION)
    assert change(name).digest() != TRANSCRIPT.digest()


def test_fields_do_not_run_into_each_other() -> None:
    """One letter moves from a field to its neighbour: the bytes in a row are the same."""
    names = [field.name for field in fields(Transcript)]
    for one, other in pairwise(names):
        left, right = getattr(TRANSCRIPT, one), getattr(TRANSCRIPT, other)
        if type(left) is type(right):
            moved = replace(TRANSCRIPT, **{one: left[:-1], other: left[-1:] + right})
            assert moved.digest() != TRANSCRIPT.digest()


def readers() -> dict[str, TicketReader]:
    """A worker that differs from what the controller knows, in one thing each."""
    route, honest = make_route(), make_ends().worker

    def session(**changes: object) -> TicketReader:
        return TicketReader(replace(honest, **changes), route)  # type: ignore[arg-type]

    def routed(**changes: object) -> TicketReader:
        return TicketReader(honest, replace(route, **changes))  # type: ignore[arg-type]

    return {
        "profile": session(profile="mie-cnsa"),
        "worker": session(own_name=NodeName.parse("spiffe://mesh.example/worker/w2")),
        "controller": session(peer=replace(honest.peer, name=NodeName.parse(f"{CONTROLLER}2"))),
        "worker's leaf": session(own_leaf="cc" * 32),
        "controller's leaf": session(peer=replace(honest.peer, leaf_digest="cc" * 32)),
        "secret": session(record_secret=lambda _context: bytes(48)),
        "plan": routed(plan=bytes(32)),
        "connection": routed(connection_id=bytes(16)),
        "epoch": routed(epoch=2),
        "stage": routed(stage=1),
    }


@pytest.mark.parametrize("what", readers())
def test_a_worker_goes_by_what_it_knows_itself(what: str) -> None:
    ends, route = make_ends(), make_route()
    ticket = ends.writer(route).seal(PART)
    with pytest.raises(RecordRefusedError):
        readers()[what].open(ticket, (0, 0, 0), 0)
    ends.reader(route).open(ticket, (0, 0, 0), 0)
