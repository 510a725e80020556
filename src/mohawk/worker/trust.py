"""A worker's own certificate and what it judges others by, kept fresh through its controller.

Rules, and the attack each stops:
- The key of a renewed certificate is born here and never leaves; only its public half is sent.
- A chain that does not prove our own name under a root that we pin is refused: a controller cannot make us somebody
  else, nor bring in an authority of its own.
- A renewed certificate is on record before it is used (N04).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from mohawk.audit.events import AuditEvent, EventKind, RecordEvent
from mohawk.channel.profile import NodeContext
from mohawk.contract.messages import Message
from mohawk.contract.trust import RenewalGrant, RenewalRequest, TrustAccepted, TrustUpdate
from mohawk.crypto import x509
from mohawk.crypto.certificate_request import make_request
from mohawk.crypto.signing import SigningKey
from mohawk.errors import HostError, IdentityError, MessageError, MohawkError
from mohawk.identity.certificates import is_renewal_due
from mohawk.identity.credentials import NodeCredentials

log = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
ASK_AGAIN = timedelta(minutes=1)
Send = Callable[[Message], None]


class WorkerTrust:
    """`keep` writes renewed credentials down, `record` the audit log. Used from the event loop only; `keep` runs in a
    thread, because writing, and encrypting a key under a password, takes longer than a heartbeat may.
    """

    def __init__(self, context: NodeContext, keep: Callable[[NodeCredentials], None], record: RecordEvent) -> None:
        self._context = context
        self._keep = keep
        self._record = record
        self._send: Send | None = None
        self._born: SigningKey | None = None
        self._asked = datetime.min.replace(tzinfo=UTC)
        self._jitter = random.random()  # noqa: S311 - spreads load, protects nothing
        self._task: asyncio.Task[None] | None = None
        self._unkept: NodeCredentials | None = None
        self._keeping: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        """What was renewed is written down before."""
        if self._task is not None:
            self._task.cancel()
        if self._keeping is not None:
            await self._keeping

    def on_controller(self, send: Send | None) -> None:
        """A controller is connected, or gone (None)."""
        self._send = send
        self._born = None
        self._asked = datetime.min.replace(tzinfo=UTC)

    def on_update(self, update: TrustUpdate) -> TrustAccepted:
        """Raises IdentityError, which ends the connection: signed by another than it must be, or older than ours."""
        standing, now = self._context.standing, datetime.now(UTC)
        if update.roots and standing.learn_roots(update.roots, now):
            self._adopt(self._context.credentials.pinning(standing.roots))
        if update.deny_list:
            standing.learn_deny_list(update.deny_list, now)
        if update.renew:
            self._ask(now)
        return TrustAccepted(standing.deny_list_number, standing.roots.number)

    def check(self, now: datetime) -> None:
        """Ask for a fresh certificate when half of ours is over, once a minute until one comes."""
        leaf = self._context.credentials.chain[0]
        if self._send is None or now - self._asked < ASK_AGAIN or not is_renewal_due(leaf, now, self._jitter):
            return
        self._ask(now)

    def _ask(self, now: datetime) -> None:
        if self._send is None:
            return
        self._asked = now
        self._born = SigningKey.generate()
        self._send(RenewalRequest(make_request(self._born)))

    def on_grant(self, grant: RenewalGrant) -> None:
        """Raises MessageError (not asked for) or IdentityError (not ours, or not for our key)."""
        key, self._born = self._born, None
        if key is None:
            raise MessageError("a certificate that was not asked for")
        credentials = self._context.credentials
        fresh = credentials.renewed(tuple(x509.parse_der(one) for one in grant.chain), key)
        if fresh.check(datetime.now(UTC)).name != credentials.name:
            raise IdentityError("a certificate for another name than ours")
        leaf = fresh.chain[0]
        try:
            self._record(AuditEvent(EventKind.LEAF_RENEWED, str(fresh.name), {"serial": f"{leaf.serial:x}"}))
        except HostError as error:  # the old certificate goes on, and a fresh one is asked for again
            log.error("a fresh certificate is not used: %s", error.message)
            return
        self._adopt(fresh)
        log.info("certificate renewed until %s", leaf.not_after)

    def _adopt(self, credentials: NodeCredentials) -> None:
        self._context.renew(credentials)
        self._unkept = credentials
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.get_running_loop().create_task(self._keep_latest())

    async def _keep_latest(self) -> None:
        """One write at a time, of the newest there is."""
        while self._unkept is not None:
            credentials, self._unkept = self._unkept, None
            try:
                await asyncio.to_thread(self._keep, credentials)
            except MohawkError as error:  # the worker goes on; after a restart it may have to join anew
                log.error("a renewed identity could not be written down: %s (%s)", error.message, error.hint)

    async def _run(self) -> None:
        while True:
            self.check(datetime.now(UTC))
            await asyncio.sleep(CHECK_SECONDS)
