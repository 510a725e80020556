"""H21: a client's key share is cut short, too long, of another length than it says, or its X25519 part is a point of small
order, whose shared secret anybody knows.

Expected: an alert, no crash, no plaintext, not even half a handshake of ours; a first message that stops half-way gets no
answer, one that never ends is cut at 16 KiB.
Defence: OpenSSL's parser (no parser of our own); channel/tls.py:TlsConnection.handshake makes its refusal ours, and
channel/tls.py:TlsConnection._check_hello ends what never ends; removed, an error of OpenSSL's leaves through the event
loop, and a peer without a name fills this node's memory.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from mohawk.channel.tls import MAXIMUM_HELLO
from mohawk.errors import HandshakeError
from tests.support.hello import KEY_SHARE, MLKEM768_KEY, ClientHello, alert_of, client_hello
from tests.support.nodes import LOOPS, Recorder, call, last_words, run, serving, stranger
from tests.support.tls import Mesh, our_server, utc_now

ILLEGAL_PARAMETER, DECODE_ERROR, MISSING_EXTENSION = 47, 50, 109
SHARE = 1216
SMALL_ORDER = (
    "00" * 32,
    "01" + "00" * 31,
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # p - 1
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",  # p, which is 0
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
)
"""Points of order 1, 2, 4 and 8, little-endian (RFC 7748 6.1; "May the Fourth", Cremers and Jackson)."""


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


@pytest.fixture(scope="module")
def hello(mesh: Mesh) -> ClientHello:
    return client_hello(mesh)


def alert_for(mesh: Mesh, hello: ClientHello) -> int:
    server = our_server(mesh.worker)
    server.receive(hello.encode())
    with pytest.raises(HandshakeError):
        server.handshake(utc_now())
    alert = alert_of(server.outgoing())
    assert server.session is None
    with pytest.raises(HandshakeError):
        server.read_into(bytearray(1 << 14))
    return alert


@pytest.mark.parametrize("length", [1, 31, 32, MLKEM768_KEY - 1, MLKEM768_KEY, SHARE - 1, SHARE + 1, 2 * SHARE, 10_000])
def test_a_share_of_another_length(mesh: Mesh, hello: ClientHello, length: int) -> None:
    share = (hello.share * 10)[:length]
    assert alert_for(mesh, hello.with_share(share)) == ILLEGAL_PARAMETER


@pytest.mark.parametrize("announced", [0, SHARE - 1, SHARE + 1, 2**16 - 1])
def test_a_share_that_lies_about_its_length(mesh: Mesh, hello: ClientHello, announced: int) -> None:
    assert alert_for(mesh, hello.with_share(hello.share, announced)) == DECODE_ERROR


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_classical_part_of_small_order(mesh: Mesh, hello: ClientHello, point: str) -> None:
    share = hello.share[:MLKEM768_KEY] + bytes.fromhex(point)
    assert alert_for(mesh, hello.with_share(share)) == ILLEGAL_PARAMETER


def test_no_share_at_all(mesh: Mesh, hello: ClientHello) -> None:
    without = replace(hello, extensions=tuple(one for one in hello.extensions if one[0] != KEY_SHARE))
    assert alert_for(mesh, without) == MISSING_EXTENSION
    empty = replace(hello, extensions=tuple((kind, b"" if kind == KEY_SHARE else d) for kind, d in hello.extensions))
    assert alert_for(mesh, empty) == DECODE_ERROR


def test_half_a_message_gets_no_answer(mesh: Mesh, hello: ClientHello) -> None:
    data = hello.encode()
    for length in range(0, len(data), 7):
        server = our_server(mesh.worker)
        server.receive(data[:length])
        assert server.handshake(utc_now()) is None
        assert server.outgoing() == b""


def test_a_message_without_an_end_is_cut(mesh: Mesh) -> None:
    """Records of a message that says it is 64 KiB long: OpenSSL alone would take 128."""
    server = our_server(mesh.worker)
    record = b"\x16\x03\x01\x04\x00"
    taken = 0
    with pytest.raises(HandshakeError):  # noqa: PT012 - whichever record is one too many
        for number in range(100):
            server.receive(record + (b"\x01\x01\x00\x00" if number == 0 else bytes(4)) + bytes(1020))
            taken += 1024
            server.handshake(utc_now())
    assert taken <= MAXIMUM_HELLO


@pytest.mark.parametrize("loop", LOOPS)
def test_a_listener_answers_with_the_alert_and_goes_on(mesh: Mesh, hello: ClientHello, loop: str) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            for share in (hello.share[:-1], hello.share[:MLKEM768_KEY] + bytes(32)):
                async with stranger(listener) as (reader, writer):
                    writer.write(hello.with_share(share).encode())
                    assert alert_of(await last_words(reader)) == ILLEGAL_PARAMETER
            await service.until(lambda: len(service.refusals) == 2)
            assert all(isinstance(error, HandshakeError) for _, error in service.refusals)
            assert service.links == []
            await call(mesh.controller, listener)

    run(main, loop)
