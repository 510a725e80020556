"""Commands that change whom or what the cluster trusts are on record before they do it; taking trust back is done first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mohawk.host.authority import AuthorityFolder
from mohawk.host.enrolments import open_enrolments
from mohawk.host.release_policy import ReleasePolicy, parse
from mohawk.host.revocations import Revocations
from mohawk.identity.names import NodeName, Role
from tests.cli.commands import Terminal

W1 = "spiffe://mesh.example/worker/w1"
EK_HASH = "ab" * 32
SOFTWARE = b'{"class": "software", "format": "mie-attestation-policy-1"}'


@pytest.fixture
def authority(mohawk: Terminal) -> AuthorityFolder:
    assert mohawk("pki", "init", "--domain", "mesh.example").code == 0
    return AuthorityFolder(mohawk.home / "pki")


def log(mohawk: Terminal) -> Path:
    return mohawk.home / "audit" / "commands.jsonl"


def entries(mohawk: Terminal) -> list[dict[str, Any]]:
    """Of a log that verifies, all behind the first, which says that the authority was made."""
    assert mohawk("audit", "verify", log(mohawk)).code == 0
    first, *others = map(json.loads, mohawk("audit", "tail", log(mohawk), "--json").out.splitlines())
    assert first["kind"] == "authority-created"
    return others


def the_entry(mohawk: Terminal) -> tuple[str, str, dict[str, str]]:
    (entry,) = entries(mohawk)
    assert entry["node"].startswith("command:uid-")
    return entry["kind"], entry["subject"], entry["details"]


def break_log(mohawk: Terminal) -> None:
    log(mohawk).parent.mkdir(parents=True, exist_ok=True)
    log(mohawk).write_text("somebody was here\n")


def files(authority: AuthorityFolder) -> dict[str, bytes]:
    paths = (path for path in authority.folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path): path.read_bytes() for path in paths if path.stat().st_size}


def write_policy(mohawk: Terminal) -> Path:
    path = mohawk.home / "policy.yaml"
    path.write_bytes(SOFTWARE)
    return path


def test_the_authority(mohawk: Terminal, authority: AuthorityFolder) -> None:
    (line,) = mohawk("audit", "tail", log(mohawk), "--json").out.splitlines()
    entry = json.loads(line)
    assert (entry["kind"], entry["subject"]) == ("authority-created", "mesh.example")
    (root,) = authority.root_set().roots
    assert entry["details"] == {"root": root.pin}


def test_an_authority_that_cannot_be_recorded_is_not_made(mohawk: Terminal) -> None:
    break_log(mohawk)
    answer = mohawk("pki", "init")
    assert answer.code == 6
    assert not AuthorityFolder(mohawk.home / "pki").exists
    assert not list((mohawk.home / "pki").glob("*.key")) + list((mohawk.home / "pki").glob("*.pem"))


def test_the_tpm_that_an_operator_named(mohawk: Terminal, authority: AuthorityFolder) -> None:
    assert mohawk("attest", "enroll", "w1", "--ek-hash", EK_HASH).code == 0
    assert the_entry(mohawk) == ("tpm-named", W1, {"tpm": EK_HASH})
    assert open_enrolments(authority).expected(NodeName("mesh.example", Role.WORKER, "w1")) == EK_HASH


def test_an_enrolment_that_was_removed(mohawk: Terminal, authority: AuthorityFolder) -> None:
    """Also a damaged one: there is no other way to be rid of it."""
    open_enrolments(authority)
    record = authority.folder / "enrolments" / "worker.w1.json"
    record.write_text("damaged")
    assert mohawk("attest", "remove", "w1").code == 0
    assert the_entry(mohawk) == ("enrolment-removed", W1, {})
    assert not record.exists()


def test_the_first_policy(mohawk: Terminal, authority: AuthorityFolder) -> None:
    assert mohawk("attest", "policy", "init", write_policy(mohawk)).code == 0
    digest = parse(SOFTWARE).digest().hex()
    assert the_entry(mohawk) == ("policy-changed", "attestation.yaml", {"policy": digest})
    assert ReleasePolicy(authority).read_text() == SOFTWARE


def test_identities(mohawk: Terminal, authority: AuthorityFolder, tmp_path: Path) -> None:
    assert mohawk("pki", "issue", "worker", "w1", "--out", tmp_path / "w1").code == 0
    assert mohawk("pki", "issue", "api", "localhost", "--out", tmp_path / "api").code == 0
    first, second = entries(mohawk)
    assert (first["kind"], first["subject"]) == ("identity-issued", W1)
    assert (second["kind"], second["subject"]) == ("identity-issued", "api localhost")
    assert int(first["details"]["serial"], 16) != int(second["details"]["serial"], 16)


def test_a_revocation(mohawk: Terminal, authority: AuthorityFolder) -> None:
    assert mohawk("pki", "revoke", "w1", "--reason", "stolen").code == 0
    assert the_entry(mohawk) == ("node-revoked", W1, {"reason": "stolen"})


def test_rotations_with_the_key_that_comes_or_goes(mohawk: Terminal, authority: AuthorityFolder) -> None:
    (old,) = authority.root_set().roots
    for step in ("issuing", "introduce", "activate", "retire"):
        assert mohawk("pki", "rotate", step).code == 0, step
    (new,) = authority.root_set().roots
    found = entries(mohawk)
    assert [entry["kind"] for entry in found] == [
        "issuing-rotated",
        "roots-changed",
        "issuing-rotated",
        "roots-changed",
    ]
    assert {entry["subject"] for entry in found} == {"mesh.example"}
    assert found[1]["details"] == {"number": "1", "introduced": new.pin}
    assert found[2]["details"] == {"issuing": authority.issuing_certificate().pin}
    assert found[3]["details"] == {"number": "2", "retired": old.pin}


@pytest.mark.parametrize(
    "command",
    [
        ("attest", "enroll", "w1", "--ek-hash", EK_HASH),
        ("attest", "remove", "w1"),
        ("attest", "policy", "init", "POLICY"),
        ("pki", "token", "w1", "--controller", "10.0.0.5:8002"),
        ("pki", "issue", "worker", "w2", "--out", "OUT"),
        ("pki", "rotate", "issuing"),
        ("pki", "rotate", "introduce"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_recorded_does_not_happen(
    mohawk: Terminal, authority: AuthorityFolder, tmp_path: Path, command: tuple[str, ...]
) -> None:
    places = {"POLICY": str(write_policy(mohawk)), "OUT": str(tmp_path / "out")}
    open_enrolments(authority)
    name = "w1" if "remove" in command else "w9"
    (authority.folder / "enrolments" / f"worker.{name}.json").write_text("damaged")
    break_log(mohawk)
    before = files(authority)
    answer = mohawk(*(places.get(word, word) for word in command))
    assert answer.code == 6
    assert answer.out == ""
    assert "mohawk audit verify" in answer.err
    assert files(authority) == before
    assert not (tmp_path / "out").exists()


def test_a_revocation_waits_for_no_log(mohawk: Terminal, authority: AuthorityFolder) -> None:
    break_log(mohawk)
    answer = mohawk("pki", "revoke", "w1", "--reason", "stolen")
    assert answer.code == 6, "the operator hears that it is not on record"
    assert "is revoked" in answer.out
    assert [denial.subject for denial in Revocations(authority).denials()] == [W1]
