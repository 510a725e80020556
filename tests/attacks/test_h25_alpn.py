"""H25: the application protocol is missing or wrong: another protocol's client is led to our port (ALPACA).

Expected: closed, at both ends.
Defence: channel/profile.py:select_protocol and Profile.check; removed, bytes of a client of any protocol are read,
and our client talks to a server that agreed to none.
"""

from __future__ import annotations

import pytest

from mohawk.errors import HandshakeError
from tests.support.tls import Forgery, Mesh, demand_client_certificate, duel, our_client, raw_context, raw_peer, storm


@pytest.mark.parametrize("alpn", [(), (b"h2",), (b"mie/2", b"http/1.1"), (b"mie/1x",), (b"mie-join/1",)])
def test_a_client_of_another_protocol_is_refused(alpn: tuple[bytes, ...]) -> None:
    outcome = storm(Mesh(), alpn=alpn)
    assert isinstance(outcome.ours, HandshakeError)
    assert outcome.plaintext == b""
    if alpn:
        assert "no application protocol" in str(outcome.theirs)


def test_a_server_that_agrees_to_nothing_is_refused() -> None:
    mesh, forgery = Mesh(), Forgery()
    server = raw_context(is_server=True, chain=forgery.by(mesh.issuing), key=forgery.key, alpn=())
    outcome = duel(our_client(mesh.controller), raw_peer(demand_client_certificate(server), is_server=True))
    assert isinstance(outcome.ours, HandshakeError)
    assert outcome.plaintext == b""
