"""The operators' port (8004): role operator only, and one question so far. The public API has no such routes."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mohawk.contract.messages import Hello, Purpose, StatusReply, StatusRequest
from mohawk.errors import MohawkError, PolicyError
from mohawk.identity.certificates import PeerIdentity, expect
from mohawk.identity.names import Role
from mohawk.transport.link import Link
from mohawk.transport.refusals import RefusalLog

log = logging.getLogger(__name__)


class OperatorService:
    """Implements `transport.listen.Service`."""

    def __init__(self, status: Callable[[], StatusReply]) -> None:
        self._status = status
        self._refusals = RefusalLog(log)

    def authorize(self, peer: PeerIdentity, hello: Hello) -> None:
        """Raises IdentityRefusedError for any other role, PolicyError for any other purpose."""
        expect(peer, {Role.OPERATOR})
        if hello.purpose is not Purpose.OPERATOR:
            raise PolicyError("this port is for operators only")

    def accept(self, link: Link) -> None:
        link.on_message = self._answer

    def refused(self, source: str, error: MohawkError) -> None:
        self._refusals.note(source, error)

    def _answer(self, link: Link, message: object, _body: bytearray) -> None:
        if isinstance(message, StatusRequest):
            link.send(self._status())
