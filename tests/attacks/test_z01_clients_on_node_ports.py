"""Z01: a client's certificate, valid and of our domain, on a worker's port and on the operators' port.

Expected: refused at identity, whatever the purpose; nothing of the service runs.
Defence: contract/access.py:check_opening, which transport/listen.py:Listener.greet asks for every peer; removed, it is
each service's own affair, and one forgets.
"""

from __future__ import annotations

import pytest

from mohawk.contract.access import AccessRefusedError
from mohawk.contract.messages import Purpose
from mohawk.errors import RemoteError
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial
from tests.support.nodes import Recorder, run, serving
from tests.support.tls import Mesh


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize(("role", "name"), [(Role.WORKER, "w1"), (Role.CONTROLLER, "c1")])
def test_a_client_is_let_in_nowhere(purpose: Purpose, role: Role, name: str) -> None:
    mesh = Mesh()
    client = mesh.context(Role.CLIENT, "app")

    async def main() -> None:
        service = Recorder(roles=frozenset(Role))
        async with serving(mesh.context(role, name), service) as listener:
            with pytest.raises(RemoteError, match="may not connect"):
                await dial(client, Target("127.0.0.1", listener.port, role, name), purpose)
            await service.until(lambda: service.refusals)
        assert isinstance(service.refusals[0][1], AccessRefusedError)
        assert service.links == []

    run(main)
