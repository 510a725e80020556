"""`mohawk demo`: the main job on a model that comes along, and a look at what it left on the wire and the disks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.signals import Interruption

if TYPE_CHECKING:
    from mohawk.cli.demonstration import Demonstration


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the HTTPS API; 0: any.")] = 0,
    home: Annotated[Path | None, typer.Option(help="Keep state here instead of in a temporary folder.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Seal a small model into three slices, serve it on three workers, ask three questions, show what was protected."""
    from mohawk.cli.demonstration import Demonstration
    from mohawk.host.memory import harden_process

    harden_process()
    ended = asyncio.run(_run(Demonstration(home=home, port=port, as_json=json), keep=keep))
    if ended:
        raise typer.Exit(ended)


async def _run(demonstration: Demonstration, *, keep: bool) -> int:
    interruption = Interruption()
    try:
        is_clean = await interruption.guard(demonstration.run())
        if keep:
            typer.echo("still running (--keep); Ctrl-C stops")
            await interruption.wait()
        return 0 if is_clean else 1
    finally:
        await demonstration.stop()
