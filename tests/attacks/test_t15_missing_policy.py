"""T15: the policy file that gates key release is missing, empty, cut off, changed without approval, or holds something
that nobody asked about.

Expected: an error, hence no policy and no release; never a default.

Defence: host/release_policy.py:ReleasePolicy.read, attestation/policy.py:parse_policy; removed, whoever deletes or edits
one file, or misspells a field in it, has keys released to any machine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mohawk.attestation.evidence import EvidenceClass
from mohawk.errors import HostError, PolicyError, UsageError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.release_policy import NAME, SOFTWARE_ONLY, ReleasePolicy, parse, require_hardware
from tests.support.audit import Heard
from tests.support.endorsements import Maker
from tests.support.machines import policy_document
from tests.support.tls import DOMAIN, utc_now

ROOTS = Maker().pem.decode()
SOFTWARE = b'{"class": "software", "format": "mie-attestation-policy-1"}'


@pytest.fixture
def authority(tmp_path: Path) -> AuthorityFolder:
    folder = AuthorityFolder(tmp_path / "pki")
    folder.initialise(DOMAIN, utc_now())
    return folder


@pytest.fixture
def laid_down(authority: AuthorityFolder) -> Path:
    """The file of a policy in force, which asks for a TPM."""
    ReleasePolicy(authority).initialise(encode(policy_document(ROOTS)), Heard().record)
    return authority.folder / NAME


def encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def test_a_policy_in_force_is_the_one_that_was_laid_down(authority: AuthorityFolder, laid_down: Path) -> None:
    policy = ReleasePolicy(authority).read()
    assert policy.required is EvidenceClass.TPM
    assert policy.document() == policy_document(ROOTS)


def test_its_file_is_gone(authority: AuthorityFolder, laid_down: Path) -> None:
    laid_down.unlink()
    with pytest.raises(HostError):
        ReleasePolicy(authority).read()


def test_there_never_was_one_where_one_is_mandatory(authority: AuthorityFolder) -> None:
    assert ReleasePolicy(authority).read() is SOFTWARE_ONLY
    with pytest.raises(UsageError):
        require_hardware(SOFTWARE_ONLY)


@pytest.mark.parametrize("text", [b"", SOFTWARE], ids=["emptied", "asks for less"])
def test_its_file_was_changed_without_approval(authority: AuthorityFolder, laid_down: Path, text: bytes) -> None:
    laid_down.write_bytes(text)
    with pytest.raises(PolicyError):
        ReleasePolicy(authority).read()


def test_its_approval_is_gone_or_damaged(authority: AuthorityFolder, laid_down: Path) -> None:
    approval = authority.folder / "attestation.approved"
    approval.write_bytes(b"")
    with pytest.raises(PolicyError):
        ReleasePolicy(authority).read()
    approval.unlink()
    with pytest.raises(PolicyError):
        ReleasePolicy(authority).read()


def test_a_first_policy_is_laid_over_the_one_in_force(authority: AuthorityFolder, laid_down: Path) -> None:
    """As whoever has the disk for a moment would: without the file, and with it."""
    before = laid_down.read_bytes()
    with pytest.raises(PolicyError):
        ReleasePolicy(authority).initialise(SOFTWARE, Heard().record)
    assert laid_down.read_bytes() == before
    laid_down.unlink()
    with pytest.raises(PolicyError):
        ReleasePolicy(authority).initialise(SOFTWARE, Heard().record)


@pytest.mark.parametrize("text", ["", "\n", "null", "[]", "tpm", "{", "class: tpm\nformat: [", "class: software"])
def test_empty_or_cut_off(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text.encode())


def drop(document: dict[str, Any], *path: str) -> dict[str, Any]:
    where = document
    for step in path[:-1]:
        where = where[step]
    del where[path[-1]]
    return document


FIELDS = [("class",), ("format",), ("tpm",), *(("tpm", one) for one in ("bank", "code", "ek_roots", "event_log"))]
FIELDS += [("tpm", "firmware"), ("tpm", "pcrs"), ("tpm", "code", "allowed"), ("tpm", "code", "boot")]


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_a_field_that_is_missing(path: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        parse(encode(drop(policy_document(ROOTS), *path)))


@pytest.mark.parametrize("where", ["", "tpm", "code"])
def test_a_field_that_nobody_asked_about(where: str) -> None:
    document = policy_document(ROOTS)
    {"": document, "tpm": document["tpm"], "code": document["tpm"]["code"]}[where]["allow_all"] = 1
    with pytest.raises(UsageError, match="unknown fields"):
        parse(encode(document))
