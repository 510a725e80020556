"""R04: a record is sent back to whoever sealed it.

Expected: rejected, as it is and with its direction rewritten: each direction has a key of its own.
Defence: channel/record.py:_Key (the direction is in the key's derivation and in the header); removed, a controller takes
its own words for the worker's, and both directions use one keystream: two records give away their difference.
Defence: TLS 1.3's two traffic secrets (channel/tls.py:TlsConnection); removed, a node reads its own bytes as its peer's.
"""

from __future__ import annotations

import pytest

from mohawk.channel.record import Direction
from mohawk.channel.replay import RecordRefusedError
from mohawk.errors import RemoteError
from tests.support.tickets import EXPECTATION, make_opener, make_sealer
from tests.support.tls import Mesh, connect_pair

OTHER = {
    Direction.FROM_CONTROLLER: Direction.TO_CONTROLLER,
    Direction.TO_CONTROLLER: Direction.FROM_CONTROLLER,
}
DIRECTION_AT = 4
HEADER = 33


@pytest.mark.parametrize("direction", list(Direction))
def test_a_reflected_record_opens_nothing(direction: Direction) -> None:
    record = make_sealer(direction=direction).seal(b"step", EXPECTATION)
    opener = make_opener(direction=OTHER[direction])
    rewritten = record[:DIRECTION_AT] + bytes([OTHER[direction]]) + record[DIRECTION_AT + 1 :]
    for one in (record, rewritten):
        with pytest.raises(RecordRefusedError):
            opener.open(one, EXPECTATION)
    assert make_opener(direction=direction).open(record, EXPECTATION) == b"step"


def test_two_directions_share_no_keystream() -> None:
    zeros = bytes(64)
    there, back = (make_sealer(direction=direction).seal(zeros, EXPECTATION)[HEADER:] for direction in Direction)
    assert there[:64] != back[:64]


def test_a_reflected_tls_record_ends_the_connection() -> None:
    mesh = Mesh()
    for sender in connect_pair(mesh.controller, mesh.worker):
        records: list[bytes] = []
        sender.send((b"from here",), records.append)
        sender.receive(records[0])
        with pytest.raises(RemoteError):
            sender.read_into(bytearray(100))
