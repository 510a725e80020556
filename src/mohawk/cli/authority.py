"""The operator's authority, opened for a command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.passwords import PasswordSource
from mohawk.cli.places import Places

if TYPE_CHECKING:
    from mohawk.host.authority import AuthorityFolder

FolderOption = Annotated[Path | None, typer.Option("--pki", help="Authority folder (default: in MIE_HOME).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def open_authority(folder: Path | None, passwords: PasswordSource) -> AuthorityFolder:
    """`folder`, or this user's own; its password is found only when its keys ask for one. Raises MohawkError."""
    from mohawk.host.authority import AuthorityFolder

    path = folder or Places.load().pki
    return AuthorityFolder(path, passwords.to_open(is_encrypted=AuthorityFolder(path).is_encrypted))


def closed_authority(folder: Path | None) -> AuthorityFolder:
    """The same for commands that need none of its keys."""
    from mohawk.host.authority import AuthorityFolder

    return AuthorityFolder(folder or Places.load().pki)
