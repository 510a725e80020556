"""`mohawk up`: one command from a model folder to an OpenAI-compatible server on this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.key_option import KeyOption, choose_provider
from mohawk.cli.output import print_json, progress_bars
from mohawk.cli.passwords import PasswordFileOption, PasswordSource
from mohawk.cli.places import Places
from mohawk.cli.signals import Interruption
from mohawk.host.garbage import spare_what_stays

if TYPE_CHECKING:
    from mohawk.cli.deployment import Deployment


def up(
    model: Annotated[
        Path | None, typer.Argument(help="Model folder, plain or sealed; default: the demo model.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-n", min=1, help="Worker processes, one stage each.")] = 2,
    spares: Annotated[int, typer.Option(min=0, help="Workers more, that stand by for a lost one.")] = 0,
    dtype: Annotated[str, typer.Option(help="auto, float32 or bfloat16.")] = "auto",
    kv_tokens: Annotated[int, typer.Option(min=0, help="Tokens of KV on each stage; 0: eight contexts.")] = 0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the HTTPS API.")] = 8443,
    operator_port: Annotated[int, typer.Option(min=0, max=65535, help="Port for `mohawk status`.")] = 8004,
    key: KeyOption = None,
    password_file: PasswordFileOption = None,
    join_host: Annotated[str, typer.Option(help="Address of the join port.")] = "127.0.0.1",
    join_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Let workers join here (8002).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Announce readiness as one JSON document.")] = False,
) -> None:
    """Seal a model, start workers and a controller, and serve it until Ctrl-C."""
    from mohawk.cli.deployment import Deployment, DeploymentOptions, parse_compute
    from mohawk.config import load_settings
    from mohawk.host.authority import AuthorityFolder
    from mohawk.host.memory import harden_process

    harden_process()
    settings = load_settings()
    passwords = PasswordSource(password_file)
    authority = AuthorityFolder(Places(settings.home).pki)
    options = DeploymentOptions(
        model,
        workers,
        choose_provider(key, settings),
        parse_compute(dtype),
        kv_tokens,
        port,
        operator_port,
        join_host,
        join_port,
        spares,
        password=passwords.to_open(is_encrypted=authority.is_encrypted) if authority.exists else passwords.given(),
    )
    with progress_bars() as report:
        deployment = Deployment(settings, options, report)
        asyncio.run(_serve(deployment, json))


async def _serve(deployment: Deployment, as_json: bool) -> None:
    interruption = Interruption()
    try:
        await interruption.guard(_start(deployment))
        announce(deployment, as_json=as_json)
        spare_what_stays()
        await interruption.wait()
    finally:
        await deployment.stop()


async def _start(deployment: Deployment) -> None:
    authority = await deployment.prepare()
    await deployment.start_workers(authority)
    await deployment.start_controller(authority)
    await deployment.start_api(authority)


def announce(deployment: Deployment, *, as_json: bool) -> None:
    """How to reach what now runs."""
    assert deployment.controller is not None  # it has started
    places = deployment.places
    facts = {
        "OPENAI_BASE_URL": deployment.base_url,
        "SSL_CERT_FILE": str(places.api_root),
        "OPENAI_API_KEY": f"(in {places.api_key})",
    }
    if as_json:
        extra = {"api_key_file": str(places.api_key), "model": deployment.controller.engine.model_id}
        ports = {"operator_port": deployment.operator_port, "join_port": deployment.controller.join_port}
        print_json(facts | extra | ports)
        return
    options = deployment.options
    workers = f"{options.workers} workers" + (f", {options.spares} more stand by" if options.spares else "")
    typer.echo(f"serving {deployment.controller.engine.model_id} on {workers}")
    for name, value in facts.items():
        typer.echo(f"  {name}={value}")
    typer.echo("next: `mohawk shell` opens a shell with these set; `mohawk chat`, `mohawk status`; Ctrl-C stops")
