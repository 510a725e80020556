"""The store's file: changes that last, and files that are not ours."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from mohawk.errors import HostError, UsageError
from mohawk.store.database import APPLICATION_ID, Database
from mohawk.store.migrations import MIGRATIONS

INSERT = (
    "INSERT INTO api_keys (name, digest, tenant, scopes, models, priority, created) "
    "VALUES (?, randomblob(32), 'default', 'models', '', 1, 0)"
)


def names(database: Database) -> list[object]:
    return [row[0] for row in database.rows("SELECT name FROM api_keys ORDER BY name")]


def test_every_change_is_synced(database: Database) -> None:
    assert database.rows("PRAGMA journal_mode") == [("wal",)]
    with database.change() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_what_beside_files_hold_is_as_private_as_the_store(path: Path, database: Database) -> None:
    with database.change() as connection:
        connection.execute(INSERT, ("a",))
    files = list(path.parent.glob("mohawk.db*"))
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_change_that_raises_changes_nothing(database: Database) -> None:
    def insert_and_fail() -> None:
        with database.change() as connection:
            connection.execute(INSERT, ("a",))
            raise UsageError("no")

    with pytest.raises(UsageError):
        insert_and_fail()
    assert names(database) == []


def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises(HostError):
        database.rows("DELETE FROM api_keys")


def test_a_killed_process_loses_nothing_that_it_had_finished_and_keeps_no_half(path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from mohawk.store.database import Database\n"
        f"INSERT = {INSERT!r}\n"
        "database = Database(Path(sys.argv[1]))\n"
        "with database.change() as connection: connection.execute(INSERT, ('done',))\n"
        "with database.change() as connection:\n"
        "    connection.execute(INSERT, ('half',)); os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False, timeout=60)
    assert killed.returncode == -9
    with closing(Database(path)) as database:
        assert names(database) == ["done"]


def test_a_reader_waits_for_no_writer(path: Path, database: Database) -> None:
    with closing(Database(path)) as other, other.change() as connection:
        connection.execute(INSERT, ("unseen",))
        assert names(database) == []
    assert names(database) == ["unseen"]


def test_threads_share_it(database: Database) -> None:
    def work(number: int) -> None:
        for turn in range(5):
            with database.change() as connection:
                connection.execute(INSERT, (f"{number}-{turn}",))
            assert f"{number}-{turn}" in names(database)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names(database)) == 40


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(HostError, match="another program"):
        Database(path)
    assert path.read_bytes() == before


def test_a_newer_store_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(HostError, match="newer"):
        Database(path)


@pytest.mark.parametrize(
    "content", [b"not a database, however one looks at it" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_none_is_a_typed_error(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(HostError):
        Database(path)


def test_a_missing_file_is_not_begun_anew(tmp_path: Path) -> None:
    with pytest.raises(HostError):
        Database(tmp_path / "gone.db")
    assert list(tmp_path.iterdir()) == []


def test_a_closed_store_is_a_typed_error(path: Path) -> None:
    database = Database(path)
    database.close()
    with pytest.raises(HostError):
        names(database)
