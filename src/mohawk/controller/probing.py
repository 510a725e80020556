"""Workers measured before they get a stage: memory, compute, link (docs/spec/planning.md 1).

All are measured at once, for that is how they will serve: those that share a machine share its cores in the measurement
too. One that serves goes on: each pass that is timed is a turn between two steps.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from statistics import median

from mohawk.contract.probing import PADDING_BYTES, ProbePoint, ProbeStage, StageProbed
from mohawk.controller.member import Member
from mohawk.controller.tasks import gather_or_cancel
from mohawk.errors import RemoteError, UnavailableError
from mohawk.planning.cost import Curve, WorkerProfile

PROBE_ROWS = (1, 2, 4, 8, 16, 32, 128)
"""Steps that decode so many sequences; the last one is a prompt."""
_LINK_ROUNDS = 7
_LEAST_DIFFERENCE = 1e-6
"""Of two times that a clock tells apart: a link within a machine is faster than can be measured this way."""


async def probe_memory(members: Sequence[Member], order: ProbeStage) -> dict[str, int]:
    """Bytes that each worker could give a stage. Raises RemoteError, UnavailableError."""
    asked = replace(order, rows=())
    answers = await gather_or_cancel(member.probe(asked) for member in members)
    return {member.name: answer.memory_bytes for member, answer in zip(members, answers, strict=True)}


async def probe_workers(
    members: Sequence[Member], order: ProbeStage, may_hold_ends: Collection[str]
) -> tuple[WorkerProfile, ...]:
    """Everything of each, all at once. `may_hold_ends`: names; empty: everybody. Raises RemoteError,
    UnavailableError.
    """
    profiles = await gather_or_cancel(probe_worker(member, order) for member in members)
    if not may_hold_ends:
        return tuple(profiles)
    return tuple(replace(profile, may_hold_ends=profile.name in may_hold_ends) for profile in profiles)


async def probe_worker(member: Member, order: ProbeStage) -> WorkerProfile:
    """Raises RemoteError, UnavailableError: it has no room to be measured, or is gone."""
    round_trip, bandwidth = await _probe_link(member)
    answer = await member.probe(order)
    _check_rows(answer, order)
    layer = _curve(answer.layer)
    if layer is None:
        raise UnavailableError(f"{member.name} has no room to measure even one layer", hint="give it more memory")
    embedding, head = _curve(answer.embedding), _curve(answer.head)
    return WorkerProfile(member.name, answer.memory_bytes, layer, embedding, head, round_trip, bandwidth)


async def _probe_link(member: Member) -> tuple[float, float]:
    """Round trip (s) and bandwidth (bytes/s): medians of several questions, without and with bytes in them."""
    empty = [await member.probe_link(b"") for _ in range(_LINK_ROUNDS)]
    full = [await member.probe_link(bytes(PADDING_BYTES)) for _ in range(_LINK_ROUNDS)]
    return median(empty), PADDING_BYTES / max(median(full) - median(empty), _LEAST_DIFFERENCE)


def _check_rows(answer: StageProbed, order: ProbeStage) -> None:
    for points in (answer.layer, answer.embedding, answer.head):
        if points and tuple(point.rows for point in points) != order.rows:
            raise RemoteError("a worker measured something else than it was asked for")


def _curve(points: tuple[ProbePoint, ...]) -> Curve | None:
    return Curve(tuple((point.rows, point.nanoseconds / 1e9) for point in points)) if points else None
