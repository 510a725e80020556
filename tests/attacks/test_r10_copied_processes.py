"""R10: a process that seals is forked, or copied and started again, so that two of them hold one key and one counter.

Expected: the forked child seals and opens nothing, even while a thread that it does not have holds the lock; its parent
goes on. Whoever starts again connects again, under another key: what was sealed before opens nothing there.
Defence: channel/record.py:_Key.is_ours, asked by Sealer.seal and Opener.open; removed, parent and child seal different
parts under one nonce.
Defence: the exporter under the key (channel/tls.py:TlsConnection._record_secret) and the connection id in the transcript
(channel/record.py:Transcript.digest); removed, records of before a restart are taken after it.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.channel.profile import NodeContext
from mohawk.channel.replay import RecordRefusedError
from mohawk.contract.messages import Route
from mohawk.contract.steps import StagePart
from mohawk.controller.tickets import TicketWriter, new_connection_id
from mohawk.nouns.model import DataType
from mohawk.nouns.segment import Segment
from mohawk.worker.tickets import TicketReader
from tests.support.tickets import make_route
from tests.support.tls import Mesh, connect_pair

FORKED = """
import os
from mohawk.errors import MohawkError
from tests.support.tickets import EXPECTATION, make_opener, make_sealer, sequence_of

def try_to(what):
    try:
        what()
    except MohawkError as error:
        return error.code
    return "done"

sealer, opener = make_sealer(), make_opener()
records = [sealer.seal(b"before", EXPECTATION) for _ in range(2)]
opener.open(records[0], EXPECTATION)
sealer._lock.acquire(), opener._lock.acquire()  # as if by a thread of ours in the middle of its work
if child := os.fork():
    os.waitpid(child, 0)
    sealer._lock.release(), opener._lock.release()
    after = sealer.seal(b"after", EXPECTATION)
    print(sequence_of(after), opener.open(records[1], EXPECTATION), opener.open(after, EXPECTATION))
else:
    print(try_to(lambda: sealer.seal(b"child", EXPECTATION)), try_to(lambda: opener.open(records[1], EXPECTATION)))
"""
PART = StagePart((Segment(sequence=1, start=0, count=1, sample=True),))


def test_a_forked_child_neither_seals_nor_opens_and_its_parent_goes_on() -> None:
    command = [sys.executable, "-c", FORKED]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["unavailable record_refused", "2 b'before' b'after'"]


def connect(controller: NodeContext, worker: NodeContext, route: Route) -> tuple[TicketWriter, TicketReader]:
    """The tickets of a fresh connection."""
    ours, theirs = (end.session for end in connect_pair(controller, worker))
    assert ours is not None
    assert theirs is not None
    return TicketWriter(ours, route, (8, DataType.FLOAT32)), TicketReader(theirs, route)


@pytest.mark.parametrize("is_new_id", [True, False], ids=["new id", "same id"])
def test_after_a_restart_nothing_of_before_opens(is_new_id: bool) -> None:
    """Same nodes, same certificates, same plan and epoch; even the connection id might be a copy's."""
    mesh, route = Mesh(), make_route()
    writer, reader = connect(mesh.controller, mesh.worker, route)
    old = writer.seal(PART)
    restarted = replace(route, connection_id=new_connection_id()) if is_new_id else route
    again, reader_again = connect(mesh.controller, mesh.worker, restarted)
    with pytest.raises(RecordRefusedError):
        reader_again.open(old, (0, 0, 0), 0)
    with pytest.raises(RecordRefusedError):
        reader.open(again.seal(PART), (0, 0, 0), 0)
    assert reader_again.open(again.seal(PART), (0, 0, 0), 0) == reader.open(old, (0, 0, 0), 0)


def test_two_routes_over_one_connection_share_no_key() -> None:
    """The id alone tells them apart when a controller that was restored counts its epochs anew."""
    mesh, route = Mesh(), make_route()
    ours, theirs = (end.session for end in connect_pair(mesh.controller, mesh.worker))
    assert ours is not None
    assert theirs is not None
    old = TicketWriter(ours, route, (8, DataType.FLOAT32)).seal(PART)
    reader = TicketReader(theirs, replace(route, connection_id=new_connection_id()))
    with pytest.raises(RecordRefusedError):
        reader.open(old, (0, 0, 0), 0)
