"""The tables, and how older ones become them (docs/spec/store.md 1.3). The list only grows: what was released is never
edited.
"""

from __future__ import annotations

import sqlite3

_API_KEYS = """
CREATE TABLE api_keys (
    name TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    tenant TEXT NOT NULL,
    scopes TEXT NOT NULL,
    models TEXT NOT NULL,
    priority INTEGER NOT NULL,
    requests_per_minute INTEGER,
    tokens_per_minute INTEGER,
    concurrency INTEGER,
    sessions INTEGER,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER
) STRICT
"""

MIGRATIONS: tuple[tuple[str, ...], ...] = ((_API_KEYS,),)
"""The statements that lead from version n to n + 1."""


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """From `version` to the newest, inside the caller's transaction."""
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
