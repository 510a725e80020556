"""The SQLite file (docs/spec/store.md 1).

Rules, and the attack each stops:

1. What was changed is on the disk before `change` ends (WAL, synchronous=FULL): a crash undoes nothing that was
   answered as done.
2. Another program's database, or one of a newer Mohawk, is refused before anything in it is changed.
3. Statements take their values as parameters: no text of a client's becomes SQL.
4. SQLite's own words, which may quote a row, stay inside: errors leave in ours (I13).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mohawk.errors import HostError
from mohawk.store.migrations import MIGRATIONS, migrate

APPLICATION_ID = 0x4D494553
_BUSY_SECONDS = 5.0
"""How long to wait for another process's change: they take milliseconds."""

Value = str | int | bytes | None
"""What our tables hold."""
Row = tuple[Value, ...]


class Database:
    """One open store, for several threads. One connection reads and one writes: whoever reads waits for no disk."""

    def __init__(self, path: Path) -> None:
        """Open, and make or migrate the tables. `path`: a private file that exists, empty when it is new. Raises
        HostError.
        """
        with _translated("opening"):
            self._writer = _connect(path)
            self._reader = _connect(path)
        self._writing, self._reading = threading.Lock(), threading.Lock()
        try:
            self._prepare()
        except HostError:
            self.close()
            raise

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """All rows of a SELECT. Raises HostError."""
        with self._reading, _translated("reading"):
            return self._reader.execute(sql, values).fetchall()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it, synced, when the block ends; nothing of it when the block raises. Raises
        HostError.
        """
        with self._writing, _translated("writing"):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    def close(self) -> None:
        with self._reading, self._writing:
            self._reader.close()
            self._writer.close()

    def _prepare(self) -> None:
        with _translated("opening"):
            self._writer.execute("PRAGMA synchronous = FULL")
            self._reader.execute("PRAGMA query_only = ON")
        with self.change() as connection:
            version = _check_ours(connection)
            if version < len(MIGRATIONS):
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                migrate(connection, version)
        with _translated("opening"):
            self._writer.execute("PRAGMA journal_mode = WAL")  # kept in the file; only now is it known to be ours


def _connect(path: Path) -> sqlite3.Connection:
    """In autocommit: transactions begin and end where we say."""
    uri = f"{path.absolute().as_uri()}?mode=rw"  # a store that vanished is not silently begun anew
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _check_ours(connection: sqlite3.Connection) -> int:
    """How many migrations the file has seen. Raises HostError when it is not ours to change."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if application != APPLICATION_ID and (version or tables):
        raise HostError("the store's file is another program's database", hint="give MIE_HOME a folder of its own")
    if version > len(MIGRATIONS):
        raise HostError("the store was written by a newer Mohawk", hint="use that version, or restore a backup")
    return version


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        hint = f"check this machine's disk, and the store's file ({error.sqlite_errorname})" if _named(error) else ""
        raise HostError(f"{doing} the store failed", hint=hint) from error


def _named(error: sqlite3.Error) -> bool:
    """Errors of Python's binding, such as a closed connection, have no name."""
    return hasattr(error, "sqlite_errorname")
