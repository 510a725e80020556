"""D01, D03: one source opens as many finished connections to the API as it is let, and keeps them.

Expected: beyond its share it is refused before a handshake while it uses all of it, and loses the one that it left idle
longest otherwise; what it uses goes on, and others lose nothing and find room.
Defence: api/server.py:ApiServer._make_room (Door.connections_per_source); removed, one machine with or without a key
holds every connection that the API has, and nobody else is served.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from mohawk.api.server import Door
from tests.api.serving import PATIENCE, RawClient, post_quantum, raw_client, request_bytes, serving
from tests.api.toy import ToyEngine, chat

DOOR = Door(connections=4, connections_per_source=2)


async def ask(client: RawClient) -> int:
    await client.send(request_bytes(chat()))
    return (await client.answer())[0]


async def is_refused(port: int) -> bool:
    """Whether the server hangs up before it says anything."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        with suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(1), 1) == b""
        return True
    except TimeoutError:
        return False
    finally:
        writer.transport.abort()


async def other_source(port: int) -> RawClient:
    reader, writer = await asyncio.open_connection(
        *("127.0.0.1", port), ssl=post_quantum(), server_hostname="localhost", local_addr=("127.0.0.2", 0)
    )
    return RawClient(reader, writer)


def test_one_source_leaves_room_for_others() -> None:
    async def main() -> None:
        engine = ToyEngine()
        engine.waits_at = 1
        async with serving(engine, door=DOOR) as server, raw_client(server.port) as one:
            async with raw_client(server.port) as two:
                for client in (one, two):
                    await client.send(request_bytes(chat()))
                while engine.running < 2:  # noqa: ASYNC110 - the toy announces the first only
                    await asyncio.sleep(0.01)
                assert await is_refused(server.port)
                assert server.connections == 2

                engine.waits_at = -1
                other = await other_source(server.port)
                assert await ask(other) == 200, "another source"
                engine.go.set()
                assert [(await client.answer())[0] for client in (one, two)] == [200, 200], "what it has goes on"
                other.writer.transport.abort()
            while server.connections > 1:  # noqa: ASYNC110 - a server announces no endings
                await asyncio.sleep(0)
            async with raw_client(server.port) as again:
                assert await ask(again) == 200, "who leaves may come back"

    asyncio.run(asyncio.wait_for(main(), 2 * PATIENCE))


def test_beyond_its_share_a_source_pays_with_what_it_left_idle() -> None:
    async def main() -> None:
        async with serving(ToyEngine(), door=DOOR) as server, raw_client(server.port) as one:
            other = await other_source(server.port)
            async with raw_client(server.port) as two:
                assert [await ask(client) for client in (other, one, two)] == [200] * 3
                async with raw_client(server.port) as three:
                    await one.hung_up()
                    assert [await ask(client) for client in (other, two, three)] == [200] * 3, "all else goes on"
            other.writer.transport.abort()

    asyncio.run(asyncio.wait_for(main(), 2 * PATIENCE))
