"""H19: whoever sits between keeps every new deny-list from a node, so that it never hears of a revocation.

Defence: identity/denylist.py:DenyList.check_fresh, asked by identity/standing.py:Standing.judge at both ends; removed,
silence is as good as an empty list, and a node that starts without one trusts everybody.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from mohawk.channel.profile import NodeContext
from mohawk.errors import MohawkError
from mohawk.identity.names import IdentityRefusedError, Reason, Role
from tests.support.nodes import Recorder, call, run, serving
from tests.support.tls import Mesh, utc_now

OLD = timedelta(minutes=11)


def context(mesh: Mesh, role: Role, name: str, age: timedelta | None) -> NodeContext:
    """A node whose newest list is so old; None: it has never heard one."""
    made = NodeContext(mesh.credentials(role, name))
    if age is not None:
        made.standing.learn_deny_list(mesh.deny_list(1, age=age), utc_now())
    return made


@pytest.mark.parametrize("age", [OLD, None], ids=["old", "never heard one"])
def test_new_connections_are_refused(age: timedelta | None) -> None:
    mesh = Mesh()
    worker, controller = context(mesh, Role.WORKER, "w1", age), context(mesh, Role.CONTROLLER, "c1", age)

    async def main() -> None:
        recorder = Recorder()
        async with serving(worker, recorder) as listener:
            with pytest.raises(MohawkError, match="no deny-list"):
                await call(controller, listener)
            await recorder.until(lambda: recorder.refusals)
        error = recorder.refusals[0][1]
        assert isinstance(error, IdentityRefusedError)
        assert error.reason is Reason.STALE

    run(main)


@pytest.mark.parametrize("knows", ["worker", "controller"])
def test_one_end_with_a_fresh_list_is_enough_for_both(knows: str) -> None:
    mesh = Mesh()
    fresh = timedelta(minutes=1)
    worker = context(mesh, Role.WORKER, "w1", fresh if knows == "worker" else None)
    controller = context(mesh, Role.CONTROLLER, "c1", fresh if knows == "controller" else None)

    async def main() -> None:
        async with serving(worker, Recorder()) as listener:
            await call(controller, listener)

    run(main)
    assert worker.standing.deny_list_number == controller.standing.deny_list_number == 1


def test_a_live_connection_outlasts_a_short_silence_of_the_issuer() -> None:
    """Only new connections need a fresh list: an issuer that is down for an hour does not end what serves."""
    mesh = Mesh()
    worker, controller = mesh.context(Role.WORKER, "w1"), mesh.controller

    async def main() -> None:
        async with serving(worker, Recorder()) as listener:
            link = await call(controller, listener)
            assert worker.standing.deny_list is not None
            later = worker.standing.deny_list.expires + timedelta(hours=1)
            with pytest.raises(IdentityRefusedError):
                worker.standing.judge(link.peer, later)
            worker.standing.refuse(link.peer)
            assert not link.is_closing

    run(main)
