"""`mohawk shell`: a shell in which any OpenAI client finds the running server."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from mohawk.cli.places import Places
from mohawk.errors import UnavailableError


def client_environment(places: Places) -> dict[str, str]:
    """The variables that OpenAI clients read. The key is read from its 0600 file. Raises UnavailableError."""
    from mohawk.host.files import read_file
    from mohawk.host.identity import read_api_key

    if not places.api_url.exists():
        raise UnavailableError("no server was started here", hint="start one with `mohawk up`")
    return {
        "OPENAI_BASE_URL": read_file(places.api_url, 4096).decode("ascii").strip(),
        "OPENAI_API_KEY": read_api_key(places.api_key),
        "SSL_CERT_FILE": str(places.api_root),
    }


def shell(
    command: Annotated[list[str] | None, typer.Argument(help="Run this instead of a shell (after --).")] = None,
) -> None:
    """Open a shell with OPENAI_BASE_URL, OPENAI_API_KEY and SSL_CERT_FILE set for the running server."""
    environment = os.environ | client_environment(Places.load())
    arguments = command or [os.environ.get("SHELL", "/bin/sh")]
    if not command and sys.stderr.isatty():
        typer.echo(f"OpenAI clients in this shell use {environment['OPENAI_BASE_URL']}; leave it with exit", err=True)
    os.execvpe(arguments[0], arguments, environment)  # noqa: S606 - the user's own command, no shell in between
