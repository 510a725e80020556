"""`mohawk controller run`: a controller started by hand, over workers that run elsewhere."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.authority import open_authority
from mohawk.cli.key_option import KeyOption, name_provider
from mohawk.cli.output import progress_bars
from mohawk.cli.passwords import PasswordFileOption, PasswordSource
from mohawk.cli.places import Places
from mohawk.cli.signals import Interruption
from mohawk.cli.store import adopt_key, open_store
from mohawk.errors import UsageError
from mohawk.host.garbage import spare_what_stays

if TYPE_CHECKING:
    from mohawk.config import Settings
    from mohawk.controller.layout import Layout
    from mohawk.controller.service import ControllerOptions
    from mohawk.identity.certificates import Leaf
    from mohawk.nouns.plan import Plan
    from mohawk.store.database import Database
    from mohawk.transport.dial import Target

app = typer.Typer(help="Plan, place, route and serve.", no_args_is_help=True)


@app.callback()
def _controller() -> None:
    pass


@app.command("run")
def run(
    model: Annotated[Path, typer.Option(help="Sealed model folder.")],
    identity: Annotated[Path, typer.Option(help="Folder from `mohawk pki issue controller NAME`.")],
    worker: Annotated[list[str], typer.Option(help="NAME=HOST:PORT of a worker, in the order of the stages; repeat.")],
    api_identity: Annotated[Path, typer.Option(help="Folder from `mohawk pki issue api HOSTS`.")],
    api_key_file: Annotated[
        Path | None, typer.Option(help="0600 file with an API key, besides those of `mohawk apikey`.")
    ] = None,
    pki: Annotated[Path | None, typer.Option(help="Authority folder (default: in MIE_HOME).")] = None,
    key: KeyOption = None,
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    kv_tokens: Annotated[int, typer.Option(min=0, help="Tokens of KV on each stage; 0: eight contexts.")] = 0,
    host: Annotated[str, typer.Option(help="Address of API and operator port.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the HTTPS API.")] = 8443,
    operator_port: Annotated[int, typer.Option(min=0, max=65535, help="Port for `mohawk status`.")] = 8004,
    join_host: Annotated[str, typer.Option(help="Address of the join port; workers must reach it.")] = "127.0.0.1",
    join_port: Annotated[int, typer.Option(min=0, max=65535, help="Port for `mohawk worker join`.")] = 8002,
    password_file: PasswordFileOption = None,
    spare: Annotated[
        list[str] | None, typer.Option(help="NAME=HOST:PORT of a worker that stands by for a lost one; repeat.")
    ] = None,
    plan: Annotated[
        str, typer.Option(help="auto, even, measured, or a file from `mohawk model plan --explain --json`.")
    ] = "auto",
    may_hold_ends: Annotated[
        list[str] | None, typer.Option(help="Worker that may have the first or last stage; repeat; default: all.")
    ] = None,
) -> None:
    """Serve a sealed model, until Ctrl-C. Waits for workers that do not run yet: they may have to join first."""
    from mohawk.cli.deployment import parse_compute
    from mohawk.config import load_settings
    from mohawk.controller.service import ControllerOptions
    from mohawk.host.audit_trail import AuditTrail
    from mohawk.host.identity import (
        IdentityFolder,
        is_api_identity_encrypted,
        read_api_identity,
        read_api_key,
        read_node_identity,
        read_publisher_pins,
    )
    from mohawk.host.memory import harden_process
    from mohawk.host.sealed_folder import SealedFolder

    harden_process()
    layout, given = parse_plan(plan)
    settings = load_settings()
    folder = SealedFolder.open(model, read_publisher_pins(identity))
    passwords = PasswordSource(password_file)
    is_encrypted = IdentityFolder(identity).is_encrypted
    credentials = read_node_identity(identity, passwords.to_open(is_encrypted=is_encrypted))
    credentials.check(datetime.now(UTC))  # an expired identity shows here, not at the first handshake
    authority = open_authority(pki, passwords)
    authority.issuing()  # without it no deny-list is issued, and no worker lets anybody in: say so now
    authority.policy().check_chain((*credentials.chain, credentials.root))
    options = ControllerOptions(
        credentials=credentials,
        authority=authority,
        folder=folder,
        provider=name_provider(key, settings),
        targets=tuple(parse_target(text) for text in worker),
        spares=tuple(parse_target(text) for text in spare or ()),
        plan=given,
        layout=layout,
        may_hold_ends=tuple(may_hold_ends or ()),
        compute=parse_compute(dtype),
        kv_tokens=kv_tokens,
        maximum_requests=settings.max_concurrent_sessions,
        operator_host=host,
        operator_port=operator_port,
        join_host=join_host,
        join_port=join_port,
        must_have_hardware=settings.tpm_attestation_required,
    )
    api_key = read_api_key(api_key_file) if api_key_file is not None else None
    is_encrypted = is_api_identity_encrypted(api_identity)
    leaf = read_api_identity(api_identity, passwords.to_open(is_encrypted=is_encrypted))
    places = Places(settings.home)
    with closing(AuditTrail(places.audit, str(credentials.name))) as trail, closing(open_store(places)) as store:
        if api_key is not None:
            adopt_key(store, api_key, trail.record)
        options = replace(options, record=trail.record, note=trail.note)
        asyncio.run(_serve(options, leaf, store, (host, port), settings))


async def _serve(
    options: ControllerOptions, leaf: Leaf, store: Database, address: tuple[str, int], settings: Settings
) -> None:
    from mohawk.cli.deployment import open_api
    from mohawk.cli.explaining import sum_up
    from mohawk.controller.service import Controller

    interruption = Interruption()
    told: set[str] = set()

    def waiting(target: Target) -> None:
        if target.name not in told:
            told.add(target.name)
            joins = f"join port {options.join_host}:{controller.join_port}"
            typer.echo(f"waiting for {target.name} at {target.host}:{target.port}; {joins}", err=True)

    controller = Controller(replace(options, waiting=waiting))
    try:
        with progress_bars() as report:
            operator_port = await interruption.guard(controller.start(report))
        if controller.choice is not None:
            typer.echo(sum_up(controller.choice), err=True)
        api = await open_api(controller, leaf, store, address, settings, options.note)
        ports = f"operators on {operator_port}, joins on {controller.join_port}"
        typer.echo(f"serving {controller.engine.model_id} on {address[0]}:{api.port}, {ports}")
        spare_what_stays()
        await interruption.wait()
        await api.close()
    finally:
        await controller.stop()


def parse_plan(text: str) -> tuple[Layout, Plan | None]:
    """`auto`, `even`, `measured`, or a plan's file. Raises UsageError, HostError."""
    from mohawk.controller.layout import Layout
    from mohawk.controller.plan_file import read_plan

    if text in set(Layout):
        return Layout(text), None
    return Layout.EVEN, read_plan(Path(text))


def parse_target(text: str) -> Target:
    """`worker-1=10.0.0.5:8003` -> Target. Raises UsageError."""
    from mohawk.identity.names import Role
    from mohawk.transport.dial import Target

    name, separator, address = text.partition("=")
    host, colon, port = address.rpartition(":")
    if not (separator and colon and name and host and port.isascii() and port.isdecimal()):
        raise UsageError("a worker is given as NAME=HOST:PORT", hint="--worker worker-1=10.0.0.5:8003", field="worker")
    return Target(host.strip("[]"), int(port), Role.WORKER, name)
