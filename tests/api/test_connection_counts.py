"""However connections come and go, each source has as many to its name as it has open."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter

from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from, tuples

from mohawk.api.guard import Limits
from mohawk.api.server import ApiServer, Door
from tests.api.serving import PATIENCE, RawClient, post_quantum, request_bytes, serving
from tests.api.toy import ToyEngine, chat

SOURCES = ("127.0.0.1", "127.0.0.2")
DOOR = Door(connections=4, connections_per_source=3)
WAYS = ("open", "open", "open", "ask", "leave", "vanish", "garbage", "cut", "half open", "give up")


class Crowd:
    """What the clients of both sources do."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._open: list[RawClient] = []
        self._half_open: list[socket.socket] = []

    async def act(self, way: str, source: str, which: int) -> None:
        if way == "open":
            await self._connect(source)
        elif way == "half open":
            self._half_open.append(
                socket.create_connection(("127.0.0.1", self._server.port), source_address=(source, 0))
            )
        elif way == "give up" and self._half_open:
            self._half_open.pop(which % len(self._half_open)).close()
        elif way == "cut" and (guarded := self._server._counted()):
            guarded[which % len(guarded)].abort()
        elif self._open and way in {"ask", "leave", "vanish", "garbage"}:
            await self._end(way, self._open[which % len(self._open)])

    async def _connect(self, source: str) -> None:
        try:
            reader, writer = await asyncio.open_connection(
                *("127.0.0.1", self._server.port),
                ssl=post_quantum(),
                server_hostname="localhost",
                local_addr=(source, 0),
            )
        except OSError:
            return  # it has its share
        self._open.append(RawClient(reader, writer))

    async def _end(self, way: str, client: RawClient) -> None:
        """By one side or the other; `ask`: not at all, unless it was cut before."""
        try:
            if way == "ask":
                await client.send(request_bytes(chat()))
                await client.answer()
                return
            if way == "garbage":
                await client.send(b"no HTTP\r\n\r\n")
                await client.hung_up()
        except (OSError, asyncio.IncompleteReadError):
            pass
        self._open.remove(client)
        if way == "leave":
            client.writer.close()
        else:
            client.writer.transport.abort()

    def leave(self) -> None:
        for client in self._open:
            client.writer.transport.abort()
        for connection in self._half_open:
            connection.close()


def counted_anew(server: ApiServer) -> Counter[str]:
    return Counter(one.client[0] for one in server._counted() if one.client is not None)


async def settled(server: ApiServer) -> None:
    """What the network still brings is taken in; whatever was, the count is right."""
    for _ in range(20):
        await asyncio.sleep(0)
        assert server._established == counted_anew(server)


@given(lists(tuples(sampled_from(WAYS), sampled_from(SOURCES), integers(0, 9)), max_size=25))
@settings(max_examples=40, deadline=None)
def test_sources_are_counted_as_they_are(actions: list[tuple[str, str, int]]) -> None:
    async def main() -> None:
        async with serving(ToyEngine(), Limits(), DOOR) as server:
            crowd = Crowd(server)
            for action in actions:
                await crowd.act(*action)
                await settled(server)
                assert max(counted_anew(server).values(), default=0) <= DOOR.connections_per_source
            crowd.leave()
            while server.connections:  # noqa: ASYNC110 - a server announces no endings
                await asyncio.sleep(0)
            assert not server._established
            assert not server._half_open

    asyncio.run(asyncio.wait_for(main(), 6 * PATIENCE))
