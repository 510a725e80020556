"""H14: the right authority, but the node that answers is not the one that was dialled.

Expected: the client aborts; not even its greeting leaves.
Defence: transport/dial.py:dial (expect); removed, the greeting, and all that follows, goes to another worker.
"""

from __future__ import annotations

import pytest

from mohawk.contract.messages import Hello
from mohawk.identity.certificates import PeerIdentity
from mohawk.identity.names import IdentityRefusedError, Reason, Role
from tests.support.nodes import Recorder, call, run, serving
from tests.support.tls import Mesh


class Listening(Recorder):
    """Notes every greeting that arrives."""

    def authorize(self, peer: PeerIdentity, hello: Hello) -> None:
        self.messages.append((hello, b""))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_client_aborts_before_its_greeting(loop: str) -> None:
    mesh = Mesh()
    impostor = mesh.context(Role.WORKER, "w2")

    async def main() -> None:
        service = Listening()
        async with serving(impostor, service) as listener:
            with pytest.raises(IdentityRefusedError) as caught:
                await call(mesh.controller, listener, name="w1")
            assert caught.value.reason is Reason.WRONG_NAME
            await service.until(lambda: service.refusals)
            assert service.messages == []

    run(main, loop)
