"""The operator's authority on disk."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mohawk.crypto.signing import SigningKey, verify_publisher
from mohawk.errors import IdentityError, PolicyError, UsageError
from mohawk.host.authority import POLICY, AuthorityFolder
from mohawk.host.publisher_file import encode_pins, parse_pins
from mohawk.host.rotation import activate_root, introduce_root, rotate_issuing
from mohawk.identity.names import Role
from mohawk.identity.policy import BUILT_IN
from tests.support.audit import Heard

NOW = datetime.now(UTC)
PASSWORD = b"correct horse battery staple"


@pytest.fixture
def authority(tmp_path: Path) -> AuthorityFolder:
    folder = AuthorityFolder(tmp_path / "pki")
    folder.initialise("mesh.example", NOW)
    return folder


def test_what_it_issues_its_own_roots_accept(authority: AuthorityFolder):
    credentials = authority.issue_node(Role.WORKER, "w1", NOW)
    assert str(credentials.check(NOW).name) == "spiffe://mesh.example/worker/w1"
    assert credentials.roots == authority.roots()


def test_a_leaf_lives_24_hours_unless_told_and_never_longer_than_seven_days(authority: AuthorityFolder):
    leaf = authority.issue_node(Role.WORKER, "w1", NOW).chain[0]
    assert leaf.not_after - NOW <= timedelta(hours=24, seconds=1)
    with pytest.raises(UsageError):
        authority.issue_node(Role.WORKER, "w1", NOW, timedelta(days=365))


def test_it_works_without_the_root_s_key(authority: AuthorityFolder):
    (authority.folder / "root.key").unlink()
    assert authority.issue_node(Role.CONTROLLER, "c1", NOW)
    assert authority.issue_api(("localhost",), NOW)


def test_files_are_private(authority: AuthorityFolder):
    assert {stat.S_IMODE(path.stat().st_mode) for path in authority.folder.iterdir()} == {0o600}
    (authority.folder / "issuing.pem").chmod(0o644)
    with pytest.raises(PolicyError):
        authority.issuing()


def test_no_second_authority_in_one_folder(authority: AuthorityFolder):
    with pytest.raises(UsageError):
        authority.initialise("other.example", NOW)


def test_no_authority_says_how_to_make_one(tmp_path: Path):
    absent = AuthorityFolder(tmp_path)
    for ask in (absent.issuing, absent.publisher, absent.pins, absent.roots, lambda: absent.domain):
        with pytest.raises(UsageError) as raised:
            ask()
        assert "mohawk pki init" in raised.value.hint


def test_a_broken_certificate(authority: AuthorityFolder):
    (authority.folder / "issuing.pem").write_bytes(b"")
    with pytest.raises(IdentityError):
        authority.issuing()


def test_pins_are_of_the_publisher_s_two_keys(authority: AuthorityFolder):
    pins = parse_pins(encode_pins(authority.pins()))
    verify_publisher(pins, authority.publisher().sign(b"manifest"), b"manifest")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b'{"p384": 1}', b"[" * 100_000])
def test_pins_that_are_none(data: bytes):
    with pytest.raises(IdentityError):
        parse_pins(data)


def test_a_key_under_a_password_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening costs a tenth of a second on purpose; a controller signs a deny-list every minute on its event loop."""
    folder = AuthorityFolder(tmp_path / "pki", PASSWORD)
    folder.initialise("mesh.example", NOW)
    assert folder.is_encrypted
    opened: list[bytes] = []
    real = SigningKey.from_pem

    def from_pem(pem: bytes, password: bytes | None = None) -> SigningKey:
        opened.append(pem)
        return real(pem, password)

    monkeypatch.setattr("mohawk.host.authority.SigningKey.from_pem", from_pem)
    again = AuthorityFolder(tmp_path / "pki", PASSWORD)
    for _ in range(3):
        again.issue_node(Role.WORKER, "w1", NOW)
        again.deny_list_signer(NOW)
    assert len(opened) == 2
    rotate_issuing(AuthorityFolder(tmp_path / "pki", PASSWORD), NOW, Heard().record)  # by another process
    again.issue_node(Role.WORKER, "w1", NOW)
    assert len(opened) > 2


def test_no_private_key_lies_in_clear_under_a_password(tmp_path: Path) -> None:
    folder = AuthorityFolder(tmp_path / "pki", PASSWORD)
    folder.initialise("mesh.example", NOW)
    introduce_root(folder, NOW, Heard().record)
    activate_root(folder, Heard().record)
    folder.deny_list_signer(NOW)
    for path in folder.folder.iterdir():
        assert b"BEGIN PRIVATE KEY" not in path.read_bytes(), path.name
    assert AuthorityFolder(folder.folder).issuing_certificate() == folder.issuing().certificate, "without the password"
    with pytest.raises(UsageError, match="encrypted"):
        AuthorityFolder(folder.folder).issuing()


def test_the_policy_is_the_file_s_and_the_guide_s_without_one(tmp_path: Path) -> None:
    folder = AuthorityFolder(tmp_path / "pki")
    folder.initialise("mesh.example", NOW)
    assert folder.policy() == BUILT_IN
    (folder.folder / POLICY).unlink()
    assert folder.policy() == BUILT_IN
    (folder.folder / POLICY).write_text("certificate: {}")
    with pytest.raises(UsageError, match=POLICY):
        folder.issue_node(Role.WORKER, "w1", NOW)
