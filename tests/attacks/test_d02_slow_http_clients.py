"""D02 (HTTPS): a byte now and then of the TLS hello, the request's head or its body -> cut off at its deadline (10 s; here
fractions of one), while others are served.

Defence: api/server.py:ApiServer._open (ssl_handshake_timeout); removed, a handshake of one byte a second lasts
asyncio's 60 s. Defence: api/guard.py:GuardedProtocol._expect; removed, a head or body may take for ever: uvicorn has no
such limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from mohawk.api.guard import Limits
from mohawk.api.server import Door
from tests.api.serving import PATIENCE, RawClient, post_quantum, raw_client, request_bytes, request_head, serving
from tests.api.toy import ToyEngine, chat

SHORT = 0.4
PAUSE = 0.02
DRIP = b"a" * 4000
"""At the pace of the drip far longer than any test waits."""


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 3 * PATIENCE))


async def is_served(port: int) -> None:
    async with raw_client(port) as client:
        await client.send(request_bytes(chat()))
        assert (await client.answer())[0] == 200


def test_a_hello_that_never_ends() -> None:
    async def main() -> None:
        async with serving(ToyEngine(), door=Door(handshake_seconds=SHORT)) as server:
            silent, half = [RawClient(*await asyncio.open_connection("127.0.0.1", server.port)) for _ in range(2)]
            record = b"\x16\x03\x01\x20\x00\x01\x00\x1f\xfc" + DRIP
            assert await half.drip(record, PAUSE) == b""
            await silent.hung_up()
            assert server.connections == 0
            await is_served(server.port)
            for client in (silent, half):
                client.writer.transport.abort()

    run(main)


def test_a_head_that_never_ends() -> None:
    async def main() -> None:
        limits = Limits(head_seconds=SHORT)
        async with (
            serving(ToyEngine(), limits) as server,
            raw_client(server.port) as slow,
            raw_client(server.port) as silent,
        ):
            assert await slow.drip(b"GET /healthz HTTP/1.1\r\nx: " + DRIP, PAUSE) == b""
            await silent.hung_up()
            await is_served(server.port)

    run(main)


def test_a_second_head_that_never_ends() -> None:
    """The deadline of idling does not become a loophole for the next request."""

    async def main() -> None:
        async with serving(ToyEngine(), Limits(head_seconds=SHORT)) as server, raw_client(server.port) as client:
            await client.send(request_bytes(chat()))
            assert (await client.answer())[0] == 200
            assert await client.drip(b"GET /healthz HTTP/1.1\r\nx: " + DRIP, PAUSE) == b""

    run(main)


def test_a_body_that_never_ends() -> None:
    async def main() -> None:
        engine = ToyEngine()
        async with serving(engine, Limits(body_seconds=SHORT)) as server:
            for length in (len(DRIP), None):
                async with raw_client(server.port) as client:
                    await client.send(request_head(length=length))
                    drip = DRIP if length else b"1\r\na\r\n" * 1000
                    assert await client.drip(drip, PAUSE) == b""
            await is_served(server.port)
        assert len(engine.requests) == 1

    run(main)


def test_a_body_that_is_fast_at_first_only() -> None:
    async def main() -> None:
        async with serving(ToyEngine(), Limits(body_seconds=SHORT)) as server, raw_client(server.port) as client:
            await client.send(request_head(length=1 << 20) + b" " * (1 << 19))
            assert await client.drip(DRIP, PAUSE) == b""

    run(main)


def test_a_body_at_the_least_pace_is_served() -> None:
    """Twice the pace that is demanded, for three spans."""

    async def main() -> None:
        limits = Limits(body_seconds=SHORT, body_rate=1024)
        async with serving(ToyEngine(), limits) as server, raw_client(server.port) as client:
            body = request_bytes(chat(), length=None)
            head, _, rest = body.partition(b"\r\n\r\n")
            assert b"content-length" in head
            padding = b" " * 2400
            await client.send(request_head(length=len(padding) + len(rest)))
            for begin in range(0, len(padding), 40):
                await client.send(padding[begin : begin + 40])
                await nothing_for(client, PAUSE)
            await client.send(rest)
            assert (await client.answer())[0] == 200

    run(main)


async def nothing_for(client: RawClient, seconds: float) -> None:
    with suppress(TimeoutError):
        raise AssertionError(await asyncio.wait_for(client.reader.read(1), seconds))


def test_many_slow_clients_do_not_keep_others_out() -> None:
    async def main() -> None:
        limits, door = Limits(head_seconds=SHORT), Door(connections=20, handshake_seconds=SHORT)
        async with serving(ToyEngine(), limits, door) as server:
            context = post_quantum()
            opening = [
                asyncio.open_connection("127.0.0.1", server.port, ssl=context, server_hostname="localhost")
                for _ in range(20)
            ]
            clients = [RawClient(*pair) for pair in await asyncio.gather(*opening)]
            assert server.connections >= 20
            for client in clients:
                await client.send(b"GET / HT")
            await asyncio.gather(*(client.hung_up() for client in clients))
            await is_served(server.port)
            for client in clients:
                client.writer.transport.abort()

    run(main)
