"""A real asyncio server and client over the look-alike: asyncio changing its use of `ssl` objects shows here."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from OpenSSL import SSL

from mohawk.channel.profile import MIE_API
from mohawk.channel.stdlib_tls import ApiContext, ApiTls, api_client_context, api_server_context
from mohawk.identity.certificates import issue_api_leaf
from tests.support.tls import Mesh, raw_context, raw_peer, utc_now

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


def server_context(mesh: Mesh, *hosts: str) -> ApiContext:
    leaf = issue_api_leaf(mesh.issuing, hosts or ("localhost", "127.0.0.1"), utc_now())
    return api_server_context(leaf.chain, leaf.key)


def client_context(mesh: Mesh) -> ApiContext:
    return api_client_context((mesh.root.certificate,))


@asynccontextmanager
async def serving(context: object, handler: Handler) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    size = int(await reader.readline())
    body = await reader.readexactly(size)
    writer.write(body[::-1])
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def talk(port: int, context: object, host: str, body: bytes) -> tuple[bytes, ApiTls]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=host)
    tls = writer.get_extra_info("ssl_object")
    writer.write(b"%d\n" % len(body))
    writer.write(body)
    answer = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return answer, tls


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("size", [1, 1 << 21])
def test_a_request_crosses_with_post_quantum_key_exchange(mesh: Mesh, host: str, size: int) -> None:
    async def main() -> None:
        async with serving(server_context(mesh), count) as port:
            body = bytes(range(256)) * (size // 256) or b"x"
            answer, tls = await talk(port, client_context(mesh), host, body)
            assert answer == body[::-1]
            assert (tls.version(), tls.group()) == ("TLSv1.3", "X25519MLKEM768")
            assert tls.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"
            assert tls.selected_alpn_protocol() == "http/1.1"

    asyncio.run(main())


def test_the_server_sees_what_was_negotiated(mesh: Mesh) -> None:
    seen: list[str] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("ssl_object").group())
        await count(reader, writer)

    async def main() -> None:
        async with serving(server_context(mesh), handler) as port:
            await talk(port, client_context(mesh), "localhost", b"x")

    asyncio.run(main())
    assert seen == ["X25519MLKEM768"]


def test_a_classical_client_is_served_and_shown_as_such(mesh: Mesh) -> None:
    """The standard library's own TLS: on OpenSSL 3.0 it has no post-quantum group."""

    async def main() -> None:
        theirs = ssl.create_default_context(cadata=mesh.root.certificate.pem.decode())
        async with serving(server_context(mesh), count) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=theirs, server_hostname="localhost")
            writer.write(b"3\nabc")
            assert await reader.read(-1) == b"cba"
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            writer.close()
            await writer.wait_closed()

    asyncio.run(main())


def test_dropping_the_classical_group_refuses_classical_clients(mesh: Mesh) -> None:
    leaf = issue_api_leaf(mesh.issuing, ("localhost",), utc_now())
    strict = api_server_context(leaf.chain, leaf.key, MIE_API.require_post_quantum())
    refused(strict.wrap_bio, raw_context(groups="X25519", alpn=()))
    refused(server_context(mesh).wrap_bio, raw_context(groups="P-256", alpn=()))
    refused(server_context(mesh).wrap_bio, raw_context(version=SSL.TLS1_2_VERSION, groups="X25519", alpn=()))


def refused(wrap_bio: Callable[..., ApiTls], attacker: SSL.Context) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = wrap_bio(incoming, outgoing, server_side=True)
    theirs = raw_peer(attacker)
    with pytest.raises(SSL.WantReadError):
        theirs.do_handshake()
    incoming.write(theirs.bio_read(1 << 16))
    with pytest.raises(ssl.SSLError):
        ours.do_handshake()
    with pytest.raises(ssl.SSLError):
        ours.read()
    theirs.bio_write(outgoing.read())
    with pytest.raises(SSL.Error):
        theirs.do_handshake()


def test_another_host_name_is_refused_by_our_client(mesh: Mesh) -> None:
    async def main() -> None:
        async with serving(server_context(mesh, "api.example"), count) as port:
            for host in ("localhost", "127.0.0.1", "xapi.example"):
                with pytest.raises(ssl.SSLCertVerificationError):
                    await talk(port, client_context(mesh), host, b"x")

    asyncio.run(main())


def test_another_root_is_refused_by_our_client(mesh: Mesh) -> None:
    async def main() -> None:
        async with serving(server_context(Mesh()), count) as port:
            with pytest.raises(ssl.SSLError):
                await talk(port, client_context(mesh), "localhost", b"x")

    asyncio.run(main())


def test_a_node_leaf_is_no_api_server(mesh: Mesh) -> None:
    async def main() -> None:
        node = mesh.credentials()
        async with serving(api_server_context(node.chain, node.key), count) as port:
            with pytest.raises(ssl.SSLError):
                await talk(port, client_context(mesh), "localhost", b"x")

    asyncio.run(main())


def test_a_cut_connection_is_not_a_goodbye(mesh: Mesh) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client_context(mesh).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        ours.do_handshake()
    incoming.write_eof()
    with pytest.raises(ssl.SSLEOFError):
        ours.do_handshake()


def test_a_client_must_name_its_server(mesh: Mesh) -> None:
    with pytest.raises(ValueError, match="host name"):
        client_context(mesh).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())
