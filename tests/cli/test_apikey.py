"""`mohawk apikey`: keys are made, limited and revoked in the store of this home, and each is on record."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from mohawk.api.auth import digest_key
from mohawk.cli.places import Places
from mohawk.cli.store import adopt_key, open_store
from mohawk.store.api_keys import LOCAL, ApiKeyTable
from tests.cli.commands import Terminal


def records(mohawk: Terminal) -> list[tuple[str, str]]:
    path = Places(mohawk.home).command_audit
    assert mohawk("audit", "verify", path).code == 0
    return [(entry["kind"], entry["subject"]) for entry in map(json.loads, path.read_text().splitlines())]


def test_a_key_is_shown_once_and_kept_as_a_digest(mohawk: Terminal) -> None:
    made = mohawk("apikey", "create", "bot", "--tenant", "acme", "--scope", "generate", "--requests-per-minute", 60)
    key = made.out.strip()
    assert key.startswith("mk-")
    assert len(key) == 46
    shown = json.loads(mohawk("apikey", "show", "bot", "--json").out)
    assert shown["digest"] == digest_key(key).hex()
    assert (shown["tenant"], shown["scopes"], shown["limits"]["requests_per_minute"]) == ("acme", ["generate"], 60)
    assert "bot" in mohawk("apikey", "list").out
    for path in mohawk.home.rglob("*"):
        assert path.is_dir() or key.encode() not in path.read_bytes(), path


def test_what_it_makes_is_as_private_as_a_key(mohawk: Terminal) -> None:
    mohawk("apikey", "create", "bot")
    assert Places(mohawk.home).store.stat().st_mode & 0o777 == 0o600
    assert Places(mohawk.home).store.parent.stat().st_mode & 0o777 == 0o700


def test_limits_change_one_by_one(mohawk: Terminal) -> None:
    mohawk("apikey", "create", "bot", "--concurrency", 3, "--tokens-per-minute", 1000)
    mohawk("apikey", "limit", "bot", "--concurrency", 0, "--sessions", 5, "--priority", "low")
    shown = json.loads(mohawk("apikey", "show", "bot", "--json").out)
    assert shown["limits"] == {
        "requests_per_minute": None,
        "tokens_per_minute": 1000,
        "concurrency": None,
        "sessions": 5,
    }
    assert shown["priority"] == "low"
    assert mohawk("apikey", "limit", "bot").code == 2


def test_revoking_is_for_good_and_keeps_its_time(mohawk: Terminal) -> None:
    mohawk("apikey", "create", "bot")
    first = json.loads(mohawk("apikey", "revoke", "bot", "--json").out)
    again = json.loads(mohawk("apikey", "revoke", "bot", "--json").out)
    assert (first["standing"], first["revoked"]) == ("revoked", again["revoked"])
    assert mohawk("apikey", "create", "bot").code == 2, "a name is never used again for another key"


def test_all_of_it_is_on_record(mohawk: Terminal) -> None:
    mohawk("apikey", "create", "bot")
    mohawk("apikey", "limit", "bot", "--concurrency", 1)
    mohawk("apikey", "revoke", "bot")
    assert records(mohawk) == [("api-key-created", "bot"), ("api-key-changed", "bot"), ("api-key-revoked", "bot")]


def test_no_key_is_made_or_widened_that_cannot_be_recorded_but_any_is_revoked(mohawk: Terminal) -> None:
    mohawk("apikey", "create", "bot")
    Places(mohawk.home).command_audit.write_text("somebody was here\n")
    assert mohawk("apikey", "create", "other").code == 6
    assert mohawk("apikey", "limit", "bot", "--concurrency", 9).code == 6
    mohawk("apikey", "revoke", "bot")
    keys = {key["name"]: key for key in json.loads(mohawk("apikey", "list", "--json").out)}
    assert set(keys) == {"bot"}
    assert keys["bot"]["standing"] == "revoked"
    assert keys["bot"]["limits"]["concurrency"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "Not a name"),
        ("create", "bot", "--scope", "root"),
        ("create", "bot", "--priority", "urgent"),
        ("create", "bot", "--model", "../x"),
        ("show", "nobody"),
        ("limit", "nobody", "--sessions", "1"),
        ("revoke", "nobody"),
    ],
)
def test_what_was_typed_wrong(mohawk: Terminal, arguments: tuple[str, ...]) -> None:
    answer = mohawk("apikey", *arguments)
    assert answer.code == 2
    assert "hint: " in answer.err


def test_the_key_in_a_file_is_a_row_like_others(mohawk: Terminal) -> None:
    events = []
    with closing(open_store(Places(mohawk.home))) as store:
        for _ in range(2):
            adopt_key(store, "mk-file", events.append)
        assert ApiKeyTable(store).get(LOCAL).digest == digest_key("mk-file")
    assert len(events) == 1
    mohawk("apikey", "limit", LOCAL, "--concurrency", 2)
    assert json.loads(mohawk("apikey", "show", LOCAL, "--json").out)["limits"]["concurrency"] == 2
