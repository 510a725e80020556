"""The store of this home, opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mohawk.cli.places import Places

if TYPE_CHECKING:
    from mohawk.audit.events import RecordEvent
    from mohawk.store.api_keys import ApiKeyTable
    from mohawk.store.database import Database


def open_store(places: Places) -> Database:
    """Made where there is none. Raises HostError, PolicyError (others may read it)."""
    from mohawk.host.files import make_private_file, make_private_folder
    from mohawk.store.database import Database

    make_private_folder(places.store.parent)
    make_private_file(places.store)
    return Database(places.store)


@contextmanager
def api_keys() -> Iterator[ApiKeyTable]:
    """The API keys of this process's home."""
    from mohawk.store.api_keys import ApiKeyTable

    with closing(open_store(Places.load())) as database:
        yield ApiKeyTable(database)


def adopt_key(database: Database, key: str, record: RecordEvent) -> None:
    """The API key that lies in a file lets its holder in (docs/spec/store.md 2.3). Raises HostError."""
    from mohawk.api.auth import digest_key
    from mohawk.audit.events import AuditEvent, EventKind
    from mohawk.store.api_keys import LOCAL, ApiKeyTable

    if ApiKeyTable(database).find(digest_key(key)) is None:
        record(AuditEvent(EventKind.API_KEY_CREATED, LOCAL, {"from": "file"}))
        ApiKeyTable(database).adopt(digest_key(key), datetime.now(UTC))
