"""`mohawk worker`: join by a token, and run: started by hand, or by `mohawk up` as its child."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.output import json_text, print_json
from mohawk.cli.passwords import PasswordFileOption, PasswordSource
from mohawk.cli.places import Places, audit_beside
from mohawk.errors import PolicyError, UsageError

if TYPE_CHECKING:
    from mohawk.host.attester import Attester
    from mohawk.host.identity import IdentityPlace, NodeIdentity
    from mohawk.identity.credentials import NodeCredentials

SPIN_COUNT = "5000"
"""OpenMP threads spin that long before they sleep. The default (forever, nearly) takes the cores from the worker whose
turn it is: 40 % of the tokens per second. Less than this costs speed where nothing else computes; more costs it where
anything does, since threads then spin in wait for one that is not let run (bench/README.md).
"""

app = typer.Typer(help="Hold one sealed slice and compute.", no_args_is_help=True)

IdentityOption = Annotated[
    Path | None,
    typer.Option(help="Identity folder; without it, the files of MIE_WORKER_CERT_PATH and MIE_WORKER_KEY_PATH."),
]


@app.callback()
def _worker() -> None:
    pass


@app.command("join")
def join_cluster(
    token: Annotated[str, typer.Argument(help="From `mohawk pki token`; - reads it from standard input.")],
    identity: IdentityOption = None,
    password_file: PasswordFileOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Become a node: make a key here, and have the token's controller certify it. On a machine that others use, give
    the token by standard input: command lines are public there.
    """
    from mohawk.host.files import make_private_folder
    from mohawk.host.memory import harden_process
    from mohawk.host.standing_file import save_standing
    from mohawk.identity.join_token import parse_token
    from mohawk.worker.joining import join

    harden_process()
    parsed = parse_token((sys.stdin.readline() if token == "-" else token).strip())  # noqa: S105 - a dash, no secret
    place = open_place(identity, PasswordSource(password_file).to_make("the worker's key"))
    joined = asyncio.run(join(parsed, datetime.now(UTC)))
    make_private_folder(place.trust_file.parent)
    save_standing(joined.standing, place.trust_file)
    place.write(joined.identity)
    leaf = joined.identity.credentials.chain[0]
    if json:
        print_json({"name": str(parsed.name), "not_after": leaf.not_after.isoformat(), "serial": f"{leaf.serial:x}"})
        return
    typer.echo(f"joined as {parsed.name}; the certificate is renewed by itself while the worker runs")
    typer.echo("next: mohawk worker run" + (f" --identity {identity}" if identity is not None else ""))


