"""The operator's authority at work inside a running controller: fresh deny-lists, new roots, renewed certificates.

The authority is a folder that an operator's commands change while the controller runs; it is looked at every second.

Rules, and the attack each stops:
- A list is issued every minute even if unchanged, and at once when it changed: a node from which lists are kept notices
  (H19), and a revoked one is cut within seconds (H18).
- A denied node gets no fresh certificate: it cannot outlive its revocation. What counts is what was entered, not the
  list of a second ago: a certificate that is denied by its serial would come back under another.
- A renewed certificate has the name of the connection that asked for it, whatever the request says. It is on record
  before it is sent (N04). Taking trust back waits for no disk: what was revoked is passed on, then noted.
- A node that asks for one certificate after the other is refused at last: each is a signature, and a line of the audit
  log (D10).
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from mohawk.audit.events import AuditEvent, EventKind, NoteEvent, RecordEvent
from mohawk.channel.profile import NodeContext
from mohawk.contract.trust import RenewalGrant, RenewalRequest, TrustUpdate
from mohawk.controller.tasks import until_next
from mohawk.crypto.certificate_request import parse_request
from mohawk.crypto.signing import SigningKey
from mohawk.errors import HostError, MohawkError, PolicyError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.revocations import Revocations
from mohawk.identity.certificates import PeerIdentity, is_renewal_due
from mohawk.identity.denylist import DenyList
from mohawk.identity.names import NodeName

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
ISSUE_EVERY = timedelta(seconds=60)
RECONNECT_EVERY = timedelta(hours=1)
RENEWALS_EVERY = timedelta(hours=1)
MOST_RENEWALS = 60
"""Of one node in that time. An honest one needs one or two a day, and one for each rotation."""


class TrustKeeper:
    """`tell` reaches every worker; `reconnect` replaces all connections between two steps."""

    def __init__(
        self,
        authority: AuthorityFolder,
        context: NodeContext,
        record: RecordEvent,
        note: NoteEvent,
        tell: Callable[[TrustUpdate], None],
        reconnect: Callable[[], Awaitable[None]],
    ) -> None:
        self._authority = authority
        self._revocations = Revocations(authority)
        self._context = context
        self._record = record
        self._note = note
        self._tell = tell
        self._reconnect = reconnect
        self._jitter = random.random()  # noqa: S311 - spreads load, protects nothing
        self._issuing = authority.issuing_mark()
        self._signed_under: tuple[tuple[int, int], int] | None = None
        self._wants_reconnection = False
        self._connected = datetime.now(UTC)
        self._renewals: Counter[NodeName] = Counter()
        self._counting_since = self._connected
        self._task: asyncio.Task[None] | None = None
        self._reconnecting: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def close(self) -> None:
        for task in (self._task, self._reconnecting):
            if task is not None:
                task.cancel()

    def latest(self) -> TrustUpdate:
        """For a worker that has just connected."""
        standing = self._context.standing
        return TrustUpdate(standing.deny_envelope, standing.roots_envelope)

    def refresh(self, now: datetime) -> None:
        """Issue, learn and pass on what is due at `now`. Raises MohawkError."""
        roots = self._next_roots(now)
        deny_list = self._next_list(now)  # may be signed under a new root
        if deny_list or roots:
            self._tell(TrustUpdate(deny_list, roots))  # first: whom the list names hears why it is cut, and ends itself
        if deny_list:
            self._context.standing.learn_deny_list(deny_list, now)
        if self._renew_ourselves(now):  # last: an authority that signs no more certificates still takes trust back
            self._tell(TrustUpdate(renew=True))

    def renew(self, peer: PeerIdentity, request: RenewalRequest) -> RenewalGrant | None:
        """A fresh leaf for `peer`'s new key. None when it is refused: revoked, no request of ours, too many, no
        authority that may sign it, or not on record.
        """
        now = datetime.now(UTC)
        try:
            DenyList(0, now, self._revocations.denials()).refuse(peer)
            self._count_renewal(peer.name, now)
            chain = self._authority.issue_for(peer.name, parse_request(request.request).spki, now)
            self._record(AuditEvent(EventKind.LEAF_RENEWED, str(peer.name), {"serial": f"{chain[0].serial:x}"}))
        except HostError as error:  # its connection goes on, and it asks again
            log.error("%s gets no fresh certificate: %s", peer.name, error.message)
            return None
        except MohawkError as error:
            self._note(AuditEvent(EventKind.RENEWAL_REFUSED, str(peer.name), {"reason": error.code}))
            return None
        self._wants_reconnection = True
        return RenewalGrant(tuple(one.der for one in chain))

    def _count_renewal(self, name: NodeName, now: datetime) -> None:
        """Raises PolicyError beyond the bound."""
        if now - self._counting_since > RENEWALS_EVERY:
            self._renewals.clear()
            self._counting_since = now
        self._renewals[name] += 1
        if self._renewals[name] > MOST_RENEWALS:
            raise PolicyError("too many certificates for one node")

    def _next_list(self, now: datetime) -> bytes:
        """A new list when one is due; empty when not."""
        standing = self._context.standing
        denials = self._revocations.denials()
        current, signed_under = standing.deny_list, (self._authority.issuing_mark(), standing.roots.number)
        is_fresh = current is not None and now - current.issued < ISSUE_EVERY
        if current is not None and is_fresh and current.denials == denials and signed_under == self._signed_under:
            return b""
        envelope = self._revocations.issue(now)
        self._signed_under = signed_under  # a list under a root that is being retired would not outlive a restart
        known = {denial.subject for denial in current.denials} if current is not None else set()
        for denial in denials:
            if denial.subject not in known:
                self._note(AuditEvent(EventKind.NODE_REVOKED, denial.subject, {"reason": denial.reason}))
        return envelope

    def _next_roots(self, now: datetime) -> bytes:
        """The root set when it changed; empty when not."""
        envelope, standing = self._authority.roots_envelope(), self._context.standing
        if not envelope or not standing.learn_roots(envelope, now):
            return b""
        self._note(AuditEvent(EventKind.ROOTS_CHANGED, standing.domain, {"number": str(standing.roots.number)}))
        self._context.renew(self._context.credentials.pinning(standing.roots))
        return envelope

    def _renew_ourselves(self, now: datetime) -> bool:
        """At half life, and when another issuing authority signs from now on: True then, for every node has to."""
        credentials = self._context.credentials
        issuing = self._authority.issuing_mark()
        if issuing == self._issuing and not is_renewal_due(credentials.chain[0], now, self._jitter):
            return False
        is_rotated = issuing != self._issuing
        if is_rotated:
            self._note(AuditEvent(EventKind.ISSUING_ROTATED, self._context.domain))
        leaf = credentials.chain[0]
        key = SigningKey.generate()
        chain = self._authority.issue_for(credentials.name, key.spki(), now, leaf.not_after - leaf.not_before)
        self._context.renew(credentials.renewed(chain, key))
        self._issuing = issuing
        self._wants_reconnection = True
        return is_rotated

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(until_next(LOOK_SECONDS, time.monotonic()))
            try:
                self.refresh(datetime.now(UTC))
            except MohawkError as error:  # the authority's folder may be unreachable for a while: lists then run out
                log.error("keeping trust fresh failed: %s (%s)", error.message, error.hint)
            except Exception:  # the outermost edge: a fault of ours must not be the end of all revocations
                log.exception("keeping trust fresh failed")
            self._reconnect_if_due(datetime.now(UTC))

    def _reconnect_if_due(self, now: datetime) -> None:
        """Beside the rest: it may have to wait for workers, and lists for nobody."""
        if self._reconnecting is not None and not self._reconnecting.done():
            return
        if self._wants_reconnection or now - self._connected > RECONNECT_EVERY * (0.95 + 0.1 * self._jitter):
            self._wants_reconnection = False
            self._connected = now
            self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect_once())

    async def _reconnect_once(self) -> None:
        """Again, when the chain breaks meanwhile, once it is whole."""
        try:
            await self._reconnect()
        except MohawkError as error:
            self._wants_reconnection = True
            log.error("connections could not be renewed: %s (%s)", error.message, error.hint)
        except Exception:
            self._wants_reconnection = True
            log.exception("connections could not be renewed")
