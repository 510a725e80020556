"""Sealing each stage's part of a step to that stage alone (docs/spec/tickets.md)."""

from __future__ import annotations

from collections.abc import Sequence

from mohawk.artifact.manifest import Manifest
from mohawk.artifact.sealed_slice import Run
from mohawk.channel.record import CONNECTION_ID_SIZE, Expectation, Sealer, Transcript
from mohawk.channel.tls import SessionInfo
from mohawk.contract.codec import encode_part
from mohawk.contract.evidence import SOFTWARE
from mohawk.contract.messages import Route
from mohawk.contract.steps import ElementType, StagePart
from mohawk.crypto import canonical
from mohawk.crypto.primitives import random_bytes, sha256
from mohawk.nouns.model import DataType


def plan_digest(manifest: Manifest, stages: Sequence[tuple[str, Run]]) -> bytes:
    """SHA-256 of which worker (SPIFFE id) holds which slices, in order (docs/spec/tickets.md 2)."""
    listed: list[canonical.Json] = [
        {"slices": [part.digest for part in run], "worker": worker} for worker, run in stages
    ]
    return sha256(canonical.encode({"manifest": sha256(manifest.encode()), "stages": listed}))


def new_connection_id() -> bytes:
    """Tells the tickets of two routes apart, even over one connection."""
    return random_bytes(CONNECTION_ID_SIZE)


class TicketWriter:
    """One stage's tickets. `tensor`: (width, element type) of the activations between stages; `evidence`: digest of
    what the worker showed of its machine when its key was released.
    """

    def __init__(
        self, session: SessionInfo, route: Route, tensor: tuple[int, DataType], evidence: bytes = SOFTWARE
    ) -> None:
        transcript = Transcript(
            profile=session.profile,
            controller=str(session.own_name),
            worker=str(session.peer.name),
            controller_leaf=session.own_leaf,
            worker_leaf=session.peer.leaf_digest,
            plan=route.plan,
            evidence=evidence,
            connection_id=route.connection_id,
        )
        self._sealer = Sealer(session.record_secret, transcript, route.epoch)
        self._route = route
        self._width, compute = tensor
        self._element = ElementType[compute.value]
        self._row_bytes = self._width * compute.size

    def seal(self, part: StagePart) -> bytes:
        """A ticket that opens once, at this stage, beside a tensor of exactly this shape."""
        route, rows = self._route, part.rows
        if route.stage == 0:
            expectation = Expectation(route.plan, 0, 0, 0, 0, 0)
        else:
            length = rows * self._row_bytes
            expectation = Expectation(route.plan, route.stage, rows, self._width, self._element, length)
        return self._sealer.seal(encode_part(part), expectation.encode())
