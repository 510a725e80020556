"""The book of joins: what it keeps of a token, for how long, and that a damaged one stops everything."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.errors import HostError, MohawkError, UsageError
from mohawk.host import join_book
from mohawk.host.authority import AuthorityFolder
from mohawk.host.join_book import JoinBook, JoinedNode
from mohawk.host.rotation import activate_root, introduce_root
from mohawk.identity.join_token import LIFETIME, JoinToken
from mohawk.identity.names import NodeName, Role
from tests.support.audit import Heard

NOW = datetime.now(UTC)
ADDRESS = "10.0.0.10:8002"


@pytest.fixture
def authority(tmp_path: Path) -> AuthorityFolder:
    folder = AuthorityFolder(tmp_path / "pki")
    folder.initialise("mesh.example", NOW)
    return folder


@pytest.fixture
def book(authority: AuthorityFolder) -> JoinBook:
    return JoinBook(authority)


def issue(book: JoinBook, name: str = "w1", now: datetime = NOW) -> JoinToken:
    return book.issue(Role.WORKER, name, ADDRESS, now, lambda _event: None)


def test_a_token_says_where_who_and_which_root(book: JoinBook, authority: AuthorityFolder) -> None:
    token = issue(book)
    assert token.expires == NOW.replace(microsecond=0) + LIFETIME
    assert (str(token.name), token.controller) == ("spiffe://mesh.example/worker/w1", ADDRESS)
    assert token.root == authority.roots()[0].pin


def test_the_secret_is_not_kept(book: JoinBook, authority: AuthorityFolder) -> None:
    token = issue(book)
    path = authority.folder / "joins.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    entry = json.loads(path.read_text())["tokens"][0]
    assert set(entry) == {"ek", "expires", "id", "issued", "key", "name"}
    assert token.secret not in path.read_bytes()
    found = book.find(token.id)
    assert found == token.opened(NOW.replace(microsecond=0))
    assert book.find(bytes(16)) is None


def test_each_is_recorded_before_it_exists(book: JoinBook) -> None:
    events: list[AuditEvent] = []
    token = book.issue(Role.WORKER, "w1", ADDRESS, NOW, events.append, "ab" * 32)
    assert [(event.kind, event.subject) for event in events] == [(EventKind.TOKEN_ISSUED, str(token.name))]
    assert token.secret.hex() not in str(events)

    def full(_event: AuditEvent) -> None:
        raise HostError("disk full")

    with pytest.raises(HostError):
        book.issue(Role.WORKER, "w2", ADDRESS, NOW, full)
    assert [one.name.name for one in book.open_tokens(NOW)] == ["w1"]


def test_used_and_expired_tokens_are_not_open(book: JoinBook) -> None:
    used, waiting = issue(book, "w1"), issue(book, "w2")
    old = issue(book, "w3", NOW - timedelta(minutes=11))
    book.guard(NOW).use(str(used.name), used.id, NOW, NOW, LIFETIME)
    assert [one.id for one in book.open_tokens(NOW)] == [waiting.id]
    assert book.find(old.id) is not None, "so that a late one is told from one that never was"
    issue(book, "w4")
    assert book.find(old.id) is None


def test_a_node_that_joins_again_replaces_itself(book: JoinBook) -> None:
    w1 = NodeName("mesh.example", Role.WORKER, "w1")
    second = NOW.replace(microsecond=0)
    book.joined(JoinedNode(w1, second, "", "1"))
    book.joined(JoinedNode(NodeName("mesh.example", Role.WORKER, "w2"), second, "", "2"))
    book.joined(JoinedNode(w1, second, "ab" * 32, "3"))
    assert [(one.name.name, one.serial, one.ek_hash) for one in book.nodes()] == [
        ("w2", "2", ""),
        ("w1", "3", "ab" * 32),
    ]


def test_limits(book: JoinBook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_book, "MAXIMUM_TOKENS", 2)
    monkeypatch.setattr(join_book, "MAXIMUM_NODES", 1)
    issue(book, "w1")
    issue(book, "w2")
    with pytest.raises(UsageError, match="too many"):
        issue(book, "w3")
    book.joined(JoinedNode(NodeName("mesh.example", Role.WORKER, "w1"), NOW, "", "1"))
    with pytest.raises(HostError, match="full"):
        book.joined(JoinedNode(NodeName("mesh.example", Role.WORKER, "w2"), NOW, "", "2"))


@pytest.mark.parametrize(
    ("name", "address", "ek_hash"), [("W 1", ADDRESS, ""), ("w1", "nowhere", ""), ("w1", ADDRESS, "abc")]
)
def test_tokens_that_cannot_be(book: JoinBook, name: str, address: str, ek_hash: str) -> None:
    with pytest.raises(MohawkError):
        book.issue(Role.WORKER, name, address, NOW, lambda _event: None, ek_hash)
    assert book.open_tokens(NOW) == ()


@pytest.mark.parametrize("data", [b"", b"{}", b'{"nodes":[],"tokens":[{}]}', b'{"nodes":{},"tokens":[]}', b"\xff"])
def test_a_damaged_book_is_an_error_and_never_an_empty_one(
    book: JoinBook, authority: AuthorityFolder, data: bytes
) -> None:
    issue(book)
    (authority.folder / "joins.json").write_bytes(data)
    for ask in (book.nodes, lambda: book.open_tokens(NOW), lambda: book.find(bytes(16)), lambda: issue(book, "w2")):
        with pytest.raises(HostError):
            ask()


def test_a_token_pins_the_root_that_signs_now(book: JoinBook, authority: AuthorityFolder) -> None:
    before = issue(book, "w1").root
    introduce_root(authority, NOW, Heard().record)
    assert issue(book, "w2").root == before
    activate_root(authority, Heard().record)
    assert issue(book, "w3").root == authority.roots()[1].pin
