"""The sessions that the store remembers (docs/spec/store.md 3): what they are, not what was said in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from mohawk.errors import HostError
from mohawk.generation.session import Priority
from mohawk.store.database import Database, Row, Value

_COLUMNS = "id, tenant, api_key, model, priority, routing, created, used"


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """`key`: the name of the API key that opened it. `used`: when a request named it last."""

    id: str
    tenant: str
    key: str
    model: str
    priority: Priority
    routing: Mapping[str, str]
    created: datetime
    used: datetime


class SessionTable:
    """All methods raise HostError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self) -> list[SessionRecord]:
        """All of them, those unused for longest first."""
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM sessions ORDER BY used, id")  # noqa: S608 - a literal
        return [_parse(row) for row in rows]

    def write(self, opened: Iterable[SessionRecord], used: Mapping[str, datetime], ended: Iterable[str]) -> None:
        """All of these changes, or none. What has ended already stays ended."""
        with self._database.change() as connection:
            connection.executemany(
                f"INSERT INTO sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a literal
                map(_values, opened),
            )
            moments = [(_seconds(when), session) for session, when in used.items()]
            connection.executemany("UPDATE sessions SET used = ? WHERE id = ?", moments)
            connection.executemany("DELETE FROM sessions WHERE id = ?", ((session,) for session in ended))


def _values(record: SessionRecord) -> Row:
    routing = json.dumps(dict(record.routing), sort_keys=True)
    return (
        *(record.id, record.tenant, record.key, record.model, int(record.priority), routing),
        *(_seconds(record.created), _seconds(record.used)),
    )


def _parse(row: Row) -> SessionRecord:
    """Raises HostError when somebody else has written it."""
    try:
        return _read(row)
    except (ValueError, TypeError, OverflowError, OSError):  # the last two: no time of any calendar
        raise HostError("the store holds a session that this version cannot read", hint="restore a backup") from None


def _read(row: Row) -> SessionRecord:
    """Columns are of the types that a STRICT table holds them to."""
    identity, tenant, key, model = (cast("str", text) for text in row[:4])
    priority, routing, created, used = row[4:]
    return SessionRecord(
        identity,
        tenant,
        key,
        model,
        Priority(cast("int", priority)),
        dict(json.loads(cast("str", routing))),
        _time(created),
        _time(used),
    )


def _time(seconds: Value) -> datetime:
    return datetime.fromtimestamp(cast("int", seconds), UTC)


def _seconds(when: datetime) -> int:
    return int(when.timestamp())
