"""H05: a client shows no certificate.

Expected: the server rejects; our own client API reports failure although its handshake call returned (TLS 1.3 lets
the client finish first).
Defence: channel/profile.py:NodeContext._build (demand) and identity/certificates.py:check_peer; removed, a nameless
client's bytes are read; without dial's wait for Welcome our own client reports success to a server that has refused
it.
"""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from mohawk.channel.profile import new_context, trust_roots
from mohawk.errors import HandshakeError
from tests.support.nodes import Recorder, call, run, serving
from tests.support.tls import Mesh, duel, our_server, raw_context, raw_peer


def test_the_server_rejects() -> None:
    outcome = duel(our_server(Mesh().worker), raw_peer(raw_context()))
    assert outcome.ours is not None
    assert outcome.plaintext == b""
    assert "certificate required" in str(outcome.theirs)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_our_client_reports_failure(loop: str) -> None:
    mesh = Mesh()
    nameless = mesh.context()
    nameless.client = new_context(SSL.TLS_CLIENT_METHOD, nameless.profile)
    nameless.client.set_alpn_protos([b"mie/1"])
    nameless.client.set_verify(SSL.VERIFY_PEER)
    trust_roots(nameless.client, (mesh.root.certificate,))

    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            with pytest.raises(HandshakeError):
                await call(nameless, listener)
            await service.until(lambda: service.refusals)
            assert service.links == []

    run(main, loop)
