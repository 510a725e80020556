"""What a node knew of revocations and roots survives its restart, and old lists stay history."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mohawk.errors import HostError, IdentityError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.revocations import Revocations
from mohawk.host.rotation import activate_root, introduce_root, retire_root
from mohawk.host.standing_file import keep_standing, save_standing
from mohawk.identity.certificates import issue_issuing, issue_root
from mohawk.identity.denylist import issue_deny_list, issue_deny_list_signer
from mohawk.identity.root_set import RootSet, sign_roots
from mohawk.identity.standing import Standing
from tests.support.audit import Heard
from tests.support.tls import DOMAIN, Mesh, utc_now

THIEF = "spiffe://mesh.example/worker/w9"


def begin(mesh: Mesh, path: Path) -> Standing:
    """A node that starts with the roots of its credentials and what lies in `path`."""
    standing = Standing(RootSet(0, (mesh.root.certificate,)), DOMAIN)
    keep_standing(standing, path, utc_now())
    return standing


def test_the_newest_list_is_known_after_a_restart(tmp_path: Path) -> None:
    mesh = Mesh()
    first = begin(mesh, tmp_path / "trust.json")
    assert first.deny_list is None
    first.learn_deny_list(mesh.deny_list(7, THIEF), utc_now())
    again = begin(mesh, tmp_path / "trust.json")
    assert again.deny_list is not None
    assert (again.deny_list.number, [one.subject for one in again.deny_list.denials]) == (7, [THIEF])
    with pytest.raises(IdentityError, match="older"):
        again.learn_deny_list(mesh.deny_list(6), utc_now())


def test_a_list_under_a_root_that_is_gone_leaves_its_number(tmp_path: Path) -> None:
    """Nobody is trusted until a list comes that is newer than the one that can no longer be read."""
    mesh, now = Mesh(), utc_now()
    fresh = issue_root(now)
    alone = RootSet(1, (fresh.certificate,))
    standing = begin(mesh, tmp_path / "trust.json")
    standing.learn_deny_list(mesh.deny_list(7, THIEF), now)
    standing.learn_roots(sign_roots(1, alone.roots, (mesh.root, fresh)), now)

    again = begin(mesh, tmp_path / "trust.json")
    assert again.roots.pins == alone.pins
    assert (again.deny_list, again.deny_list_number) == (None, 7)
    signer = issue_deny_list_signer(issue_issuing(fresh, now), DOMAIN, now)
    with pytest.raises(IdentityError, match="older"):
        again.learn_deny_list(issue_deny_list(signer, 6, (), now), now)
    again.learn_deny_list(issue_deny_list(signer, 8, (), now), now)
    assert begin(mesh, tmp_path / "trust.json").deny_list_number == 8


@pytest.mark.parametrize("content", [b"", b"{}", b'{"deny_list":"","number":-1,"roots":""}', b"\xff"])
def test_a_damaged_file_stops_the_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "trust.json").write_bytes(content)
    with pytest.raises(HostError, match="cannot be read"):
        begin(Mesh(), tmp_path / "trust.json")


def test_a_list_in_a_greeting_is_kept_too(tmp_path: Path) -> None:
    mesh = Mesh()
    begin(mesh, tmp_path / "trust.json").hear(mesh.deny_list(3, age=timedelta(minutes=1)), utc_now())
    assert begin(mesh, tmp_path / "trust.json").deny_list_number == 3


def test_roots_come_back_to_an_identity_that_does_not_know_its_set(tmp_path: Path) -> None:
    """Two PEM files hold roots and no number; the second time, a crash came before they were rewritten."""
    authority, path = AuthorityFolder(tmp_path / "pki"), tmp_path / "trust.json"
    authority.initialise(DOMAIN, utc_now())
    first = Standing(authority.root_set(), DOMAIN)
    keep_standing(first, path, utc_now())
    introduce_root(authority, utc_now(), Heard().record)
    both = authority.roots_envelope()
    first.learn_roots(both, utc_now())
    for roots in (first.roots.roots, first.roots.roots[:1]):
        second = Standing(RootSet(0, roots), DOMAIN)
        keep_standing(second, path, utc_now())
        assert second.roots == first.roots
    activate_root(authority, Heard().record)
    retire_root(authority, Heard().record)
    first.learn_roots(authority.roots_envelope(), utc_now())
    third = Standing(RootSet(0, authority.roots()), DOMAIN)
    keep_standing(third, path, utc_now())
    assert third.roots.number == 2
    with pytest.raises(IdentityError, match="newer"):
        third.learn_roots(both, utc_now())


def test_what_a_joiner_was_told_is_there_at_its_first_start(tmp_path: Path) -> None:
    authority = AuthorityFolder(tmp_path / "pki")
    authority.initialise(DOMAIN, utc_now())
    joined = Standing(authority.root_set(), DOMAIN)
    joined.learn_deny_list(Revocations(authority).issue(utc_now()), utc_now())
    save_standing(joined, tmp_path / "trust.json")
    started = Standing(authority.root_set(), DOMAIN)
    keep_standing(started, tmp_path / "trust.json", utc_now())
    assert started.deny_list_number == 1
