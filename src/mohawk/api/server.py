"""The HTTPS server: uvicorn's HTTP/1.1 protocol on asyncio's own loop, behind limits that uvicorn does not have.

Rules, and the attack each stops:
- Connections are counted from accept on, per source and in all, so that nobody holds our sockets by not finishing a
  handshake (D01, D03).
- When all are taken, one that asks for nothing makes room for the newcomer; so does the oldest unfinished handshake:
  not even thousands of sources keep others out by being idle. When a source has its share, one of its own does: whoever
  shares an address with others is not kept out by what they left open.
- Handshake, request head, body and idle time each have a deadline; a byte per second moves none of them (D02).
- Who does not read its answer is cut off after a deadline; until then at most a fixed buffer waits for it (D06).
- A head has at most 32 KiB, counted before it is complete.

Needs a loop whose TLS calls only `context.wrap_bio`, which is asyncio's and not uvloop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol, cast

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from mohawk.api.guard import GuardedProtocol, Limits
from mohawk.errors import HostError

_BACKLOG = 512
_KEEPALIVE_SECONDS = 15
_TURNS_TO_LOSE = 2
"""Turns of the loop until it has told a connection that is cut off: its socket's transport first, then TLS."""
_ACCEPT_PAUSE = 0.1
"""Seconds without accepting after the system had no descriptor left."""


class TlsContext(Protocol):
    """What asyncio needs of a TLS context: `ssl.SSLContext`, and `channel.stdlib_tls.ApiContext`, which looks like
    it.
    """

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = ...,  # noqa: FBT001 - the signature of ssl.SSLContext
    ) -> object: ...


@dataclass(frozen=True, slots=True)
class Door:
    """How many connections may be open. A source is an IP address."""

    connections: int = 1024
    connections_per_source: int = 256
    """Who holds all it may, with or without a key, leaves three quarters for others."""
    half_open: int = 256
    half_open_per_source: int = 32
    handshake_seconds: float = 10.0
    goodbye_seconds: float = 5.0
    """How long TLS may take to close."""


@dataclass(slots=True)
class _Handshake:
    """One under way, or about to be."""

    connection: socket.socket
    source: str
    has_begun: bool = False


class _Counted(GuardedProtocol):
    """Counted by its source while it is open: to count all of them anew at each accept took as long as a handshake."""

    def __init__(self, config: Config, state: ServerState, limits: Limits, source: str, counts: Counter[str]) -> None:
        super().__init__(config, state, limits)
        self.source = source
        self._counts = counts

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        self._counts[self.source] += 1
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        _count_down(self._counts, self.source)
        super().connection_lost(exc)


