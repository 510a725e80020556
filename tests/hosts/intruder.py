"""Somebody on the network with stolen things, as a program of its own on a host of its own:

    python -m tests.hosts.intruder dial IDENTITY HOST PORT ROLE NAME PURPOSE
    python -m tests.hosts.intruder strangle HOST PORT ALPN

`dial` does what a node does, with somebody's identity. `strangle` shakes hands without any certificate and says what
it heard. Each prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path

from OpenSSL import SSL

from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import Purpose
from mohawk.errors import MohawkError
from mohawk.host.identity import IdentityFolder
from mohawk.host.standing_file import keep_standing
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial
from tests.support.tls import raw_context, utc_now


def knock(identity: str, host: str, port: str, role: str, name: str, purpose: str) -> str:
    """The error that a connection ends with, or `welcome`."""
    place = IdentityFolder(Path(identity))
    context = NodeContext(place.read().credentials)
    keep_standing(context.standing, place.trust_file, utc_now())

    async def main() -> str:
        try:
            link = await dial(context, Target(host, int(port), Role(role), name), Purpose[purpose])
        except MohawkError as error:
            return error.message
        await link.cut()
        return "welcome"

    return asyncio.run(main())


def strangle(host: str, port: str, alpn: str) -> dict[str, object]:
    """How far a handshake gets without a certificate, and every application byte that came."""
    with socket.create_connection((host, int(port)), timeout=5) as plain:
        plain.settimeout(None)
        connection = SSL.Connection(raw_context(alpn=(alpn.encode(),)), plain)
        connection.set_connect_state()
        heard = b""
        try:
            connection.do_handshake()
            connection.send(
                b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" if alpn == "http/1.1" else bytes(12)
            )
            while block := connection.recv(4096):
                heard += block
        except SSL.Error as error:
            return {"ended": type(error).__name__, "heard": heard.decode("latin-1")}
        return {"ended": "goodbye", "heard": heard.decode("latin-1")}


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    print(json.dumps({"dial": knock, "strangle": strangle}[verb](*rest)))