@app.command("run")
def run_worker(
    identity: IdentityOption = None,
    password_file: PasswordFileOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on; never every interface by omission.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 lets the system choose.")] = 8003,
    store: Annotated[Path | None, typer.Option(help="Folder for sealed slices.")] = None,
    quota: Annotated[int, typer.Option(min=1, help="Most GiB of sealed slices in the store.")] = 1024,
    threads: Annotated[int, typer.Option(min=0, help="Compute threads; 0: one per core.")] = 0,
    tpm: Annotated[Path | None, typer.Option(help="This machine's TPM, for attestation: /dev/tpmrm0.")] = None,
    firmware_log: Annotated[Path | None, typer.Option(help="The firmware's event log, if not the kernel's.")] = None,
    identity_fd: Annotated[int, typer.Option(hidden=True, help="Inherited pipe with the identity.")] = -1,
    json: Annotated[bool, typer.Option("--json", help="Announce the port as JSON.")] = False,
) -> None:
    """Run a worker until Ctrl-C. It starts empty; a controller brings its slice and the key."""
    from mohawk.config import load_settings
    from mohawk.host.code_digest import code_digest
    from mohawk.host.lives import live
    from mohawk.host.memory import harden_process

    os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)  # read by OpenMP when torch loads it, which is next
    from mohawk.worker.main import WorkerOptions, run
    from mohawk.worker.service import Ending

    harden_process()
    settings = load_settings()
    place = open_place(identity, None) if identity_fd < 0 else None
    code = code_digest() if tpm is not None else b""

    def serve(left: bytes) -> bytes | None:
        """Until it ends. Where it listened, when another is to follow it there, with nothing of its memory."""
        opened = _unlock(place, identity, password_file) if place is not None else None
        found = opened.read() if opened is not None else _read_pipe(identity_fd)
        found.credentials.check(datetime.now(UTC))  # an expired identity shows here, not at the first handshake
        folder = store or Places(settings.home).worker(found.credentials.name.name)
        keep: Callable[[NodeCredentials], None] = opened.renew if opened is not None else _keep_nothing
        trust_file = opened.trust_file if opened is not None else folder / "trust.json"
        options = WorkerOptions(
            identity=found,
            host=host,
            port=int(left or port),
            store=folder,
            quota=quota << 30,
            threads=threads,
            lifeline=identity_fd,
            trust_file=trust_file,
            audit=audit_beside(folder),
            attester=open_attester(tpm, trust_file.parent, firmware_log) if tpm is not None else None,
            code=code,
            keep=keep,
        )
        ports: list[int] = []

        def announce(bound: int) -> None:
            ports.append(bound)
            _announce(json, host, bound)

        ending = run(options, announce)
        if ending is Ending.REVOKED:
            raise PolicyError("this worker was revoked", hint="two operators lift a revocation: mohawk operator lift")
        return str(ports[0]).encode() if ending is Ending.KEY_LOST else None

    if place is not None:
        live(serve)
    else:
        serve(b"")  # whoever holds its lifeline starts it again


def open_attester(device: Path, folder: Path, log: Path | None) -> Attester:
    """This machine's TPM, for the node whose identity lies in `folder`."""
    from mohawk.host.attester import FIRMWARE_LOG, Attester

    return Attester(device, folder, log or FIRMWARE_LOG)


def open_place(folder: Path | None, password: bytes | None) -> IdentityPlace:
    """Where this worker's identity lies: `folder`, or what the settings name. Raises UsageError."""
    from mohawk.config import load_settings
    from mohawk.host.identity import IdentityFolder
    from mohawk.host.identity_files import IdentityFiles

    if folder is not None:
        return IdentityFolder(folder, password)
    settings = load_settings()
    certificate, key = settings.worker_cert_path, settings.worker_key_path
    if certificate is None or key is None:
        missing = "MIE_WORKER_KEY_PATH" if certificate is not None else "MIE_WORKER_CERT_PATH"
        if certificate is not None or key is not None:
            raise UsageError(f"{missing} is not set", hint="set both, or give --identity DIR", field=missing)
        hint = "join by a token: mohawk worker join TOKEN --identity DIR, then --identity DIR here"
        raise UsageError("a worker needs an identity", hint=hint, field="identity")
    return IdentityFiles(certificate, key, password)


def _unlock(place: IdentityPlace, folder: Path | None, password_file: Path | None) -> IdentityPlace:
    """The same place, with the password that its key asks for."""
    return open_place(folder, PasswordSource(password_file).to_open(is_encrypted=place.is_encrypted))


def _read_pipe(descriptor: int) -> NodeIdentity:
    from mohawk.host.identity import NodeIdentity
    from mohawk.host.lifeline import read_secrets
    from mohawk.host.publisher_file import parse_pins
    from mohawk.host.yaml_file import parse_yaml
    from mohawk.identity.credentials import parse
    from mohawk.identity.policy import parse_policy

    identity, pins, policy = read_secrets(descriptor)
    return NodeIdentity(parse(identity), parse_pins(pins), parse_policy(parse_yaml(policy, "requirements.yaml")))


def _keep_nothing(_credentials: NodeCredentials) -> None:
    """An identity from a pipe is issued anew at the next start."""


def _announce(as_json: bool, host: str, port: int) -> None:
    typer.echo(json_text({"host": host, "port": port}) if as_json else f"worker listening on {host}:{port}")
