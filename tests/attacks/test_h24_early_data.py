"""H24: a client sends 0-RTT data, which any recorder could replay.

Expected: never processed.
Defence: channel/profile.py:_OPTIONS and session cache (no ticket, so no session that early data could travel under),
and no code of ours asks OpenSSL for early data; removed, a client comes back with a ticket and asks to resume,
without certificates.
"""

from __future__ import annotations

from contextlib import suppress

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from tests.support.tls import SECRET, Forgery, Mesh, Outcome, our_server, pump_in, raw_context, raw_peer, utc_now


def saved_session(mesh: Mesh, forgery: Forgery, context: SSL.Context) -> SSL.Session:
    """A session with permission for early data, from an accomplice that shows the same certificate."""
    accomplice = raw_context(is_server=True, chain=forgery.by(mesh.issuing), key=forgery.key)
    lib.SSL_CTX_set_max_early_data(accomplice._context, 16384)
    server = raw_peer(accomplice, is_server=True)
    client = raw_peer(context)
    for _ in range(6):
        for here, there in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                here.do_handshake()
                here.recv(100)
            with suppress(SSL.WantReadError):
                there.bio_write(here.bio_read(1 << 16))
    session = client.get_session()
    client.shutdown()  # OpenSSL marks the session of a connection that just vanishes as not resumable
    assert session is not None
    assert lib.SSL_SESSION_get_max_early_data(session._session) > 0
    return session


def attack(mesh: Mesh, theirs: SSL.Connection) -> Outcome:
    """Carry bytes until both ends have nothing more to say."""
    ours, outcome = our_server(mesh.worker), Outcome()
    for _ in range(8):
        pump_in(ours, theirs, outcome, utc_now())
        if reply := ours.outgoing():
            theirs.bio_write(reply)
        with suppress(SSL.WantReadError):
            theirs.do_handshake()
            theirs.recv(100)
    assert ours.session is not None  # a handshake took place
    return outcome


def test_early_data_is_never_processed() -> None:
    mesh, forgery = Mesh(), Forgery()
    context = raw_context(chain=forgery.by(mesh.issuing), key=forgery.key)
    theirs = raw_peer(context)
    theirs.set_session(saved_session(mesh, forgery, context))
    written = ffi.new("size_t *")
    assert lib.SSL_write_early_data(theirs._ssl, SECRET, len(SECRET), written) == 1
    assert written[0] == len(SECRET)
    outcome = attack(mesh, theirs)
    assert outcome.plaintext == b""
    assert not lib.SSL_session_reused(theirs._ssl)


def test_our_own_server_gives_nobody_a_session_to_come_back_with() -> None:
    """A resumed session is what early data travels under, and it would skip the certificates."""
    mesh, forgery = Mesh(), Forgery()
    context = raw_context(chain=forgery.by(mesh.issuing), key=forgery.key)
    first = raw_peer(context)
    attack(mesh, first)
    session = first.get_session()
    first.shutdown()
    assert session is not None
    again = raw_peer(context)
    again.set_session(session)
    attack(mesh, again)
    assert not lib.SSL_session_reused(again._ssl)
