"""API keys: what each may do, and the table that remembers them (docs/spec/store.md 2).

Rules, and the attack each stops:

1. Of a key only its SHA-256 is kept: a stolen store lets nobody in. A key has 256 random bits, so that no slow hash is
   needed against guessing.
2. A key is looked up at each request: one that was revoked or has expired is refused from then on.
3. Names, tenants and models are plain words: nothing that a log or a terminal would obey.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import cast

from mohawk.errors import AuthenticationError, HostError, NotFoundError, RemoteError, UsageError
from mohawk.generation.quota import UNLIMITED, Limits
from mohawk.generation.session import Priority
from mohawk.ids import check_model_id
from mohawk.store.database import Database, Row

MAXIMUM_KEYS = 10_000
MAXIMUM_MODELS = 64
_REMEMBERED = 256
"""Keys that are not checked and built anew at each request, but only read."""
LOCAL = "local"
"""The key that lies in a file beside the server."""
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_COLUMNS = (
    *("name", "digest", "tenant", "scopes", "models", "priority"),
    *("requests_per_minute", "tokens_per_minute", "concurrency", "sessions"),
    *("created", "expires", "revoked"),
)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM api_keys"  # noqa: S608 - literals, as in all of this file
_PUT = (
    f"INSERT INTO api_keys ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608
    f"ON CONFLICT (name) DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in _COLUMNS[1:])}"
)


class Scope(StrEnum):
    """What a key may be used for."""

    GENERATE = "generate"
    MODELS = "models"
    SESSIONS = "sessions"


EVERY_SCOPE = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`digest`: SHA-256 of the key. `models`: the ids that it may use; none: every one. `priority`: the best that its
    requests get. Raises UsageError naming the field.
    """

    name: str
    digest: bytes = field(repr=False)
    created: datetime
    tenant: str = "default"
    scopes: frozenset[Scope] = EVERY_SCOPE
    models: frozenset[str] = frozenset()
    priority: Priority = Priority.NORMAL
    limits: Limits = UNLIMITED
    expires: datetime | None = None
    revoked: datetime | None = None

    def __post_init__(self) -> None:
        _check_label(self.name, "name")
        _check_label(self.tenant, "tenant")
        if not self.scopes:
            raise UsageError("a key without a scope opens nothing", field="scope")
        if len(self.models) > MAXIMUM_MODELS:
            raise UsageError(f"a key lists at most {MAXIMUM_MODELS} models", field="model")
        for model in self.models:
            _check_model(model)
        if self.expires is not None and self.expires <= self.created:
            raise UsageError("a key cannot expire before it exists", field="expires")

    def require_usable(self, now: datetime) -> None:
        """Raise AuthenticationError when it was revoked or has expired."""
        if self.revoked is not None or (self.expires is not None and self.expires <= now):
            raise AuthenticationError("this API key is not valid here")

    def may_use(self, model: str) -> bool:
        return not self.models or model in self.models


class ApiKeyTable:
    """The keys that the store remembers. All methods raise HostError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._parse_known = lru_cache(_REMEMBERED)(_parse)
        """By the whole row: what somebody changed is another one."""

    def find(self, digest: bytes) -> ApiKey | None:
        """The key of this SHA-256. The search's time may tell something of stored digests; no key follows from one."""
        rows = self._database.rows(f"{_SELECT} WHERE digest = ?", (digest,))
        return self._parse_known(rows[0]) if rows else None

    def get(self, name: str) -> ApiKey:
        """Raises NotFoundError."""
        rows = self._database.rows(f"{_SELECT} WHERE name = ?", (name,))
        if not rows:
            raise _unknown()
        return _parse(rows[0])

    def all(self) -> list[ApiKey]:
        """Sorted by name."""
        return [_parse(row) for row in self._database.rows(f"{_SELECT} ORDER BY name")]

    def add(self, key: ApiKey) -> None:
        """Raises UsageError: the name is taken, or there are too many."""
        with self._database.change() as connection:
            names = {row[0] for row in connection.execute("SELECT name FROM api_keys")}
            if key.name in names:
                raise UsageError("an API key of this name exists", hint="choose another name", field="name")
            if len(names) >= MAXIMUM_KEYS:
                raise UsageError(f"the store holds {MAXIMUM_KEYS} API keys", hint="use one key for several clients")
            connection.execute(_PUT, _values(key))

    def change(self, name: str, edit: Callable[[ApiKey], ApiKey]) -> ApiKey:
        """What `edit` makes of the key; nobody else changes it meanwhile, so that no change undoes a revocation. Raises
        NotFoundError, and what `edit` raises.
        """
        with self._database.change() as connection:
            rows = connection.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchall()
            if not rows:
                raise _unknown()
            changed = edit(_parse(rows[0]))
            connection.execute(_PUT, _values(changed))
        return changed

    def adopt(self, digest: bytes, now: datetime) -> bool:
        """The key that lies in a file beside the server lets its holder in (docs/spec/store.md 2.3). Whether that
        changed anything.
        """
        if self.find(digest) is not None:
            return False
        try:
            self.change(LOCAL, lambda known: replace(known, digest=digest, revoked=None))
        except NotFoundError:
            self.add(ApiKey(LOCAL, digest, now))
        return True


def _values(key: ApiKey) -> Row:
    limits = key.limits
    return (
        *(key.name, key.digest, key.tenant, " ".join(sorted(key.scopes)), " ".join(sorted(key.models))),
        int(key.priority),
        *(limits.requests_per_minute, limits.tokens_per_minute, limits.concurrency, limits.sessions),
        *(_seconds(key.created), _seconds(key.expires), _seconds(key.revoked)),
    )


def _parse(row: Row) -> ApiKey:
    """Raises HostError when somebody else has written it."""
    try:
        return _read(row)
    except (ValueError, UsageError, OverflowError, OSError):  # the last two: no time of any calendar
        raise HostError("the store holds an API key that this version cannot read", hint="restore a backup") from None


def _read(row: Row) -> ApiKey:
    """Columns are of the types that a STRICT table holds them to."""
    name, digest, tenant, scopes, models = (cast("str", value) for value in row[:5])
    numbers = [cast("int | None", value) for value in row[5:]]
    priority, requests, tokens, concurrency, sessions, created, expires, revoked = numbers
    return ApiKey(
        name,
        cast("bytes", digest),
        cast("datetime", _time(created)),
        tenant,
        frozenset(map(Scope, scopes.split())),
        frozenset(models.split()),
        Priority(cast("int", priority)),
        Limits(requests, tokens, concurrency, sessions),
        _time(expires),
        _time(revoked),
    )


def _seconds(when: datetime | None) -> int | None:
    return None if when is None else int(when.timestamp())


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _unknown() -> NotFoundError:
    return NotFoundError("there is no API key of this name", hint="`mohawk apikey list` shows them", field="name")


def _check_label(text: str, what: str) -> None:
    if _LABEL.fullmatch(text) is None:
        raise UsageError(f"not a {what}", hint="use 1-63 lower-case letters, digits and inner hyphens", field=what)


def _check_model(model: str) -> None:
    try:
        check_model_id(model)
    except RemoteError as error:
        raise UsageError(error.message, hint=error.hint, field="model") from None
