"""Machines and links: what `mohawk.transport` is to the controller and to the workers, without bytes.

A link has a latency and a bandwidth; it keeps the order of what is sent. A process may be dead (its peers see their
connections end), frozen (it does nothing, and its connections stay), or cut off from another for a while (nothing
arrives; after 5 s of that both ends give the connection up, as TCP does).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TypeVar, cast

from mohawk.contract.messages import Failure, Purpose
from mohawk.errors import MohawkError, RemoteError, UnavailableError
from mohawk.identity.names import NodeName, Role
from mohawk.transport.dial import Target
from mohawk.transport.link import HANDSHAKE_SECONDS, USER_TIMEOUT_MILLISECONDS, failure_error

Reply = TypeVar("Reply")
Work = Callable[[], None]

DOMAIN = "mesh.example"
BYTES_PER_SECOND = 1e9
MESSAGE_BYTES = 500
ROW_BYTES = 4096
GIVE_UP_SECONDS = USER_TIMEOUT_MILLISECONDS / 1000
KNOCK_SECONDS = 0.1
"""How often a dialler tries again while nobody answers."""


class Process:
    """Something that runs on a machine, as far as its surroundings can tell."""

    def __init__(self, name: str, role: Role) -> None:
        self.name = name
        self.node = NodeName(DOMAIN, role, name)
        self.is_dead = False
        self.is_frozen = False
        self.links: dict[SimulatedLink, None] = {}
        self._later: deque[Work] = deque()

    def do(self, work: Work) -> None:
        """Whatever a process does, it does when it runs."""
        if self.is_frozen:
            self._later.append(work)
        elif not self.is_dead:
            work()

    def freeze(self) -> None:
        self.is_frozen = True

    def thaw(self) -> None:
        self.is_frozen = False
        while self._later and not self.is_frozen:
            self.do(self._later.popleft())

    def kill(self) -> None:
        self.is_dead = True
        self._later.clear()
        for link in list(self.links):
            link.vanish()

    def accept(self, link: SimulatedLink) -> None:
        """Somebody has dialled. Raises MohawkError: it is not taken."""
        raise RemoteError("nobody dials this one")


@dataclass(frozen=True, slots=True)
class Weather:
    """How far apart two machines are, in seconds."""

    latency: float = 0.0002


class Network:
    """Who is reachable at which name."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.processes: dict[str, Process] = {}
        self._cut_until: dict[frozenset[str], float] = {}

    def cut(self, one: str, other: str, until: float) -> None:
        """Nothing passes between the two."""
        self._cut_until[frozenset((one, other))] = until

    def is_cut(self, one: str, other: str) -> bool:
        until = self._cut_until.get(frozenset((one, other)))
        return until is not None and asyncio.get_running_loop().time() < until

    def links_between(self, one: str, other: str) -> list[SimulatedLink]:
        """This end of each."""
        return [link for link in self.processes[one].links if link.far.owner.name == other]

    async def dial(
        self,
        context: SimpleNamespace,
        target: Target,
        purpose: Purpose,
        seconds: float = HANDSHAKE_SECONDS,
        *,
        on_message: Callable[..., None] | None = None,
        **_options: bool,
    ) -> SimulatedLink:
        """In place of `transport.dial.dial`, with its errors."""
        caller: Process = context.process
        try:
            async with asyncio.timeout(seconds):
                callee = await self._reach(caller, target.name)
        except TimeoutError:
            raise UnavailableError(f"{target.name} does not answer") from None
        if caller.is_dead:
            raise UnavailableError("the dialler is gone")
        near = SimulatedLink(self, caller, purpose)
        far = SimulatedLink(self, callee, purpose, is_dialled=True)
        near.far, far.far = far, near
        if on_message is not None:
            near.on_message = on_message
        callee.accept(far)
        for link in (near, far):
            link.owner.links[link] = None
        return near

    async def _reach(self, caller: Process, name: str) -> Process:
        """A handshake: one and a half round trips with whoever answers."""
        while True:
            await asyncio.sleep(3 * self.weather.latency)
            callee = self.processes.get(name)
            if callee is None or callee.is_dead:
                raise UnavailableError(f"{name} does not answer")
            if not callee.is_frozen and not self.is_cut(caller.name, name):
                return callee
            await asyncio.sleep(KNOCK_SECONDS)


