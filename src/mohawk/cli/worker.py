"""`mohawk worker run`: a worker started by hand, or by `mohawk up` as its child."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.output import json_text
from mohawk.cli.places import Places
from mohawk.errors import PolicyError, UsageError

if TYPE_CHECKING:
    from mohawk.crypto.signing import PublisherPins
    from mohawk.identity.credentials import NodeCredentials

SPIN_COUNT = "30000"
"""OpenMP threads of an idle worker spin that long before they sleep. The default (forever, nearly) takes the cores from
the worker whose turn it is: 40 % of the tokens per second (bench/README.md).
"""

app = typer.Typer(help="Hold one sealed slice and compute.", no_args_is_help=True)


@app.callback()
def _worker() -> None:
    pass


@app.command("run")
def run_worker(
    identity: Annotated[Path | None, typer.Option(help="Folder from `mohawk pki issue worker NAME`.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; never every interface by omission.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 lets the system choose.")] = 8003,
    store: Annotated[Path | None, typer.Option(help="Folder for sealed slices.")] = None,
    quota: Annotated[int, typer.Option(min=1, help="Most GiB of sealed slices in the store.")] = 1024,
    threads: Annotated[int, typer.Option(min=0, help="Compute threads; 0: one per core.")] = 0,
    identity_fd: Annotated[int, typer.Option(hidden=True, help="Inherited pipe with the identity.")] = -1,
    json: Annotated[bool, typer.Option("--json", help="Announce the port as JSON.")] = False,
) -> None:
    """Run a worker until Ctrl-C. It starts empty; a controller brings its slice and the key."""
    from mohawk.host.memory import harden_process

    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # read by OpenMP when torch loads it, which is next
    from mohawk.worker.main import WorkerOptions, run
    from mohawk.worker.service import Ending

    harden_process()
    credentials, pins = _read_identity(identity, identity_fd)
    credentials.check(datetime.now(UTC))  # an expired identity shows here, not at the first handshake
    folder = store or Places.load().worker(credentials.name.name)
    keep = partial(_write_down, identity, pins) if identity is not None else _keep_nothing
    options = WorkerOptions(credentials, pins, host, port, folder, quota << 30, threads, identity_fd, keep)
    ports: list[int] = []

    def announce(bound: int) -> None:
        ports.append(bound)
        _announce(json, host, bound)

    ending = run(options, announce)
    if ending is Ending.REVOKED:
        raise PolicyError("this worker was revoked", hint="two operators lift a revocation: mohawk operator lift")
    if ending is Ending.KEY_LOST and identity_fd < 0:
        _begin_anew(ports[0])


def _begin_anew(port: int) -> None:
    """The same command in the same process with nothing of its memory left: exec replaces the whole address space, and
    with it every copy of a key that a library made. The last `--port` wins, so whoever dials finds us where we were.
    A signal that comes meanwhile waits until the new beginning can end in order (`worker.main`).
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    there = ["--port", str(port)]
    command = sys.orig_argv if sys.orig_argv[-2:] == there else [*sys.orig_argv, *there]
    os.execv(sys.executable, command)  # noqa: S606 - our own command line


def _read_identity(folder: Path | None, descriptor: int) -> tuple[NodeCredentials, PublisherPins]:
    from mohawk.host.authority import parse_pins
    from mohawk.host.identity import read_node_identity, read_publisher_pins
    from mohawk.host.lifeline import read_secrets
    from mohawk.identity.credentials import parse

    if descriptor >= 0:
        identity, pins = read_secrets(descriptor)
        return parse(identity), parse_pins(pins)
    if folder is None:
        raise UsageError(
            "a worker needs an identity", hint="mohawk pki issue worker NAME --out DIR, then --identity DIR"
        )
    return read_node_identity(folder), read_publisher_pins(folder)


def _write_down(folder: Path, pins: PublisherPins, credentials: NodeCredentials) -> None:
    """A renewed identity takes the place of the one that this worker was started with."""
    from mohawk.host.identity import write_node_identity

    write_node_identity(folder, credentials, pins)


def _keep_nothing(_credentials: NodeCredentials) -> None:
    """An identity from a pipe is issued anew at the next start."""


def _announce(as_json: bool, host: str, port: int) -> None:
    typer.echo(json_text({"host": host, "port": port}) if as_json else f"worker listening on {host}:{port}")
