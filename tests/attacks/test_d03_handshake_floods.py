"""D03 (HTTPS): one source, and many, open connections and never finish the handshake, as fast as they can -> a source
has 32 of them at most, all together 256 at most (here fewer), and others are served meanwhile.

Defence: api/server.py:ApiServer._has_its_share; removed, one source pushes everybody else's handshakes out. Defence:
api/server.py:ApiServer._make_room (half_open); removed, enough sources keep everybody out for ten seconds at a time.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from mohawk.api.server import ApiServer, Door
from tests.api.serving import PATIENCE, raw_client, request_bytes, serving
from tests.api.toy import ToyEngine, chat

PER_SOURCE, IN_ALL = 4, 12
DOOR = Door(half_open=IN_ALL, half_open_per_source=PER_SOURCE, handshake_seconds=60)


@contextmanager
def flood(port: int, sources: int, of_each: int) -> Iterator[list[socket.socket]]:
    """Connections that say nothing."""
    opened = []
    for source in range(sources):
        for _ in range(of_each):
            silent = socket.create_connection(("127.0.0.1", port), source_address=(f"127.0.1.{1 + source}", 0))
            silent.setblocking(False)
            opened.append(silent)
    try:
        yield opened
    finally:
        for silent in opened:
            silent.close()


async def settled(server: ApiServer, count: int, silent: Sequence[socket.socket] = ()) -> None:
    """The server has seen them all, and has so many connections left."""
    while server.connections != count or are_open(silent) > count:  # noqa: ASYNC110 - a server announces nothing
        await asyncio.sleep(0.01)


async def is_served(port: int) -> None:
    async with raw_client(port) as client:
        await client.send(request_bytes(chat()))
        assert (await client.answer())[0] == 200


def are_open(sockets: Sequence[socket.socket]) -> int:
    return sum(is_open(one) for one in sockets)


def is_open(one: socket.socket) -> bool:
    try:
        return one.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_the_budget() -> None:
    assert (Door().half_open_per_source, Door().half_open, Door().handshake_seconds) == (32, 256, 10)


def test_one_source_has_its_share_and_pushes_nobody_out() -> None:
    async def main() -> None:
        async with serving(ToyEngine(), door=DOOR) as server:
            with closing(socket.create_connection(("127.0.0.1", server.port))) as slow:
                slow.setblocking(False)
                await settled(server, 1)
                with flood(server.port, sources=1, of_each=50) as silent:
                    await settled(server, 1 + PER_SOURCE)
                    assert are_open(silent) == PER_SOURCE
                    await is_served(server.port)
                    assert is_open(slow), "another's slow handshake goes on"

    asyncio.run(asyncio.wait_for(main(), 3 * PATIENCE))


def test_many_sources_keep_nobody_out() -> None:
    async def main() -> None:
        async with serving(ToyEngine(), door=DOOR) as server:
            with flood(server.port, sources=30, of_each=PER_SOURCE) as silent:
                await settled(server, IN_ALL, silent)
                for _ in range(5):
                    await is_served(server.port)

    asyncio.run(asyncio.wait_for(main(), 3 * PATIENCE))
