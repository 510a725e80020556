"""The authority's denials: kept across restarts, numbered upwards whatever happens in between."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mohawk.errors import HostError, UsageError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.revocations import Revocations
from mohawk.identity.denylist import DenyList, accept_deny_list

NOW = datetime.now(UTC).replace(microsecond=0)
W1 = "spiffe://mesh.example/worker/w1"


@pytest.fixture
def authority(tmp_path: Path) -> AuthorityFolder:
    folder = AuthorityFolder(tmp_path / "pki")
    folder.initialise("mesh.example", NOW)
    return folder


def accepted(authority: AuthorityFolder, envelope: bytes) -> DenyList:
    return accept_deny_list(envelope, roots=authority.roots(), domain="mesh.example", highest=0, now=NOW)


def test_a_denied_name_stands_in_the_next_list(authority: AuthorityFolder) -> None:
    Revocations(authority).deny(W1, "stolen", NOW)
    found = accepted(authority, Revocations(authority).issue(NOW))
    assert [(denial.subject, denial.reason) for denial in found.denials] == [(W1, "stolen")]


def test_numbers_rise_from_list_to_list(authority: AuthorityFolder) -> None:
    numbers = [accepted(authority, Revocations(authority).issue(NOW)).number for _ in range(3)]
    assert numbers == [1, 2, 3]


def test_denying_twice_is_denying_once_and_lifting_ends_it(authority: AuthorityFolder) -> None:
    revocations = Revocations(authority)
    revocations.deny(W1, "", NOW)
    revocations.deny(W1, "again", NOW)
    assert len(revocations.denials()) == 1
    revocations.lift(W1)
    assert revocations.denials() == ()
    with pytest.raises(UsageError):
        revocations.lift(W1)


def test_a_subject_that_could_never_match_is_refused(authority: AuthorityFolder) -> None:
    with pytest.raises(UsageError):
        Revocations(authority).deny("w1", "", NOW)


def test_a_damaged_record_stops_issuing(authority: AuthorityFolder) -> None:
    (authority.folder / "denials.json").write_bytes(b"{}")
    with pytest.raises(HostError):
        Revocations(authority).issue(NOW)
