"""`mohawk keys`: what it shows, does, asks and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mohawk.cli.main import app
from mohawk.host.sealed_folder import KEYRING
from tests.cli.commands import Terminal
from tests.support.folders import write_folder
from tests.support.softhsm import PIN, SoftToken


@pytest.fixture
def sealed(mohawk: Terminal, tmp_path: Path) -> Path:
    assert mohawk("pki", "init").code == 0
    folder = mohawk.home / "models" / "tiny"
    assert mohawk("model", "seal", write_folder(tmp_path / "tiny"), "--out", folder).code == 0
    return folder


def write_secret(path: Path, text: str = "six quite random words or more") -> Path:
    path.touch(0o600)
    path.write_text(text)
    return path


def test_list(mohawk: Terminal, sealed: Path, tmp_path: Path):
    (found,) = json.loads(mohawk("keys", "list", "--json").out)
    assert found["promise"].startswith("Protects copied slices, not this host")
    assert (found["model"], found["version"], found["data_keys"], found["provider"]) == ("tiny", 1, 2, "key-file")
    assert found["folder"] == str(sealed)
    table = mohawk("keys", "list", sealed.parent)
    assert "key-file" in table.out
    assert json.loads(mohawk("keys", "list", tmp_path / "tiny", "--json").out) == []


def test_list_shows_what_is_broken_and_what_has_no_key(mohawk: Terminal, sealed: Path):
    (sealed / KEYRING).write_bytes(b"{}")
    (found,) = json.loads(mohawk("keys", "list", "--json").out)
    assert found["promise"].startswith("Cannot be read")
    (sealed / KEYRING).unlink()
    (found,) = json.loads(mohawk("keys", "list", "--json").out)
    assert (found["provider"], found["data_keys"]) == ("none", 0)


def test_from_a_file_to_a_token_and_through_its_life(mohawk: Terminal, sealed: Path, token: SoftToken):
    moved = mohawk("keys", "rewrap", sealed, "--to", token.uri())
    assert moved.code == 0
    assert "kept by pkcs11 now" in moved.out
    assert "key file is shared" in moved.out
    assert mohawk("model", "verify", sealed).code == 2, "the default is not where it is any more"
    assert mohawk("model", "verify", sealed, "--key", token.uri()).code == 0
    assert "cannot leave" in json.loads(mohawk("keys", "list", "--json").out)[0]["promise"]

    done = json.loads(mohawk("keys", "rotate", sealed, "--key", token.uri(), "--json").out)
    assert (done["model"], done["provider"]) == ("tiny", "pkcs11")
    assert "was destroyed" in done["reach"]
    assert len(token.labels()) == 1
    assert mohawk("model", "verify", sealed, "--key", token.uri()).code == 0

    ended = mohawk("keys", "destroy", sealed, "--key", token.uri(), "--yes")
    assert ended.code == 0
    assert "no copy of this keyring opens any more" in ended.out
    assert token.labels() == []
    assert mohawk("model", "verify", sealed, "--key", token.uri()).code != 0
    again = mohawk("keys", "destroy", sealed, "--key", token.uri(), "--yes")
    assert again.code == 2
    assert "mohawk keys list" in again.err


def test_the_setting_is_used_and_the_option_goes_before_it(
    mohawk: Terminal, sealed: Path, token: SoftToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    words = write_secret(tmp_path / "words")
    assert mohawk("keys", "rewrap", sealed, "--to", f"passphrase:{words}").code == 0
    monkeypatch.setenv("MIE_KEY_PROVIDER", f"passphrase:{words}")
    assert mohawk("model", "verify", sealed).code == 0
    assert mohawk("keys", "rotate", sealed).code == 0
    assert mohawk("model", "verify", sealed, "--key", token.uri()).code == 2


@pytest.mark.parametrize("text", ["vault:x", "pkcs11:token=t?module-path=/m&pin-value=4711"])
def test_a_setting_that_names_no_key_stops_the_start(mohawk: Terminal, monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv("MIE_KEY_PROVIDER", text)
    answer = mohawk("keys", "list")
    assert answer.code == 2
    assert "MIE_KEY_PROVIDER" in answer.err
    assert "4711" not in answer.err


def test_a_pin_from_a_variable(mohawk: Terminal, sealed: Path, token: SoftToken, monkeypatch: pytest.MonkeyPatch):
    uri = token.uri().partition("&pin-source")[0] + "&pin-source=env:TOKEN_PIN"
    assert mohawk("keys", "rewrap", sealed, "--to", uri).code == 2
    monkeypatch.setenv("TOKEN_PIN", PIN)
    assert mohawk("keys", "rewrap", sealed, "--to", uri).code == 0


def test_a_new_key_file_is_made_where_it_is_named(mohawk: Terminal, sealed: Path, tmp_path: Path):
    path = tmp_path / "apart" / "tiny.key"
    assert mohawk("keys", "rewrap", sealed, "--to", f"file:{path}").code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert mohawk("model", "verify", sealed, "--key", f"file:{path}").code == 0
    assert mohawk("model", "verify", sealed).code == 2


def test_destroying_asks(mohawk: Terminal, sealed: Path):
    refused = CliRunner().invoke(app, ["keys", "destroy", str(sealed)], input="n\n")
    assert refused.exit_code == 1
    assert "Destroy the key of tiny?" in refused.stderr
    assert mohawk("model", "verify", sealed).code == 0
    assert CliRunner().invoke(app, ["keys", "destroy", str(sealed)], input="y\n").exit_code == 0
    assert not (sealed / KEYRING).exists()


def test_what_has_a_broken_manifest_can_be_destroyed(mohawk: Terminal, sealed: Path):
    (sealed / "manifest.json").write_bytes(b"{}")
    assert mohawk("keys", "destroy", sealed, "--yes").code == 0
    assert not (sealed / KEYRING).exists()


def test_refusals(mohawk: Terminal, sealed: Path, token: SoftToken, tmp_path: Path):
    words = write_secret(tmp_path / "words")
    for arguments in (
        ("rotate", sealed, "--key", f"passphrase:{words}"),
        ("rewrap", sealed, "--to", "tape:drive"),
        ("rewrap", sealed, "--key", token.uri(), "--to", f"passphrase:{words}"),
        ("destroy", sealed, "--key", token.uri(), "--yes"),
        ("rotate", tmp_path),
    ):
        answer = mohawk("keys", *arguments)
        assert answer.code == 2, arguments
        assert "hint: " in answer.err, arguments
    assert mohawk("model", "verify", sealed).code == 0


def test_a_wrong_pin(mohawk: Terminal, sealed: Path, token: SoftToken):
    token.pin_file.write_text("wrong")
    answer = mohawk("keys", "rewrap", sealed, "--to", token.uri())
    assert answer.code == 2
    assert "locks itself" in answer.err
