"""The controller's side of the join port: who holds a token gets the certificate that it names (docs/spec/identity.md
9).

Rules, and the attack each stops:
- Nothing is used up or issued for who has not proven to hold the token, on this very connection: a relayed, a guessed
  and a forged request are the same to us.
- A token is used up before its certificate is issued, and on disk: two requests at once, and one after a restart, get
  one certificate (P10, P11).
- The name comes from the token, never from the request; a denied name does not come back by a fresh token.
- Every refusal looks the same from outside. Inside, each is counted in an audit entry with its reason, so that neither
  an outsider nor the holder of a used token can fill the log (D10). Who is let in is on record before the answer (N04).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from enum import StrEnum

from mohawk.audit.events import AuditEvent, EventKind, NoteEvent, RecordEvent
from mohawk.channel.join_tls import join_server_context
from mohawk.channel.nonces import NonceRefusedError, NonceRepeatedError
from mohawk.channel.profile import NodeContext
from mohawk.channel.stdlib_tls import ApiContext
from mohawk.contract.joining import (
    REFUSAL,
    JoinGrant,
    JoinRequest,
    encode_join_grant,
    parse_join_request,
)
from mohawk.crypto.certificate_request import parse_request
from mohawk.crypto.x509 import Certificate
from mohawk.errors import IdentityError, MessageError, MohawkError
from mohawk.host.authority import AuthorityFolder
from mohawk.host.join_book import JoinBook, JoinedNode
from mohawk.host.revocations import Revocations
from mohawk.identity.join_token import EXPORTER_CONTEXT, EXPORTER_SIZE, LIFETIME, OpenToken
from mohawk.identity.policy import encode_policy
from mohawk.transport.joining import Exporter

log = logging.getLogger(__name__)


class Reason(StrEnum):
    """Why somebody may not join; for audit entries, so the words are stable."""

    MALFORMED = "malformed_request"
    UNKNOWN = "unknown_token"
    FORGED = "forged_proof"
    EXPIRED = "expired_token"
    USED = "used_token"
    REVOKED = "revoked_name"
    REQUEST = "bad_certificate_request"
    FAULT = "our_own_fault"


class JoinRefusedError(IdentityError):
    """Who asks may not join. `token`: the one that was proven; None when nothing was."""

    def __init__(self, reason: Reason, token: OpenToken | None = None) -> None:
        super().__init__(f"not allowed to join: {reason}")
        self.reason = reason
        self.token = token


class JoinDesk:
    """Implements `transport.joining.JoinService`. Used from the controller's event loop."""

    def __init__(
        self, authority: AuthorityFolder, context: NodeContext, record: RecordEvent, note: NoteEvent, now: datetime
    ) -> None:
        self._authority = authority
        self._context = context
        self._record = record
        self._book = JoinBook(authority)
        self._guard = self._book.guard(now)
        self._revocations = Revocations(authority)
        self._note = note
        self._shown = context.credentials
        self._tls = join_server_context(self._shown)

    def tls(self) -> ApiContext:
        """The controller's newest certificate."""
        if self._shown is not self._context.credentials:
            self._shown = self._context.credentials
            self._tls = join_server_context(self._shown)
        return self._tls

    def answer(self, request: bytes, exporter: Exporter, source: str) -> bytes:
        """A grant, or no bytes."""
        now = datetime.now(UTC)
        try:
            return self._admit(request, exporter, source, now)
        except JoinRefusedError as error:
            self._refuse(error, source)
        except MohawkError as error:  # our disk, our policy, our log: nothing that a stranger should hear of
            log.error("a node could not join: %s (%s)", error.message, error.hint)
            self._refuse(JoinRefusedError(Reason.FAULT), source)
        return REFUSAL

    def refused(self, source: str, error: MohawkError) -> None:
        self._note(AuditEvent(EventKind.CONNECTION_REFUSED, source, {"port": "join", "reason": error.code}))

    def _admit(self, data: bytes, exporter: Exporter, source: str, now: datetime) -> bytes:
        try:
            request = parse_join_request(data)
        except MessageError:
            raise JoinRefusedError(Reason.MALFORMED) from None
        token = self._authenticate(request, exporter(EXPORTER_CONTEXT, EXPORTER_SIZE))
        spki = self._judge(token, request)
        self._use_up(token, now)
        chain = self._authority.issue_for(token.name, spki, now)
        serial = f"{chain[0].serial:x}"
        details = {"serial": serial, "source": source, "token": token.id.hex(), "ek": token.ek_hash}
        self._book.joined(JoinedNode(token.name, now, token.ek_hash, serial))
        self._record(AuditEvent(EventKind.JOIN_ACCEPTED, str(token.name), details))
        return self._grant(chain)

    def _authenticate(self, request: JoinRequest, exporter: bytes) -> OpenToken:
        """The token that the sender holds. Raises JoinRefusedError."""
        token = self._book.find(request.token)
        if token is None:
            raise JoinRefusedError(Reason.UNKNOWN)
        try:
            token.verify(request.proof, exporter, request.request)
        except IdentityError:
            raise JoinRefusedError(Reason.FORGED) from None
        return token

    def _judge(self, token: OpenToken, request: JoinRequest) -> bytes:
        """The public key (SPKI) that may have the token's name. Raises JoinRefusedError."""
        if any(denial.subject == str(token.name) for denial in self._revocations.denials()):
            raise JoinRefusedError(Reason.REVOKED, token)
        try:
            return parse_request(request.request).spki
        except IdentityError:
            raise JoinRefusedError(Reason.REQUEST, token) from None

    def _use_up(self, token: OpenToken, now: datetime) -> None:
        """Once, and within its ten minutes. Raises JoinRefusedError, HostError."""
        try:
            self._guard.use(str(token.name), token.id, token.issued, now, LIFETIME)
        except NonceRepeatedError:
            raise JoinRefusedError(Reason.USED, token) from None
        except NonceRefusedError:
            raise JoinRefusedError(Reason.EXPIRED, token) from None

    def _grant(self, chain: tuple[Certificate, ...]) -> bytes:
        authority = self._authority
        grant = JoinGrant(
            leaf=chain[0].der,
            issuing=chain[1].der,
            roots=authority.roots_envelope(),
            deny_list=self._context.standing.deny_envelope,
            publisher=authority.pins(),
            policy=encode_policy(authority.policy()),
        )
        return encode_join_grant(grant)

    def _refuse(self, error: JoinRefusedError, source: str) -> None:
        details = {"port": "join", "reason": str(error.reason)}
        if error.token is None:
            self._note(AuditEvent(EventKind.JOIN_REFUSED, source, details))
            return
        details |= {"source": source, "token": error.token.id.hex()}
        self._note(AuditEvent(EventKind.JOIN_REFUSED, str(error.token.name), details))
