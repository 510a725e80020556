"""D01: many sources open ten times as many connections as there may be, finish their handshakes, and ask for nothing ->
an honest client is served each time, nobody's answer is cut, and the idle ones are reaped at their deadline.

Defence: api/server.py:ApiServer._make_room; removed, whoever comes while all are taken is refused for as long as idle
ones may last. Defence: api/guard.py:GuardedProtocol._expect (HEAD); removed, idle ones stay for ever.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from mohawk.api.guard import Limits
from mohawk.api.server import Door
from tests.api.serving import PATIENCE, RawClient, post_quantum, raw_client, request_bytes, serving
from tests.api.toy import ToyEngine, chat

ROOM = 20
DOOR = Door(connections=ROOM)
HEAD_SECONDS = 3.0


async def idle_client(port: int, number: int, stack: AsyncExitStack) -> RawClient:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        port,
        ssl=post_quantum(),
        server_hostname="localhost",
        local_addr=(f"127.0.{1 + number // 200}.{1 + number % 200}", 0),
    )
    stack.callback(writer.transport.abort)
    return RawClient(reader, writer)


async def is_served(port: int) -> None:
    async with raw_client(port) as client:
        await client.send(request_bytes(chat()))
        assert (await client.answer())[0] == 200


def test_idle_connections_of_many_sources() -> None:
    async def main() -> None:
        engine = ToyEngine()
        engine.waits_at = 1
        async with (
            serving(engine, Limits(head_seconds=HEAD_SECONDS), DOOR) as server,
            raw_client(server.port) as busy,
            AsyncExitStack() as stack,
        ):
            await busy.send(request_bytes(chat()))
            await engine.waiting.wait()
            engine.waits_at = -1
            idle = []
            for number in range(10 * ROOM):
                idle.append(await idle_client(server.port, number, stack))
                assert server.connections <= ROOM + 1, "one that is cut off is still counted until the loop turns"
                if number % ROOM == 0:
                    await is_served(server.port)
            await is_served(server.port)
            engine.go.set()
            assert (await busy.answer())[0] == 200, "who is being answered makes no room"
            await asyncio.gather(*(client.hung_up() for client in idle))
            await is_served(server.port)

    asyncio.run(asyncio.wait_for(main(), 6 * PATIENCE))


def test_when_all_are_busy_the_next_is_refused() -> None:
    async def main() -> None:
        engine = ToyEngine()
        engine.waits_at = 1
        async with serving(engine, door=Door(connections=2)) as server, AsyncExitStack() as stack:
            busy = [await idle_client(server.port, number, stack) for number in range(2)]
            for client in busy:
                await client.send(request_bytes(chat()))
            while engine.running < 2:  # noqa: ASYNC110 - the toy announces the first only
                await asyncio.sleep(0)
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            assert await asyncio.wait_for(reader.read(1), PATIENCE) == b""
            writer.transport.abort()
            engine.go.set()
            assert [(await client.answer())[0] for client in busy] == [200, 200]

    asyncio.run(asyncio.wait_for(main(), 3 * PATIENCE))
