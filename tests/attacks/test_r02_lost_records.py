"""R02: a record is dropped on the way.

Expected: of an ordered stream, the connection ends; of a ticket, lost together with its step, that step is missed when a
later one comes back, or by its deadline, and later tickets are accepted: a gap is no deadlock.
Defence: TLS 1.3's implicit numbers (channel/tls.py:TlsConnection.read_into); removed, what was between two records is
silently missing.
Defence: channel/replay.py:InOrder (any higher number) and controller/pipeline.py:Pipeline.check_deadlines; removed, one
lost step ends the route for good, or is waited for for ever.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mohawk.channel.replay import SlidingWindow
from mohawk.contract.codec import decode_part
from mohawk.contract.steps import Step, StepResult
from mohawk.controller.pipeline import Pipeline
from mohawk.errors import RemoteError
from tests.controller.test_pipeline import Story, make_order
from tests.support.audit import Heard
from tests.support.tickets import EXPECTATION, make_ends, make_opener, make_route, make_sealer
from tests.support.tls import Mesh, connect_pair


def test_a_stream_with_a_record_missing_ends() -> None:
    mesh = Mesh()
    client, server = connect_pair(mesh.controller, mesh.worker)
    records: list[bytes] = []
    for data in (b"one", b"two", b"three"):
        client.send((data,), records.append)
    given = bytearray(100)
    server.receive(records[0])
    assert server.read_into(given) == 3
    server.receive(records[2])
    with pytest.raises(RemoteError):
        server.read_into(given)
    assert bytes(given[:3]) == b"one"


@pytest.mark.parametrize("gap", [1, 5000])
def test_tickets_behind_a_gap_are_accepted(gap: int) -> None:
    for replay in (None, SlidingWindow()):
        sealer, opener = make_sealer(), make_opener(replay)
        records = [sealer.seal(bytes([number % 256]), EXPECTATION) for number in range(gap + 2)]
        opener.open(records[0], EXPECTATION)
        assert opener.open(records[-1], EXPECTATION) == bytes([(gap + 1) % 256])
        assert opener.refused == 0


def test_a_step_that_is_lost_with_its_ticket_fails_alone() -> None:
    """A stage between drops the second of three steps. The other two reach the stage behind it, and are answered."""
    route, ends = make_route(stage=0), make_ends()
    reader = ends.reader(route)

    story = Story()

    def relay(step: Step) -> None:
        if step.number != 2:
            part = decode_part(reader.open(step.parts[0], (0, 0, 0), 0))
            pipeline.on_result("w1", StepResult(part.number, (), 0))

    pipeline = Pipeline(relay, note=Heard().note, clock=lambda: story.now)
    pipeline.listener = story
    pipeline.rekey(1, (ends.writer(route),), "w1")
    for number in (1, 2, 3):
        pipeline.send(replace(make_order(), number=number), 5.0, 1.0)
    assert story.ends() == ([1, 3], [2], 0)


def test_a_last_step_that_is_lost_is_not_waited_for_for_ever() -> None:
    story = Story()
    pipeline = Pipeline(lambda _step: None, note=Heard().note, clock=lambda: story.now)
    pipeline.listener = story
    pipeline.rekey(1, (make_ends().writer(make_route(stage=0)),), "w1")
    pipeline.send(make_order(), 5.0, 1.0)
    story.now += 5.1
    pipeline.check_deadlines(in_haste=False)
    assert story.ends() == ([], [], 1)
