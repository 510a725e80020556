"""Passwords: from a file, the environment or a terminal, in that order; never from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from mohawk.cli import passwords
from mohawk.cli.main import app
from mohawk.cli.passwords import PasswordSource
from mohawk.config import load_settings
from mohawk.errors import MohawkError, PolicyError, UsageError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.identity import IdentityFolder
from tests.cli.commands import Terminal

FILE, VARIABLE, TYPED = "a password from a file", "a password from the environment", "a password that was typed"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(FILE + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A terminal at which somebody types; what was asked."""
    questions: list[str] = []

    def prompt(text: str, **_options: object) -> str:
        questions.append(text)
        return TYPED

    monkeypatch.setattr(passwords.sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(typer, "prompt", prompt)
    return questions


def test_the_order(file: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert PasswordSource().to_make("it") == TYPED.encode()
    monkeypatch.setenv("MIE_KEY_PASSWORD", VARIABLE)
    assert PasswordSource().to_make("it") == VARIABLE.encode()
    assert PasswordSource(file).to_make("it") == FILE.encode()
    assert PasswordSource(file).to_open(is_encrypted=True) == FILE.encode()
    assert len(asked) == 1


def test_nobody_is_asked_for_what_is_not_needed_nor_twice(asked: list[str]) -> None:
    source = PasswordSource()
    assert source.to_open(is_encrypted=False) is None
    assert source.to_open(is_encrypted=True) == source.to_open(is_encrypted=True) == TYPED.encode()
    assert len(asked) == 1


def test_without_a_terminal_nobody_is_asked() -> None:
    assert PasswordSource().to_make("it") is None
    assert PasswordSource().to_open(is_encrypted=True) is None


def test_a_short_or_empty_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIE_KEY_PASSWORD", "too short")
    with pytest.raises(UsageError, match="12"):
        PasswordSource().to_make("it")
    empty = tmp_path / "empty"
    empty.touch(mode=0o600)
    with pytest.raises(UsageError, match="empty"):
        PasswordSource(empty).given()


def test_a_file_that_others_may_read(file: Path) -> None:
    file.chmod(0o640)
    with pytest.raises(PolicyError):
        PasswordSource(file).given()


def test_no_command_takes_a_password_as_an_argument() -> None:
    """An option whose value is the secret itself would stand in every process list."""

    def options(group: object) -> list[str]:
        names: list[str] = []
        for command in group.commands.values():  # type: ignore[attr-defined]
            if hasattr(command, "commands"):
                names += options(command)
            names += [name for parameter in command.params for name in parameter.opts]
        return names

    found = [name for name in options(typer.main.get_command(app)) if "pass" in name]
    assert set(found) == {"--password-file", "--key-password-file"}


def test_a_setting_does_not_show_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIE_KEY_PASSWORD", VARIABLE)
    assert VARIABLE not in repr(load_settings())


# ---- commands -------------------------------------------------------------------------------------------------------


def test_an_authority_under_a_password(mohawk: Terminal, file: Path, tmp_path: Path) -> None:
    made = mohawk("pki", "init", "--password-file", file)
    assert made.code == 0
    assert "under a password" in made.out
    assert AuthorityFolder(mohawk.home / "pki").is_encrypted
    out = tmp_path / "w1"
    refused = mohawk("pki", "issue", "worker", "w1", "--out", out)
    assert refused.code == 2
    assert "--password-file" in refused.err
    assert mohawk("pki", "issue", "worker", "w1", "--out", out, "--password-file", file).code == 0
    assert not IdentityFolder(out).is_encrypted, "the authority's password is not the node's"
    assert mohawk("pki", "list").code == 0, "what needs no key asks for no password"


def test_the_environment_opens_it_too(mohawk: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIE_KEY_PASSWORD", VARIABLE)
    assert mohawk("pki", "init").code == 0
    assert mohawk("pki", "issue", "worker", "w1", "--out", tmp_path / "w1").code == 0
    monkeypatch.setenv("MIE_KEY_PASSWORD", "another password")
    wrong = mohawk("pki", "rotate", "issuing")
    assert wrong.code == 2
    assert "wrong password" in wrong.err
    assert "another password" not in wrong.err


def test_an_identity_under_a_password_of_its_own(mohawk: Terminal, file: Path, tmp_path: Path) -> None:
    assert mohawk("pki", "init").code == 0
    out = tmp_path / "w1"
    assert mohawk("pki", "issue", "worker", "w1", "--out", out, "--key-password-file", file).code == 0
    assert IdentityFolder(out).is_encrypted
    with pytest.raises(MohawkError):
        IdentityFolder(out).read()
    assert mohawk("pki", "show", out, "--password-file", file).code == 0
    assert "MIE_KEY_PASSWORD" in mohawk("pki", "show", out).err
