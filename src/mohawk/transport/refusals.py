"""Connections that were refused or cut: counted in the log, at most one line a second, and in the audit log.

Nobody can fill our disk by being refused: the audit log counts them too (docs/spec/audit.md 5).
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from mohawk.audit.events import AuditEvent, EventKind, NoteEvent
from mohawk.channel.profile import NodeContext
from mohawk.errors import IdentityError, MohawkError, PolicyError, UnavailableError
from mohawk.identity.names import IdentityRefusedError, NodeName, Reason
from mohawk.transport.link import Link

INTERVAL_SECONDS = 1.0


class RefusalLog:
    """One node's. `refused` and `cut` are what its `NodeContext` is told."""

    def __init__(self, log: logging.Logger, note: NoteEvent) -> None:
        self._log = log
        self._note = note
        self._written = -INTERVAL_SECONDS
        self.count = 0

    def refused(self, source: str, error: MohawkError, peer: NodeName | None = None) -> None:
        """One more. The line names the latest, and how many there were in all."""
        self.count += 1
        now = time.monotonic()
        if now - self._written >= INTERVAL_SECONDS:
            self._written = now
            self._log.warning("refused a connection with %s: %s (%d in all)", source, error.code, self.count)
        self._note(describe_refusal(source, error, peer))

    def cut(self, source: str, error: MohawkError, peer: NodeName | None) -> None:
        """An established connection whose peer may not go on."""
        self._log.warning("cut the connection with %s: %s", peer or source, error.message)
        self._note(AuditEvent(EventKind.CONNECTION_CUT, str(peer or source), _details(source, error)))


def report(context: NodeContext, link: Link) -> None:
    """A connection of this node is gone, and if it failed, by our refusal of its peer: tell who asked to know."""
    if link.error is None:
        return
    peer = None
    with suppress(UnavailableError):  # it ended before its peer had proven who it is
        peer = link.peer.name
    is_cut = link.is_established and isinstance(link.error, IdentityError)
    tell = context.on_cut if is_cut else context.on_refused
    tell(link.source, link.error, peer)


def describe_refusal(source: str, error: MohawkError, peer: NodeName | None) -> AuditEvent:
    """About the peer where it proved who it is, else about its address."""
    if isinstance(error, IdentityRefusedError):
        peer = peer or error.peer
    if peer is None:
        return AuditEvent(EventKind.CONNECTION_REFUSED, source, {"reason": _reason(error)})
    may_not = isinstance(error, PolicyError) or _reason(error) == Reason.WRONG_ROLE
    kind = EventKind.ACCESS_REFUSED if may_not else EventKind.CONNECTION_REFUSED
    return AuditEvent(kind, str(peer), _details(source, error))


def _details(source: str, error: MohawkError) -> dict[str, str]:
    return {"reason": _reason(error), "source": source}


def _reason(error: MohawkError) -> str:
    """A word of ours: never the error's text, which may quote a peer's."""
    return str(error.reason) if isinstance(error, IdentityRefusedError) else error.code
