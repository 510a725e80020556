"""Who was refused or cut is told to the audit log, with the word for why, and who it was where that was proven."""

from __future__ import annotations

import logging

import pytest

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.channel.frames import CONTROL_LIMITS
from mohawk.channel.profile import NodeContext
from mohawk.contract.codec import decode
from mohawk.contract.messages import Purpose, StatusRequest
from mohawk.errors import HandshakeError, IdentityError, MohawkError, PolicyError, UnavailableError
from mohawk.identity.names import IdentityRefusedError, NodeName, Reason, Role
from mohawk.transport.refusals import RefusalLog, describe_refusal
from tests.support.audit import Heard
from tests.support.nodes import LOOPS, Recorder, call, run, serving, stranger
from tests.support.tls import Mesh, utc_now

PEER = NodeName("mesh.example", Role.WORKER, "w7")
SOURCE = "10.0.0.9"


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh()


def listening(context: NodeContext, heard: Heard) -> NodeContext:
    """As `Controller` and `Worker` do it."""
    refusals = RefusalLog(logging.getLogger("test"), heard.note)
    context.on_refused, context.on_cut = refusals.refused, refusals.cut
    return context


@pytest.mark.parametrize(
    ("error", "peer", "expected"),
    [
        (HandshakeError("x"), None, (EventKind.CONNECTION_REFUSED, SOURCE, "handshake_failed")),
        (PolicyError("x"), None, (EventKind.CONNECTION_REFUSED, SOURCE, "refused_by_policy")),
        (IdentityRefusedError(Reason.EXPIRED, "x"), None, (EventKind.CONNECTION_REFUSED, SOURCE, "expired")),
        (IdentityRefusedError(Reason.REVOKED, "x"), PEER, (EventKind.CONNECTION_REFUSED, str(PEER), "revoked")),
        (UnavailableError("x"), PEER, (EventKind.CONNECTION_REFUSED, str(PEER), "unavailable")),
        (PolicyError("x"), PEER, (EventKind.ACCESS_REFUSED, str(PEER), "refused_by_policy")),
        (IdentityRefusedError(Reason.WRONG_ROLE, "x"), PEER, (EventKind.ACCESS_REFUSED, str(PEER), "wrong_role")),
        (
            IdentityRefusedError(Reason.WRONG_NAME, "x", peer=PEER),
            None,
            (EventKind.CONNECTION_REFUSED, str(PEER), "wrong_name"),
        ),
    ],
)
def test_the_word_and_the_name(error: MohawkError, peer: NodeName | None, expected: tuple[EventKind, str, str]) -> None:
    event = describe_refusal(SOURCE, error, peer)
    assert (event.kind, event.subject, event.details["reason"]) == expected
    assert event.subject == SOURCE or event.details["source"] == SOURCE


@pytest.mark.parametrize("loop", LOOPS)
def test_a_stranger_and_a_node_without_the_right(mesh: Mesh, loop: str) -> None:
    heard = Heard()
    worker = mesh.context(Role.WORKER, "w1")

    async def main() -> None:
        async with serving(worker, Recorder()) as listener:
            listening(worker, heard)
            async with stranger(listener) as (_, writer):
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                await writer.drain()
            for purpose, context in ((Purpose.CONTROL, mesh.worker), (Purpose.OPERATOR, mesh.controller)):
                with pytest.raises(MohawkError):
                    await call(context, listener, purpose)

    run(main, loop)
    assert sorted((event.kind.value, event.subject, event.details["reason"]) for event in heard.events) == [
        ("access-refused", "spiffe://mesh.example/controller/c1", "access_refused"),
        ("access-refused", "spiffe://mesh.example/worker/w1", "access_refused"),
        ("connection-refused", "127.0.0.1", "handshake_failed"),
    ]


def test_a_dialler_tells_of_the_node_that_answered_in_another_s_place(mesh: Mesh) -> None:
    heard = Heard()
    controller = listening(mesh.context(Role.CONTROLLER, "c1"), heard)

    async def main() -> None:
        async with serving(mesh.worker, Recorder()) as listener:
            with pytest.raises(IdentityError):
                await call(controller, listener, name="w2")

    run(main)
    details = {"reason": "wrong_name", "source": "127.0.0.1"}
    assert heard.events == [AuditEvent(EventKind.CONNECTION_REFUSED, "spiffe://mesh.example/worker/w1", details)]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_live_connection_that_is_cut(mesh: Mesh, loop: str) -> None:
    """By either end, whichever learns of the revocation."""
    heard_worker, heard_controller = Heard(), Heard()
    worker = listening(mesh.context(Role.WORKER, "w1"), heard_worker)
    controller = listening(mesh.context(Role.CONTROLLER, "c1"), heard_controller)

    async def main() -> None:
        async with serving(worker, Recorder()) as listener:
            context = controller
            for ours, theirs in ((worker, "controller/c1"), (controller, "worker/w1")):
                link = await call(context, listener)
                number = ours.standing.deny_list_number + 1
                ours.standing.learn_deny_list(mesh.deny_list(number, f"spiffe://mesh.example/{theirs}"), utc_now())
                await link.closed
                context.standing = worker.standing = mesh.standing()

    run(main, loop)
    details = {"reason": "revoked", "source": "127.0.0.1"}
    cut = EventKind.CONNECTION_CUT
    assert heard_worker.of(cut) == [AuditEvent(cut, "spiffe://mesh.example/controller/c1", details)]
    assert heard_controller.of(cut) == [AuditEvent(cut, "spiffe://mesh.example/worker/w1", details)]


def test_an_ordinary_end_is_no_cut(mesh: Mesh) -> None:
    heard = Heard()
    worker = listening(mesh.context(Role.WORKER, "w1"), heard)

    async def main() -> None:
        async with serving(worker, Recorder()) as listener:
            listening(worker, heard)
            (await call(mesh.controller, listener)).close()
            await (await call(mesh.controller, listener)).cut()

    run(main)
    assert heard.events == []


def test_one_line_a_second_in_the_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("mohawk.transport.refusals.time.monotonic", lambda: now[0])
    heard = Heard()
    refusals = RefusalLog(logging.getLogger("test"), heard.note)
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            refusals.refused(SOURCE, HandshakeError("x"))
            now[0] += 0.1
    assert 3 <= len(caplog.records) <= 4
    assert len(heard.events) == refusals.count == 30


def test_a_peer_that_asks_what_its_role_may_not_is_told_of(mesh: Mesh) -> None:
    """On an established connection: it was let in, and goes too far (Z04)."""
    heard = Heard()
    worker = mesh.context(Role.WORKER, "w1")
    recorder = Recorder()

    async def main() -> None:
        async with serving(worker, recorder) as listener:
            listening(worker, heard)
            link = await call(mesh.controller, listener)
            link.carry(CONTROL_LIMITS, lambda header, _length: decode(header))
            recorder.links[0].carry(CONTROL_LIMITS, lambda header, _length: decode(header))
            link.send(StatusRequest())
            await link.closed

    run(main)
    details = {"reason": "access_refused", "source": "127.0.0.1"}
    assert heard.events == [AuditEvent(EventKind.ACCESS_REFUSED, "spiffe://mesh.example/controller/c1", details)]
