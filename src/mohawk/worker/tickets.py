"""Opening this stage's tickets: what a worker goes by for who asked, when, where, and in what shape
(docs/spec/tickets.md).

A ticket does not prove the numbers beside it: a compromised earlier stage can send wrong activations, and nothing here
notices. It can invent, repeat, reorder or redirect no step.
"""

from __future__ import annotations

import logging

from mohawk.channel.record import Expectation, Opener, Transcript
from mohawk.channel.replay import InOrder
from mohawk.channel.tls import SessionInfo
from mohawk.contract.evidence import SOFTWARE
from mohawk.contract.messages import Route

log = logging.getLogger(__name__)


class TicketReader:
    """The tickets of one route, from one controller, on one control connection. `evidence`: digest of what this worker
    showed of its machine when its key was released.
    """

    def __init__(self, session: SessionInfo, route: Route, evidence: bytes = SOFTWARE) -> None:
        transcript = Transcript(
            profile=session.profile,
            controller=str(session.peer.name),
            worker=str(session.own_name),
            controller_leaf=session.peer.leaf_digest,
            worker_leaf=session.own_leaf,
            plan=route.plan,
            evidence=evidence,
            connection_id=route.connection_id,
        )
        self._opener = Opener(session.record_secret, transcript, route.epoch, InOrder())
        self._route = route
        self._has_alarmed = False

    def open(self, ticket: bytes, tensor: tuple[int, int, int], length: int) -> bytes:
        """What the controller sealed. `tensor`: (rows, width, element) of the `length` bytes beside it.

        Raises RecordRefusedError: forged, repeated, out of order, or for another stage, plan, connection or tensor.
        """
        rows, width, element = tensor
        expectation = Expectation(self._route.plan, self._route.stage, rows, width, element, length)
        try:
            return self._opener.open(ticket, expectation.encode())
        finally:
            self._warn()

    def _warn(self) -> None:
        if self._opener.is_alarming and not self._has_alarmed:
            self._has_alarmed = True
            log.error("over a thousand forged tickets: the stage before this one, or its connection, is hostile")
