"""`mohawk pki`, and the commands that live on what it issues."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.cli.commands import Terminal


@pytest.fixture
def authority(mohawk: Terminal) -> Path:
    assert mohawk("pki", "init", "--domain", "mesh.example").code == 0
    return mohawk.home / "pki"


def test_secrets_are_the_owner_s_only(mohawk: Terminal, authority: Path, tmp_path: Path):
    assert mohawk("pki", "issue", "worker", "w1", "--out", tmp_path / "w1").code == 0
    assert mohawk("pki", "issue", "api", "localhost,127.0.0.1", "--out", tmp_path / "api").code == 0
    for folder in (authority, tmp_path / "w1", tmp_path / "api"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_show_names_validity_and_pins_but_no_secret(mohawk: Terminal, authority: Path, tmp_path: Path):
    assert mohawk("pki", "issue", "worker", "w1", "--out", tmp_path / "w1", "--json").code == 0
    rows = json.loads(mohawk("pki", "show", tmp_path / "w1", "--json").out)
    assert [row["certificate"] for row in rows] == ["leaf", "issuing", "root"]
    assert rows[0]["name"] == "spiffe://mesh.example/worker/w1"
    assert [row["spki sha-256"] for row in rows[1:]] == [
        row["spki sha-256"] for row in json.loads(mohawk("pki", "show", "--json").out)
    ]
    assert "PRIVATE" not in mohawk("pki", "show", tmp_path / "w1").out


def test_an_authority_is_not_overwritten(mohawk: Terminal, authority: Path):
    before = (authority / "root.key").read_bytes()
    answer = mohawk("pki", "init")
    assert answer.code == 2
    assert "hint: " in answer.err
    assert (authority / "root.key").read_bytes() == before


@pytest.mark.parametrize(
    ("role", "name", "code"),
    [("king", "w1", 2), ("worker", "../w1", 4), ("worker", "", 4), ("worker", "w 1", 4), ("api", "", 2)],
)
def test_names_that_are_none(mohawk: Terminal, authority: Path, tmp_path: Path, role: str, name: str, code: int):
    answer = mohawk("pki", "issue", role, name, "--out", tmp_path / "out")
    assert answer.code in {2, code}
    assert answer.err.startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_issuing_without_an_authority(mohawk: Terminal, tmp_path: Path):
    answer = mohawk("pki", "issue", "worker", "w1", "--out", tmp_path / "w1")
    assert answer.code == 2
    assert "mohawk pki init" in answer.err


def test_a_worker_without_an_identity(mohawk: Terminal):
    answer = mohawk("worker", "run")
    assert answer.code == 2
    assert "mohawk worker join TOKEN" in answer.err


def test_a_worker_whose_key_others_may_read(mohawk: Terminal, authority: Path, tmp_path: Path):
    assert mohawk("pki", "issue", "worker", "w1", "--out", tmp_path / "w1").code == 0
    (tmp_path / "w1" / "identity.json").chmod(0o640)
    answer = mohawk("pki", "show", tmp_path / "w1")
    assert answer.code == 4
    assert "chmod 600" in answer.err


@pytest.mark.parametrize("command", [["chat", "hello"], ["shell", "--", "true"]])
def test_nothing_was_started(mohawk: Terminal, command: list[str]):
    answer = mohawk(*command)
    assert answer.code == 6
    assert "mohawk up" in answer.err


@pytest.mark.parametrize("name", ["MIE_ENABLE_PQC", "MIE_REPLAY_PROTECTION_ENABLED", "MIE_WEIGHT_ENCRYPTION_ENABLED"])
def test_a_protection_switched_off_stops_the_start(mohawk: Terminal, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "false")
    answer = mohawk("pki", "show")
    assert answer.code == 2
    assert name in answer.err
