"""`mohawk status`: what runs where, and how each hop is protected, over the operators' port."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mohawk.cli.output import human_bytes, print_json, print_table
from mohawk.cli.places import Places

if TYPE_CHECKING:
    from mohawk.contract.messages import StatusReply


def status(
    host: Annotated[str, typer.Option(help="The controller's address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The controller's operator port.")] = 8004,
    controller: Annotated[str, typer.Option(help="The controller's node name.")] = "controller",
    identity: Annotated[Path | None, typer.Option(help="Operator identity folder.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Show the running cluster: per hop version, group, suite, peer and round trip; per slice where, bytes, digest."""
    from mohawk.client.operator import fetch_status
    from mohawk.host.identity import read_node_identity

    credentials = read_node_identity(identity or Places.load().operator)
    reply = asyncio.run(fetch_status(credentials, host, port, controller))
    if json:
        print_json(asdict(reply))
    else:
        print_status(reply)


def print_status(reply: StatusReply) -> None:
    """The status as three tables."""
    print_table(
        f"{reply.model_id} · revision {reply.revision[:12]} · {reply.compute} · up {reply.uptime_seconds} s",
        ("sequences", "waiting", "KV tokens", "model key"),
        [
            (
                reply.running_sequences,
                reply.waiting_sequences,
                f"{reply.kv_tokens_used} of {reply.kv_tokens_total}",
                reply.key_provider,
            )
        ],
    )
    print_table(
        "slices",
        ("slice", "worker", "state", "evidence", "sealed", "in memory", "locked", "sent", "refused tickets", "sha-256"),
        [
            (
                worker.slice_id,
                f"{worker.name} {worker.address}",
                worker.state.name.lower(),
                worker.evidence,
                human_bytes(worker.sealed_bytes),
                human_bytes(worker.weight_bytes),
                human_bytes(worker.locked_bytes),
                human_bytes(worker.sent_bytes),
                worker.refused_tickets,
                worker.slice_digest[:16],
            )
            for worker in reply.workers
        ],
    )
    print_table(
        "hops",
        ("from", "to", "version", "group", "suite", "peer", "round trip"),
        [
            (
                hop.origin,
                hop.target,
                *(
                    (hop.session.version, hop.session.group, hop.session.suite, hop.session.peer)
                    if hop.session
                    else ("not connected", "", "", "")
                ),
                f"{hop.session.rtt_microseconds} us" if hop.session and hop.session.rtt_microseconds else "",
            )
            for hop in reply.hops
        ],
    )
