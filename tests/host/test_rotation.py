"""Issuing authorities and roots are replaced step by step; no step strands a node, whenever it is interrupted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mohawk.errors import UsageError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.revocations import Revocations
from mohawk.host.rotation import activate_root, introduce_root, retire_root, rotate_issuing
from mohawk.identity.denylist import accept_deny_list
from mohawk.identity.names import Role
from mohawk.identity.root_set import accept_roots
from tests.support.audit import Heard

NOW = datetime.now(UTC).replace(microsecond=0)
RECORD = Heard().record


@pytest.fixture(params=[None, b"a password"], ids=["clear", "encrypted"])
def authority(tmp_path: Path, request: pytest.FixtureRequest) -> AuthorityFolder:
    folder = AuthorityFolder(tmp_path / "pki", request.param)
    folder.initialise("mesh.example", NOW)
    return folder


def test_a_node_follows_a_whole_root_rotation(authority: AuthorityFolder) -> None:
    """It judges every certificate that exists at each step, and pins the new root alone at the end."""
    pinned = authority.root_set()
    old_leaf = authority.issue_node(Role.WORKER, "w1", NOW)
    introduce_root(authority, NOW, RECORD)
    pinned = accept_roots(authority.roots_envelope(), pinned, NOW)
    activate_root(authority, RECORD)
    new_leaf = authority.issue_node(Role.WORKER, "w1", NOW)
    assert old_leaf.chain[1] != new_leaf.chain[1]
    for leaf in (old_leaf, new_leaf):
        leaf.pinning(pinned).check(NOW)
    retire_root(authority, RECORD)
    pinned = accept_roots(authority.roots_envelope(), pinned, NOW)
    assert pinned.roots == authority.roots()
    assert len(pinned.roots) == 1
    new_leaf.pinning(pinned).check(NOW)


def test_a_new_issuing_authority_signs_under_the_same_root(authority: AuthorityFolder) -> None:
    before = authority.issuing().certificate
    rotate_issuing(authority, NOW, RECORD)
    assert authority.issuing().certificate != before
    authority.issue_node(Role.WORKER, "w1", NOW).check(NOW)


def test_lists_go_on_after_each_kind_of_rotation(authority: AuthorityFolder) -> None:
    def accept() -> int:
        envelope = Revocations(authority).issue(NOW)
        roots, domain = authority.roots(), "mesh.example"
        return accept_deny_list(envelope, roots=roots, domain=domain, highest=0, now=NOW).number

    assert accept() == 1
    rotate_issuing(authority, NOW, RECORD)
    assert accept() == 2
    introduce_root(authority, NOW, RECORD)
    activate_root(authority, RECORD)
    assert accept() == 3


def test_steps_out_of_order_are_refused(authority: AuthorityFolder) -> None:
    for step in (lambda: activate_root(authority, RECORD), lambda: retire_root(authority, RECORD)):
        with pytest.raises(UsageError):
            step()
    introduce_root(authority, NOW, RECORD)
    for step in (lambda: introduce_root(authority, NOW, RECORD), lambda: retire_root(authority, RECORD)):
        with pytest.raises(UsageError):
            step()


def test_a_second_rotation_follows_a_first_that_lost_its_last_rename(authority: AuthorityFolder) -> None:
    introduce_root(authority, NOW, RECORD)
    activate_root(authority, RECORD)
    old_key = (authority.folder / "root.key").read_bytes()
    retire_root(authority, RECORD)
    (authority.folder / "root.key").rename(authority.folder / "root-next.key")
    (authority.folder / "root.key").write_bytes(old_key)
    (authority.folder / "root.key").chmod(0o600)
    assert len(introduce_root(authority, NOW, RECORD).roots) == 2


def test_without_the_root_s_key_nothing_is_rotated(authority: AuthorityFolder) -> None:
    (authority.folder / "root.key").unlink()
    for step in (rotate_issuing, introduce_root):
        with pytest.raises(UsageError, match="root's key"):
            step(authority, NOW, RECORD)


def test_another_password_opens_nothing(tmp_path: Path) -> None:
    AuthorityFolder(tmp_path / "pki", b"right").initialise("mesh.example", NOW)
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in (tmp_path / "pki" / "root.key").read_bytes()
    for password, complaint in ((None, "is encrypted"), (b"wrong", "wrong password")):
        with pytest.raises(UsageError, match=complaint):
            AuthorityFolder(tmp_path / "pki", password).issuing()
