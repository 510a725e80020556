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

_SESSIONS = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    api_key TEXT NOT NULL,
    model TEXT NOT NULL,
    priority INTEGER NOT NULL,
    routing TEXT NOT NULL,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL
) STRICT
"""

_ANSWERS = """
CREATE TABLE answers (
    api_key TEXT NOT NULL,
    id BLOB NOT NULL,
    tag BLOB NOT NULL,
    salt BLOB NOT NULL,
    sealed BLOB NOT NULL,
    size INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (api_key, id)
) STRICT
"""
_ANSWERS_BY_SIZE = "CREATE INDEX answers_by_size ON answers (api_key, size)"
_ANSWERS_BY_END = "CREATE INDEX answers_by_end ON answers (expires)"

MIGRATIONS: tuple[tuple[str, ...], ...] = ((_API_KEYS,), (_SESSIONS,), (_ANSWERS, _ANSWERS_BY_SIZE, _ANSWERS_BY_END))
"""The statements that lead from version n to n + 1."""


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """From `version` to the newest, inside the caller's transaction."""
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
