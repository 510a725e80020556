"""R01: one bit of a record is flipped on the way, in its header, its body or its tag.

Expected: a ticket is refused and counted, and changes nothing for the genuine one that follows; a TLS record ends its
connection for good.
Defence: channel/record.py:Opener._open (AEAD over header, expectation and body; the header is also compared); removed,
one stage rewrites another's part bit by bit, for the cipher is a stream.
Defence: channel/tls.py:TlsConnection.read_into (the first failure is the last); removed, an attacker tries again, as
often as it likes, on a connection that goes on.
"""

from __future__ import annotations

import pytest

from mohawk.channel.replay import RecordRefusedError
from mohawk.channel.tls import TlsConnection
from mohawk.errors import RemoteError
from tests.support.tickets import EXPECTATION, make_opener, make_sealer
from tests.support.tls import Mesh, connect_pair

BODY = b"part of a step"
TLS_HEADER, TLS_TAG = 5, 16
FOLLOWING = 3
"""Honest records behind the flipped one: a length that grew must not hide behind waiting for more."""


def flips(record: bytes) -> list[bytes]:
    """Every record that differs in one bit."""
    return [
        record[:at] + bytes([record[at] ^ 1 << bit]) + record[at + 1 :] for at in range(len(record)) for bit in range(8)
    ]


def test_no_bit_of_a_ticket_can_be_flipped() -> None:
    sealer, opener = make_sealer(), make_opener()
    record = sealer.seal(BODY, EXPECTATION)
    altered = flips(record)
    assert len(altered) == (33 + len(BODY) + 16) * 8
    for one in altered:
        with pytest.raises(RecordRefusedError):
            opener.open(one, EXPECTATION)
    assert opener.refused == len(altered)
    assert opener.open(record, EXPECTATION) == BODY


def test_no_bit_of_what_a_ticket_expects_can_be_flipped() -> None:
    sealer, opener = make_sealer(), make_opener()
    record = sealer.seal(BODY, EXPECTATION)
    for one in flips(EXPECTATION):
        with pytest.raises(RecordRefusedError):
            opener.open(record, one)
    assert opener.open(record, EXPECTATION) == BODY


def test_no_bit_of_a_tls_record_can_be_flipped() -> None:
    mesh = Mesh()
    length = len(_record_of_a_pair(mesh)[1])
    assert length == TLS_HEADER + len(BODY) + 1 + TLS_TAG  # one byte of type (RFC 8446 5.2)
    for place in range(length * 8):
        client, record, server = _record_of_a_pair(mesh)
        server.receive(flips(record)[place])
        for _ in range(FOLLOWING):
            client.send((bytes(16_000),), server.receive)
        given = bytearray(1 << 16)
        for _ in range(2):  # the first failure is the last
            with pytest.raises(RemoteError):
                server.read_into(given)
        assert not any(given), "no byte of it, nor of what came after it, was given out"


def _record_of_a_pair(mesh: Mesh) -> tuple[TlsConnection, bytes, TlsConnection]:
    client, server = connect_pair(mesh.controller, mesh.worker)
    records: list[bytes] = []
    client.send((BODY,), records.append)
    return client, records[0], server