async def serve(
    app: ASGIApp,
    host: str,
    port: int,
    context: TlsContext,
    *,
    door: Door | None = None,
    limits: Limits | None = None,
) -> ApiServer:
    """Listen, and serve `app` until `close`. Port 0: any. Raises HostError when the address cannot be listened on."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError:
        message = f"the API cannot listen on {host}, port {port}"
        raise HostError(message, hint="is another server running there? choose another port") from None
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return ApiServer(app, listener, context, door or Door(), limits or Limits())


class ApiServer:
    """A listening API. Installs no signal handlers."""

    def __init__(self, app: ASGIApp, listener: socket.socket, context: TlsContext, door: Door, limits: Limits) -> None:
        self._listener = listener
        self._context = cast(ssl.SSLContext, context)
        self._door = door
        self._limits = limits
        self._config = _configure(app, limits.head_bytes)
        self._state = ServerState()
        self._half_open: Counter[str] = Counter()
        self._established: Counter[str] = Counter()
        self._handshakes: dict[asyncio.Task[None], _Handshake] = {}
        """Oldest first."""
        self._accepting = asyncio.create_task(self._accept())

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def connections(self) -> int:
        """Open connections, those in their handshake included."""
        return len(self._state.connections) + len(self._handshakes)

    async def close(self, grace_seconds: float = 5.0) -> None:
        """Accept no more, let answers under way end for `grace_seconds`, then cut the rest off."""
        self._accepting.cancel()
        await asyncio.gather(self._accepting, return_exceptions=True)
        self._listener.close()
        for connection in self._counted():
            connection.shutdown()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=grace_seconds)
        leftovers = [*self._handshakes, *self._state.tasks]
        for task in leftovers:
            task.cancel()
        for connection in self._counted():
            connection.abort()
        await asyncio.gather(*leftovers, return_exceptions=True)
        for _ in range(_TURNS_TO_LOSE):
            await asyncio.sleep(0)

    def _counted(self) -> list[_Counted]:
        return [one for one in self._state.connections if isinstance(one, _Counted)]

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError:  # no descriptors left, or a peer gone before we took it
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            source = str(address[0])
            if not self._make_room(source):
                connection.close()
                continue
            if self.connections >= self._door.connections:
                await asyncio.sleep(0)  # who was cut off is counted until the loop has turned
            handshake = _Handshake(connection, source)
            self._half_open[source] += 1
            task = asyncio.create_task(self._open(handshake))
            self._handshakes[task] = handshake
            task.add_done_callback(self._end_handshake)

    def _make_room(self, source: str) -> bool:
        """Whether there is room for one more from `source`, at the price of the oldest that does nothing if need be."""
        half_open = self._half_open[source]  # a Counter: asking makes no entry
        if half_open >= self._door.half_open_per_source:
            return False
        are_too_many = len(self._handshakes) >= self._door.half_open
        if half_open + self._established[source] >= self._door.connections_per_source:
            has_room = self._drop_idle({source})
        else:
            is_full = self.connections >= self._door.connections
            has_room = are_too_many or not is_full or self._drop_idle(self._established.keys())
        if has_room and are_too_many:
            self._drop_handshake()
        return has_room

    def _drop_idle(self, sources: AbstractSet[str]) -> bool:
        """The one of these sources that was idle longest, if there is one."""
        idle = [one for one in self._counted() if one.idle_since is not None and one.source in sources]
        if not idle:
            return False
        min(idle, key=lambda one: one.idle_since or 0.0).abort()
        return True

    def _drop_handshake(self) -> None:
        oldest = next(iter(self._handshakes))
        oldest.cancel()
        self._end_handshake(oldest)

    def _end_handshake(self, task: asyncio.Task[None]) -> None:
        handshake = self._handshakes.pop(task, None)
        if handshake is None:  # it was dropped
            return
        if not handshake.has_begun:  # a task that is cancelled before its first step closes nothing
            handshake.connection.close()
        _count_down(self._half_open, handshake.source)

    async def _open(self, handshake: _Handshake) -> None:
        """A failed handshake is the peer's affair: nothing is logged that it could flood."""
        handshake.has_begun = True
        self._tune(handshake.connection)
        with contextlib.suppress(OSError):  # TLS errors and timeouts are OSErrors too
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Counted(self._config, self._state, self._limits, handshake.source, self._established),
                handshake.connection,
                ssl=self._context,
                ssl_handshake_timeout=self._door.handshake_seconds,
                ssl_shutdown_timeout=self._door.goodbye_seconds,
            )

    def _tune(self, connection: socket.socket) -> None:
        """A client whose link was cut, or that does not read, must not look alive for longer than we say."""
        connection.setblocking(False)  # noqa: FBT003 - the standard library's signature
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._limits.write_buffer)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        milliseconds = int(self._limits.write_seconds * 1000)
        for option, value in (
            (socket.TCP_NODELAY, 1),  # asyncio sets it only on sockets that were made with the protocol's number
            (socket.TCP_USER_TIMEOUT, milliseconds),
            (socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS),
            (socket.TCP_KEEPINTVL, _KEEPALIVE_SECONDS),
        ):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def _count_down(counts: Counter[str], source: str) -> None:
    """No entry is left of a source that has nothing open: there are more addresses than memory."""
    counts[source] -= 1
    if counts[source] <= 0:
        del counts[source]


def _configure(app: ASGIApp, head_bytes: int) -> Config:
    """uvicorn with everything off that reads headers of proxies, logs paths, or names itself."""
    config = Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        h11_max_incomplete_event_size=head_bytes,
    )
    config.load()
    return config
