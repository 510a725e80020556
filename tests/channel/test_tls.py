"""Bytes in, bytes out; nothing of the application before every check."""

from __future__ import annotations

import gc
from datetime import timedelta

import pytest

from mohawk.channel import openssl
from mohawk.channel.tls import MAXIMUM_HELLO, TlsConnection
from mohawk.errors import HandshakeError, RemoteError
from mohawk.identity.certificates import PeerIdentity
from mohawk.identity.names import IdentityRefusedError, Reason
from tests.support.tls import (
    Forgery,
    Mesh,
    accept_all,
    connect_pair,
    duel,
    freeze_store,
    our_client,
    our_server,
    raw_context,
    raw_peer,
    utc_now,
)


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


def carry(here: TlsConnection, there: TlsConnection, *buffers: bytes) -> bytes:
    pieces: list[bytes] = []
    here.send(buffers, pieces.append)
    for piece in pieces:
        there.receive(piece)
    return drain(there)


def drain(end: TlsConnection) -> bytes:
    target, out = bytearray(1 << 16), b""
    while count := end.read_into(target):
        out += target[:count]
    return out


def test_both_ends_agree_on_what_was_negotiated(mesh: Mesh) -> None:
    client, server = connect_pair(mesh.controller, mesh.worker)
    assert client.session is not None
    assert server.session is not None
    for session in (client.session, server.session):
        assert (session.version, session.group) == ("TLSv1.3", "X25519MLKEM768")
        assert (session.suite, session.alpn) == ("TLS_CHACHA20_POLY1305_SHA256", "mie/1")
    assert str(client.session.peer.name) == "spiffe://mesh.example/worker/w1"
    assert str(server.session.peer.name) == "spiffe://mesh.example/controller/c1"
    assert client.session.exporter(b"a", 32) == server.session.exporter(b"a", 32)
    assert client.session.exporter(b"a", 32) != client.session.exporter(b"b", 32)


def test_two_connections_export_different_keys(mesh: Mesh) -> None:
    one, _ = connect_pair(mesh.controller, mesh.worker)
    other, _ = connect_pair(mesh.controller, mesh.worker)
    assert one.session is not None
    assert other.session is not None
    assert one.session.exporter(b"", 32) != other.session.exporter(b"", 32)


@pytest.mark.parametrize("size", [1, 16_383, 16_384, 16_385, 1 << 18, (1 << 20) + 7])
def test_bytes_arrive_whole_and_in_order(mesh: Mesh, size: int) -> None:
    client, server = connect_pair(mesh.controller, mesh.worker)
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert carry(client, server, b"head", body, b"tail") == b"head" + body + b"tail"
    assert carry(server, client, body) == body


def test_ciphertext_leaves_in_pieces_of_at_most_256_kib(mesh: Mesh) -> None:
    client, _ = connect_pair(mesh.controller, mesh.worker)
    pieces: list[bytes] = []
    for first in (0, 1, 16_383, 16_384):
        client.send((bytes(first), bytes(3 << 20)), pieces.append)
        assert max(map(len, pieces)) <= openssl.TAKE_BYTES
        assert client.outgoing() == b""  # nothing is left behind, however the records fall


def test_nothing_is_read_or_sent_before_the_checks(mesh: Mesh) -> None:
    for end in (our_client(mesh.controller), our_server(mesh.worker)):
        with pytest.raises(HandshakeError):
            end.read_into(bytearray(10))
        with pytest.raises(HandshakeError):
            end.send((b"early",), bytearray().extend)


def test_a_judge_that_refuses_ends_the_handshake_before_any_byte(mesh: Mesh) -> None:
    def refuse(peer: PeerIdentity) -> None:
        raise IdentityRefusedError(Reason.WRONG_ROLE, "not you")

    server = TlsConnection(mesh.worker, refuse, is_server=True)
    forgery = Forgery()
    outcome = duel(server, raw_peer(raw_context(chain=forgery.by(mesh.issuing), key=forgery.key)))
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.plaintext == b""
    with pytest.raises(IdentityRefusedError):  # and it stays so
        server.handshake(utc_now())


def test_identity_is_judged_at_the_time_given_by_the_caller(mesh: Mesh) -> None:
    server = our_server(mesh.worker)
    forgery = Forgery()
    theirs = raw_peer(raw_context(chain=forgery.by(mesh.issuing), key=forgery.key))
    outcome = duel(server, theirs, now=utc_now() + timedelta(days=2))
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.EXPIRED


def test_a_changed_record_ends_the_connection_for_good(mesh: Mesh) -> None:
    client, server = connect_pair(mesh.controller, mesh.worker)
    pieces: list[bytes] = []
    client.send((b"x" * 100,), pieces.append)
    broken = bytearray(pieces[0])
    broken[20] ^= 1
    server.receive(broken)
    with pytest.raises(RemoteError):
        server.read_into(bytearray(1000))
    client.send((b"honest",), pieces.append)
    server.receive(pieces[1])
    with pytest.raises(RemoteError):
        server.read_into(bytearray(1000))


