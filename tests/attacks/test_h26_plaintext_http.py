"""H26: plaintext HTTP, or any other bytes, on the TLS port.

Expected: closed, no banner: not one byte comes back that a scanner could learn from.
Defence: OpenSSL answers nothing to what is no TLS record, and transport/link.py:Link.fail adds no word of ours;
removed, a banner tells a scanner what listens here.
"""

from __future__ import annotations

import pytest

from mohawk.errors import HandshakeError
from tests.support.nodes import LOOPS, Recorder, last_words, run, serving, stranger
from tests.support.tls import Mesh


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(
    "greeting", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-x\r\n", b"\x00" * 64, b"\x80\x2e\x01\x03\x01"]
)
def test_a_stranger_learns_nothing(loop: str, greeting: bytes) -> None:
    async def main() -> None:
        service = Recorder()
        async with serving(Mesh().worker, service) as listener, stranger(listener) as (reader, writer):
            writer.write(greeting)
            assert await last_words(reader) == b""
            await service.until(lambda: service.refusals)
            assert isinstance(service.refusals[0][1], HandshakeError)

    run(main, loop)
