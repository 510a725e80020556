"""Sessions in the store: all of a change or none."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mohawk.errors import HostError
from mohawk.generation.session import Priority
from mohawk.store.database import Database
from mohawk.store.sessions import SessionRecord, SessionTable

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def record(name: str, minutes: int = 0) -> SessionRecord:
    when = NOW + timedelta(minutes=minutes)
    return SessionRecord(name, "acme", "bot", "m", Priority.LOW, {"zone": "é\n"}, when, when)


def test_what_is_written_is_what_is_read_in_the_order_of_use(path: Path) -> None:
    with closing(Database(path)) as database:
        SessionTable(database).write([record("b", 1), record("a"), record("c", 2)], {}, [])
    with closing(Database(path)) as database:
        table = SessionTable(database)
        assert table.load() == [record("a"), record("b", 1), record("c", 2)]
        later = NOW + timedelta(hours=1)
        table.write([], {"a": later, "gone": later}, ["b", "gone"])
        assert table.load() == [record("c", 2), replace(record("a"), used=later)]


def test_a_change_that_fails_changes_nothing(database: Database) -> None:
    table = SessionTable(database)
    table.write([record("a")], {}, [])
    with pytest.raises(HostError):
        table.write([record("b"), record("a")], {}, ["a"])
    assert table.load() == [record("a")]


@pytest.mark.parametrize("change", ["routing = 'x'", "routing = '3'", "priority = 9", "used = 1 << 60"])
def test_a_row_that_somebody_else_wrote_is_a_typed_error(database: Database, change: str) -> None:
    table = SessionTable(database)
    table.write([record("a")], {}, [])
    with database.change() as connection:
        connection.execute(f"UPDATE sessions SET {change}")
    with pytest.raises(HostError):
        table.load()
