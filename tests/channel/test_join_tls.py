"""The join port's TLS: what both ends share, and what neither gives out before the handshake was judged."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from mohawk.channel.join_tls import ExpectedController, join_server_context
from mohawk.channel.stdlib_tls import ApiTls
from mohawk.identity.names import Role
from tests.support.tls import Mesh, utc_now

MESH = Mesh()


class Pair:
    """A joiner and a controller over memory."""

    def __init__(self) -> None:
        self.expected = ExpectedController(MESH.root.certificate.pin, MESH.domain, utc_now())
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = join_server_context(MESH.credentials(Role.CONTROLLER, "c1"))
        self.joiner = self.expected.context().wrap_bio(down, up, server_hostname="10.0.0.10")
        self.controller = server.wrap_bio(up, down, server_side=True)

    def ends(self) -> Iterator[ApiTls]:
        yield self.joiner
        yield self.controller

    def shake_hands(self) -> None:
        done: set[ApiTls] = set()
        for _ in range(6):
            for end in self.ends():
                try:
                    end.do_handshake()
                    done.add(end)
                except ssl.SSLWantReadError:
                    pass
        assert len(done) == 2


def test_both_know_what_was_negotiated_and_the_joiner_knows_with_whom() -> None:
    pair = Pair()
    pair.shake_hands()
    for end in pair.ends():
        assert (end.version(), end.group()) == ("TLSv1.3", "X25519MLKEM768")
        assert end.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"
        assert end.selected_alpn_protocol() == "mie-join/1"
    assert pair.expected.peer is not None
    assert str(pair.expected.peer.name) == "spiffe://mesh.example/controller/c1"
    assert pair.expected.root == MESH.root.certificate
    assert pair.expected.refusal is None


def test_an_exporter_is_shared_by_two_ends_and_by_no_two_connections() -> None:
    one, other = Pair(), Pair()
    for pair in (one, other):
        pair.shake_hands()
    exported = [end.exporter(b"mie-join", 32) for pair in (one, other) for end in pair.ends()]
    assert exported[0] == exported[1] != exported[2] == exported[3]
    assert one.joiner.exporter(b"another use", 32) != exported[0]


def test_nothing_before_the_handshake_was_judged() -> None:
    pair = Pair()
    for end in pair.ends():
        for early in (lambda e=end: e.exporter(b"mie-join", 32), lambda e=end: e.write(b"x"), lambda e=end: e.read()):
            with pytest.raises(ssl.SSLError):
                early()


def test_the_root_is_shown_although_clients_of_nodes_never_see_it() -> None:
    """A joiner holds a pin, not a certificate: it needs the whole chain."""
    pair = Pair()
    pair.shake_hands()
    chain = pair.joiner._connection.get_peer_cert_chain(as_cryptography=True) or []
    assert [one.serial_number for one in chain][1:] == [MESH.issuing.certificate.serial, MESH.root.certificate.serial]
