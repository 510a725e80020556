"""A client's first message, real and then taken apart: for attackers that send what no TLS library would."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from OpenSSL import SSL

from tests.support.tls import Forgery, Mesh, raw_context, raw_peer

KEY_SHARE = 51
X25519MLKEM768 = 0x11EC
MLKEM768_KEY = 1184
"""Bytes of an ML-KEM-768 encapsulation key: 1,152 of coefficients, 12 bits each, and a seed (FIPS 203 7.2). The X25519
key of 32 bytes follows it.
"""
COEFFICIENTS = 1152
_ALERT = bytes.fromhex("1503030002")


@dataclass(frozen=True)
class ClientHello:
    """RFC 8446 4.1.2. `start`: from the version to the compression methods; `extensions`: (type, data) in order."""

    start: bytes
    extensions: tuple[tuple[int, bytes], ...]

    def encode(self) -> bytes:
        """As one TLS record; every length fits what is there."""
        extensions = b"".join(kind.to_bytes(2, "big") + _sized(2, data) for kind, data in self.extensions)
        message = b"\x01" + _sized(3, self.start + _sized(2, extensions))
        return b"\x16\x03\x01" + _sized(2, message)

    @property
    def share(self) -> bytes:
        """The key exchange of the one group that it offers."""
        return dict(self.extensions)[KEY_SHARE][6:]

    def with_share(self, share: bytes, announced: int | None = None) -> ClientHello:
        """The same with another key exchange; `announced`: the length it claims."""
        length = len(share) if announced is None else announced
        entry = X25519MLKEM768.to_bytes(2, "big") + length.to_bytes(2, "big") + share
        data = _sized(2, entry)
        return replace(self, extensions=tuple((k, data if k == KEY_SHARE else d) for k, d in self.extensions))


def _sized(width: int, data: bytes) -> bytes:
    return len(data).to_bytes(width, "big") + data


def client_hello(mesh: Mesh) -> ClientHello:
    """What OpenSSL says first, in our profile."""
    forgery = Forgery()
    client = raw_peer(raw_context(chain=forgery.by(mesh.issuing), key=forgery.key))
    with suppress(SSL.WantReadError):
        client.do_handshake()
    data = client.bio_read(1 << 14)
    found = _parse(data)
    assert found.encode() == data
    return found


def _parse(record: bytes) -> ClientHello:
    body = record[9:]
    end = 34
    for width in (1, 2, 1):  # session id, suites, compression methods
        end += width + int.from_bytes(body[end : end + width], "big")
    extensions, at = [], end + 2
    while at < len(body):
        kind, length = (int.from_bytes(body[i : i + 2], "big") for i in (at, at + 2))
        extensions.append((kind, body[at + 4 : at + 4 + length]))
        at += 4 + length
    return ClientHello(body[:end], tuple(extensions))


def alert_of(wire: bytes) -> int:
    """The description of the one alert that `wire` is (RFC 8446 6): nothing else was sent."""
    assert wire[:-2] == _ALERT, wire.hex()
    assert wire[-2] == 2, "fatal"
    return wire[-1]
