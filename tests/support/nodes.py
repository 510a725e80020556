"""Two real nodes over loopback, with what each of them saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import uvloop

from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import Hello, Purpose
from mohawk.errors import MohawkError
from mohawk.identity.certificates import PeerIdentity, expect
from mohawk.identity.names import NodeName, Role
from mohawk.transport.dial import Target, dial
from mohawk.transport.link import Link
from mohawk.transport.listen import Listener, listen

_Result = TypeVar("_Result")

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def run(
    main: Awaitable[_Result] | Callable[[], Awaitable[_Result]], loop: str = "asyncio", seconds: float = 20
) -> _Result:
    async def bounded() -> _Result:
        async with asyncio.timeout(seconds):
            return await (main() if callable(main) else main)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(bounded())


@dataclass
class Recorder:
    """A service that lets controllers in and keeps what happens; `answer` is called for each message."""

    answer: Callable[[Link, object, bytearray], None] = lambda link, message, body: None
    roles: frozenset[Role] = frozenset({Role.CONTROLLER})
    refusal: MohawkError | None = None
    links: list[Link] = field(default_factory=list)
    messages: list[tuple[object, bytes]] = field(default_factory=list)
    refusals: list[tuple[str, MohawkError]] = field(default_factory=list)
    endings: list[MohawkError | None] = field(default_factory=list)
    dialled: list[Link] = field(default_factory=list)
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    def authorize(self, peer: PeerIdentity, hello: Hello) -> None:
        expect(peer, self.roles)
        if self.refusal is not None:
            raise self.refusal

    def accept(self, link: Link) -> None:
        self.links.append(link)
        link.on_message = self._received
        link.on_closed = self._closed
        self.happened.set()

    def refused(self, source: str, error: MohawkError, _peer: NodeName | None) -> None:
        self.refusals.append((source, error))
        self.happened.set()

    def _received(self, link: Link, message: object, body: bytearray) -> None:
        self.messages.append((message, bytes(body)))
        self.answer(link, message, body)
        self.happened.set()

    def _closed(self, link: Link, error: MohawkError | None) -> None:
        self.endings.append(error)
        self.happened.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait, without polling, until `condition` holds."""
        while not condition():
            self.happened.clear()
            await self.happened.wait()


async def last_words(reader: asyncio.StreamReader) -> bytes:
    """What a peer says until it closes; a reset is a close."""
    with suppress(ConnectionResetError):
        return await reader.read()
    return b""


@asynccontextmanager
async def serving(context: NodeContext, service: Recorder) -> AsyncIterator[Listener]:
    context.on_refused = service.refused
    listener = await listen(context, "127.0.0.1", 0, service)
    try:
        yield listener
    finally:
        for link in service.dialled:
            await link.cut()
        await listener.close()


async def call(
    context: NodeContext, listener: Listener, purpose: Purpose = Purpose.CONTROL, name: str = "w1", seconds: float = 10
) -> Link:
    link = await dial(context, Target("127.0.0.1", listener.port, Role.WORKER, name), purpose, seconds)
    listener._service.dialled.append(link)
    return link


@asynccontextmanager
async def stranger(listener: Listener) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A plain TCP connection to a node's port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
