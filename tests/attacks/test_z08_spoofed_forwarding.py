"""Z08: a client claims to be somebody else by `X-Forwarded-*`, `Forwarded` and headers of proxies that vouch for
certificates.

Expected: ignored. Without a key it is refused like anybody; its source, for limits, is the address that it came from.
Defence: api/server.py:serve (no proxy headers: what the server takes for the client is the socket's peer); removed,
whoever writes a header is whoever he likes, and no limit per source holds.
"""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from mohawk.api.server import Door
from tests.api.serving import RawClient, raw_client, request_bytes, serving
from tests.api.toy import ToyEngine, application

BODY = {"model": "toy", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1}
SPOOFS = (
    "x-forwarded-for: 10.9.8.7",
    "x-forwarded-proto: http",
    "x-forwarded-user: admin",
    "forwarded: for=10.9.8.7;proto=http;by=10.0.0.1",
    "x-real-ip: 10.9.8.7",
    "x-ssl-client-verify: SUCCESS",
    "x-ssl-client-s-dn: CN=operator",
    "x-forwarded-client-cert: By=spiffe://mesh.example/controller/c1;URI=spiffe://mesh.example/operator/alice",
    "ssl-client-cert: anything",
)


def spoofed(request: bytes, *, key: bool) -> bytes:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if not key:
        lines = [line for line in lines if not line.lower().startswith(b"authorization")]
    return b"\r\n".join([*lines, *(spoof.encode() for spoof in SPOOFS)]) + b"\r\n\r\n" + body


async def ask(client: RawClient, *, key: bool) -> int:
    await client.send(spoofed(request_bytes(BODY), key=key))
    status, _, _ = await client.answer()
    return status


@pytest.mark.parametrize(("key", "status"), [(False, 401), (True, 200)])
def test_headers_give_no_rights_and_take_none(key: bool, status: int) -> None:
    async def main() -> int:
        async with serving(ToyEngine()) as server, raw_client(server.port) as client:
            return await ask(client, key=key)

    assert asyncio.run(main()) == status


def test_the_application_is_told_who_the_socket_says_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it will once decide by a client's address, no header writes that address."""
    told: list[tuple[object, object]] = []
    inner = application(ToyEngine())

    async def remember(scope: Scope, receive: Receive, send: Send) -> None:
        told.append((scope["client"][0], scope["scheme"]))
        await inner(scope, receive, send)

    monkeypatch.setattr("tests.api.serving.application", lambda *_: remember)

    async def main() -> None:
        async with serving(ToyEngine()) as server, raw_client(server.port) as client:
            assert await ask(client, key=True) == 200

    asyncio.run(main())
    assert told == [("127.0.0.1", "https")]


def test_the_limit_per_source_counts_sockets_and_not_headers() -> None:
    """Two connections may be open from one address: a third costs it the first, whoever it says it is."""

    async def main() -> None:
        limited = serving(ToyEngine(), door=Door(connections_per_source=2))
        async with limited as server, raw_client(server.port) as one, raw_client(server.port) as other:
            for client in (one, other):
                assert await ask(client, key=True) == 200
            async with raw_client(server.port) as third:
                assert await ask(third, key=True) == 200
                await one.hung_up()

    asyncio.run(main())
