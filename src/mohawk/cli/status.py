"""`mohawk status`: what runs where, and how each hop is protected, over the operators' port."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

from mohawk.cli.operator import DEFAULT_CONTROLLER, ControllerOption, IdentityOption, JsonOption, open_client
from mohawk.cli.output import human_bytes, print_json, print_table

if TYPE_CHECKING:
    from mohawk.contract.messages import StatusReply


def status(
    controller: ControllerOption = DEFAULT_CONTROLLER, identity: IdentityOption = None, json: JsonOption = False
) -> None:
    """Show the running cluster: per hop version, group, suite, peer and round trip; per slice where, bytes, digest."""
    reply = asyncio.run(open_client(controller, identity).status())
    if json:
        print_json(asdict(reply))
    else:
        print_status(reply)


def print_status(reply: StatusReply) -> None:
    """The status as four tables."""
    print_table(
        f"{reply.model_id} · revision {reply.revision[:12]} · {reply.compute} · up {reply.uptime_seconds} s",
        ("sequences", "waiting", "KV tokens", "model key"),
        [
            (
                reply.running_sequences,
                reply.waiting_sequences,
                f"{reply.kv_tokens_used} of {reply.kv_tokens_total}, {reply.kv_tokens_retained} kept",
                reply.key_provider,
            )
        ],
    )
    print_table(
        "stages",
        ("layers", "worker", "state", "evidence", "sealed", "in memory", "locked", "sent", "refused tickets"),
        [
            (
                f"{worker.run_id} (spare)" if worker.is_spare else worker.run_id,
                f"{worker.name} {worker.address}",
                worker.state.name.lower(),
                worker.evidence,
                human_bytes(worker.sealed_bytes),
                human_bytes(worker.weight_bytes),
                human_bytes(worker.locked_bytes),
                human_bytes(worker.sent_bytes),
                worker.refused_tickets,
            )
            for worker in reply.workers
        ],
    )
    print_table(
        "slices",
        ("slice", "worker", "sealed", "sha-256"),
        [
            (part.slice_id, worker.name, human_bytes(part.sealed_bytes), part.digest[:16])
            for worker in reply.workers
            for part in worker.slices
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
