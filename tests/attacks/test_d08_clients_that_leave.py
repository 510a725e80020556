"""D08: a client disconnects, waiting or in the middle of its stream -> its generation is closed within one token step;
no token more is computed for it.

Defence: api/presence.py:while_present; removed, a whole answer is computed for nobody, and a stream goes on until a write
fails.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.api.serving import PATIENCE, raw_client, request_bytes, serving
from tests.api.toy import ToyEngine, chat


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("waits_at", [0, 5])
@pytest.mark.parametrize("is_polite", [True, False])
def test_leaving_ends_the_work(waits_at: int, *, stream: bool, is_polite: bool) -> None:
    async def main() -> None:
        engine = ToyEngine()
        engine.waits_at = waits_at
        async with serving(engine) as server, raw_client(server.port) as client:
            await client.send(request_bytes(chat(stream=stream)))
            await asyncio.wait_for(engine.waiting.wait(), PATIENCE)
            assert engine.running == 1
            if is_polite:
                client.writer.close()
            else:
                client.writer.transport.abort()
            await asyncio.wait_for(engine.closed.wait(), PATIENCE)
            assert engine.running == 0
            assert engine.tokens == waits_at
            engine.go.set()

    asyncio.run(main())


def test_leaving_in_the_middle_of_a_flowing_stream() -> None:
    """The engine never pauses: it must be stopped between two tokens."""

    async def main() -> None:
        engine = ToyEngine(b"x" * 4000)
        async with serving(engine) as server, raw_client(server.port) as client:
            await client.send(request_bytes(chat(stream=True)))
            await asyncio.wait_for(client.reader.readuntil(b"data: "), PATIENCE)
            client.writer.transport.abort()
            await asyncio.wait_for(engine.closed.wait(), PATIENCE)
            assert engine.tokens < len(engine.answer)

    asyncio.run(main())


def test_one_client_leaving_does_not_disturb_another() -> None:
    async def main() -> None:
        engine = ToyEngine()
        engine.waits_at = 5
        async with serving(engine) as server, raw_client(server.port) as one, raw_client(server.port) as other:
            for client in (one, other):
                engine.waiting.clear()
                await client.send(request_bytes(chat()))
                await asyncio.wait_for(engine.waiting.wait(), PATIENCE)
            one.writer.transport.abort()
            await asyncio.wait_for(engine.closed.wait(), PATIENCE)
            engine.go.set()
            status, _, body = await other.answer()
            assert status == 200
            assert "Grüße" in body.decode()

    asyncio.run(main())
