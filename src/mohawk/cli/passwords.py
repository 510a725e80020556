"""Passwords of private keys: from a file, from MIE_KEY_PASSWORD, or typed on a terminal, in that order. Never from the
command line: other users and shell histories read that.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from mohawk.errors import UsageError

PasswordFileOption = Annotated[
    Path | None, typer.Option(help="0600 file with the password of encrypted keys (or set MIE_KEY_PASSWORD).")
]
SHORTEST = 12
"""Bytes. scrypt makes a guess cost a tenth of a second; a short password makes few guesses enough."""
_LONGEST = 1024


@dataclass(slots=True)
class PasswordSource:
    """One command's password, asked for at most once, and only when something needs it."""

    file: Path | None = None
    _typed: bytes | None = None

    def given(self) -> bytes | None:
        """What file or environment say; None when neither does. Raises HostError, PolicyError (others may read the
        file), UsageError (an empty one).
        """
        from mohawk.config import load_settings
        from mohawk.host.files import read_file

        if self.file is not None:
            password = read_file(self.file, _LONGEST, private=True).rstrip(b"\r\n")
        else:
            variable = load_settings().key_password
            if variable is None:
                return None
            password = variable.get_secret_value().encode()
        if not password:
            raise UsageError("an empty password", hint="leave it out where the keys are not to be encrypted")
        return password

    def to_open(self, *, is_encrypted: bool) -> bytes | None:
        """For keys that exist. None when they are in clear; and when they are not but nobody is there to ask: opening
        them then says what to do.
        """
        if not is_encrypted:
            return None
        if self._typed is None:
            self._typed = self.given()
        if self._typed is None and sys.stdin.isatty():
            self._typed = _ask("Password of the keys", confirm=False)
        return self._typed

    def to_make(self, what: str) -> bytes | None:
        """For keys that are about to be made; None: in clear. Raises UsageError: too short."""
        password = self.given()
        if password is None and sys.stdin.isatty():
            password = _ask(f"Password for {what} (empty: none)", confirm=True) or None
        if password is not None and len(password) < SHORTEST:
            raise UsageError(f"a password of less than {SHORTEST} bytes", hint="use six random words or more")
        return password


def _ask(prompt: str, *, confirm: bool) -> bytes:
    text: str = typer.prompt(
        prompt, default="", show_default=False, hide_input=True, confirmation_prompt=confirm, err=True
    )
    return text.encode()
