"""What a worker tells its audit log: who was not let in, and who handed it tickets that did not open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mohawk.audit.events import AuditEvent, EventKind
from mohawk.contract.codec import encode
from mohawk.contract.messages import Purpose, Route
from mohawk.contract.steps import StagePart, Step
from mohawk.errors import MohawkError
from mohawk.host.slice_store import SliceStore
from mohawk.identity.names import Role
from mohawk.nouns.segment import Segment
from mohawk.transport.dial import Target, dial
from mohawk.transport.link import Link
from mohawk.worker.chain import Chain, RefusedStep
from mohawk.worker.service import Worker
from tests.e2e.inside import Site
from tests.support.audit import Heard
from tests.support.nodes import run
from tests.support.tickets import WIDTH, make_ends, make_route

PREVIOUS = "spiffe://mesh.example/worker/w1"


class NoStation:
    """A stage that is never reached."""

    def expect(self, body_length: int) -> tuple[int, int, int]:
        return 1, WIDTH, 1


async def no_next(_route: Route) -> Link:
    raise AssertionError("the last stage")


def test_a_ticket_that_does_not_open_is_told_of_whoever_handed_it_on() -> None:
    heard, ends = Heard(), make_ends()
    route = make_route(stage=1, previous=PREVIOUS)
    chain = Chain(NoStation(), no_next, heard.note)  # type: ignore[arg-type]
    run(chain.set_route(route, ends.reader(route)))
    ticket = ends.writer(route).seal(StagePart((Segment(7, 0, 1, sample=True),), number=1))
    forged = ticket[:-1] + bytes([ticket[-1] ^ 1])
    for _ in range(3):
        assert isinstance(chain._admit(encode(Step(1, 1, (forged,))), WIDTH * 4), RefusedStep)
    assert heard.events == [AuditEvent(EventKind.TICKETS_REFUSED, PREVIOUS)] * 3
    assert chain.refused_tickets == 3


def test_whoever_is_not_let_in_is_told(tmp_path: Path) -> None:
    site, heard = Site(tmp_path / "home"), Heard()

    async def main() -> None:
        made, store = site.worker("w1")
        worker = Worker(replace(made._settings, record=heard.record, note=heard.note), store)
        target = Target("127.0.0.1", await worker.open(), Role.WORKER, "w1")
        for role, purpose in ((Role.OPERATOR, Purpose.CONTROL), (Role.WORKER, Purpose.STEP)):
            with pytest.raises(MohawkError):
                await dial(site.context(role, "stranger"), target, purpose)
        await worker.close()
        await made.close()
        store.close()

    run(main)
    assert [(event.kind, event.subject, event.details["reason"]) for event in heard.events] == [
        (EventKind.ACCESS_REFUSED, "spiffe://mesh.example/operator/stranger", "access_refused"),
        (EventKind.ACCESS_REFUSED, "spiffe://mesh.example/worker/stranger", "refused_by_policy"),
    ]


def test_its_log_lies_in_its_store_and_is_no_slice(tmp_path: Path) -> None:
    from mohawk.cli.places import audit_beside
    from mohawk.host.audit_trail import AuditTrail

    store = SliceStore(tmp_path, 1 << 20)
    AuditTrail(audit_beside(tmp_path), PREVIOUS).close()
    assert store.list() == ()
    store.close()
