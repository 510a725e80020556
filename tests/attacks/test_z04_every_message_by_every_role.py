"""Z04: every message of the contract, said by every role to every role that listens, on every purpose.

Expected: heard if, and only if, the table in docs/spec/access.md says so; all else ends the connection unheard.
Defence: contract/access.py:ACCESS, asked by transport/link.py:Link for every message in both directions; removed, what
a purpose carries is open to whoever may open it.
"""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from mohawk.channel.frames import FrameKind, FrameLimits, Limit
from mohawk.contract.access import GREETINGS
from mohawk.contract.codec import decode
from mohawk.contract.messages import Message, Purpose
from mohawk.errors import RemoteError
from mohawk.identity.names import Role
from mohawk.transport.dial import Target, dial
from mohawk.transport.link import Link
from tests.contract.test_access import specified
from tests.support.messages import EXAMPLES
from tests.support.nodes import Recorder, run, serving
from tests.support.tls import Mesh

ANYTHING = FrameLimits({kind: Limit(header=4 << 10, body=0) for kind in FrameKind})
"""So that only the table decides: every purpose carries every message here."""


DIALS = {
    (Role.CONTROLLER, Role.WORKER),
    (Role.WORKER, Role.WORKER),
    (Role.OPERATOR, Role.CONTROLLER),
    (Role.AUDITOR, Role.CONTROLLER),
}
"""Workers are dialled by their controller, so what they say to it they say as listeners."""


def admit_anything(header: bytes, _body_length: int) -> Message:
    return decode(header)


async def is_heard(link: Link, message: Message, heard: list[object]) -> bool:
    """Whether what `link` says reaches its peer's owner, before it ends the connection."""
    link.carry(ANYTHING, admit_anything)
    link.send(message)
    while not heard and not link.closed.done():  # noqa: ASYNC110 - either end may be the first to know
        await asyncio.sleep(0)
    return bool(heard)


async def connect(mesh: Mesh, sender: Role, receiver: Role, service: Recorder, port: int) -> Link | None:
    """By any purpose that lets `sender` in."""
    for purpose in Purpose:
        try:
            return await dial(mesh.context(sender, "s1"), Target("127.0.0.1", port, receiver, "r1"), purpose)
        except RemoteError:
            continue
    return None


@pytest.mark.parametrize("receiver", [Role.WORKER, Role.CONTROLLER])
@pytest.mark.parametrize("sender", Role)
def test_what_a_dialler_may_say(sender: Role, receiver: Role) -> None:
    mesh, cells = Mesh(), specified()

    async def main() -> None:
        service = Recorder(roles=frozenset(Role))
        async with serving(mesh.context(receiver, "r1"), service) as listener:
            for message in (one for one in EXAMPLES if type(one) not in GREETINGS):
                service.messages.clear()
                service.links.clear()
                link = await connect(mesh, sender, receiver, service, listener.port)
                if link is None:
                    assert (sender, receiver) not in DIALS
                    return
                await service.until(lambda: service.links)
                service.links[-1].carry(ANYTHING, admit_anything)
                expected = (sender, receiver, type(message).__name__) in cells
                assert await is_heard(link, message, service.messages) == expected, type(message)
                await link.cut()

    run(main, seconds=60)


@pytest.mark.parametrize(("dialler", "listener"), [(Role.CONTROLLER, Role.WORKER), (Role.OPERATOR, Role.CONTROLLER)])
def test_what_a_listener_may_answer(dialler: Role, listener: Role) -> None:
    mesh, cells = Mesh(), specified()

    async def main() -> None:
        service = Recorder(roles=frozenset(Role))
        async with serving(mesh.context(listener, "r1"), service) as port:
            for message in (one for one in EXAMPLES if type(one) not in GREETINGS):
                service.links.clear()
                link = await connect(mesh, dialler, listener, service, port.port)
                assert link is not None
                heard: list[object] = []
                link.on_message = partial(_keep, heard)
                link.carry(ANYTHING, admit_anything)
                await service.until(lambda: service.links)
                expected = (listener, dialler, type(message).__name__) in cells
                assert await is_heard(service.links.pop(), message, heard) == expected, type(message)
                await link.cut()

    run(main, seconds=60)


def _keep(heard: list[object], _link: Link, message: object, _body: bytearray) -> None:
    heard.append(message)
