"""What the cluster looks like from the controller: a value for operators, without secrets."""

from __future__ import annotations

from dataclasses import dataclass

from mohawk import __version__
from mohawk.artifact.sealed_slice import Run, run_layers
from mohawk.contract.messages import HopStatus, Session, SliceStatus, StatusReply, WorkerStatus
from mohawk.controller.cluster import Cluster
from mohawk.controller.member import Member
from mohawk.transport.link import Link


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the engine is. Unit of the KV numbers: tokens, on each stage alike."""

    running: int
    waiting: int
    kv_tokens_used: int
    kv_tokens_total: int
    kv_tokens_retained: int


def describe_cluster(cluster: Cluster, load: Load, *, key_provider: str, uptime_seconds: int) -> StatusReply:
    """The answer to an operator's StatusRequest."""
    manifest = cluster.folder.manifest
    return StatusReply(
        software=f"mohawk {__version__}",
        model_id=manifest.model_id,
        revision=manifest.revision,
        key_provider=key_provider,
        compute=cluster.options.compute.value,
        uptime_seconds=uptime_seconds,
        workers=_describe_workers(cluster),
        hops=_describe_hops(cluster),
        running_sequences=load.running,
        waiting_sequences=load.waiting,
        kv_tokens_used=load.kv_tokens_used,
        kv_tokens_total=load.kv_tokens_total,
        kv_tokens_retained=load.kv_tokens_retained,
    )


def _describe_workers(cluster: Cluster) -> tuple[WorkerStatus, ...]:
    """The chain in order, then those that stand by."""
    chain = [_describe_worker(member, run) for member, run in zip(cluster.members, cluster.runs, strict=True)]
    manifest = cluster.folder.manifest
    spares = [
        _describe_worker(member, manifest.find_run(member.layers) if member.layers else (), is_spare=True)
        for member in cluster.spares
    ]
    return (*chain, *spares)


def _describe_worker(member: Member, run: Run, *, is_spare: bool = False) -> WorkerStatus:
    ready = member.ready
    return WorkerStatus(
        name=member.name,
        address=f"{member.target.host}:{member.target.port}",
        state=member.state,
        evidence=member.evidence,
        run_id=run_layers(run).slice_id if run else "",
        slices=tuple(SliceStatus(part.slice_id, part.digest, part.sealed_bytes) for part in run),
        sealed_bytes=sum(part.sealed_bytes for part in run),
        weight_bytes=ready.weight_bytes if ready else 0,
        kv_bytes=ready.kv_bytes if ready else 0,
        locked_bytes=ready.locked_bytes if ready else 0,
        resident_bytes=member.resident_bytes,
        sent_bytes=member.sent_bytes,
        refused_tickets=member.refused_tickets,
        is_spare=is_spare,
    )


def _describe_hops(cluster: Cluster) -> tuple[HopStatus, ...]:
    """Each connection as the end that dialled it saw it."""
    hops = [HopStatus("controller", member.name, _session(member.link, member)) for member in cluster.members]
    for before, after in zip(cluster.members, cluster.members[1:], strict=False):
        hops.append(HopStatus(before.name, after.name, before.next_session))
    return tuple(hops)


def _session(link: Link, member: Member) -> Session:
    session = link.session
    return Session(session.version, session.group, session.suite, str(session.peer.name), member.rtt_microseconds)
