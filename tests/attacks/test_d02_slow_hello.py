"""D02 (TLS hello): a client sends its hello byte by byte, for ever.

Expected: reaped at the handshake's deadline, 10 s, although bytes keep arriving; the half-open budget is free again.
Defence: transport/link.py:Link.connection_made (deadline); removed, the connection is held for as long as the client
likes, and its place in the budget with it.
"""

from __future__ import annotations

import asyncio

import pytest
from OpenSSL import SSL

from mohawk.errors import HandshakeError
from mohawk.transport import link as link_module
from tests.support.nodes import LOOPS, Recorder, last_words, run, serving, stranger
from tests.support.tls import Mesh, raw_context, raw_peer


def hello() -> bytes:
    client = raw_peer(raw_context())
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    return client.bio_read(1 << 16)


def test_the_deadline_is_ten_seconds() -> None:
    assert link_module.HANDSHAKE_SECONDS == 10


@pytest.mark.parametrize("loop", LOOPS)
def test_a_slow_hello_is_reaped(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "HANDSHAKE_SECONDS", 0.25)

    async def main() -> None:
        service = Recorder()
        async with serving(Mesh().worker, service) as listener, stranger(listener) as (reader, writer):
            ended = asyncio.ensure_future(last_words(reader))
            for byte in hello():
                writer.write(bytes([byte]))
                await asyncio.wait({ended}, timeout=0.02)
                if ended.done():
                    break
            assert ended.done()
            assert await ended == b""
            await service.until(lambda: service.refusals)
            assert isinstance(service.refusals[0][1], HandshakeError)
            assert listener.half_open == 0

    run(main, loop)
