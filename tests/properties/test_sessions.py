"""Whatever clients do, sessions stay within their bounds, are their tenants' own, and are what the store remembers."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.api.sessions import IDLE, Sessions
from mohawk.errors import LimitError, NotFoundError, UnavailableError
from mohawk.generation.quota import Limits
from mohawk.generation.session import Priority
from mohawk.store.database import Database
from mohawk.store.sessions import SessionTable
from tests.api.toy import Clock, key_named

MAXIMUM = 3
KEYS = [
    key_named("a", tenant="x"),
    key_named("b", tenant="x", limits=Limits(sessions=1)),
    key_named("c", tenant="y"),
]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.integers(0, 2)),
        st.tuples(st.just("turn"), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("end"), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(1, 70)),
        st.tuples(st.just("restart")),
    ),
    min_size=15,
    max_size=40,
)


class History:
    """What ought to be held: id -> (tenant, key, when it was used last)."""

    def __init__(self, database: Database) -> None:
        self.table = SessionTable(database)
        self.clock = Clock()
        self.ended: list[str] = []
        self.held: dict[str, tuple[str, str]] = {}
        self.used: dict[str, datetime] = {}
        self.opened: list[str] = []
        self.start()

    def start(self) -> None:
        self.sessions = Sessions(self.table, MAXIMUM, self.ended.append, self.clock.time)

    async def open(self, number: int) -> None:
        key = KEYS[number]
        self.expire()
        most = key.limits.sessions
        is_full = len(self.held) >= MAXIMUM
        has_its_own = most is not None and sum(name == key.name for _, name in self.held.values()) >= most
        try:
            session = await self.sessions.open(key, "m", Priority.NORMAL, {})
        except (LimitError, UnavailableError):
            assert is_full or has_its_own
            return
        assert not is_full
        assert not has_its_own
        self.held[session.record.id] = (key.tenant, key.name)
        self.used[session.record.id] = self.clock.now
        self.opened.append(session.record.id)

    async def turn(self, number: int, which: int) -> None:
        await self.reach(number, which, self.take_turn)

    async def take_turn(self, number: int, name: str) -> None:
        async with self.sessions.turn(KEYS[number], name, "m") as call:
            assert (call.caller.session, call.caller.tenant) == (name, KEYS[number].tenant)
        self.used[name] = self.clock.now

    async def end(self, number: int, which: int) -> None:
        await self.reach(number, which, self.end_one)

    async def end_one(self, number: int, name: str) -> None:
        await self.sessions.end(KEYS[number].tenant, name)
        self.held.pop(name, None)

    async def reach(self, number: int, which: int, act: Callable[[int, str], Awaitable[None]]) -> None:
        if which >= len(self.opened):
            return
        name = self.opened[which]
        self.expire()
        is_there = self.held.get(name, ("", ""))[0] == KEYS[number].tenant
        try:
            await act(number, name)
        except NotFoundError:
            assert not is_there
        else:
            assert is_there

    async def wait(self, minutes: int) -> None:
        self.clock.now += timedelta(minutes=minutes)

    async def restart(self) -> None:
        await self.sessions.close()
        self.start()

    def expire(self) -> None:
        for name in [name for name in self.held if self.clock.now - self.used[name] >= IDLE]:
            del self.held[name]

    def check(self) -> None:
        self.expire()
        for tenant in ("x", "y"):
            found = {session.record.id for session in self.sessions.of_tenant(tenant)}
            assert found == {name for name, (owner, _) in self.held.items() if owner == tenant}
        assert len(self.held) <= MAXIMUM
        remembered = {record.id for record in self.table.load()}
        assert self.held.keys() <= remembered


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_sessions_are_what_they_ought_to_be(steps: list[tuple[str, *tuple[int, ...]]]) -> None:
    async def main(history: History) -> None:
        for name, *arguments in steps:
            await getattr(history, name)(*arguments)
            history.check()
        await history.sessions.close()
        assert {record.id for record in history.table.load()} == history.held.keys()

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mohawk.db"
        path.touch()
        with closing(Database(path)) as database:
            asyncio.run(main(History(database)))
