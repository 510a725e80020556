"""J02: a join request is caught on one connection and handed to the real controller on another: by a node in the middle
that has a controller's certificate, or by whoever saw the request elsewhere.

Expected: refused, as forged; the token is still good for its holder.

Defence: identity/join_token.py:_proof (the TLS exporter is under the MAC); removed, who relays a machine's request gets
that machine's certificate chain accepted, and can put its own request in place of the machine's next one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.channel.join_tls import join_server_context
from mohawk.channel.stdlib_tls import ApiContext
from mohawk.errors import MohawkError, PolicyError
from mohawk.identity.names import Role
from mohawk.transport.joining import Exporter, listen_for_joins
from mohawk.worker.joining import join
from tests.support.joining import JoinSite, ask, request_for
from tests.support.nodes import run
from tests.support.tls import utc_now


class Relay:
    """A join service with a real controller's certificate, and no authority behind it."""

    def __init__(self, site: JoinSite) -> None:
        self._credentials = site.authority.issue_node(Role.CONTROLLER, "c2", utc_now())
        self.caught: list[bytes] = []

    def tls(self) -> ApiContext:
        return join_server_context(self._credentials)

    def answer(self, request: bytes, exporter: Exporter, source: str) -> bytes:
        self.caught.append(request)
        return b""

    def refused(self, source: str, error: MohawkError) -> None:
        raise AssertionError(error)

    def closed(self) -> None:
        """Nothing to do."""


def test_a_request_that_was_relayed_is_worth_nothing(tmp_path: Path) -> None:
    site = JoinSite(tmp_path / "pki")

    async def main() -> None:
        relay = Relay(site)
        middle = await listen_for_joins("127.0.0.1", 0, relay)
        async with site.open():
            token = site.token()
            lured = replace(token, controller=f"127.0.0.1:{middle.port}")
            with pytest.raises(PolicyError):
                await join(lured, utc_now())
            assert await ask(token, lambda exporter: relay.caught[0]) == b""
            assert site.refusals == ["forged_proof"]
            await join(token, utc_now())
        await middle.close()

    run(main)
    assert site.names == ["w1"]


def test_a_request_of_an_earlier_connection_is_worth_nothing(tmp_path: Path) -> None:
    """Made by the token's own holder, for a connection that was cut before it was sent."""
    site = JoinSite(tmp_path / "pki")

    async def main() -> None:
        async with site.open():
            token, made = site.token(), []

            def keep(exporter: Exporter) -> bytes:
                made.append(request_for(token, exporter))
                return b"cut"

            await ask(token, keep)
            assert await ask(token, lambda exporter: made[0]) == b""

    run(main)
    assert site.refusals[-1] == "forged_proof"
    assert site.names == []
