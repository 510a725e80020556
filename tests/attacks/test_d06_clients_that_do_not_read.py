"""D06: a client asks for a long stream and never reads it -> its generation is cancelled at a deadline; until then a
fixed amount waits for it.

Defence: api/guard.py:GuardedProtocol.pause_writing; removed, the connection of a client that reads a trickle, and its
sequence's KV, stay for as long as the client likes.
Defence: uvicorn's waiting for a full buffer to drain, with the limits of api/guard.py:connection_made and
api/server.py:_tune; removed, the whole answer piles up in memory.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from mohawk.api.guard import Limits
from tests.api.serving import PATIENCE, narrow_client, post_quantum, request_bytes, serving
from tests.api.toy import CONTEXT, ToyEngine, chat

BUFFER = 16 << 10


def test_who_does_not_read_is_cut_off() -> None:
    async def main() -> None:
        engine = ToyEngine(b"x" * (CONTEXT - 100))
        async with serving(engine, Limits(write_seconds=0.3, write_buffer=BUFFER)) as server:
            with await narrow_client(server.port, request_bytes(chat(stream=True))):
                await asyncio.wait_for(engine.closed.wait(), PATIENCE)
            assert engine.running == 0
            assert engine.tokens < len(engine.answer) // 2

    asyncio.run(main())


def test_who_reads_a_trickle_is_cut_off() -> None:
    """TCP itself sees progress: only our own deadline ends it."""

    async def main() -> None:
        engine = ToyEngine(b"x" * (CONTEXT - 100))
        async with serving(engine, Limits(write_seconds=0.5)) as server:
            with await narrow_client(server.port, request_bytes(chat(stream=True))) as client:
                async with asyncio.timeout(PATIENCE):
                    while not engine.closed.is_set():
                        await asyncio.get_running_loop().sock_recv(client, 4096)
                        with suppress(TimeoutError):
                            await asyncio.wait_for(engine.closed.wait(), 0.1)
            assert engine.tokens < len(engine.answer) // 2

    asyncio.run(main())


def test_who_reads_slowly_but_reads_gets_everything() -> None:
    async def main() -> None:
        engine = ToyEngine(b"x" * 2000)
        async with serving(engine, Limits(write_buffer=BUFFER)) as server:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=post_quantum(), server_hostname="localhost", limit=1
            )
            writer.write(request_bytes(chat(stream=True)))
            text = b""
            while b"[DONE]" not in text:
                text += await asyncio.wait_for(reader.read(100), PATIENCE)
            assert text.count(b'"content":"x"') == 2000
            writer.transport.abort()

    asyncio.run(main())
