"""H26 (join port): plaintext HTTP, SSH, or a hello of older or weaker TLS on the join port.

Expected: closed without a banner; weaker TLS gets no handshake, and nothing is answered to it.

Defence: channel/profile.py:MIE_JOIN and transport/joining.py:JoinListener._serve, which answers no word; removed, a
scanner learns what listens here, or a machine hands its proof to weaker TLS.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from OpenSSL import SSL

from mohawk.audit.events import EventKind
from tests.support.joining import JoinSite, until
from tests.support.nodes import last_words, run
from tests.support.stranger import connected
from tests.support.tls import raw_context, raw_peer


@pytest.fixture
def site(tmp_path: Path) -> JoinSite:
    return JoinSite(tmp_path / "pki")


@pytest.mark.parametrize(
    "greeting", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-x\r\n", b"\x00" * 64, b"\x80\x2e\x01\x03\x01"]
)
def test_a_stranger_learns_nothing(site: JoinSite, greeting: bytes) -> None:
    async def main() -> None:
        async with site.open(), connected(site) as (reader, writer):
            writer.write(greeting)
            assert await last_words(reader) == b""
            await until(lambda: site.of_kind(EventKind.CONNECTION_REFUSED))

    run(main)


@pytest.mark.parametrize(
    "weaker",
    [
        {"groups": "X25519"},
        {"groups": "P-384"},
        {"suites": "TLS_AES_128_GCM_SHA256"},
        {"suites": "TLS_AES_256_GCM_SHA384"},
        {"version": SSL.TLS1_2_VERSION, "groups": "X25519"},
        {"alpn": (b"mie/1",)},
        {"alpn": (b"http/1.1",)},
    ],
)
def test_weaker_tls_or_another_protocol_gets_no_handshake(site: JoinSite, weaker: dict[str, object]) -> None:
    options = {"alpn": (b"mie-join/1",)} | weaker
    stranger = raw_peer(raw_context(**options))  # type: ignore[arg-type]

    async def main() -> None:
        async with site.open(), connected(site) as (reader, writer):
            with pytest.raises(SSL.WantReadError):
                stranger.do_handshake()
            writer.write(stranger.bio_read(1 << 16))
            words = await last_words(reader)
            assert words[:1] in (b"", b"\x15"), "an alert at most: no ServerHello, no certificate"
            await until(lambda: site.of_kind(EventKind.CONNECTION_REFUSED))

    run(main)
    assert site.names == []


def test_a_client_that_names_no_protocol_is_shown_a_certificate_and_no_more(site: JoinSite) -> None:
    """OpenSSL asks about the protocol only where one is offered: it is we who end this, after the handshake."""
    stranger = raw_peer(raw_context(alpn=()))

    async def main() -> None:
        async with site.open(), connected(site) as (reader, writer):
            with pytest.raises(SSL.WantReadError):
                stranger.do_handshake()
            writer.write(stranger.bio_read(1 << 16))
            while True:
                stranger.bio_write(await reader.read(1 << 16))
                with suppress(SSL.WantReadError):
                    stranger.do_handshake()
                    break
            stranger.send((2).to_bytes(4, "big") + b"{}")
            writer.write(stranger.bio_read(1 << 16))
            await last_words(reader)
            await until(lambda: site.of_kind(EventKind.CONNECTION_REFUSED))

    run(main)
    assert site.refusals == [], "its request was not even read"
    assert site.names == []