class SimulatedLink:
    """One end of a connection: the part of `transport.link.Link` that controller and chain use."""

    far: SimulatedLink

    def __init__(self, network: Network, owner: Process, purpose: Purpose, *, is_dialled: bool = False) -> None:
        self.owner = owner
        self.is_dialled = is_dialled
        self.purpose = purpose
        self.is_closing = False
        self.write_paused = False
        self.activity = 0
        self.error: MohawkError | None = None
        self.on_message: Callable[..., None] = _unexpected
        self.on_closed: Callable[..., None] = _nothing
        self.admit: Callable[..., object] | None = None
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._network = network
        self._free_at = 0.0
        self._under_way: deque[tuple[object, object]] = deque()
        self._unread: deque[tuple[object, object]] = deque()
        self.is_paused = False
        self._reply: asyncio.Future[object] | None = None
        self._expected: tuple[type, ...] = ()

    @property
    def peer(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.far.owner.node)

    @property
    def session(self) -> SimpleNamespace:
        return SimpleNamespace(version="TLSv1.3", group="", suite="", peer=self.peer)

    def carry(self, _limits: object, admit: Callable[..., object]) -> None:
        """A stage opens its tickets as they arrive; to us nobody else's admission says anything."""
        if self.purpose is Purpose.STEP and self.is_dialled:
            self.admit = admit

    def send(self, message: object, body: object = b"") -> None:
        if self.is_closing:
            raise self.error or UnavailableError("the connection is closed")
        network, now = self._network, self._loop.time()
        if network.is_cut(self.owner.name, self.far.owner.name):
            self._loop.call_later(GIVE_UP_SECONDS, self.vanish)
            return
        size = MESSAGE_BYTES + ROW_BYTES * (len(body[0]) if isinstance(body, tuple) else 0)
        self._free_at = max(self._free_at, now) + size / BYTES_PER_SECOND
        self.far._under_way.append((message, body))
        self._loop.call_at(self._free_at + network.weather.latency, self.far._arrive)

    async def request(self, message: object, expected: type[Reply], seconds: float, body: object = b"") -> Reply:
        self.send(message, body)
        reply = self._reply = self._loop.create_future()
        self._expected = (expected, Failure)
        try:
            async with asyncio.timeout(seconds):
                answer = await reply
        except TimeoutError:
            raise UnavailableError("the peer did not answer in time") from None
        finally:
            self._reply = None
        if isinstance(answer, Failure):
            raise failure_error(answer)
        return cast(Reply, answer)

    def refuse(self, error: MohawkError) -> None:
        """Answer that a request could not be met."""
        if not self.is_closing:
            self.send(Failure(error.code, error.message))

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False
        while self._unread and not self.is_paused:
            self._take(*self._unread.popleft())

    def close(self) -> None:
        self._end(None, None)

    def abort(self, error: MohawkError | None = None) -> None:
        self._end(error, UnavailableError("the connection was lost"))

    def vanish(self) -> None:
        """The machine is gone, or the cable."""
        self.abort(UnavailableError("the connection was lost"))

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _end(self, error: MohawkError | None, peers: MohawkError | None) -> None:
        if self.is_closing:
            return
        self.is_closing = True
        self._loop.call_soon(self._hear_end, error)
        self._loop.call_later(self._network.weather.latency, self._tell_far, peers)

    def _tell_far(self, error: MohawkError | None) -> None:
        """Even that a peer is gone is not heard while nothing passes."""
        if self._network.is_cut(self.owner.name, self.far.owner.name):
            self._loop.call_later(GIVE_UP_SECONDS, self.far._hear_end, UnavailableError("the connection was lost"))
        else:
            self.far._hear_end(error)

    def _hear_end(self, error: MohawkError | None) -> None:
        self.owner.do(partial(self._lost, error))

    def _lost(self, error: MohawkError | None) -> None:
        if self.closed.done():
            return
        self.error = self.error or error
        self.is_closing = True
        self.closed.set_result(None)
        self.owner.links.pop(self, None)
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(self.error or UnavailableError("the connection is closed"))
        self.on_closed(self, self.error)

    def _arrive(self) -> None:
        message, body = self._under_way.popleft()
        self.owner.do(partial(self._take, message, body))

    def _take(self, message: object, body: object) -> None:
        if self.is_closing:
            return
        if self.is_paused:
            self._unread.append((message, body))
            return
        self.activity += 1
        try:
            if self.admit is not None:
                message = self.admit(message, len(body[0]) if isinstance(body, tuple) else 0)
            if self._reply is not None and not self._reply.done() and isinstance(message, self._expected):
                self._reply.set_result(message)
            else:
                self.on_message(self, message, body)
        except MohawkError as error:
            self.abort(error)


def _unexpected(_link: object, _message: object, _body: object) -> None:
    raise RemoteError("a message before anyone is there to take it")


def _nothing(_link: object, _error: object) -> None:
    """Nobody asked to know."""
