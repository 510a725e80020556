"""`mohawk pki token|list|revoke|rotate`, and what `mohawk worker join` and `run` refuse; joining itself is in tests/e2e."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mohawk.host.authority import AuthorityFolder
from mohawk.host.identity import write_node_identity
from mohawk.host.revocations import Revocations
from mohawk.identity.join_token import parse_token
from mohawk.identity.names import Role
from tests.cli.commands import Terminal
from tests.e2e.processes import command

ADDRESS = "10.0.0.10:8002"


@pytest.fixture
def authority(mohawk: Terminal) -> AuthorityFolder:
    assert mohawk("pki", "init", "--domain", "mesh.example").code == 0
    return AuthorityFolder(mohawk.home / "pki")


def test_init_says_what_comes_next_and_writes_the_policy(mohawk: Terminal) -> None:
    answer = mohawk("pki", "init")
    assert "mohawk pki token" in answer.out
    assert "root.key" in answer.out
    assert "minimum_validity_days: 365" in (mohawk.home / "pki" / "requirements.yaml").read_text()


def test_a_token_alone_stands_on_standard_output(mohawk: Terminal, authority: AuthorityFolder) -> None:
    answer = mohawk("pki", "token", "w1", "--controller", ADDRESS)
    assert answer.code == 0
    token = parse_token(answer.out.strip())
    assert (str(token.name), token.controller) == ("spiffe://mesh.example/worker/w1", ADDRESS)
    found = json.loads(mohawk("pki", "token", "c2", "--role", "controller", "--controller", ADDRESS, "--json").out)
    assert parse_token(found["token"]).name.role == "controller"


def test_a_token_bound_to_a_tpm(mohawk: Terminal, authority: AuthorityFolder) -> None:
    answer = mohawk("pki", "token", "w1", "--controller", ADDRESS, "--ek-hash", "ab" * 32, "--json")
    assert parse_token(json.loads(answer.out)["token"]).ek_hash == "ab" * 32


@pytest.mark.parametrize(
    "arguments",
    [
        ("W 1", "--controller", ADDRESS),
        ("w1", "--controller", "nowhere"),
        ("w1", "--controller", ADDRESS, "--role", "king"),
        ("w1", "--controller", ADDRESS, "--ek-hash", "abc"),
    ],
)
def test_tokens_that_cannot_be(mohawk: Terminal, authority: AuthorityFolder, arguments: tuple[str, ...]) -> None:
    answer = mohawk("pki", "token", *arguments)
    assert answer.code == 2
    assert "hint: " in answer.err or "hexadecimal" in answer.err
    assert answer.out == ""


def test_a_list_holds_what_there_is_and_no_secret(mohawk: Terminal, authority: AuthorityFolder) -> None:
    text = mohawk("pki", "token", "w1", "--controller", ADDRESS).out.strip()
    assert mohawk("pki", "revoke", "w9", "--reason", "stolen").code == 0
    found = json.loads(mohawk("pki", "list", "--json").out)
    assert [row["certificate"] for row in found["authorities"]] == ["issuing", "root"]
    assert [(row["subject"], row["reason"]) for row in found["denied"]] == [
        ("spiffe://mesh.example/worker/w9", "stolen")
    ]
    assert [row["name"] for row in found["open tokens"]] == ["spiffe://mesh.example/worker/w1"]
    assert found["joined"] == []
    printed = mohawk("pki", "list").out
    assert "joined: none" in printed
    token = parse_token(text)
    for secret in (text, token.secret.hex(), token.mac_key.hex()):
        assert secret not in printed


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("w1", "spiffe://mesh.example/worker/w1"),
        ("spiffe://mesh.example/controller/c1", "spiffe://mesh.example/controller/c1"),
        ("serial:12ab", "serial:12ab"),
    ],
)
def test_revoking(mohawk: Terminal, authority: AuthorityFolder, name: str, subject: str) -> None:
    assert mohawk("pki", "revoke", name, "--reason", "stolen").code == 0
    assert [one.subject for one in Revocations(authority).denials()] == [subject]


@pytest.mark.parametrize("name", ["serial:", "serial:xyz", "spiffe://mesh.example/king/k1", "http://x", "W1"])
def test_revoking_what_can_never_match(mohawk: Terminal, authority: AuthorityFolder, name: str) -> None:
    answer = mohawk("pki", "revoke", name, "--reason", "stolen")
    assert answer.code == 2
    assert Revocations(authority).denials() == ()


def test_a_whole_root_rotation(mohawk: Terminal, authority: AuthorityFolder) -> None:
    first = authority.roots()[0].pin
    for step, count in (("introduce", 2), ("activate", 2), ("retire", 1)):
        answer = mohawk("pki", "rotate", step, "--json")
        assert answer.code == 0, answer.err
        assert len(json.loads(answer.out)["roots"]) == count
    assert authority.roots()[0].pin != first
    issuing = authority.issuing_certificate()
    assert mohawk("pki", "rotate", "issuing").code == 0
    assert authority.issuing_certificate() != issuing


@pytest.mark.parametrize("step", ["activate", "retire"])
def test_steps_out_of_order(mohawk: Terminal, authority: AuthorityFolder, step: str) -> None:
    answer = mohawk("pki", "rotate", step)
    assert answer.code == 2
    assert "mohawk pki rotate" in answer.err


def test_rotation_without_the_root_s_key(mohawk: Terminal, authority: AuthorityFolder) -> None:
    (authority.folder / "root.key").unlink()
    answer = mohawk("pki", "rotate", "issuing")
    assert answer.code == 2
    assert "root.key" in answer.err


# ---- workers --------------------------------------------------------------------------------------------------------


def test_a_mistyped_token_never_reaches_the_network(
    mohawk: Terminal, authority: AuthorityFolder, tmp_path: Path
) -> None:
    text = mohawk("pki", "token", "w1", "--controller", "127.0.0.1:1").out.strip()
    answer = mohawk("worker", "join", text[:-1] + ("0" if text[-1] != "0" else "1"), "--identity", tmp_path / "w1")
    assert answer.code == 2
    assert "mistyped" in answer.err
    assert not (tmp_path / "w1").exists()


def test_nobody_answers(mohawk: Terminal, authority: AuthorityFolder, tmp_path: Path) -> None:
    text = mohawk("pki", "token", "w1", "--controller", "127.0.0.1:1").out.strip()
    answer = mohawk("worker", "join", text, "--identity", tmp_path / "w1")
    assert answer.code == 6
    assert "join port" in answer.err
    assert not (tmp_path / "w1").exists()


def test_one_of_two_variables(mohawk: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIE_WORKER_CERT_PATH", "/etc/mohawk/worker.crt")
    answer = mohawk("worker", "run")
    assert answer.code == 2
    assert "MIE_WORKER_KEY_PATH is not set" in answer.err


def test_an_expired_identity_shows_at_the_start(mohawk: Terminal, authority: AuthorityFolder, tmp_path: Path) -> None:
    """In a process of its own: a worker forks."""
    old = authority.issue_node(Role.WORKER, "w1", datetime.now(UTC) - timedelta(days=2))
    write_node_identity(tmp_path / "w1", old, authority.pins())
    answer = command(mohawk.home, "worker", "run", "--identity", str(tmp_path / "w1"))
    assert answer.returncode == 4
    assert "mohawk worker join" in answer.stderr
