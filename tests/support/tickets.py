"""Step tickets for tests: real ones over a shared exporter, and unsealed ones where sealing is not the subject."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mohawk.audit.events import AuditEvent
from mohawk.channel.record import Direction, Expectation, Opener, Sealer, Transcript
from mohawk.channel.replay import InOrder, Replay
from mohawk.channel.tls import SessionInfo
from mohawk.contract.codec import encode_part
from mohawk.contract.messages import Route
from mohawk.contract.steps import StagePart, Step
from mohawk.controller.pipeline import Clock, Pipeline, SendStep
from mohawk.controller.tickets import TicketWriter
from mohawk.identity.certificates import PeerIdentity
from mohawk.identity.names import NodeName
from mohawk.nouns.model import DataType
from mohawk.worker.tickets import TicketReader
from tests.support.audit import Heard

PLAN = hashlib.sha256(b"plan").digest()
CONNECTION = hashlib.sha256(b"connection").digest()[:16]
CONTROLLER = "spiffe://mesh.example/controller/c1"
WORKER = "spiffe://mesh.example/worker/w1"
PROFILE = "mie-default"
WIDTH = 8
TRANSCRIPT = Transcript(
    profile=PROFILE,
    controller=CONTROLLER,
    worker=WORKER,
    controller_leaf="aa" * 32,
    worker_leaf="bb" * 32,
    plan=PLAN,
    evidence=bytes(32),
    connection_id=CONNECTION,
)
EXPECTATION = Expectation(PLAN, 1, 2, WIDTH, 1, 2 * WIDTH * 4).encode()


def export(context: bytes) -> bytes:
    """A connection's exporter: another context, another secret."""
    return hashlib.sha384(b"the secret of one connection" + context).digest()


def make_sealer(transcript: Transcript = TRANSCRIPT, epoch: int = 1, **options: Direction) -> Sealer:
    return Sealer(export, transcript, epoch, **options)


def make_opener(
    replay: Replay | None = None, transcript: Transcript = TRANSCRIPT, epoch: int = 1, **options: Direction
) -> Opener:
    return Opener(export, transcript, epoch, InOrder() if replay is None else replay, **options)


def sequence_of(record: bytes) -> int:
    """The number in a record's header (docs/spec/tickets.md 3)."""
    return int.from_bytes(record[9:17], "big")


def with_sequence(record: bytes, sequence: int) -> bytes:
    return record[:9] + sequence.to_bytes(8, "big") + record[17:]


class Unsealed:
    """In place of a `TicketWriter`, where a test reads what a stage is told."""

    seal = staticmethod(encode_part)


def plain_pipeline(
    send: SendStep,
    *workers: str,
    epoch: int = 1,
    events: list[AuditEvent] | None = None,
    clock: Clock = time.monotonic,
) -> Pipeline:
    """A pipeline whose tickets anybody reads."""
    heard = Heard([] if events is None else events)
    pipeline = Pipeline(send, note=heard.note, clock=clock)
    pipeline.rekey(epoch, tuple(Unsealed() for _ in workers), workers[-1])  # type: ignore[misc]
    return pipeline


def make_route(epoch: int = 1, stage: int = 0, previous: str = CONTROLLER, **changes: object) -> Route:
    return replace(Route(epoch, None, previous, PLAN, stage, CONNECTION, "slice_0_0"), **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Ends:
    """Both ends of one control connection, as `controller.tickets` and `worker.tickets` see it."""

    controller: SessionInfo
    worker: SessionInfo

    def writer(self, route: Route, width: int = WIDTH, compute: DataType = DataType.FLOAT32) -> TicketWriter:
        return TicketWriter(self.controller, route, (width, compute))

    def reader(self, route: Route) -> TicketReader:
        return TicketReader(self.worker, route)


def make_ends() -> Ends:
    """A connection that was never made: the two ends agree on its secret, which is all that tickets need."""
    return Ends(make_session(WORKER, "bb" * 32, "aa" * 32), make_session(CONTROLLER, "aa" * 32, "bb" * 32))


def make_session(peer: str, leaf: str = "", own: str = "", **changes: object) -> SessionInfo:
    """What one end knows of a connection that was never made."""
    name = NodeName.parse(peer)
    identity = PeerIdentity(name, 1, datetime(2100, 1, 1, tzinfo=UTC), leaf, b"")
    session = SessionInfo(
        "TLSv1.3",
        "X25519MLKEM768",
        "x",
        "mie/1",
        identity,
        identity.not_after,
        lambda _c, _l: b"",
        export,
        PROFILE,
        NodeName.parse(CONTROLLER if peer == WORKER else WORKER),
        own,
        lambda _m: b"",
    )
    return replace(session, **changes)  # type: ignore[arg-type]


def make_step(writer: TicketWriter, part: StagePart, number: int = 1, rest: tuple[bytes, ...] = ()) -> Step:
    return Step(number, 1, (writer.seal(replace(part, number=number)), *rest))