def test_a_replayed_or_dropped_record_ends_the_connection(mesh: Mesh) -> None:
    for order in ((0, 0), (1,)):
        client, server = connect_pair(mesh.controller, mesh.worker)
        pieces: list[bytes] = []
        client.send((b"one",), pieces.append)
        client.send((b"two",), pieces.append)
        for index in order:
            server.receive(pieces[index])
        with pytest.raises(RemoteError):
            drain(server)


def test_records_that_arrive_together_are_all_read(mesh: Mesh) -> None:
    client, server = connect_pair(mesh.controller, mesh.worker)
    pieces: list[bytes] = []
    client.send((b"one",), pieces.append)
    client.send((b"two",), pieces.append)
    client.close()
    server.receive(b"".join(pieces) + client.outgoing())
    target = bytearray(100)
    assert (server.read_into(target), server.is_drained()) == (3, False)
    assert (server.read_into(target), server.is_drained()) == (3, False)
    assert (server.read_into(target), server.ended, server.is_drained()) == (0, True, True)


def test_goodbye_is_seen_as_such(mesh: Mesh) -> None:
    client, server = connect_pair(mesh.controller, mesh.worker)
    client.close()
    server.receive(client.outgoing())
    assert server.read_into(bytearray(10)) == 0
    assert server.ended


def test_closing_before_the_handshake_is_harmless(mesh: Mesh) -> None:
    our_client(mesh.controller).close()


def test_a_hello_beyond_16_kib_is_refused(mesh: Mesh) -> None:
    server = our_server(mesh.worker)
    server.receive(b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + bytes(MAXIMUM_HELLO - 9))
    assert server.handshake(utc_now()) is None  # incomplete, and at the limit
    with pytest.raises(HandshakeError, match="16 KiB"):
        server.receive(b"x")


def test_an_alert_that_falls_to_the_garbage_collector_does_not_take_the_process_with_it(mesh: Mesh) -> None:
    """CPython 3.11 crashes on a collected memoryview whose buffer is still lent out, here to OpenSSL by a traceback."""

    def refused() -> None:
        client, server = connect_pair(mesh.controller, mesh.worker)
        scratch = memoryview(bytearray(100))
        server.receive(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(RemoteError) as caught:
            server.read_into(scratch)
        cycle: list[object] = [client, server, scratch, caught.value]
        cycle.append(cycle)

    refused()
    gc.collect()


def test_a_saved_session_does_not_skip_the_certificates(mesh: Mesh) -> None:
    """Resumption would outlive a revocation: the second connection shows its chain again."""
    forgery = Forgery()
    context = raw_context(chain=forgery.by(mesh.issuing), key=forgery.key)
    first = raw_peer(context)
    assert duel(our_server(mesh.worker), first).plaintext
    session = first.get_session()
    again = raw_peer(context)
    if session is not None:
        again.set_session(session)
    assert duel(our_server(mesh.worker), again).plaintext
    assert not openssl.is_resumed(again)


def test_no_ticket_is_sent(mesh: Mesh) -> None:
    """After the handshake a server of ours says nothing until it has something to say."""
    client, server = connect_pair(mesh.controller, mesh.worker)
    assert server.outgoing() == b""
    assert client.read_into(bytearray(100)) == 0


def test_our_own_time_check_stands_when_openssls_is_blind() -> None:
    old = Mesh(age=timedelta(days=30))
    context = old.context()
    freeze_store(context, utc_now() - timedelta(days=2))
    forgery = Forgery(start=timedelta(days=-3), end=timedelta(days=-1))
    outcome = duel(our_server(context), raw_peer(raw_context(chain=forgery.by(old.issuing), key=forgery.key)))
    assert outcome.theirs is None  # OpenSSL raised no alert: the refusal is ours
    assert isinstance(outcome.ours, IdentityRefusedError)
    assert outcome.ours.reason is Reason.EXPIRED


def test_the_end_of_the_stream_in_a_handshake_is_a_handshake_error(mesh: Mesh) -> None:
    client = TlsConnection(mesh.controller, accept_all, is_server=False)
    client.receive(b"\x15\x03\x03\x00\x02\x02\x28")  # alert: handshake_failure
    with pytest.raises(HandshakeError, match="handshake failure"):
        client.handshake(utc_now())


def test_openssls_errors_do_not_leak_into_the_next_connection(mesh: Mesh) -> None:
    broken = our_server(mesh.worker)
    broken.receive(b"\x16\x03\x01\x00\x05garbage, garbage")
    with pytest.raises(HandshakeError):
        broken.handshake(utc_now())
    client, server = connect_pair(mesh.controller, mesh.worker)
    assert carry(client, server, b"fine") == b"fine"
