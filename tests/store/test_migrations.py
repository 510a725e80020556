"""Each older store becomes the newest, with what it held."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from mohawk.errors import HostError
from mohawk.store import migrations
from mohawk.store.database import APPLICATION_ID, Database

SAMPLES = {
    1: "INSERT INTO api_keys VALUES ('a', zeroblob(32), 't', 'models', '', 1, 10, NULL, 3, NULL, 1, NULL, 2)",
    2: "INSERT INTO sessions VALUES ('s', 't', 'a', 'm', 1, '{}', 5, 6)",
    3: "INSERT INTO answers VALUES ('a', x'01', x'02', x'03', x'04', 1, 7)",
}
"""A row of each version's new table."""


def store_of(path: Path, version: int) -> None:
    """A store as the release that knew `version` migrations left it."""
    with closing(sqlite3.connect(path)) as connection:
        for number, statements in enumerate(migrations.MIGRATIONS[:version], 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute(SAMPLES[number])
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.commit()


def shape(path: Path) -> tuple[int, set[str]]:
    with closing(sqlite3.connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        return version, {row[0] for row in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")}


def counts(path: Path, tables: Iterable[str]) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


@pytest.mark.parametrize("version", range(1, len(migrations.MIGRATIONS) + 1))
def test_a_store_of_this_version_becomes_the_newest(tmp_path: Path, version: int) -> None:
    old, fresh = tmp_path / "old.db", tmp_path / "fresh.db"
    store_of(old, version)
    fresh.touch()
    tables = {SAMPLES[number].split()[2] for number in range(1, version + 1)}
    for path in (old, fresh):
        Database(path).close()
    assert shape(old) == shape(fresh)
    assert shape(old)[0] == len(migrations.MIGRATIONS)
    assert counts(old, tables) == dict.fromkeys(tables, 1)


def test_opening_again_changes_nothing(path: Path) -> None:
    Database(path).close()
    before = shape(path)
    Database(path).close()
    assert shape(path) == before


def test_a_migration_that_fails_leaves_the_old_version(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Database(path).close()
    before = shape(path)
    broken = (*migrations.MIGRATIONS, ("CREATE TABLE half (x)", "no SQL at all"))
    monkeypatch.setattr(migrations, "MIGRATIONS", broken)
    monkeypatch.setattr("mohawk.store.database.MIGRATIONS", broken)
    with pytest.raises(HostError):
        Database(path)
    assert shape(path) == before
