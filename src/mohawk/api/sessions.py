"""Sessions: conversations that a client names, so that their keys and values go on from turn to turn (docs/spec/api.md
8).

Rules, and the attack each stops:
- A session is its tenant's: to others it does not exist, in the very words of one that never did (Z05).
- Ids are random UUIDs, looked up, never part of a path.
- They are bounded, in all and for each key, and idle ones end: nobody holds the server by opening them.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mohawk.errors import LimitError, NotFoundError, UnavailableError, UsageError
from mohawk.generation.session import Caller, Priority
from mohawk.generation.statistics import AnswerTimes, SessionStatistics
from mohawk.store.api_keys import ApiKey
from mohawk.store.sessions import SessionRecord, SessionTable

IDLE = timedelta(hours=1)
"""A session that no request has named for so long ends by itself."""
_WRITE_EVERY = timedelta(minutes=1)
"""How far the store's memory of uses may lag behind."""
_RETRY_SECONDS = 60


@dataclass(slots=True)
class Session:
    """One that is held. Statistics are those of this server's run."""

    record: SessionRecord
    used: datetime
    running: int = 0
    """Turns under way."""
    statistics: SessionStatistics = field(default_factory=SessionStatistics)


class Call:
    """A request: on whose behalf it is made, and where its numbers go. `begun`: when it arrived."""

    def __init__(self, caller: Caller, statistics: SessionStatistics, begun: float) -> None:
        self.caller = caller
        self._statistics = statistics
        self._begun = begun
        self._answers: list[AnswerTimes] = []
        self._prompt_tokens = 0
        statistics.turns += 1

    def prompted(self, tokens: int) -> None:
        """The prompt's length is known."""
        self._prompt_tokens = tokens
        self._statistics.prompt_tokens += tokens

    def timed(self) -> AnswerTimes:
        """What takes the times of one more answer to it."""
        self._answers.append(AnswerTimes(self._statistics, self._begun))
        return self._answers[-1]

    def tokens(self) -> int:
        """Of prompt and answers, so far."""
        return self._prompt_tokens + sum(answer.tokens for answer in self._answers)


class Sessions:
    """At most `maximum` held at once. `ended`: told of each that ends, so that its keys and values go. Used from one
    event loop; the store is written by a thread.
    """

    def __init__(
        self, table: SessionTable, maximum: int, ended: Callable[[str], None], now: Callable[[], datetime]
    ) -> None:
        """What the store remembers, without those that were idle for too long. Raises HostError."""
        self._table = table
        self._maximum = maximum
        self._ended = ended
        self._now = now
        self._held = OrderedDict((record.id, Session(record, record.used)) for record in table.load())
        """Those unused for longest first."""
        self._of_key = Counter(session.record.key for session in self._held.values())
        self._used: dict[str, datetime] = {}
        """What the store does not know yet."""
        self._gone: list[str] = []
        self._written = now()

    async def open(self, key: ApiKey, model: str, priority: Priority, routing: Mapping[str, str]) -> Session:
        """A new session of the key's tenant. Raises LimitError, UnavailableError, HostError."""
        self._expire()
        most = key.limits.sessions
        if most is not None and self._of_key[key.name] >= most:
            raise LimitError(f"this API key may hold {most} sessions", _RETRY_SECONDS)
        if len(self._held) >= self._maximum:
            raise UnavailableError("too many sessions are held", hint="end some, or raise MIE_MAX_CONCURRENT_SESSIONS")
        now = self._now().replace(microsecond=0)
        record = SessionRecord(str(uuid.uuid4()), key.tenant, key.name, model, priority, dict(routing), now, now)
        session = self._held[record.id] = Session(record, now)
        self._of_key[key.name] += 1
        try:
            await self._write([record])
        except BaseException:
            self._forget(session)
            raise
        return session

    def find(self, tenant: str, session_id: str) -> Session:
        """Raises NotFoundError."""
        self._expire()
        session = self._held.get(session_id)
        if session is None or session.record.tenant != tenant:
            raise NotFoundError("there is no such session", hint="POST /v1/sessions opens one", field="session_id")
        return session

    def of_tenant(self, tenant: str) -> list[Session]:
        """Oldest first."""
        self._expire()
        sessions = [session for session in self._held.values() if session.record.tenant == tenant]
        return sorted(sessions, key=lambda session: (session.record.created, session.record.id))

    async def end(self, tenant: str, session_id: str) -> None:
        """Requests of its that are under way go on. Raises NotFoundError, HostError."""
        self._forget(self.find(tenant, session_id))
        await self._write([])

    @asynccontextmanager
    async def turn(self, key: ApiKey, session_id: str | None, model: str) -> AsyncIterator[Call]:
        """A request begins, in this session or in none. Raises NotFoundError, UsageError (another model's)."""
        now = time.monotonic()
        if session_id is None:
            yield Call(Caller(key.tenant, key.priority), SessionStatistics(), now)
            return
        session = self.find(key.tenant, session_id)
        if session.record.model != model:
            raise UsageError("the session is for another model", field="session_id")
        priority = max(key.priority, session.record.priority)  # the key's may have been lowered since
        session.running += 1
        self._touch(session)
        try:
            await self._write_when_due()
            yield Call(Caller(key.tenant, priority, session_id), session.statistics, now)
        finally:
            session.running -= 1
            self._touch(session)

    async def close(self) -> None:
        """Write down what the store does not know yet. Raises HostError."""
        await self._write([])

    def _touch(self, session: Session) -> None:
        if session.record.id in self._held:
            session.used = self._used[session.record.id] = self._now()
            self._held.move_to_end(session.record.id)

    def _expire(self) -> None:
        oldest = self._now() - IDLE
        while self._held:
            session = next(iter(self._held.values()))
            if session.used > oldest:
                return
            if session.running:
                self._touch(session)
            else:
                self._forget(session)

    def _forget(self, session: Session) -> None:
        del self._held[session.record.id]
        self._of_key[session.record.key] -= 1
        self._used.pop(session.record.id, None)
        self._gone.append(session.record.id)
        self._ended(session.record.id)

    async def _write_when_due(self) -> None:
        if self._now() - self._written >= _WRITE_EVERY:
            await self._write([])

    async def _write(self, opened: list[SessionRecord]) -> None:
        used, gone = self._used, self._gone
        self._used, self._gone, self._written = {}, [], self._now()
        try:
            await asyncio.to_thread(self._table.write, opened, used, gone)
        except BaseException:
            self._used = used | self._used
            self._gone = gone + self._gone
            raise
