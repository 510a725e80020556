"""The `mohawk` command: assembles the commands, and turns every error into one message, a hint and an exit code.

Nothing heavy is imported here: `mohawk --help` answers within half a second.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mohawk import __version__
from mohawk.cli import (
    apikey,
    attest,
    audit,
    chat,
    controller,
    demo,
    keys,
    model,
    operator,
    pki,
    shell,
    status,
    up,
    worker,
)
from mohawk.cli.output import EXIT_INTERRUPTED, print_error
from mohawk.errors import MohawkError

EPILOG = (
    "Exit codes: 0 done, 1 internal error, 2 wrong usage, 3 a peer broke the protocol, "
    "4 refused by identity or policy, 5 broken or unsupported model, 6 unavailable (try again), 130 interrupted."
)

app = typer.Typer(
    name="mohawk",
    help="Serve one private model, split into sealed slices, across machines you do not fully trust.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(pki.app, name="pki")
app.add_typer(attest.app, name="attest")
app.add_typer(model.app, name="model")
app.add_typer(keys.app, name="keys")
app.add_typer(worker.app, name="worker")
app.add_typer(controller.app, name="controller")
app.add_typer(operator.app, name="operator")
app.add_typer(audit.app, name="audit")
app.add_typer(apikey.app, name="apikey")
app.command()(up.up)
app.command()(demo.demo)
app.command()(chat.chat)
app.command()(status.status)
app.command()(shell.shell)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mohawk {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except MohawkError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
