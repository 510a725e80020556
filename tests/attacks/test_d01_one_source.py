"""D01, D03: one source opens as many finished connections to the API as it is let, and keeps them.

Expected: beyond its share it is refused before a handshake; its own connections go on, and others find room.
Defence: api/server.py:ApiServer._has_its_share (Door.connections_per_source); removed, one machine with or without a key holds
every connection that the API has, and nobody else is served.
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


def test_one_source_leaves_room_for_others() -> None:
    async def main() -> None:
        async with serving(ToyEngine(), door=DOOR) as server, raw_client(server.port) as one:
            async with raw_client(server.port) as two:
                assert [await ask(client) for client in (one, two)] == [200, 200]
                assert await is_refused(server.port)
                assert server.connections == 2

                reader, writer = await asyncio.open_connection(
                    "127.0.0.1",
                    server.port,
                    ssl=post_quantum(),
                    server_hostname="localhost",
                    local_addr=("127.0.0.2", 0),
                )
                assert await ask(RawClient(reader, writer)) == 200, "another source"
                assert [await ask(client) for client in (one, two)] == [200, 200], "what it has goes on"
                writer.transport.abort()
            while server.connections > 1:  # noqa: ASYNC110 - a server announces no endings
                await asyncio.sleep(0)
            async with raw_client(server.port) as again:
                assert await ask(again) == 200, "who leaves may come back"

    asyncio.run(asyncio.wait_for(main(), 2 * PATIENCE))
