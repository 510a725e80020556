"""`mohawk pki rotate`: replace what signs, under running nodes (docs/spec/identity.md 7)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mohawk.cli.authority import FolderOption, JsonOption, open_authority
from mohawk.cli.command_log import command_log
from mohawk.cli.output import print_json
from mohawk.cli.passwords import PasswordFileOption, PasswordSource

if TYPE_CHECKING:
    from mohawk.audit.events import RecordEvent
    from mohawk.host.authority import AuthorityFolder

app = typer.Typer(
    help="Replace the issuing authority, or the root in three steps: introduce, activate, retire.", no_args_is_help=True
)


@app.command("issuing")
def rotate_issuing(
    folder: FolderOption = None, password_file: PasswordFileOption = None, json: JsonOption = False
) -> None:
    """A new issuing authority under the same root. A running controller renews every node's certificate at once."""
    from mohawk.host import rotation

    def step(authority: AuthorityFolder, record: RecordEvent) -> None:
        rotation.rotate_issuing(authority, datetime.now(UTC), record)

    _do(step, folder, password_file, "the issuing authority was replaced", as_json=json)


@app.command()
def introduce(folder: FolderOption = None, password_file: PasswordFileOption = None, json: JsonOption = False) -> None:
    """Step 1: a new root, which nodes pin beside the old one. Needs root.key in the folder."""
    from mohawk.host import rotation

    def step(authority: AuthorityFolder, record: RecordEvent) -> None:
        rotation.introduce_root(authority, datetime.now(UTC), record)

    done = "a new root was introduced; when every node runs or has run since, `mohawk pki rotate activate`"
    _do(step, folder, password_file, done, as_json=json)


@app.command()
def activate(folder: FolderOption = None, password_file: PasswordFileOption = None, json: JsonOption = False) -> None:
    """Step 2: certificates come from under the new root; nodes renew theirs."""
    from mohawk.host import rotation

    done = "the new root is in use; after a day no old certificate is left: `mohawk pki rotate retire`"
    _do(rotation.activate_root, folder, password_file, done, as_json=json)


@app.command()
def retire(folder: FolderOption = None, password_file: PasswordFileOption = None, json: JsonOption = False) -> None:
    """Step 3: nodes pin the new root only."""
    from mohawk.host import rotation

    def step(authority: AuthorityFolder, record: RecordEvent) -> None:
        rotation.retire_root(authority, record)

    done = "the old root is retired; copy the new root.key to a safe place offline and delete it here"
    _do(step, folder, password_file, done, as_json=json)


def _do(
    step: Callable[[AuthorityFolder, RecordEvent], None],
    folder: Path | None,
    password_file: Path | None,
    done: str,
    *,
    as_json: bool,
) -> None:
    from mohawk.host.memory import harden_process

    harden_process()
    authority = open_authority(folder, PasswordSource(password_file))
    with command_log() as record:
        step(authority, record)
    if as_json:
        roots = authority.root_set()
        print_json({"issuing": authority.issuing_certificate().pin, "roots": sorted(roots.pins), "set": roots.number})
    else:
        typer.echo(done)
