"""API keys in the store: what comes back, what is refused, and what no change may undo."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mohawk.errors import AuthenticationError, HostError, NotFoundError, UsageError
from mohawk.generation.quota import Limits
from mohawk.generation.session import Priority
from mohawk.store.api_keys import LOCAL, ApiKey, ApiKeyTable, Scope
from mohawk.store.database import Database

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def digest(number: int) -> bytes:
    return bytes([number]) * 32


@pytest.fixture
def table(database: Database) -> ApiKeyTable:
    return ApiKeyTable(database)


def full_key() -> ApiKey:
    return ApiKey(
        "billing-bot",
        digest(1),
        NOW,
        "acme",
        frozenset({Scope.GENERATE}),
        frozenset({"m-1", "m-2"}),
        Priority.LOW,
        Limits(60, 100_000, 4, 10),
        NOW + timedelta(days=1),
        NOW + timedelta(hours=1),
    )


@pytest.mark.parametrize("key", [full_key(), ApiKey("a", digest(2), NOW)], ids=["full", "plain"])
def test_what_is_written_is_what_is_read(path: Path, key: ApiKey) -> None:
    with closing(Database(path)) as database:
        ApiKeyTable(database).add(key)
    with closing(Database(path)) as database:
        table = ApiKeyTable(database)
        assert table.find(key.digest) == table.get(key.name) == key
        assert table.all() == [key]


def test_unknown_keys_are_not_found(table: ApiKeyTable) -> None:
    assert table.find(digest(9)) is None
    with pytest.raises(NotFoundError):
        table.get("nobody")
    with pytest.raises(NotFoundError):
        table.change("nobody", lambda key: key)


def test_a_name_is_taken_once(table: ApiKeyTable) -> None:
    table.add(ApiKey("a", digest(1), NOW))
    with pytest.raises(UsageError, match="exists"):
        table.add(ApiKey("a", digest(2), NOW))
    assert table.find(digest(1)) is not None


def test_one_digest_has_one_name(table: ApiKeyTable) -> None:
    """Else a limit on one name would not hold for the other."""
    table.add(ApiKey("a", digest(1), NOW))
    with pytest.raises(HostError):
        table.add(ApiKey("b", digest(1), NOW))


def test_changes_of_several_processes_do_not_undo_each_other(path: Path, table: ApiKeyTable) -> None:
    """A limit that is set while the key is revoked must not bring it back."""
    table.add(ApiKey("a", digest(1), NOW))
    inside, done = threading.Event(), threading.Event()

    def set_limit() -> None:
        def edit(key: ApiKey) -> ApiKey:
            inside.set()
            done.wait(0.2)  # the revocation has begun by then
            return replace(key, limits=Limits(concurrency=1))

        with closing(Database(path)) as other:
            ApiKeyTable(other).change("a", edit)

    thread = threading.Thread(target=set_limit)
    thread.start()
    inside.wait(10)
    table.change("a", lambda key: replace(key, revoked=NOW))
    done.set()
    thread.join()
    assert (table.get("a").revoked, table.get("a").limits.concurrency) == (NOW, 1)


def test_a_change_by_another_process_is_found_at_once_whatever_it_is(path: Path, table: ApiKeyTable) -> None:
    table.add(full_key())
    changes: list[dict[str, object]] = [
        {"revoked": NOW},
        {"revoked": None},
        {"expires": NOW + timedelta(hours=2)},
        {"scopes": frozenset({Scope.MODELS})},
        {"models": frozenset()},
        {"limits": Limits(requests_per_minute=1)},
    ]
    with closing(Database(path)) as database:
        for change in changes:
            before = table.find(digest(1))
            assert table.find(digest(1)) is before, "not built anew"
            changed = ApiKeyTable(database).change("billing-bot", lambda key, change=change: replace(key, **change))
            assert table.find(digest(1)) == changed != before


def test_keys_end(table: ApiKeyTable) -> None:
    key = ApiKey("a", digest(1), NOW, expires=NOW + timedelta(days=1))
    key.require_usable(NOW)
    with pytest.raises(AuthenticationError):
        key.require_usable(NOW + timedelta(days=1))
    with pytest.raises(AuthenticationError):
        replace(key, revoked=NOW).require_usable(NOW)


def test_a_key_from_a_file_is_adopted_once(table: ApiKeyTable) -> None:
    assert table.adopt(digest(1), NOW)
    assert not table.adopt(digest(1), NOW)
    assert [key.name for key in table.all()] == [LOCAL]


def test_a_revoked_key_in_a_file_stays_revoked_and_a_new_one_takes_its_place(table: ApiKeyTable) -> None:
    table.adopt(digest(1), NOW)
    table.change(LOCAL, lambda key: replace(key, revoked=NOW, limits=Limits(concurrency=2)))
    assert not table.adopt(digest(1), NOW)
    assert table.get(LOCAL).revoked == NOW
    assert table.adopt(digest(2), NOW)
    assert table.find(digest(1)) is None
    assert (table.get(LOCAL).revoked, table.get(LOCAL).limits.concurrency) == (None, 2)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "A"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"tenant": "a b"}, "tenant"),
        ({"tenant": ""}, "tenant"),
        ({"scopes": frozenset()}, "scope"),
        ({"models": frozenset({"../m"})}, "model"),
        ({"models": frozenset({"a b"})}, "model"),
        ({"models": frozenset(f"m{number}" for number in range(65))}, "model"),
        ({"expires": NOW}, "expires"),
    ],
)
def test_what_no_key_can_be(fields: dict[str, object], field: str) -> None:
    with pytest.raises(UsageError) as refused:
        ApiKey(**{"name": "a", "digest": digest(1), "created": NOW, **fields})
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["requests_per_minute", "tokens_per_minute", "concurrency", "sessions"])
@pytest.mark.parametrize("value", [0, -1, 10**9 + 1])
def test_what_no_limit_can_be(name: str, value: int) -> None:
    with pytest.raises(UsageError) as refused:
        Limits(**{name: value})
    assert refused.value.field == name


@pytest.mark.parametrize(
    "change", ["scopes = 'root'", "priority = 7", "name = 'A B'", "concurrency = 0", "revoked = 1 << 60"]
)
def test_a_row_that_somebody_else_wrote_is_a_typed_error(database: Database, table: ApiKeyTable, change: str) -> None:
    table.add(ApiKey("a", digest(1), NOW))
    with database.change() as connection:
        connection.execute(f"UPDATE api_keys SET {change}")
    with pytest.raises(HostError):
        table.find(digest(1))
